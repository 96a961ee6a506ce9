"""The run document: what one arm of a pair did, on what, with what result."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from forgetbench.schema.document import Document
from forgetbench.schema.number import AtLeastOne, Count, Margin
from forgetbench.schema.task import Capability, Role

Arm = Literal["base", "checkpoint"]
MetricType = Literal["binary", "mean", "ratio"]
ComponentRole = Literal["enhancer", "asr", "lm", "tts", "assistant"]
"""What a model does in a system: clean speech, hear it, read and write, or speak; ``assistant``: the first
three in turn."""
ComponentFormat = Literal[
    "transformers", "peft", "gguf", "ctranslate2", "onnx", "torch_export", "torchscript", "factory"
]


class LoadSettings(Document):
    """How the weights were loaded."""

    dtype: str = "float32"
    """Of a run of another tool, as that one names it."""
    device: str = "cpu"
    quantisation: str | None = None
    compile: bool = False
    """The layers of a language model went through ``torch.compile``: the same numbers up to rounding."""


class ComponentInfo(Document):
    """One model of a checkpoint: a plain checkpoint has one, a system several."""

    role: ComponentRole
    source: str
    """As it was named: a hub id, a directory's name, a factory. Never an absolute path."""
    format: ComponentFormat
    architecture: str
    fingerprint: str
    """sha256 over the content of weights, adapter, tokenizer, chat template and generation config."""
    capabilities: tuple[Capability, ...]
    revision: str | None = None
    parameters: Count | None = None
    bytes: Count | None = None
    """Size of the weights as stored, an adapter's base included; None where unknown."""
    adapter_parameters: Count | None = None
    """How many of ``parameters`` an adapter adds; None without one."""
    chat_template_sha256: str | None = None


class CheckpointInfo(Document):
    """What was evaluated."""

    name: str
    fingerprint: str
    components: tuple[ComponentInfo, ...]


class Sampling(Document):
    """How generated answers are drawn (``--gen-kwargs``)."""

    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    top_p: float = Field(default=1.0, gt=0, le=1)
    top_k: Count = Field(default=0, ge=0)
    """0: from all tokens."""
    min_p: float = Field(default=0.0, ge=0, le=1)


class Settings(Document):
    """Everything that the run key is made of, beside the tasks."""

    seed: int = 0
    limit: AtLeastOne | None = None
    limits: dict[str, AtLeastOne] = {}
    """Samples by task, by ``--budget`` or ``--limit TASK=N``; the smaller of this and ``limit`` holds."""
    sampling: Sampling | None = None
    """None: greedy."""
    repeats: AtLeastOne = 1
    """Answers drawn for each generated sample; its score is their mean."""
    num_fewshot: Count | None = None
    batch_size: AtLeastOne = 16
    chat_template: Literal["auto", "base", "checkpoint", "none"] = "auto"
    load: LoadSettings = LoadSettings()

    @model_validator(mode="after")
    def _repeats_differ(self) -> Settings:
        if self.repeats > 1 and self.sampling is None:
            raise ValueError("`repeats` above 1 need `sampling`: greedy answers are equal")
        return self

    def limit_of(self, task: str) -> int | None:
        """Return the most samples of a task; None for all."""
        known = [limit for limit in (self.limit, self.limits.get(task)) if limit is not None]
        return min(known, default=None)


class MetricValue(Document):
    """One aggregate over the scored samples of a task."""

    value: float | None
    """None where nothing could be measured: missing is missing, never zero."""
    n: Count
    type: MetricType
    higher_is_better: bool
    worst: float | None = None
    """Worst bound, where the metric has one."""


class Diagnostics(Document):
    """Rates of outputs that look broken; None where it cannot be told of the task's outputs.

    An output in sound is empty where there is nothing to hear, and loops in what a recogniser hears of it;
    whether it was cut off is not known. Features of an encoder are broken where they are not finite, as the
    mean over no frames is.
    """

    empty: float | None = None
    looping: float | None = None
    truncated: float | None = None
    nonfinite: float | None = None


class JudgeInfo(Document):
    """Who judged the answers of a task."""

    name: str
    """Such as ``refusal@1`` or ``classifier:org/name``."""
    fingerprint: str | None = None
    """Of a judge that is a model: sha256 over its content."""


class SampleFile(Document):
    """Where the sample records are, relative to the run document."""

    path: str
    sha256: str
    n: Count


class TaskResult(Document):
    """What one arm did on one task."""

    name: str
    version: Count
    title: str
    role: Role
    suites: tuple[str, ...] = ()
    """Suites that the definition is tagged with."""
    definition_sha256: str
    status: Literal["done", "identical", "skipped", "error"]
    reason: str = ""
    """Why it was skipped or failed."""
    primary: str
    margin: Margin
    chance: float | None = Field(default=None, ge=0, lt=1)
    licence: str = ""
    dataset: str = ""
    dataset_revision: str = ""
    """Commit of a hub data set, ``sha256:…`` of a local file, or ``unpinned``."""
    component: str | None = None
    """Fingerprint of the component that served the task."""
    n_available: Count | None = None
    """Samples that the task has without a limit; None where unknown."""
    n_planned: Count = 0
    n_scored: Count = 0
    errors: dict[str, Count] = {}
    """Sample errors by code."""
    metrics: dict[str, MetricValue] = {}
    diagnostics: Diagnostics = Diagnostics()
    judge: JudgeInfo | None = None
    """Of a task whose answers are judged."""
    noise_floor: float | None = None
    """Degradation of this component against itself on this task, in the primary metric's units, as the last
    ``selftest`` found it; None without one."""
    first_token_ids: tuple[Count, ...] = ()
    """How the first prompt starts for this arm's tokenizer: a differing template shows here."""
    prompting: str = ""
    """How the prompts were made, where a run of another tool says so: chat template, worked examples."""
    samples: SampleFile | None = None

    @property
    def n_recorded(self) -> int:
        """Samples with a record, scored or not: fewer than planned where records were lost."""
        return self.samples.n if self.samples else self.n_planned

    @property
    def coverage(self) -> float | None:
        """Scored samples over planned ones."""
        return self.n_scored / self.n_planned if self.n_planned else None


class SuiteRowInfo(Document):
    """A row of the verdict table that several tasks share."""

    name: str
    title: str
    role: Role
    margin: Margin
    tasks: tuple[str, ...]


class Environment(Document):
    """What a bug report or a repetition needs."""

    forgetbench: str
    python: str
    platform: str
    packages: dict[str, str]
    git_commit: str | None = None
    git_dirty: bool | None = None


class RunDocument(Document):
    """One arm. Equal runs give equal documents outside ``measured``."""

    schema_version: Literal[1] = 1
    arm: Arm
    run_key: str
    checkpoint: CheckpointInfo
    settings: Settings
    suites_requested: tuple[str, ...] = ()
    reproduce: str = ""
    """The command that makes this document again, with names in place of paths; empty where none does."""
    environment: Environment
    tasks: tuple[TaskResult, ...]
    suite_rows: tuple[SuiteRowInfo, ...] = ()
    warnings: tuple[str, ...] = ()
    measured: dict[str, Any] = {}
    """Times, memory and paths: differs from run to run, ignored by comparisons. ``cost`` is a
    :class:`~forgetbench.schema.cost.Cost`, where one was measured."""
