"""Which component a system's loss comes from, as a table and in words."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import RULED_ASCII, ruled_grid
from forgetbench.schema.attribution import Attribution, Effect, Interaction, TaskAttribution

ROLE_NAMES = {"enhancer": "enhancer", "asr": "recogniser", "lm": "language model", "assistant": "assistant"}
EXPLAINED = (
    "Alone: this component swapped into the base. Share: its effect averaged over all orders of swapping "
    "(Shapley); shares add up to the loss."
)


def attribution_table(attribution: Attribution) -> RenderableType:
    """Show the losses of all spoken tasks by component."""
    parts: list[RenderableType] = [Text("Where the loss comes from", style="bold")]
    table = ruled_grid("Task", "Component", "Alone", "Share", right={"Alone", "Share"}, box=RULED_ASCII)
    for task in attribution.tasks:
        for position, (name, alone, share) in enumerate(rows_of(task)):
            table.add_row(Text("" if position else plain(task.title)), Text(name), Text(alone), Text(share))
    if attribution.tasks:
        parts.append(Padding(table, (0, 0, 0, 2), expand=False))
    lines = [*(f"{task.title}: {sentence(task)}" for task in attribution.tasks), *attribution.not_attributed]
    if attribution.identical:
        same = ", ".join(ROLE_NAMES[role] for role in attribution.identical)
        lines.append(f"The same in both systems, not swapped: {same}.")
    parts += [Padding(Text(plain(line, limit=400)), (0, 0, 0, 2), expand=False) for line in lines]
    if attribution.tasks:
        parts.append(Padding(Text(EXPLAINED, style="dim"), (0, 0, 0, 2), expand=False))
    return Group(*parts)


def rows_of(task: TaskAttribution) -> Iterator[tuple[str, str, str]]:
    """Yield name, effect alone and share of each component, then of the interactions and the total."""
    for component in task.components:
        name = ROLE_NAMES[component.role]
        yield name, shown(component.alone, task.metric), shown(component.share, task.metric)
    for each in task.interactions:
        names = " × ".join(ROLE_NAMES[role] for role in each.roles)
        yield f"interaction: {names}", shown(each.effect, task.metric), ""
    yield "total", "", shown(task.total, task.metric)


def shown(effect: Effect, metric: str) -> str:
    """Return an effect with its interval."""
    between = numbers.interval(effect.ci_low, effect.ci_high, metric=metric)
    return f"{numbers.difference(effect.value, metric=metric)} {between}".rstrip()


def sentence(task: TaskAttribution) -> str:
    """Say which components the loss comes from, which of them interact, and on how many samples."""
    roles = {each.role: each for each in task.components}
    if not task.lost_by and task.total.value <= 0:
        said = "no component has lost"
    elif not task.lost_by:
        said = "no component's part of the loss can be told from chance"
    else:
        names = " and ".join(
            f"the {ROLE_NAMES[role]} ({numbers.difference(roles[role].share.value, metric=task.metric)})"
            for role in task.lost_by
        )
        said = f"the loss comes from {names}"
    told = [said, *(_interaction(each, task.metric) for each in task.interacting)]
    samples = f"{task.n} samples"
    if task.n_dropped:
        samples += f"; {task.n_dropped} more were not scored by every system"
    return f"{'; '.join(told)} ({samples})."


def _interaction(each: Interaction, metric: str) -> str:
    names = " and ".join(f"the {ROLE_NAMES[role]}" for role in each.roles)
    points = numbers.difference(abs(each.effect.value), metric=metric, unit=True).lstrip("+")
    direction = "more" if each.effect.value > 0 else "less"
    than = "the sum of each alone" if len(each.roles) == 2 else "their losses alone and in pairs add up to"
    return f"{names} together lose {points} {direction} than {than}"
