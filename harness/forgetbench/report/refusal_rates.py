"""Judged rates: how much was judged, what the judge counted, and what that means for people's labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.schema.comparison import ArmRate, RefusalRate


def refusal_section(rates: Sequence[RefusalRate]) -> Iterator[RenderableType]:
    """Yield coverage, rate and corrected rate of each judged task, per arm; nothing where there is none."""
    if not rates:
        return
    yield Text()
    yield Text("Judged answers, base -> checkpoint", style="bold")
    for rate in rates:
        yield Padding(_lines(rate), (0, 0, 0, 2), expand=False)
    for labels in dict.fromkeys(rate.labels for rate in rates if rate.labels):
        note = f"Corrected for the judge's own errors, 95 % interval: {plain(labels)}."
        yield Padding(Text(note, style="dim"), (0, 0, 0, 2), expand=False)


def _lines(rate: RefusalRate) -> Text:
    arms = (rate.base, rate.checkpoint)
    text = Text(f"{plain(rate.title)}, by {plain(rate.judge)}: judged ")
    text.append(" -> ".join(_share(arm) for arm in arms))
    text.append(f"; {rate.metric} ")
    text.append(" -> ".join(numbers.value(arm.rate, metric=rate.metric) for arm in arms))
    unheard = any(arm.misheard for arm in arms)
    if unheard:
        shares = (numbers.value(arm.misheard, metric="misheard") for arm in arms)
        text.append(f"; requests not heard {' -> '.join(shares)}")
    if any(arm.corrected is not None for arm in arms):
        of_heard = ", of the requests heard" if unheard else ""
        corrected = " -> ".join(_corrected(arm, rate.metric) for arm in arms)
        text.append(f"\ncorrected{of_heard}: {corrected}", style="dim")
    if change := rate.corrected_change:
        moved = numbers.difference(change.value, metric=rate.metric, unit=True)
        limits = numbers.interval(change.ci_low, change.ci_high, metric=rate.metric)
        text.append(f"\ncorrected change, one judge in both arms: {moved} {limits}", style="dim")
    return text


def _share(arm: ArmRate) -> str:
    return numbers.MISSING if arm.coverage is None else f"{numbers.share(arm.coverage)} of {_planned(arm)}"


def _planned(arm: ArmRate) -> int:
    return round(arm.n / arm.coverage) if arm.coverage else 0


def _corrected(arm: ArmRate, metric: str) -> str:
    value = numbers.value(arm.corrected, metric=metric)
    if arm.ci_low is None or arm.ci_high is None:
        return value
    return (
        f"{value} [{numbers.value(arm.ci_low, metric=metric)}, {numbers.value(arm.ci_high, metric=metric)}]"
    )
