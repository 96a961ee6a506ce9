"""What a model wrote for training, kept in the cache: the same for every seed, and written once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forgetbench.atomic import write_atomically
from forgetbench.paths import cache_root

Line = Mapping[str, Any]


def written_once(
    kind: str, key: Mapping[str, Any], write: Callable[[], Sequence[Line]]
) -> list[dict[str, Any]]:
    """Return the lines that ``write`` makes, from the cache if they were made before.

    Args:
        kind: Names the file.
        key: Everything that the lines depend on, as JSON.
        write: Makes them.
    """
    content = json.dumps(key, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(content.encode()).hexdigest()[:24]
    file = cache_root() / "recipes" / f"{kind}-{digest}.jsonl"
    if not file.is_file():
        write_atomically(file, as_jsonl(write()))
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def as_jsonl(lines: Sequence[Line]) -> bytes:
    """Return lines as a JSONL file."""
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
