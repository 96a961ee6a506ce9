"""How far an encoder's layers have moved, on a console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.schema.comparison import RepresentationDrift

EXPLAINED = (
    "Debiased linear CKA between the arms, from the first layer's input to the last layer: 1 is unmoved."
)


def drift_section(drifts: Sequence[RepresentationDrift]) -> Iterator[RenderableType]:
    """Yield the CKA of every layer, task by task; nothing where there is none."""
    if not drifts:
        return
    yield Text()
    yield Text("Drift of the layers", style="bold")
    for drift in drifts:
        values = " ".join(numbers.value(each, metric="cka") for each in drift.cka)
        reason = f" ({plain(drift.reason)})" if drift.reason else ""
        yield Padding(
            Text(f"{plain(drift.title)} (n {drift.n}): {values}{reason}"), (0, 0, 0, 2), expand=False
        )
    yield Padding(Text(EXPLAINED, style="dim"), (0, 0, 0, 2), expand=False)
