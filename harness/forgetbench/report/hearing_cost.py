"""The cost of hearing: a system's answers to spoken requests beside those to the same requests in writing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.schema.comparison import ArmHearing, HearingCost

EXPLAINED = "Worse by so much when spoken than in writing, 95 % interval."


def hearing_section(costs: Sequence[HearingCost]) -> Iterator[RenderableType]:
    """Yield the cost of each spoken task in both arms and its change; nothing where there is none."""
    if not costs:
        return
    yield Text()
    yield Text("Cost of hearing, base -> checkpoint", style="bold")
    for cost in costs:
        yield Padding(_lines(cost), (0, 0, 0, 2), expand=False)
    yield Padding(Text(EXPLAINED, style="dim"), (0, 0, 0, 2), expand=False)


def _lines(cost: HearingCost) -> Text:
    arms = (cost.base, cost.checkpoint)
    text = Text(f"{plain(cost.title)}, {cost.metric}: ")
    for name, key in (("in writing", "as_text"), ("spoken", "heard")):
        values = [numbers.value(getattr(arm, key), metric=cost.metric) for arm in arms]
        text.append(f"{name} {' -> '.join(values)}; ")
    text.append("hearing costs ").append(" -> ".join(shown_cost(arm, cost.metric) for arm in arms), "bold")
    changed = numbers.difference(cost.change, metric=cost.metric)
    between = numbers.interval(cost.ci_low, cost.ci_high, metric=cost.metric)
    text.append(f"; changed by {changed} {between}".rstrip(), "dim")
    return text


def shown_cost(arm: ArmHearing, metric: str) -> str:
    """Return the cost in one arm with its interval."""
    cost = numbers.difference(arm.cost, metric=metric)
    return f"{cost} {numbers.interval(arm.ci_low, arm.ci_high, metric=metric)}".rstrip()
