"""The samples that changed: the worst losses with something to listen to, and all of them as data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from typing import get_args

from forgetbench.engine.heard_again import Clip, Sources, Wanted, clips, heard_definitions
from forgetbench.engine.results import Result, read_samples
from forgetbench.forgetting.changed import ChangedSample, changed_samples, count_changed, scored_tasks
from forgetbench.forgetting.losses import ScoredPairs
from forgetbench.report import numbers
from forgetbench.report.escape import plain, plain_lines
from forgetbench.report.html.edits import Edit, edits
from forgetbench.report.html.players import LONGEST_S, data_uri, duration_s
from forgetbench.schema.comparison import WorstLoss
from forgetbench.schema.task import Asr, AsrMetric, AudioMetric, HeardByRecogniser
from forgetbench.tasks.definition import Definition

MOST_HEARD = 12
"""Samples that can be listened to."""
HEARD_OF_A_TASK = 3
LONGEST_TEXT = 1_500
"""Characters of a prompt or an answer; a longer one ends in ``…``."""
UNDEFINED = "whisper_basic@2"
"""Normaliser of a transcript whose task is not defined here: small letters, no punctuation."""
LABELS = {
    "heard": "What was heard",
    "clean": "Clean reference",
    "base": "Enhanced by the base",
    "checkpoint": "Enhanced by the checkpoint",
}

_HEARD = frozenset({*get_args(AsrMetric), *get_args(AudioMetric)})

Key = tuple[str, str, str]
"""Task, sample id and condition."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much of single samples one result has in a page.

    Attributes:
        samples: Changed samples; each task gives its worst first.
        audio_bytes: Of all players together, as text in the page; 0 for none.
    """

    samples: int = 10_000
    audio_bytes: int = 8_000_000


AS_A_FILE = Bounds()


@dataclass(frozen=True, kw_only=True)
class Player:
    """Something to listen to."""

    label: str
    uri: str
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Card:
    """One of the worst losses.

    Attributes:
        worse_by: With its unit.
        base_edits: Alignment of the base's transcript with the reference; None where it is no transcript.
        checkpoint_edits: The same of the checkpoint.
    """

    title: str
    change: ChangedSample
    worse_by: str
    base_edits: tuple[Edit, ...] | None = None
    checkpoint_edits: tuple[Edit, ...] | None = None
    players: tuple[Player, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChangeCount:
    """How many samples of a task changed."""

    title: str
    lost: int
    won: int
    n: int


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a report shows of single samples.

    Attributes:
        data: Every changed sample, for the page's script: JSON that can stand in a ``script`` element.
        n_shown: Samples in ``data``.
        unheard: Why some tasks cannot be listened to.
    """

    cards: tuple[Card, ...] = ()
    counts: tuple[ChangeCount, ...] = ()
    data: str = ""
    n_shown: int = 0
    unheard: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Task:
    scored: ScoredPairs
    changed: Sequence[ChangedSample]
    normaliser: str | None
    edits: Mapping[tuple[int, int], tuple[Edit, ...]] = field(default_factory=dict)


def samples_of(result: Result, sources: Sources, bounds: Bounds = AS_A_FILE) -> Samples:
    """Return the samples of a result; of one whose base was not kept, the comparison's own worst losses.

    Raises:
        ForgetbenchError: A sample file is missing or is not the one that its document names.
        UsageError: A path or a condition that the user gave cannot be used.
    """
    comparison = result.comparison
    assert comparison is not None
    worst = comparison.worst_losses
    if result.base is None:
        titles = {row.name: row for row in (*comparison.rows, *comparison.details)}
        found = tuple(
            Card(
                title=titles[loss.task].title,
                change=_as_change(loss),
                worse_by=worse_by(loss.degradation, titles[loss.task].metric),
            )
            for loss in worst
            if loss.task in titles
        )
        return Samples(cards=found)
    scored = scored_tasks(
        comparison,
        result.base,
        result.checkpoint,
        read_samples(result.directory, result.base),
        read_samples(result.directory, result.checkpoint),
    )
    definitions = heard_definitions(result.checkpoint, sources)
    tasks = [_task(each, definitions.get(each.row.name), bounds.samples) for each in scored]
    wanted = _worst_keys(worst, tasks, result)
    players, unheard = _players(result, definitions, wanted, bounds.audio_bytes)
    shown = _shown(tasks, bounds.samples)
    return Samples(
        cards=tuple(_cards(wanted, tasks, players)),
        counts=tuple(_counts(tasks)),
        data=_data(tasks, shown),
        n_shown=len(shown),
        unheard=tuple(unheard),
    )


