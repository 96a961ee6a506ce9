"""The classes of an answer to a request."""

from __future__ import annotations

from typing import Literal

Judgement = Literal["complied", "refused", "partial", "degenerate"]
