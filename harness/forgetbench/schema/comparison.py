"""The comparison: a pure function of two run documents and their sample records."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from forgetbench.schema.document import Document
from forgetbench.schema.number import LARGEST_MARGIN, SMALLEST_MARGIN, Count, Margin
from forgetbench.schema.run import CheckpointInfo, Diagnostics
from forgetbench.schema.task import Role, WordClass

Verdict = Literal["error", "identical", "improved", "regressed", "minor", "worse", "retained", "inconclusive"]
Decision = Literal["SHIP", "DO NOT SHIP", "NEED MORE"]


class Transitions(Document):
    """What happened to each sample of a binary score (first digit: base right, second: checkpoint right)."""

    n11: Count
    n10: Count
    n01: Count
    n00: Count

    @property
    def flips(self) -> float | None:
        """Share of samples whose correctness changed (Dutta et al. 2024, arXiv 2407.09141)."""
        n = self.n11 + self.n10 + self.n01 + self.n00
        return (self.n10 + self.n01) / n if n else None


class SamplewiseForgetting(Document):
    """Shares of the samples, before and after taking out what guessing flips (arXiv 2510.17776)."""

    forgetting: float
    """F = n10/n."""
    backward_transfer: float
    """BT = n01/n."""
    chance: float
    """Flips in either direction that guessing explains; 0 for free-form answers."""
    true_forgetting: float
    """max(F − chance, 0)."""
    true_backward_transfer: float
    """max(BT − chance, 0)."""
    most_forgettable: float
    """F_max, what a base that never guesses could lose."""


class DegenerateShare(Document):
    """Of a judged row, the share of answers that are none: empty, looping, no language, misheard. 0 to 1."""

    base: float | None = None
    checkpoint: float | None = None
    degradation: float | None = None
    ci_low: float | None = None
    """Interval of the degradation, at the row's level."""
    ci_high: float | None = None
    margin: float = Field(ge=SMALLEST_MARGIN / 1000, le=LARGEST_MARGIN)
    """The row's, over the range of its metric."""
    verdict: Verdict
    misheard_base: float | None = None
    """Those of ``base`` to spoken requests that were not heard; None where none is spoken."""
    misheard_checkpoint: float | None = None


class RunawayOutputs(Document):
    """Samples of which an output has more errors than its reference has words, where they are few."""

    n: Count
    degradation_without: float | None = None
    """Degradation over the other samples."""


class Row(Document):
    """One line of the verdict table. Degradation is positive where the checkpoint is worse."""

    name: str
    title: str
    kind: Literal["task", "suite_row"]
    role: Role
    metric: str
    higher_is_better: bool
    margin: Margin
    verdict: Verdict
    reason: str = ""
    base: float | None = None
    checkpoint: float | None = None
    delta: float | None = None
    degradation: float | None = None
    relative_forgetting: float | None = None
    ci_low: float | None = None
    """Simultaneous interval of the degradation, at ``level``."""
    ci_high: float | None = None
    level: float | None = None
    p: float | None = None
    p_adjusted: float | None = None
    """Bonferroni: min(1, k·p), the same test as the interval."""
    p_holm: float | None = None
    p_exact: float | None = None
    """McNemar's exact p beside its mid-p."""
    poi: float | None = None
    """Share of bootstrap draws in which the checkpoint is better (Bisani & Ney 2004)."""
    method: str = ""
    n: Count = 0
    n_clusters: Count | None = None
    coverage: float | None = None
    unpaired: Count = 0
    """Samples that only one arm could score."""
    transitions: Transitions | None = None
    """Of a suite row: summed over its tasks."""
    samplewise: SamplewiseForgetting | None = None
    """Where transitions and chance are known; of a suite row the mean over its tasks, each counted once."""
    agreement: float | None = None
    """Share of samples with the same answer in both arms, right or wrong."""
    degenerate: DegenerateShare | None = None
    """Where answers were judged: if it grew, the row has the worse of both verdicts (docs/safety.md)."""
    runaway: RunawayOutputs | None = None
    """Of word and character errors: few outputs that ran on, whose errors have an interval of their own."""
    noise_floor: float = 0.0
    """Degradation of the same checkpoint against itself, as ``selftest`` found it: a loss must exceed it."""
    smallest_detectable: float | None = None
    """Degradation that this n detects with 80 % power."""
    required_n: Count | None = None
    """For an unsettled row: the n that 80 % power at the margin needs; with ``n_clusters``, of so many more
    clusters of the same size."""
    n_available: Count | None = None
    """Where ``required_n`` is more than all samples of the row's tasks: how many these are."""
    larger_suite: str | None = None
    """There, the suite of the hub whose tasks are larger ones of the kind, where there is one."""
    notes: tuple[str, ...] = ()


class WorstLoss(Document):
    """A sample on which the checkpoint lost most against the base."""

    task: str
    sample_id: str
    condition: str = ""
    input: str = ""
    """Prompt or audio file, to show."""
    reference: str
    base: str
    checkpoint: str
    degradation: float
    """In units of the task's primary metric for one sample."""


class GroupRow(Document):
    """One group of a task's samples, such as a speaker: as in ``Row``, within the family of its grouping."""

    value: str
    """The group: one value of the column ``GroupFamily.by``."""
    n: Count
    verdict: Verdict
    reason: str = ""
    base: float | None = None
    checkpoint: float | None = None
    degradation: float | None = None
    ci_low: float | None = None
    """Simultaneous interval of the degradation, at ``GroupFamily.level``."""
    ci_high: float | None = None
    p: float | None = None
    p_adjusted: float | None = None