def _task(scored: ScoredPairs, definition: Definition | None, most: int) -> _Task:
    changed = changed_samples(scored, most=most)
    task = definition.task if definition else None
    if isinstance(task, Asr):
        return _aligned(_Task(scored, changed, task.normaliser))
    is_transcript = scored.row.metric.startswith(("wer", "cer")) and not isinstance(task, HeardByRecogniser)
    return _aligned(_Task(scored, changed, UNDEFINED if is_transcript else None))


def _aligned(task: _Task) -> _Task:
    """Return a task with the alignments of its transcripts, by position and arm."""
    if task.normaliser is None:
        return task
    found: dict[tuple[int, int], tuple[Edit, ...]] = {}
    references = [change.reference for change in task.changed]
    for arm in (0, 1):
        texts = [(change.base, change.checkpoint)[arm] for change in task.changed]
        aligned = edits(references, texts, normaliser=task.normaliser)
        found |= {(position, arm): each for position, each in enumerate(aligned)}
    return replace(task, edits=found)


def _as_change(loss: WorstLoss) -> ChangedSample:
    return ChangedSample(content="", predictions=(None, None), **loss.model_dump())


def _key(sample: WorstLoss | ChangedSample) -> Key:
    return sample.task, sample.sample_id, sample.condition


def _worst_keys(
    worst: Sequence[WorstLoss], tasks: Sequence[_Task], result: Result
) -> dict[Key, ChangedSample]:
    """Return the comparison's worst losses, then the worst of each task that is heard, each once."""
    known = {_key(change): change for task in tasks for change in task.changed}
    found = {_key(loss): known[_key(loss)] for loss in worst if _key(loss) in known}
    own = [
        [change for change in task.changed if change.degradation > 0][:HEARD_OF_A_TASK]
        for task in tasks
        if task.scored.row.name in _heard(result)
    ]
    for change in (change for turn in zip_longest(*own) for change in turn if change is not None):
        if len(found) >= MOST_HEARD:
            break
        found.setdefault(_key(change), change)
    return found


def _heard(result: Result) -> frozenset[str]:
    """Return the names of the tasks that are heard."""
    return frozenset(task.name for task in result.checkpoint.tasks if _HEARD & set(task.metrics))


def _players(
    result: Result, definitions: Mapping[str, Definition], wanted: Mapping[Key, ChangedSample], left: int
) -> tuple[dict[Key, tuple[Player, ...]], list[str]]:
    """Return what can be listened to of each sample, in so many bytes, and why some cannot."""
    found: dict[Key, tuple[Player, ...]] = {}
    unheard: list[str] = []
    if not left:
        heard = sorted({key[0] for key in wanted} & _heard(result))
        return found, [f"{name}: this page has no audio; forgetbench report makes one" for name in heard]
    for name in dict.fromkeys(key[0] for key in wanted):
        if name not in definitions:
            if name in _heard(result):
                unheard.append(f"{name}: its task is not found here; give --include-path or --target")
            continue
        own = [change for key, change in wanted.items() if key[0] == name]
        made, reason = clips(
            result.checkpoint,
            definitions[name],
            [
                Wanted(
                    sample_id=change.sample_id,
                    condition=change.condition,
                    content=change.content,
                    predictions={"base": change.predictions[0], "checkpoint": change.predictions[1]},
                )
                for change in own
            ],
        )
        if reason:
            unheard.append(f"{name}: {reason}")
        for (sample_id, condition), each in made.items():
            players = tuple(map(_player, each))
            left -= sum(len(player.uri) for player in players)
            if left < 0:
                unheard.append(f"{name}: the page holds enough audio; the other clips are left out")
                return found, unheard
            found[name, sample_id, condition] = players
    return found, unheard


