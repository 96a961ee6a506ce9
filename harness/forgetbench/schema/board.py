"""The documents of a leaderboard: the board itself, what a submission says of itself, what was verified."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from forgetbench.schema.document import Document
from forgetbench.schema.number import Count
from forgetbench.schema.policy import Margins
from forgetbench.schema.run import Sampling
from forgetbench.schema.task import Role

Level = Literal["self-reported", "recomputed", "re-run"]
"""self-reported: nobody checked it. recomputed: every number follows from the sample records, and these are
of the tasks' own samples. re-run: somebody else ran the pair and found the same."""
Words = Annotated[str, Field(max_length=300)]


class BoardSettings(Document):
    """How the answers of every run must be made; without a key, as ``forgetbench run`` makes them by default.

    Device, batch size and compilation change rounding alone: a board leaves them free.
    """

    chat_template: Literal["auto", "base", "checkpoint", "none"] = "auto"
    sampling: Sampling | None = None
    """As ``--gen-kwargs``; without this key, greedy."""
    repeats: Count = Field(default=1, ge=1)
    num_fewshot: Count | None = None
    """Without this key, as each task has it."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    @model_validator(mode="after")
    def _repeats_differ(self) -> BoardSettings:
        if self.repeats > 1 and self.sampling is None:
            raise ValueError("`repeats` above 1 need `sampling`: greedy answers are equal")
        return self


class Board(Document):
    """A leaderboard: which losses of which checkpoints it shows, and how they are judged."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=80)
    title: Words
    description: Annotated[str, Field(max_length=600)] = ""
    tasks: tuple[str, ...] = Field(min_length=1)
    """Suites, tasks, suite rows or globs, in the order of the columns."""
    roles: tuple[Role, ...] = Field(default=("target", "general", "safety"), min_length=1)
    """Rows that are shown. The rank is by those of the roles general and safety."""
    task_roles: dict[str, Role] = {}
    """Role by suite, task or glob, in place of the tasks' own: a run is made with the same ``--role``."""
    margins: Margins = Margins()
    """In place of the tasks' own: verdicts follow from the stored intervals and these."""
    sort: str = "rank"
    """Column that the page is sorted by when it opens, ``-`` before it for descending."""
    limit: Count | None = Field(default=None, gt=0)
    """The ``--limit`` that every run must have; without this key, all samples. The page says it."""
    seed: int = 0
    """The ``--seed`` that every run must have: it chooses the samples of a limit, and nobody picks theirs."""
    alpha: float = Field(default=0.05, gt=0, lt=1)
    """Error rate that every comparison must have been made with."""
    settings: BoardSettings = BoardSettings()


class Submission(Document):
    """What a submission says of itself beside its documents: nothing here is checked."""

    schema_version: Literal[1] = 1
    submitter: Annotated[str, Field(min_length=1, max_length=100)]
    method: Annotated[str, Field(max_length=100)] | None = None
    """How the checkpoint was made, such as ``lora`` or ``full``."""
    steps: Count | None = None
    trained_parameters: Count | None = None
    url: Annotated[str, Field(max_length=500, pattern=r"^https://[^\s<>\"']+$")] | None = None
    """Where the weights or the paper are."""
    hardware: Words = ""
    note: Words = ""
    reason: Words = ""
    """Why it changes numbers of an entry that the board has already; empty: it changes none."""
    row_digests: dict[str, Annotated[str, Field(pattern=r"^([0-9a-f]{8})*$")]] = {}
    """Of each sample file: eight hexadecimal digits of the sha256 of each row, one after the other, so that
    a changed row can be named."""


class Problem(Document):
    """One reason why a submission is refused."""

    file: str
    """Relative to the submission."""
    row: Count | None = None
    """Of a sample file, from 0."""
    sample: str = ""
    reason: str

    def __str__(self) -> str:
        """Return ``file, row 3 (sample id): reason``."""
        row = "" if self.row is None else f", row {self.row}"
        sample = f" (sample {self.sample})" if self.sample else ""
        return f"{self.file}{row}{sample}: {self.reason}"


class Verification(Document):
    """What ``leaderboard verify --record`` found; it lies beside the documents that it is about."""

    schema_version: Literal[1] = 1
    level: Level
    forgetbench: str
    """Version that verified."""
    documents: dict[str, str]
    """sha256 of each document, by name: another content is not verified."""
    notes: tuple[str, ...] = ()
    """What could not be checked, and why."""
