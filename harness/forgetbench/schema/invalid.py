"""What is wrong with a document that its schema refuses, in words for who wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

UNKNOWN = "extra_forbidden"
"""The kind of a key that is none of the schema's."""
_CAUSES = {UNKNOWN: "unknown key", "missing": "missing key"}
_OF_VALIDATORS = "Value error, "
"""What pydantic puts before the words of a validator."""


@dataclass(frozen=True, kw_only=True)
class Invalid:
    """What is wrong with one value.

    Attributes:
        location: Keys and positions that lead to it, as pydantic names them.
        cause: What is wrong with it.
        given: The value.
        kind: pydantic's name of what is wrong, as "missing".
    """

    location: tuple[int | str, ...]
    cause: str
    given: Any
    kind: str

    @property
    def key(self) -> str:
        """The location in one word, with dots."""
        return ".".join(map(str, self.location))


def first_invalid(error: ValidationError) -> Invalid:
    """Return what its author should mend first.

    An unknown key goes before the others: a mistyped key is also a missing one, and only the unknown one can
    be seen.
    """
    found = min(error.errors(), key=lambda each: each["type"] != UNKNOWN)
    return Invalid(
        location=tuple(part for part in found["loc"] if part != "[key]"),
        cause=_CAUSES.get(found["type"]) or found["msg"].removeprefix(_OF_VALIDATORS),
        given=found["input"],
        kind=found["type"],
    )
