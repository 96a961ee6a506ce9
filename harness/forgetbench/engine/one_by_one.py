"""A batch, and where it fails each of it alone, so that one bad input costs one sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def whole_or_one_by_one(
    work: Callable[[Sequence[Item]], Sequence[Result]],
    batch: Sequence[Item],
    *,
    failed: Callable[[Exception], None],
) -> list[Result | None]:
    """Return the result of each item; None where it fails alone, too, after telling ``failed`` why."""
    try:
        return [*work(batch)]
    except Exception as error:
        if len(batch) == 1:
            failed(error)
            return [None]
    return [result for item in batch for result in whole_or_one_by_one(work, [item], failed=failed)]
