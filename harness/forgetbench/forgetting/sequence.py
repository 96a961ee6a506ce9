"""From the comparisons of one stage after another to the stage × task matrix and its published figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

from forgetbench.forgetting.decathlon import DECANLP, TaskScore, deca_score_of
from forgetbench.forgetting.matrices import (
    Matrix,
    Score,
    ability_delta,
    average_accuracy,
    backward_transfer,
    chaudhry_forgetting,
    final_relative_drop,
    forgetting_score,
    forward_transfer,
    fwt_vs_base,
    luo_fg,
    wer_backward_transfer,
)
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.sequence import SequenceFigure, SequenceStage, SequenceTask, TaskSequence
from forgetbench.schema.task import Role

LOPEZ_PAZ = "Lopez-Paz & Ranzato 2017, arXiv 1706.08840"
CHAUDHRY = "Chaudhry et al. 2018, arXiv 1801.10112"
VANDER_EECKT = "Vander Eeckt & Van hamme 2023, arXiv 2210.15282"
LUO = "Luo et al. 2023, arXiv 2308.08747"
TRACE = "Wang et al. 2023, arXiv 2310.06762"
BIDERMAN = "Biderman et al. 2024, arXiv 2405.09673"
MCCANN = "McCann et al. 2018, arXiv 1806.08730"
ERROR_RATES = frozenset({"wer", "cer"})
ABILITIES: tuple[Role, ...] = ("general", "safety")
BIDERMAN_TASKS = ("hellaswag", "arc_challenge", "winogrande")
BIDERMAN_SETS = (BIDERMAN_TASKS, tuple(f"biderman2024_{name}" for name in BIDERMAN_TASKS))
"""lm-eval's tasks by their own names, and those of the suite of the paper."""
_NOT_PART: frozenset[Role] = frozenset({"cost", "distribution"})

Tasks = Sequence[SequenceTask]


def make_sequence(
    comparisons: Sequence[Comparison],
    *,
    trained_on: Sequence[str] = (),
    members: Mapping[str, Sequence[str]] | None = None,
    untrained: Mapping[str, Score] | None = None,
) -> TaskSequence:
    """Return the matrix of a model that was trained in stages, and every figure that it allows.

    Args:
        comparisons: One for each stage, in order: its checkpoint against the base that came before all.
        trained_on: Name of the task that each stage trained, all different; empty where that is not known.
        members: Tasks of each suite row.
        untrained: Scores of a randomly initialised model by task, for FWT.
    """
    tasks = _tasks(comparisons, members or {})
    arms = [comparison.checkpoint for comparison in comparisons]
    names: Sequence[str | None] = trained_on or [None] * len(arms)
    return TaskSequence(
        base=comparisons[0].base.name,
        base_fingerprint=comparisons[0].base.fingerprint,
        stages=tuple(
            SequenceStage(checkpoint=arm.name, fingerprint=arm.fingerprint, trained_on=name)
            for arm, name in zip(arms, names, strict=True)
        ),
        tasks=tasks,
        figures=(
            *_transfer(tasks, trained_on, untrained),
            *_relative(tasks, trained_on),
            *_abilities(tasks, trained_on),
            *(figure for names in BIDERMAN_SETS for figure in _biderman(tasks, names)),
            *_decathlon(tasks),
        ),
    )


def _tasks(
    comparisons: Sequence[Comparison], members: Mapping[str, Sequence[str]]
) -> tuple[SequenceTask, ...]:
    found = [{row.name: row for row in (*c.rows, *c.details)} for c in comparisons]
    inside = {task: suite for suite, names in members.items() for task in names}
    first: dict[str, Row] = {name: row for rows in reversed(found) for name, row in rows.items()}
    order = dict.fromkeys(name for rows in found for name in rows)
    return tuple(
        SequenceTask(
            name=name,
            title=first[name].title,
            metric=first[name].metric,
            role=first[name].role,
            higher_is_better=first[name].higher_is_better,
            inside=inside.get(name),
            scores=(
                next(
                    (rows[name].base for rows in found if name in rows and rows[name].base is not None), None
                ),
                *(rows[name].checkpoint if name in rows else None for rows in found),
            ),
        )
        for name in order
        if first[name].role not in _NOT_PART
    )


def matrix_of(tasks: Tasks) -> Matrix:
    """Return R, (1 + stages) × tasks: the base's row first."""
    return [list(scores) for scores in zip(*(task.scores for task in tasks), strict=True)]


def _transfer(
    tasks: Tasks, trained_on: Sequence[str], untrained: Mapping[str, Score] | None
) -> Iterator[SequenceFigure]:
    if not trained_on:
        return
    by_name = {task.name: task for task in tasks}
    trained = [by_name[name] for name in trained_on]
    matrix = matrix_of(trained)
    if all(not task.higher_is_better and task.metric in ERROR_RATES for task in trained):
        yield from _error_rates(trained, matrix)
        return
    refused = _why_not(trained)
    figures: dict[str, tuple[Callable[[], Score], str]] = {
        "ACC": (lambda: average_accuracy(matrix), LOPEZ_PAZ),
        "BWT": (lambda: backward_transfer(matrix), LOPEZ_PAZ),
        "BWT, denominator T": (lambda: backward_transfer(matrix, denominator="tasks"), LOPEZ_PAZ),
        "fwt_vs_base": (lambda: fwt_vs_base(matrix), f"{LOPEZ_PAZ}, the base in place of b"),
        "Chaudhry forgetting": (lambda: chaudhry_forgetting(matrix), CHAUDHRY),
    }
    b = None if untrained is None else [untrained.get(name) for name in trained_on]
    if b is not None:
        figures["FWT"] = (lambda: forward_transfer(matrix, b), LOPEZ_PAZ)
    for name, (compute, source) in figures.items():
        value = None if refused else compute()
        missing = _missing(trained) or "the untrained model lacks a task"
        yield _figure(name, trained, value, refused or missing, source, over="the trained tasks")


