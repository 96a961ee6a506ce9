"""Roles, verdicts and decisions, as they are shown."""

from __future__ import annotations

from dataclasses import dataclass

from forgetbench.schema.comparison import Decision, Verdict
from forgetbench.schema.task import Role

ROLES: tuple[Role, ...] = ("target", "general", "safety", "distribution", "cost")
ROLE_TITLES: dict[Role, str] = {
    "target": "Target",
    "general": "General",
    "safety": "Safety",
    "distribution": "Distribution, no gate",
    "cost": "Cost",
}


@dataclass(frozen=True)
class Sign:
    """How a verdict or a decision is shown: told apart by its sign alone, and by red against cyan."""

    unicode: str
    ascii: str
    style: str


SIGNS: dict[Verdict, Sign] = {
    "error": Sign("!", "!", "bold red"),
    "regressed": Sign("✗", "X", "bold red"),
    "worse": Sign("▼", "v", "yellow"),
    "inconclusive": Sign("?", "?", "yellow"),
    "minor": Sign("~", "~", "cyan"),
    "retained": Sign("✓", "o", "cyan"),
    "improved": Sign("▲", "^", "bold cyan"),
    "identical": Sign("=", "=", "dim"),
}
DECISIONS: dict[Decision, Sign] = {
    "SHIP": Sign("✓", "o", "bold cyan"),
    "DO NOT SHIP": Sign("✗", "X", "bold red"),
    "NEED MORE": Sign("?", "?", "bold yellow"),
}
