"""What the models cost, base beside checkpoint: sizes always, times and memory after ``--cost``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from forgetbench.forgetting.cost import TimeRatio, mean_turn, speed, time_ratio
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.schema.cost import ClipTime, ComponentCost, Cost, TurnTime
from forgetbench.schema.run import CheckpointInfo, ComponentInfo


class CostLine(NamedTuple):
    """One figure of both arms, and how they relate."""

    name: str
    base: str
    checkpoint: str
    note: str


def cost_section(
    checkpoint: CheckpointInfo,
    base: CheckpointInfo | None = None,
    *,
    measured: Cost | None = None,
    base_measured: Cost | None = None,
) -> Iterator[RenderableType]:
    """Yield the lines under the heading Cost; none where nothing is known.

    Args:
        checkpoint: What was evaluated.
        base: Its base; None where the checkpoint was measured alone.
        measured: Times and memory of the checkpoint.
        base_measured: Of the base; left out where they are of another measurement.
    """
    table = Table.grid(padding=(0, 2, 0, 0))
    for justify in ("left", "left", "right", "right"):
        table.add_column(justify=justify, no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("", "", Text("Base", "dim") if base else "", Text("Checkpoint", "dim"), "")
    for component, lines in cost_lines(checkpoint, base, measured=measured, base_measured=base_measured):
        for position, line in enumerate(lines):
            role = Text("" if position else component)
            before = Text(line.base if base else "")
            table.add_row(role, Text(line.name, "dim"), before, line.checkpoint, Text(line.note, "dim"))
    if table.row_count > 1:
        yield Text()
        yield Text("Cost", style="bold")
        yield Padding(table, (0, 0, 0, 2), expand=False)
        if measured is not None:
            yield Padding(Text(how_timed(measured), style="dim"), (0, 0, 0, 2), expand=False)


def cost_lines(
    checkpoint: CheckpointInfo,
    base: CheckpointInfo | None = None,
    *,
    measured: Cost | None = None,
    base_measured: Cost | None = None,
) -> Iterator[tuple[str, list[CostLine]]]:
    """Yield the figures of each component of a checkpoint, by its role; the arguments of ``cost_section``."""
    if measured is None or base_measured is None or measured.measured_at != base_measured.measured_at:
        base_measured = None
    sizes = {info.role: info for info in base.components} if base else {}
    for info in checkpoint.components:
        yield info.role, [*_sizes(sizes.get(info.role), info), *_times(info.role, base_measured, measured)]
    if measured is not None and measured.turns:
        yield "turn", list(_turns(base_measured.turns if base_measured else (), measured.turns))
    elif measured is not None and measured.turns_not_measured:
        yield "turn", [_not_measured(measured.turns_not_measured)]


def _sizes(base: ComponentInfo | None, checkpoint: ComponentInfo) -> Iterator[CostLine]:
    before, after = base.parameters if base else None, checkpoint.parameters
    if before is not None or after is not None:
        added = checkpoint.adapter_parameters
        adapter = f"{numbers.count(added)} of them the adapter's" if added is not None else ""
        yield _line("parameters", before, after, numbers.count, adapter)
    before, after = base.bytes if base else None, checkpoint.bytes
    if before is not None or after is not None:
        yield _line("size", before, after, numbers.size)


def _times(role: str, base: Cost | None, checkpoint: Cost | None) -> Iterator[CostLine]:
    """Yield what was measured of a role, capability by capability."""
    befores = {(c.role, c.capability): c for c in base.components} if base else {}
    for after in checkpoint.components if checkpoint else ():
        if after.role != role:
            continue
        if after.not_measured:
            yield _not_measured(after.not_measured)
        else:
            before = befores.get((after.role, after.capability), ComponentCost(role=after.role))
            yield from _timed(before, after)


def _not_measured(reason: str) -> CostLine:
    return CostLine("time", "", numbers.MISSING, f"not measured: {plain(reason)}")


def _timed(base: ComponentCost, checkpoint: ComponentCost) -> Iterator[CostLine]:
    before, after = speed(base.clips), speed(checkpoint.clips)

    def line(name: str, figure: str, shown: Callable[[float | None], str]) -> CostLine:
        return _line(name, getattr(before, figure, None), getattr(after, figure, None), shown)

    latency = line("mean latency", "latency_mean_s", numbers.latency)
    yield latency._replace(
        note=_clip_by_clip(time_ratio(base.clips, checkpoint.clips), len(checkpoint.clips))
    )
    yield line("p95 latency", "latency_p95_s", numbers.latency)
    yield line("first output", "first_output_s", numbers.latency)
    yield line("RTFx", "rtfx", numbers.rtfx)
    yield _line("peak memory", base.peak_memory_bytes, checkpoint.peak_memory_bytes, numbers.size)


def _turns(base: Sequence[TurnTime], checkpoint: Sequence[TurnTime]) -> Iterator[CostLine]:
    """Yield the mean latency of a turn: by component, and from the end of speech to the first token."""
    means = [mean_turn(turns) for turns in (base, checkpoint)]
    for role in means[1]:
        yield _line(role, means[0].get(role), means[1][role], numbers.latency)
    totals = [
        [ClipTime(clip=t.clip, audio_s=t.audio_s, seconds=t.total_s) for t in turns]
        for turns in (base, checkpoint)
    ]
    before, after = (sum(mean.values()) if mean else None for mean in means)
    line = _line("end of speech to first token", before, after, numbers.latency)
    yield line._replace(note=_clip_by_clip(time_ratio(*totals), len(checkpoint)))


def _clip_by_clip(ratio: TimeRatio | None, n: int) -> str:
    """Say how long the checkpoint takes for a clip beside the base, and on how many clips."""
    clips = f"{n} clip{'s' if n > 1 else ''}"
    if ratio is None or ratio.low is None or ratio.high is None:
        return clips
    between = f"{100 * ratio.level:g}% [{numbers.ratio(ratio.low)}, {numbers.ratio(ratio.high)}]"
    return f"{numbers.ratio(ratio.ratio)} clip by clip, {between}, {clips}"


def _line(
    name: str,
    base: float | None,
    checkpoint: float | None,
    shown: Callable[[float | None], str],
    note: str = "",
) -> CostLine:
    related = numbers.ratio(checkpoint / base) if base and checkpoint is not None else ""
    return CostLine(name, shown(base), shown(checkpoint), ", ".join(filter(None, (related, note))))


def how_timed(measured: Cost) -> str:
    """Say when and how times were taken."""
    when = plain(measured.measured_at)[:16].replace("T", " ")
    processors = f"{measured.processors} processor{'s' if measured.processors > 1 else ''}"
    return f"Times: {when} UTC, {processors}, one clip at a time, the arms in turn; no verdict rests on them."