def _why_not(trained: Tasks) -> str:
    if len(trained) < 2:
        return "there is one stage only"
    if len({task.higher_is_better for task in trained}) > 1:
        return "more is better in some trained tasks and less in others"
    return "" if trained[0].higher_is_better else "less is better, and it is no word error rate"


def _error_rates(trained: Tasks, matrix: Matrix) -> Iterator[SequenceFigure]:
    over = "the trained tasks"
    if len(trained) < 2:
        reason = "there is one stage only"
        yield _figure("BWT of error rates", trained, None, reason, VANDER_EECKT, over=over)
        return
    found, missing = wer_backward_transfer(matrix[1:]), _missing(trained)
    yield _figure("average error rate", trained, found.average, missing, VANDER_EECKT, over=over)
    bwt = _figure("BWT of error rates", trained, found.bwt, missing, VANDER_EECKT, over=over)
    yield bwt.model_copy(update={"by_task": found.by_task})


def _relative(tasks: Tasks, trained_on: Sequence[str]) -> Iterator[SequenceFigure]:
    """Yield FG and the final drop over the general tasks, and over the tasks of each suite row."""
    general = [task for task in tasks if _is_of(task, "general", trained_on)]
    sets = {"general": general}
    sets |= {
        task.title: inside
        for task in general
        if (inside := [member for member in tasks if member.inside == task.name])
    }
    for over, elements in sets.items():
        if not elements:
            continue
        more = all(task.higher_is_better for task in elements)
        reason = _missing(elements) or "a score of the base is not above zero"
        if not more:
            reason = "less is better in some of the tasks"
        for name, figure in (("FG", luo_fg), ("final relative drop", final_relative_drop)):
            value = figure(matrix_of(elements)) if more else None
            yield _figure(name, elements, value, reason, LUO, over=over, unit="percent")


def _abilities(tasks: Tasks, trained_on: Sequence[str]) -> Iterator[SequenceFigure]:
    for role in ABILITIES:
        elements = [task for task in tasks if _is_of(task, role, trained_on)]
        if not elements:
            continue
        alike = len({task.higher_is_better for task in elements}) == 1
        base, *after = matrix_of(elements)
        changes = [ability_delta(base, scores) if alike else None for scores in after]
        unlike = "more is better in some of the tasks and less in others"
        reason = _missing(elements) if alike else unlike
        figure = _figure(f"{role} ability delta", elements, changes[-1], reason, TRACE, over=role)
        yield figure.model_copy(update={"by_stage": (ability_delta(base, base) if alike else None, *changes)})


def _is_of(task: SequenceTask, role: Role, trained_on: Sequence[str]) -> bool:
    return task.role == role and task.inside is None and task.name not in trained_on


def _biderman(tasks: Tasks, names: Sequence[str]) -> Iterator[SequenceFigure]:
    found = [task for name in names for task in tasks if task.name == name]
    if not found:
        return
    known = {task.name: task.scores for task in found}
    lacking = [name for name in names if name not in known]
    by_stage = tuple(
        None if lacking else forgetting_score(*(known[name][stage] for name in names))
        for stage in range(len(found[0].scores))
    )
    reason = f"not measured: {', '.join(lacking)}" if lacking else _missing(found)
    over = ", ".join(names)
    figure = _figure("forgetting score", found, by_stage[-1], reason, BIDERMAN, over=over)
    yield figure.model_copy(update={"by_stage": by_stage})


def _decathlon(tasks: Tasks) -> Iterator[SequenceFigure]:
    found = [task for task in tasks if task.name in DECANLP]
    if not found:
        return
    sums = [
        deca_score_of({task.name: TaskScore(task.scores[stage], task.metric) for task in found})
        for stage in range(len(found[0].scores))
    ]
    figure = _figure(
        "decaScore", found, sums[-1].value, sums[-1].reason, MCCANN, over="decaNLP", unit="points"
    )
    yield figure.model_copy(update={"by_stage": tuple(each.value for each in sums)})


def _figure(
    name: str,
    tasks: Tasks,
    value: Score,
    reason: str,
    source: str,
    *,
    over: str,
    unit: Literal["score", "percent", "points"] = "score",
) -> SequenceFigure:
    """Return a figure; the reason is kept where there is no value."""
    metrics = sorted({task.metric for task in tasks})
    shared = metrics[0] if len(metrics) == 1 else f"mean of {', '.join(metrics)}"
    return SequenceFigure(
        name=name,
        over=over,
        value=value,
        unit=unit,
        metric=shared if unit == "score" else "",
        reason=reason if value is None else "",
        source=source,
    )


def _missing(tasks: Tasks) -> str:
    """Name the first score that is missing, empty where none is."""
    for task in tasks:
        for stage, score in enumerate(task.scores):
            if score is None:
                return f"{task.name} was not measured {f'after stage {stage}' if stage else 'in the base'}"
    return ""
