"""The last lines of a self-test: how far a checkpoint is from itself, and whether that is too far."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from forgetbench.forgetting.noise_floor import ROUNDING
from forgetbench.report.escape import plain
from forgetbench.report.numbers import is_percent
from forgetbench.schema.comparison import Comparison, Row


def noisy_rows(comparison: Comparison) -> list[Row]:
    """Return the rows whose noise is more than rounding."""
    return [row for row in comparison.rows if row.verdict != "error" and _floor(row) >= ROUNDING * row.margin]


def unfit_rows(comparison: Comparison) -> list[Row]:
    """Return the rows in which no loss of one margin could be told from noise."""
    return [row for row in comparison.rows if row.verdict != "error" and _floor(row) >= row.margin]


def selftest_lines(comparison: Comparison, *, good: str, doubtful: str, bad: str) -> Text:
    """Return the noise floor of each row, and the conclusion.

    Args:
        comparison: Of a checkpoint with itself.
        good: Sign in front of a conclusion that all is well.
        doubtful: Of one that there is noise.
        bad: Of one that the noise is too much.
    """
    noisy, unfit = noisy_rows(comparison), unfit_rows(comparison)
    floors = ", ".join(f"{row.title} {_shown(row)}" for row in comparison.rows if row.verdict != "error")
    text = Text(f"Noise floor: {plain(floors) or 'none'}\n", style="dim")
    if failed := [row for row in comparison.rows if row.verdict == "error"]:
        said = f"{bad} self-test: could not be measured: {_names(failed)}"
        return text.append(said, "not dim bold red")
    if unfit:
        said = f"{bad} self-test: the same checkpoint differs from itself by a margin or more in "
        return text.append(said + _names(unfit), "not dim bold red")
    if noisy:
        said = f"{doubtful} self-test: the same checkpoint differs from itself, within its margins, in "
        then = ". A loss must exceed these floors."
        return text.append(said + _names(noisy) + _flipped(comparison) + then, "not dim bold yellow")
    said = f"{good} self-test: no difference in {len(comparison.rows)} rows"
    return text.append(said + _flipped(comparison), "not dim bold cyan")


def _floor(row: Row) -> float:
    return abs(row.degradation or 0.0)


def _shown(row: Row) -> str:
    if is_percent(row.metric):
        return f"{100 * _floor(row):.2g} points"
    return f"{_floor(row):.2g}"


def _names(rows: Sequence[Row]) -> str:
    return plain(", ".join(row.name for row in rows))


def _flipped(comparison: Comparison) -> str:
    counts = [row.transitions for row in comparison.rows if row.transitions is not None]
    flips = sum(t.n10 + t.n01 for t in counts)
    return f" ({flips} answer{'s' if flips > 1 else ''} flipped)" if flips else ""
