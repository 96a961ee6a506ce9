"""Where a command writes: people read one console, programs read JSON on stdout."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


_STEERING = re.compile("[\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that JSON lets stand, and that steer a terminal or turn the direction of a text."""


def console(*, as_json: bool = False) -> Console:
    """Return the console for people: stdout, or stderr where stdout belongs to JSON."""
    from rich.console import Console

    return Console(stderr=as_json, highlight=False, emoji=False, markup=False, soft_wrap=False)


def heading(text: str, *, as_json: bool) -> None:
    """Write what the lines below are about."""
    from rich.text import Text

    from forgetbench.report.escape import plain

    out = console(as_json=as_json)
    out.print()
    out.print(Text(plain(text), style="bold"))


def write_json(value: Any) -> None:
    """Write one JSON document to stdout. A number that is not finite becomes null."""
    text = json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")


def warn(message: str) -> None:
    """Write one line of warning to stderr."""
    from forgetbench.redact import redact
    from forgetbench.report.escape import plain

    sys.stderr.write(f"warning: {redact(plain(message))}\n")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value
