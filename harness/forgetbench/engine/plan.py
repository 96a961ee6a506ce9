"""What will be run: tasks, samples and batches, fixed before any model is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench.data.samples import Sample, load_samples
from forgetbench.data.speech import SpeechSet
from forgetbench.engine.reach import check_reach
from forgetbench.errors import CheckpointError, DataError, MissingPackageError
from forgetbench.metrics.judges import is_model_judge
from forgetbench.metrics.requirements import check_installed
from forgetbench.models.checkpoint import resolve_for_task
from forgetbench.models.component import Component
from forgetbench.models.judge import JudgeSource, resolve_judge
from forgetbench.plugins import plugins, provider
from forgetbench.schema.run import Arm, JudgeInfo, Settings, SuiteRowInfo
from forgetbench.schema.sample import AudioFile
from forgetbench.schema.task import (
    DatasetTask,
    Divergence,
    Generate,
    HeardByRecogniser,
    LmEval,
    Refusal,
    SpeechDivergence,
    SpokenRefusal,
    SuiteRow,
    Task,
)
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import Selection

if TYPE_CHECKING:
    from forgetbench.engine.lm_eval import LmEvalTask

ENGINE_VERSION = 3
"""Raised when the same request may get another prediction; part of every cache key and run key."""

HEARING_VERSION = 2
"""Raised when the same spoken answer may be heard or judged otherwise; part of the run key of such tasks."""

_WORDS: dict[str, Any] = {
    **dict.fromkeys(("title", "description", "citation", "licence", "gated", "n", "size", "verified"), True),
    "dataset": {"path"},
    "conditions": {"__all__": {"recordings", "hearing_loss"}},
}
"""What a definition says to people, and where its data lies: no result depends on it.

Noise recordings and audiograms are part of each sample's content."""
_ADDED_SETTINGS = ("limits", "sampling", "repeats")
"""Settings that came later: as long as they are at their defaults, the keys of earlier runs stay valid."""
_SCORING_KEYS = frozenset(
    {"suites", "role", "margin", "metrics", "primary", "normaliser", "extract", "chance"}
    | {"judge", "judge_input", "judge_labels", "recogniser"}
)


