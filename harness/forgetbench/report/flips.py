"""Which answers changed, beside the verdict: forgotten, gained, and the same as the base's."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.schema.comparison import Comparison, Row, SamplewiseForgetting


def flips_section(comparison: Comparison) -> Iterator[RenderableType]:
    """Show of each row of right and wrong answers what was forgotten and gained, and how much is chance."""
    lines = [line for row in comparison.rows if (line := _line(row))]
    if lines:
        yield Text()
        yield Text("Answers that changed", style="bold")
        yield from (Padding(Text(line), (0, 0, 0, 2), expand=False) for line in lines)


def _line(row: Row) -> str:
    said = []
    if row.samplewise is not None:
        said += list(_samplewise(row.samplewise))
    elif row.transitions is not None:
        t = row.transitions
        said.append(f"{t.n10} lost, {t.n01} won of {row.n}")
    if row.agreement is not None:
        said.append(f"same answer as the base {numbers.share(row.agreement)}")
    return f"{plain(row.title)}: {', '.join(said)}" if said else ""


def _samplewise(found: SamplewiseForgetting) -> Iterator[str]:
    """Name the figures of Harmon et al. 2025: F, BT, chance, F_true, BT_true, F_max."""
    forgotten, gained = (
        f"forgotten {_percent(found.forgetting)}",
        f"gained {_percent(found.backward_transfer)}",
    )
    if not found.chance:
        yield f"{forgotten} of at most {_percent(found.most_forgettable)}"
        yield gained
        return
    yield (
        f"{forgotten}, beyond chance {_percent(found.true_forgetting)} "
        f"of at most {_percent(found.most_forgettable)}"
    )
    yield f"{gained}, beyond chance {_percent(found.true_backward_transfer)}"


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
