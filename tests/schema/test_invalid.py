from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError, field_validator

from forgetbench.schema.document import Document
from forgetbench.schema.invalid import first_invalid


class Shelf(Document):
    book: str
    pages: int = 1

    @field_validator("pages")
    @classmethod
    def _some(cls, pages: int) -> int:
        if pages < 1:
            raise ValueError("a book has pages")
        return pages


@pytest.mark.parametrize(
    ("values", "key", "cause", "given"),
    [
        ({"bock": "a"}, "bock", "unknown key", "a"),
        ({}, "book", "missing key", {}),
        ({"book": "a", "pages": 0}, "pages", "a book has pages", 0),
        ({"book": "a", "pages": "x"}, "pages", "Input should be a valid integer", "x"),
    ],
)
def test_what_its_author_can_mend_comes_first_and_without_a_word_of_the_library(
    values: dict[str, Any], key: str, cause: str, given: Any
) -> None:
    with pytest.raises(ValidationError) as refused:
        Shelf.model_validate(values)
    found = first_invalid(refused.value)
    assert (found.key, found.given) == (key, given)
    assert found.cause.startswith(cause)