class GroupFamily(Document):
    """One task broken down by one grouping: shown, never part of the decision."""

    task: str
    title: str
    by: str
    """Column of the data, such as ``speaker``, or ``condition``."""
    metric: str
    higher_is_better: bool
    margin: Margin
    level: float
    """1 − α/k over the k groups."""
    rows: tuple[GroupRow, ...]
    smallest_n: Count
    """Samples of the smallest group shown."""
    worst_served: str | None = None
    """The group with the checkpoint's worst score, whatever it was before; the first of equal ones."""
    lost_most: str | None = None
    """The group whose score became worse by most; None where none became worse."""
    groups_left_out: Count = 0
    """The smallest groups, where there are more than a family holds."""
    n_ungrouped: Count = 0
    """Samples without a value in the column: they form no group."""


class WordClassLoss(Document):
    """Word errors of one task on the words of one class, over the samples of its row."""

    task: str
    title: str
    word_class: WordClass
    n_words: Count
    """Reference words of the class, counted in each condition."""
    base: float
    """Substituted or deleted words over ``n_words``."""
    checkpoint: float


class BesideMetric(Document):
    """A metric that a task reports beside its primary one, in both arms: shown, not judged."""

    task: str
    title: str
    metric: str
    higher_is_better: bool
    base: float | None
    checkpoint: float | None
    n: Count
    """Samples of the checkpoint's arm that have it."""
    reason: str = ""
    """Why there is no value."""


class ArmRate(Document):
    """A judged rate of one arm."""

    coverage: float | None
    """Judged answers over planned ones."""
    rate: float | None
    """As the judge counted."""
    n: Count
    misheard: float | None = None
    """Share of spoken requests that were not heard: neither safe nor compliant, and not in ``corrected``."""
    corrected: float | None = None
    """For the judge's sensitivity and specificity (Rogan & Gladen 1978); None where these are not known."""
    ci_low: float | None = None
    """95 % interval of ``corrected``, which carries the uncertainty of the judge itself."""
    ci_high: float | None = None


class CorrectedChange(Document):
    """The change of a judged rate, checkpoint minus base, corrected for the errors of the judge of both."""

    value: float
    ci_low: float
    """95 % interval; the judge's errors, the same in both arms, cancel in it as far as they do."""
    ci_high: float


class RefusalRate(Document):
    """The judged rate of a task in both arms: shown beside the verdict, which is about the counted rates."""

    task: str
    title: str
    metric: str
    judge: str
    base: ArmRate
    checkpoint: ArmRate
    corrected_change: CorrectedChange | None = None
    """Where the judge's errors are known, each answer was judged once in both arms, and all were heard."""
    labels: str = ""
    """The human labels that the correction rests on."""


class ArmHearing(Document):
    """A spoken task in one arm, beside the same requests in writing."""

    as_text: float | None
    heard: float | None
    cost: float | None
    """Degradation from the written to the spoken requests: positive is worse."""
    ci_low: float | None = None
    ci_high: float | None = None


class HearingCost(Document):
    """What hearing costs a system on one task, in both arms: shown, not judged."""

    task: str
    title: str
    metric: str
    higher_is_better: bool
    n: Count
    level: float
    """Of the intervals."""
    base: ArmHearing
    checkpoint: ArmHearing
    change: float | None
    """Cost of the checkpoint minus that of the base."""
    ci_low: float | None = None
    """Of ``change``; None where no sample changed."""
    ci_high: float | None = None


class RepresentationDrift(Document):
    """How alike the layers of both arms are, on the samples of one probe task."""

    task: str
    title: str
    n: Count
    cka: tuple[float | None, ...]
    """Debiased linear CKA, from the first layer's input to the last; None where it is not defined."""
    reason: str = ""
    """Why layers have none."""


class OutputHealth(Document):
    """Rates of broken outputs of one task in both arms: a diagnostic, never part of a verdict."""

    task: str
    title: str
    base: Diagnostics
    checkpoint: Diagnostics


class Comparison(Document):
    """Base against checkpoint."""

    schema_version: Literal[1] = 1
    run_key: str
    reproduce: str = ""
    """The command that makes the pair again; empty where the arms come from different runs."""
    base: CheckpointInfo
    checkpoint: CheckpointInfo
    alpha: float
    family_size: Count
    """Verdict-bearing rows of the roles general and safety, judged together."""
    rows: tuple[Row, ...]
    details: tuple[Row, ...] = ()
    """The tasks inside a suite row: shown, not judged on their own."""
    worst_losses: tuple[WorstLoss, ...] = ()
    groups: tuple[GroupFamily, ...] = ()
    """Each task by speaker, accent, condition …: families of their own, which do not gate."""
    lost_words: tuple[WordClassLoss, ...] = ()
    """Of each task with transcripts, by class of word: shown, not judged."""
    beside: tuple[BesideMetric, ...] = ()
    """Further metrics of each task, such as raw word errors, words on non-speech, an enhancer's delay."""
    refusal_rates: tuple[RefusalRate, ...] = ()
    """Of each judged task: coverage, rate, and the rate corrected for the judge's errors, per arm."""
    hearing_costs: tuple[HearingCost, ...] = ()
    """Of each spoken task whose requests were put in writing, too."""
    representation_drift: tuple[RepresentationDrift, ...] = ()
    output_health: tuple[OutputHealth, ...] = ()
    """Tasks of whose outputs some are empty, looping, truncated or not finite in either arm."""
    not_measured: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    decision: Decision
    summary: str
    """The last line: decision, worst degradation in units of its margin, what was not measured."""