def _player(clip: Clip) -> Player:
    seconds = duration_s(clip.audio)
    cut = f", the first {LONGEST_S:g} s of it" if seconds > LONGEST_S else ""
    return Player(label=LABELS[clip.kind], uri=data_uri(clip.audio), note=f"{seconds:.1f} s{cut}")


def _cards(
    wanted: Mapping[Key, ChangedSample],
    tasks: Sequence[_Task],
    players: Mapping[Key, tuple[Player, ...]],
) -> Iterator[Card]:
    by_name = {task.scored.row.name: task for task in tasks}
    for key, change in wanted.items():
        task = by_name[change.task]
        row = task.scored.row
        position = task.changed.index(change) if task.edits else -1
        yield Card(
            title=row.title,
            change=change,
            worse_by=_worse_by(change, task.scored),
            base_edits=task.edits.get((position, 0)),
            checkpoint_edits=task.edits.get((position, 1)),
            players=players.get(key, ()),
        )


def _worse_by(change: ChangedSample, scored: ScoredPairs) -> str:
    """Return how much a sample changed; an answer that is right or wrong is lost or won."""
    if scored.metric_type == "binary":
        return "lost" if change.degradation > 0 else "won"
    return worse_by(change.degradation, scored.row.metric)


def worse_by(degradation: float, metric: str) -> str:
    """Return a degradation with its unit."""
    shown = numbers.difference(degradation, metric=metric, unit=True)
    return shown if numbers.is_percent(metric) else f"{shown} {plain(metric, limit=40)}"


def _counts(tasks: Sequence[_Task]) -> Iterator[ChangeCount]:
    for task in tasks:
        lost, won = count_changed(task.scored)
        yield ChangeCount(title=task.scored.row.title, lost=lost, won=won, n=len(task.scored.pairs))


def _shown(tasks: Sequence[_Task], most: int) -> list[tuple[int, int]]:
    """Return task and position of the samples that the page carries: every task's worst in turn."""
    own = [[(i, position) for position in range(len(task.changed))] for i, task in enumerate(tasks)]
    turns = (each for turn in zip_longest(*own) for each in turn if each is not None)
    return [each for _, each in zip(range(most), turns, strict=False)]


def _data(tasks: Sequence[_Task], shown: Sequence[tuple[int, int]]) -> str:
    """Return the samples as JSON without a character that could end or begin an element."""
    rows = [_datum(tasks[i], i, position) for i, position in shown]
    titles = [plain(task.scored.row.title, limit=200) for task in tasks]
    text = json.dumps({"tasks": titles, "rows": rows}, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _datum(task: _Task, i: int, position: int) -> list[object]:
    """Return task, id, condition, input, reference, answers, sign, worse by, alignments: see report.js."""
    change = task.changed[position]
    texts = (change.input, change.reference, change.base, change.checkpoint)
    aligned = [
        [[each.operation, plain(each.words, limit=LONGEST_TEXT)] for each in task.edits[position, arm]]
        for arm in (0, 1)
        if (position, arm) in task.edits
    ]
    return [
        i,
        plain(change.sample_id, limit=200),
        plain(change.condition, limit=200),
        *(plain_lines(text, limit=LONGEST_TEXT) for text in texts),
        1 if change.degradation > 0 else -1,
        _worse_by(change, task.scored),
        *aligned,
    ]
