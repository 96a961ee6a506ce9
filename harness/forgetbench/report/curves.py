"""The curve document as tables for a terminal and as a CSV file."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid
from forgetbench.report.markup import csv_text
from forgetbench.schema.curve import Curve, CurvePoint, Exposure, LawResult, Loss, Measure, Training

LAW_WORDS = {
    "constant": "stays the same",
    "linear": "grows in proportion",
    "power_in_steps": "power of {n}",
    "power_in_parameters": "power of trained parameters",
    "saturating_exponential": "levels off",
    "joint_power": "power of parameters and {n}",
    "inverse_linear": "follows the target loss",
}
EXPOSURE_WORDS: dict[Exposure, str] = {"steps": "steps", "tokens": "tokens", "audio_s": "seconds of audio"}
FEWEST_RUNS = 3
MOST_COLUMNS = 5
"""So many measures stand beside each other; more are listed below each checkpoint."""
_TRAINING = tuple(Training.model_fields)
_COLUMNS = (
    "checkpoint", "fingerprint", "group", *_TRAINING, "target_task", "target_metric", "target_score", "gain",
    "on_front", "measure", "metric", "role", "base", "score", "degradation", "ci_low", "ci_high",
)  # fmt: skip


def curves_table(curve: Curve) -> RenderableType:
    """Show the checkpoints, the laws with how far they hold, and methods at equal gain."""
    parts: list[RenderableType] = [Text(), *_points(curve)]
    for measure in curve.measures:
        parts += [Text(), *_laws(curve, measure)]
    parts += [Text(), *(Text(line) for line in _sentences(curve))]
    return Group(*parts)


def curves_csv(curve: Curve) -> bytes:
    """Return one line per checkpoint and measure; what is not known is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    measures = {measure.name: measure for measure in curve.measures}
    for point in curve.points:
        for loss in point.losses:
            line = _csv_row(curve, point, measures[loss.measure], loss)
            writer.writerow({k: csv_text(v) if isinstance(v, str) else v for k, v in line.items()})
    return text.getvalue().encode()


def law_words(law: str, exposure: Exposure) -> str:
    """Return what a law says, in words."""
    return LAW_WORDS.get(law, law).format(n=EXPOSURE_WORDS[exposure])


def _csv_row(curve: Curve, point: CurvePoint, measure: Measure, loss: Loss) -> dict[str, object]:
    target = curve.target
    own = point.training.model_dump() | {"run": point.run, "gain": point.target_gain}
    del own["target_gain"]
    return {
        "checkpoint": point.checkpoint,
        "fingerprint": point.fingerprint,
        "group": point.group,
        **own,
        "target_task": target.name if target else None,
        "target_metric": target.metric if target else None,
        "target_score": point.target_score,
        "on_front": point.on_front,
        "measure": measure.name,
        "metric": measure.metric,
        "role": measure.role,
        "base": measure.base,
        "score": loss.score,
        "degradation": loss.degradation,
        "ci_low": loss.ci_low,
        "ci_high": loss.ci_high,
    }


def _points(curve: Curve) -> Iterator[RenderableType]:
    by_column = len(curve.measures) <= MOST_COLUMNS
    said = "; the last columns say by how much they are worse" if by_column else ""
    yield Text(f"{len(curve.points)} checkpoints of {plain(curve.base)}{said}", style="bold")
    heads = [_head(curve, point) for point in curve.points]
    losses = [plain(measure.title) for measure in curve.measures] if by_column else ["Worse by", "in"]
    right = {*heads[0], *losses} - {"Method", "Checkpoint", "in"} if heads else set()
    grid = ruled_grid(*(heads[0] if heads else ()), *losses, right=right)
    group = None
    for point, head in zip(curve.points, heads, strict=True):
        if point.group == group:
            head["Method"] = Text()
        group = point.group
        found = {loss.measure: loss for loss in point.losses}
        if by_column:
            cells = [_worse_by(found.get(measure.name), measure) for measure in curve.measures]
            grid.add_row(*head.values(), *cells)
            continue
        for i, measure in enumerate(m for m in curve.measures if m.name in found):
            own = head.values() if i == 0 else [Text()] * len(head)
            grid.add_row(*own, _worse_by(found[measure.name], measure), Text(plain(measure.title)))
    yield grid


def _head(curve: Curve, point: CurvePoint) -> dict[str, Text]:
    """Return what is said of a checkpoint before its losses, by header."""
    exposure, trained = getattr(point.training, curve.exposure), point.training.trained_parameters
    cells = {"Method": Text(plain(point.group))}
    if any(_is_named(each) for each in curve.points):
        cells["Checkpoint"] = Text(plain(point.checkpoint, limit=40))
    cells[EXPOSURE_WORDS[curve.exposure].capitalize()] = Text(f"{exposure:g}")
    cells["Trained"] = Text(numbers.count(trained))
    metric = curve.target.metric if curve.target else ""
    if curve.target:
        cells[metric] = Text(numbers.value(point.target_score, metric=metric))
    if curve.target or any(each.target_gain is not None for each in curve.points):
        cells["Gain"] = Text(numbers.difference(point.target_gain, metric=metric))
    return cells