@dataclass(frozen=True, kw_only=True)
class PlannedTask:
    """One task with its samples; ``skipped`` says why it will not run.

    Attributes:
        n_available: Samples that it has without a limit.
        batches: Positions in ``samples``, the same for both arms.
        judge: The model that judges its answers, where that is none of the text judges.
        recogniser: Hears what the model speaks.
        enhanced: By sample content, what an enhancer has made of the recordings: heard in their place.
    """

    task: Task
    samples: tuple[Sample, ...] = ()
    n_available: int | None = None
    batches: tuple[tuple[int, ...], ...] = ()
    dataset: str = ""
    revision: str = ""
    speech: SpeechSet | None = None
    lm_eval: LmEvalTask | None = None
    judge: JudgeSource | None = None
    recogniser: Component | None = None
    skipped: str | None = None
    enhanced: Mapping[str, AudioFile] = field(default_factory=dict)

    @property
    def generates(self) -> bool:
        """Whether its answers are generated text, which can be sampled."""
        if self.lm_eval is not None:
            return self.lm_eval.generates
        return isinstance(self.task, Generate | Refusal)

    @property
    def n_rows(self) -> int:
        """Rows of its data, which a limit counts: each is a sample in every condition."""
        return len({sample.id for sample in self.samples})

    @property
    def definition_sha256(self) -> str:
        """Hash of the definition, without its words and names of files."""
        return _hash(self.task.model_dump(mode="json", exclude=_WORDS))

    @property
    def prediction_key(self) -> dict[str, object]:
        """The part of the definition that a prediction depends on."""
        definition = self.task.model_dump(mode="json", exclude={*_WORDS, *_SCORING_KEYS})
        if isinstance(self.task, DatasetTask):
            definition["dataset"] = self.task.dataset.fields.model_dump(mode="json", exclude={"groups"})
        return definition

    @property
    def plugins(self) -> tuple[str, ...]:
        """Package and version of each plug-in that scores it."""
        if not isinstance(self.task, DatasetTask):
            return ()
        judge = self.task.judge if isinstance(self.task, Refusal) else ""
        found = [plugins("metrics").get(name) for name in self.task.metrics] + [plugins("judges").get(judge)]
        return tuple(provider(entry_point) for entry_point in found if entry_point is not None)

    @property
    def judge_info(self) -> JudgeInfo | None:
        """Who judges its answers."""
        if isinstance(self.task, HeardByRecogniser):
            heard_by = self.recogniser.fingerprint if self.recogniser else None
            return JudgeInfo(name=f"recogniser:{self.task.recogniser}", fingerprint=heard_by)
        if not isinstance(self.task, Refusal):
            return None
        fingerprint = self.judge.component.fingerprint if self.judge else None
        return JudgeInfo(name=self.task.judge, fingerprint=fingerprint)

    @property
    def samples_sha256(self) -> str:
        """Hash over what the samples hold, in order."""
        return _hash([(sample.id, sample.condition_label, sample.content) for sample in self.samples])


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that will be run, in order."""

    tasks: tuple[PlannedTask, ...]
    suite_rows: tuple[SuiteRowInfo, ...]
    suites: tuple[str, ...]
    settings: Settings
    warnings: tuple[str, ...] = ()

    @property
    def run_key(self) -> str:
        """Hash of all that a result depends on beside the two checkpoints."""
        tasks = [(t.task.name, t.task.version, t.definition_sha256, t.samples_sha256) for t in self.tasks]
        judges = [t.judge.component.fingerprint for t in self.tasks if t.judge is not None]
        judges += [
            f"{t.recogniser.fingerprint}@{HEARING_VERSION}" for t in self.tasks if t.recogniser is not None
        ]
        judges += [f"spoken@{HEARING_VERSION}" for t in self.tasks if isinstance(t.task, SpokenRefusal)]
        judges += [plugin for t in self.tasks for plugin in t.plugins]
        rows = [row.model_dump(mode="json") for row in self.suite_rows]
        settings = self.settings.model_dump(
            mode="json", exclude={"batch_size": True, "load": {"device", "compile"}}
        )
        for name in _ADDED_SETTINGS:
            if getattr(self.settings, name) == getattr(Settings(), name):
                del settings[name]
        return _hash([ENGINE_VERSION, tasks, rows, settings, *judges])[:16]


def make_plan(
    selection: Selection,
    *,
    settings: Settings,
    capabilities: Mapping[Arm, frozenset[str]],
    incomparable: Mapping[str, str] | None = None,
    offline: bool = False,
    unsafe_code: bool = False,
    trust_remote_code: bool = False,
) -> Plan:
    """Choose samples and batches for every selected task.

    Args:
        selection: The tasks.
        settings: Seed, limit, batch size and so on.
        capabilities: What each arm can do; a task that one of them can't do is skipped.
        incomparable: Why the distributions of base and checkpoint cannot be compared, by capability.
        offline: Open no socket.
        unsafe_code: Run tasks that execute code which a model wrote.
        trust_remote_code: Read lm-eval's files that a task brings, which can run code of their author's.

    Raises:
        DataError: Embedded or local data is broken. Hub data that cannot be had skips its task instead.
    """
    definitions, rows = _expanded(
        selection, capabilities=capabilities, offline=offline, trust_remote_code=trust_remote_code
    )
    planned = [
        _plan_task(
            d,
            settings,
            capabilities,
            incomparable=incomparable or {},
            offline=offline,
            unsafe_code=unsafe_code,
            trust_remote_code=trust_remote_code,
        )
        for d in definitions
    ]
    warnings: list[str] = []
    for entry in planned:
        warnings += entry[1]
    return Plan(
        tasks=tuple(entry[0] for entry in planned),
        suite_rows=rows,
        suites=selection.suites,
        settings=settings,
        warnings=tuple(warnings),
    )


def _expanded(
    selection: Selection,
    *,
    capabilities: Mapping[Arm, frozenset[str]],
    offline: bool,
    trust_remote_code: bool,
) -> tuple[list[Definition], tuple[SuiteRowInfo, ...]]:
    """Replace lm-eval groups by their tasks and one suite row each."""
    rows = [
        SuiteRowInfo(name=r.name, title=r.title, role=r.role, margin=r.margin, tasks=r.tasks)
        for r in selection.suite_rows
    ]
    definitions: list[Definition] = []
    for definition in selection.tasks:
        task = definition.task
        if not isinstance(task, LmEval) or _unable(task, capabilities):
            definitions.append(definition)
            continue
        from forgetbench.engine.lm_eval import expand_group

        members = expand_group(definition, offline=offline, trust_remote_code=trust_remote_code)
        definitions += members
        if len(members) > 1:
            names = tuple(member.task.name for member in members)
            title = task.title or task.name
            rows.append(
                SuiteRowInfo(name=task.name, title=title, role=task.role, margin=task.margin, tasks=names)
            )
    return definitions, tuple(rows)


def _plan_task(
    definition: Definition,
    settings: Settings,
    capabilities: Mapping[Arm, frozenset[str]],
    *,
    incomparable: Mapping[str, str],
    offline: bool,
    unsafe_code: bool,
    trust_remote_code: bool,
) -> tuple[PlannedTask, tuple[str, ...]]:
    task = definition.task
    assert not isinstance(task, SuiteRow)
    if unable := _unable(task, capabilities):
        reason = f"the {unable[0]} has no component that can {task.capability.replace('_', ' ')}"
        return PlannedTask(task=task, skipped=reason), ()
    if isinstance(task, Divergence | SpeechDivergence):
        if "base" not in capabilities:
            return PlannedTask(task=task, skipped="there is no base to compare distributions with"), ()
        if task.capability in incomparable:
            return PlannedTask(task=task, skipped=incomparable[task.capability]), ()
    try:
        if isinstance(task, LmEval):
            from forgetbench.engine.lm_eval import load_lm_eval_task

            loaded = load_lm_eval_task(
                definition,
                settings,
                offline=offline,
                unsafe_code=unsafe_code,
                trust_remote_code=trust_remote_code,
            )
            return loaded, loaded.lm_eval.unfollowed(settings) if loaded.lm_eval else ()
        check_installed(task.metrics)
        check_reach(definition, offline=offline)
        found = load_samples(
            task,
            definition.folder,
            seed=settings.seed,
            limit=settings.limit_of(task.name),
            root=definition.root,
        )
        judge, recogniser = (
            _judge_of(task, definition.folder, offline=offline),
            _recogniser_of(task, definition.folder, offline=offline),
        )
    except (MissingPackageError, CheckpointError) as error:
        return PlannedTask(task=task, skipped=f"{error.thing} {error.cause}. {error.way_out}"), ()
    except DataError as error:
        if isinstance(task, DatasetTask) and task.dataset.path is not None:
            raise
        return PlannedTask(task=task, skipped=f"{error.cause}. {error.way_out}"), ()
    planned = PlannedTask(
        task=task,
        samples=found.samples,
        n_available=found.n_available,
        batches=plan_batches(found.samples, settings.batch_size),
        dataset=found.dataset,
        revision=found.revision,
        speech=found.speech,
        judge=judge,
        recogniser=recogniser,
    )
    return planned, found.warnings


def _judge_of(task: DatasetTask, folder: Path, *, offline: bool) -> JudgeSource | None:
    """Find the judge of a task, where it is a model; a task file names no Python code."""
    if not isinstance(task, Refusal) or not is_model_judge(task.judge):
        return None
    template, labels = task.judge_input, task.judge_labels
    return resolve_judge(task.judge, template=template, labels=labels, folder=folder, offline=offline)


def _recogniser_of(task: DatasetTask, folder: Path, *, offline: bool) -> Component | None:
    """Find the recogniser that hears what a task has spoken; a task file names no Python code."""
    if not isinstance(task, HeardByRecogniser):
        return None
    found = resolve_for_task(task.recogniser, offline=offline, folder=folder)
    if "transcribe" not in found.capabilities:
        raise CheckpointError(task.recogniser, "cannot transcribe speech", "Name another `recogniser`.")
    return found


def _unable(task: Task, capabilities: Mapping[Arm, frozenset[str]]) -> list[Arm]:
    """Return the arms that cannot do a task, the checkpoint first."""
    return sorted((arm for arm, able in capabilities.items() if task.capability not in able), reverse=True)


def plan_batches(samples: Sequence[Sample], batch_size: int) -> tuple[tuple[int, ...], ...]:
    """Group samples of like size, largest first, so that little is padded and memory peaks early."""
    order = sorted(range(len(samples)), key=lambda i: (-samples[i].size, samples[i].content))
    usable = [i for i in order if samples[i].error is None]
    return tuple(tuple(usable[i : i + batch_size]) for i in range(0, len(usable), batch_size))


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
