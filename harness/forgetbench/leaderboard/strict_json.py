"""Documents from anywhere: bounded numbers, no key twice, bounded size."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from forgetbench.errors import DataError
from forgetbench.schema.document import Document
from forgetbench.schema.invalid import first_invalid

MAX_BYTES = 32_000_000
LARGEST_VALUE = 1e100
"""Sums and squares of larger ones are no longer finite; nothing that is measured comes near."""

D = TypeVar("D", bound=Document)


def read_json(kind: type[D], path: Path) -> D:
    """Read a document.

    Raises:
        DataError: It is missing, too large, no JSON, holds NaN, a number above 1e100 or a key twice, or
            is not of its kind; the message names the key.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise DataError(
                str(path),
                f"is larger than {MAX_BYTES // 1_000_000} MB",
                "A document of a run is smaller: pack the result again.",
            )
        content = path.read_bytes()
        json.loads(content, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
        return kind.model_validate_json(content)
    except ValidationError as error:
        first = first_invalid(error)
        raise DataError(f"{path}, key `{first.key}`", first.cause, "Take it out, or mend it.") from None
    except (ValueError, RecursionError) as error:
        raise DataError(str(path), f"is no document ({error})", "Take it out, or mend it.") from None
    except OSError as error:
        raise DataError(str(path), error.strerror or "cannot be read", "Check the path.") from None


def _refuse(name: str) -> float:
    raise ValueError(f"it holds {name}")


def _finite(text: str) -> float:
    value = float(text)
    if not abs(value) <= LARGEST_VALUE:
        raise ValueError(f"it holds {text[:40]}")
    return value


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key comes twice")
    return found