def _is_named(point: CurvePoint) -> bool:
    """Say whether a checkpoint's name tells more than its training does."""
    steps = point.training.steps
    return steps is None or not re.fullmatch(rf"checkpoint-{steps:g}(@alpha=[\d.]+)?", point.checkpoint)


def _worse_by(loss: Loss | None, measure: Measure) -> Text:
    return Text(
        numbers.MISSING if loss is None else numbers.difference(loss.degradation, metric=measure.metric),
        style="bold",
    )


def _laws(curve: Curve, measure: Measure) -> Iterator[RenderableType]:
    yield Text(f"Laws of {plain(measure.title)} ({plain(measure.metric)}, worse by)", style="bold")
    several = len({law.method for law in curve.laws}) > 1
    headers = ["Law", "Formula", "R²", "AICc", "Largest run, left out", "last value"]
    grid = ruled_grid(*(["Method"] if several else []), *headers, right=set(headers[2:]))
    for law in curve.laws:
        if law.measure == measure.name:
            grid.add_row(*([Text(plain(law.method))] if several else []), *_law_cells(curve, law, measure))
    yield grid


def _law_cells(curve: Curve, law: LawResult, measure: Measure) -> Iterator[Text]:
    yield Text(
        ("▸ " if law.best else "  ") + law_words(law.law, curve.exposure), style="bold" if law.best else ""
    )
    if law.not_fitted:
        yield Text(law.not_fitted, style="dim")
        return
    yield Text(law.formula, style="dim")
    yield Text(numbers.MISSING if law.r2 is None else f"{round(law.r2, 3) + 0.0:.3f}")
    yield Text(numbers.MISSING if law.aicc is None else f"{law.aicc:.1f}")
    held = law.held_out
    yield Text(numbers.MISSING if held is None else f"±{_size(held.error, measure)}")
    yield Text(numbers.MISSING if held is None else f"±{_size(held.carried, measure)}", style="dim")


def _size(error: float, measure: Measure) -> str:
    return numbers.difference(error, metric=measure.metric).lstrip("+")


def _sentences(curve: Curve) -> Iterator[str]:
    titles = {measure.name: measure for measure in curve.measures}
    for (method, measure), laws in groupby(curve.laws, key=lambda law: (law.method, law.measure)):
        fitted = [law for law in laws if not law.not_fitted]
        chosen = [_law_sentence(curve, law) for law in fitted if law.best]
        if fitted:
            said = chosen[0] if chosen else "too few checkpoints to choose a law"
            yield f"{plain(method)}, {plain(titles[measure].title)}: {said}"
    yield from _matched_sentences(curve, titles)
    for figures in curve.runs:
        if figures.luo_fg is not None and figures.final_relative_drop is not None:
            yield (
                f"{plain(figures.run)}: FG {figures.luo_fg:.1f}% over {figures.n_checkpoints} checkpoints, "
                f"final relative drop {figures.final_relative_drop:.1f}%"
            )
    yield from (plain(line) for line in curve.scope)


def _matched_sentences(curve: Curve, titles: Mapping[str, Measure]) -> Iterator[str]:
    """Say how each two groups compare in the first measure at the largest gain that both reached."""
    largest = {(m.first, m.second): m for m in curve.matched_gain if m.measure == curve.measures[0].name}
    metric = curve.target.metric if curve.target else ""
    for found in largest.values():
        if found.difference is None:
            continue
        measure = titles[found.measure]
        word = "more" if found.difference > 0 else "less"
        interval = numbers.interval(found.ci_low, found.ci_high, metric=measure.metric)
        no_interval = "one run of either" if min(found.n_runs) < 2 else "the runs do not differ"
        yield (
            f"At equal gain ({numbers.difference(found.gain, metric=metric)}), {plain(found.first)} loses "
            f"{_size(abs(found.difference), measure)} {word} than {plain(found.second)} in "
            f"{plain(measure.title)} {interval or f'({no_interval}: no interval)'}"
        )


def _law_sentence(curve: Curve, law: LawResult) -> str:
    words = law_words(law.law, curve.exposure)
    held = law.held_out
    if held is None:
        text = f"'{words}' has the lowest AICc; there is no larger run to check it on"
    else:
        share = f"{100 * held.relative:.1f}% off" if held.relative is not None else f"{held.error:.4f} off"
        better = "better" if held.error < held.carried else "no better"
        text = (
            f"'{words}' has the lowest AICc; on the largest run it is {share}, {better} than the last value"
        )
    if law.n_runs < FEWEST_RUNS:
        text += f"; {law.n_runs} run{'s' if law.n_runs > 1 else ''}: not to be extrapolated"
    return text
