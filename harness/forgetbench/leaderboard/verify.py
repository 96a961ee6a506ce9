"""Whether a submission's numbers are what its sample records give, and of which level that makes it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forgetbench import __version__
from forgetbench.engine.plan import Plan
from forgetbench.engine.rescore import Rescoring, plan_again
from forgetbench.engine.results import COMPARISON_FILE, RUN_FILE, write_document
from forgetbench.errors import DataError, ForgetbenchError, UsageError
from forgetbench.forgetting.pairs import compare
from forgetbench.leaderboard.definition import Column
from forgetbench.leaderboard.entries import (
    SUBMISSION_FILE,
    VERIFICATION_FILE,
    Entry,
    digests,
    entry_key,
    unlike,
)
from forgetbench.leaderboard.present_board import present_problems
from forgetbench.leaderboard.recompute import check_arm, file_of, same
from forgetbench.leaderboard.rerun import rerun_problems
from forgetbench.leaderboard.sample_files import check_file, read_table
from forgetbench.leaderboard.strict_json import read_json
from forgetbench.leaderboard.unpack import unexpected_files
from forgetbench.models.component import Checkpoint
from forgetbench.models.fingerprint import combine
from forgetbench.schema.board import Board, Level, Problem, Submission, Verification
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import Arm, RunDocument
from forgetbench.tasks.registry import load_registry

if TYPE_CHECKING:
    import pandas as pd

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Check:
    """Against what submissions are checked.

    Attributes:
        board: The board that they are for; None for none.
        columns: Its columns.
        present: Its present entries.
        include_paths: Where tasks are defined, beside the built-in ones.
        rerun: Result of the same pair, run by somebody else.
        is_own: The verifier's own folder, in which verification.json may lie.
    """

    board: Board | None = None
    columns: Sequence[Column] = ()
    present: Sequence[Entry] = ()
    include_paths: Sequence[Path] = ()
    rerun: Path | None = None
    is_own: bool = False


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What was found of one submission; it is refused where there are problems."""

    directory: Path
    problems: tuple[Problem, ...]
    level: Level = "self-reported"
    notes: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Submitted:
    """The documents of a submission, and its sample tables by arm and task."""

    directory: Path
    base: RunDocument
    checkpoint: RunDocument
    comparison: Comparison
    submission: Submission | None
    tables: dict[str, dict[str, pd.DataFrame]] = field(default_factory=dict)

    @property
    def arms(self) -> tuple[RunDocument, RunDocument]:
        """Both run documents."""
        return self.base, self.checkpoint


def verify(directory: Path, check: Check) -> Verified:
    """Compute every number of one result again from its sample records, and check whose samples these are.

    Raises:
        UsageError: A path of the check does not exist.
        DataError: The data of a local task is broken.
    """
    try:
        submitted = _read(directory)
    except DataError as error:
        name = error.thing.replace(f"{directory}/", "")
        return Verified(directory=directory, problems=(Problem(file=name, reason=error.cause),))
    problems = [*_unlike_problems(submitted, check), *_file_problems(submitted, check)]
    problems += _identity_problems(submitted)
    for document in submitted.arms:
        problems += _read_tables(submitted, document)
    notes: list[str] = []
    unknown: set[str] = set()
    if all(len(submitted.tables[d.arm]) == _n_files(d) for d in submitted.arms):
        plan = _plan(submitted, check)
        for document in submitted.arms:
            found = check_arm(document, submitted.tables[document.arm], plan)
            problems, notes, unknown = problems + found.problems, notes + found.notes, unknown | found.unknown
        if not problems and not unknown and plan.run_key != submitted.checkpoint.run_key:
            reason = "the run key does not follow from tasks, samples and settings"
            problems.append(Problem(file=RUN_FILE["checkpoint"], reason=reason))
        problems += _comparison_problems(submitted)
    problems += _board_problems(submitted, check)
    level: Level = "self-reported" if unknown & _shown(submitted, check) else "recomputed"
    if check.rerun is not None and not problems:
        problems += rerun_problems(submitted.comparison, check.rerun)
        level = "re-run" if level == "recomputed" else level
    return Verified(
        directory=directory,
        problems=tuple(dict.fromkeys(problems)),
        level="self-reported" if problems else level,
        notes=tuple(dict.fromkeys(notes)),
    )


def _plan(submitted: Submitted, check: Check) -> Plan:
    """Return the tasks of a submission as they are here; none where none is defined or has its data."""
    load_registry(check.include_paths)  # a path that does not exist is the verifier's mistake
    own = Rescoring(
        directory=submitted.directory, output=submitted.directory, include_paths=check.include_paths
    )
    try:
        return plan_again(own, submitted.checkpoint, submitted.base)
    except UsageError:
        return Plan(tasks=(), suite_rows=(), suites=(), settings=submitted.checkpoint.settings)


def record(verified: Verified) -> None:
    """Write what was found beside the documents, where the board reads it.

    A re-run that was recorded of the same documents stays one.
    """
    path, documents = verified.directory / VERIFICATION_FILE, digests(verified.directory)
    before = read_json(Verification, path) if path.is_file() else None
    was_rerun = before is not None and before.level == "re-run" and before.documents == documents
    level: Level = "re-run" if was_rerun and verified.level == "recomputed" else verified.level
    found = Verification(level=level, forgetbench=__version__, documents=documents, notes=verified.notes)
    write_document(path, found)


def _read(directory: Path) -> Submitted:
    path = directory / SUBMISSION_FILE
    return Submitted(
        directory=directory,
        base=read_json(RunDocument, directory / RUN_FILE["base"]),
        checkpoint=read_json(RunDocument, directory / RUN_FILE["checkpoint"]),
        comparison=read_json(Comparison, directory / COMPARISON_FILE),
        submission=read_json(Submission, path) if path.is_file() else None,
    )


def _n_files(document: RunDocument) -> int:
    return sum(task.samples is not None for task in document.tasks)


def _read_tables(submitted: Submitted, document: RunDocument) -> Iterator[Problem]:
    tables = submitted.tables.setdefault(document.arm, {})
    known = submitted.submission.row_digests if submitted.submission is not None else None
    for task in document.tasks:
        if task.samples is None:
            continue
        table = read_table(submitted.directory, document, task)
        if isinstance(table, Problem):
            yield table
            continue
        tables[task.name] = table
        rows = known.get(task.samples.path, "") if known is not None else None
        yield from check_file(submitted.directory, task, table, digests=rows)


def _file_problems(submitted: Submitted, check: Check) -> Iterator[Problem]:
    """Yield files that no submission has; one's own result may hold more."""
    if submitted.submission is not None:
        for name in unexpected_files(submitted.directory)[:5]:
            yield Problem(file=name[:200], reason="is no file of a submission")
    if (submitted.directory / VERIFICATION_FILE).is_file() and not check.is_own:
        yield Problem(
            file=VERIFICATION_FILE, reason="is written by who verifies (--record), not by who submits"
        )
    elif check.board is not None and submitted.submission is None and not check.is_own:
        yield Problem(file=SUBMISSION_FILE, reason="is missing: pack the result by `leaderboard submit`")


def _identity_problems(submitted: Submitted) -> Iterator[Problem]:
    """Yield what does not fit together: arms, fingerprints, run keys, settings, place."""
    base, checkpoint, comparison = submitted.base, submitted.checkpoint, submitted.comparison
    try:
        entry_key(comparison)
    except ValueError as error:
        yield Problem(file=COMPARISON_FILE, reason=str(error))
    yield from _arm_problems(base, "base")
    yield from _arm_problems(checkpoint, "checkpoint")
    for key, one, other in (
        ("base", comparison.base, base.checkpoint),
        ("checkpoint", comparison.checkpoint, checkpoint.checkpoint),
        ("run_key", comparison.run_key, checkpoint.run_key),
    ):
        if one != other:
            yield Problem(file=COMPARISON_FILE, reason=f"{key} is not that of the run document")
    if base.run_key != checkpoint.run_key or base.settings != checkpoint.settings:
        yield Problem(file=RUN_FILE["base"], reason="the arms were run by different settings")
    served = {task.name: task.component for task in base.tasks}
    for task in checkpoint.tasks:
        if task.status == "identical" and served.get(task.name) != task.component:
            reason = f"task {task.name[:80]} is called identical, and its components differ"
            yield Problem(file=RUN_FILE["checkpoint"], reason=reason)
    if base.checkpoint.fingerprint == checkpoint.checkpoint.fingerprint:
        yield Problem(file=COMPARISON_FILE, reason="compares a checkpoint with itself")
    prints = (document.checkpoint.fingerprint[:12] for document in (checkpoint, base))
    place = (*prints, checkpoint.run_key)
    if submitted.directory.resolve().parts[-3:] != place:
        yield Problem(file=".", reason=f"does not lie in {'/'.join(place)[:120]}")


def _arm_problems(document: RunDocument, arm: Arm) -> Iterator[Problem]:
    """Yield what does not fit together in one run document."""
    file = RUN_FILE[arm]
    if document.arm != arm:
        yield Problem(file=file, reason=f"is the document of the arm {document.arm}")
    info = document.checkpoint
    parts: dict[str, str] = {part.role: part.fingerprint for part in info.components}
    own = combine(parts) if len(parts) != 1 else next(iter(parts.values()))
    if own != info.fingerprint or not all(map(_SHA256.fullmatch, parts.values())):
        yield Problem(file=file, reason="its fingerprint does not follow from its components")
    assistant = Checkpoint.of(info).assistant
    served = {*parts.values(), assistant.fingerprint if assistant else None, None}
    for task in document.tasks:
        name = task.name[:80]
        if task.component not in served:
            yield Problem(file=file, reason=f"task {name} was served by no component of it")
        if task.samples is None and task.metrics:
            yield Problem(file=file, reason=f"task {name} has scores and no sample records")
        if task.noise_floor is not None and not 0 <= task.noise_floor <= task.margin:
            reason = f"task {name}: a noise floor of {task.noise_floor:g} is beyond its margin"
            yield Problem(file=file, reason=reason)


def _comparison_problems(submitted: Submitted) -> Iterator[Problem]:
    """Yield where the comparison is not the one that the sample records give."""
    tables = submitted.tables
    said = submitted.comparison
    try:
        again = compare(
            submitted.base, submitted.checkpoint, tables["base"], tables["checkpoint"], alpha=said.alpha
        )
    except (ForgetbenchError, ValueError, KeyError, TypeError, AssertionError, ArithmeticError) as error:
        yield Problem(
            file=COMPARISON_FILE, reason=f"cannot be computed from the sample records ({error})"[:200]
        )
        return
    differing = list(differences(said.model_dump(mode="json"), again.model_dump(mode="json")))
    made_by = submitted.checkpoint.environment.forgetbench
    hint = "" if made_by == __version__ else f" (made by forgetbench {made_by}, this is {__version__})"
    for key, ours, theirs in differing[:5]:
        yield Problem(file=COMPARISON_FILE, reason=f"{key} is {ours}, and the samples give {theirs}{hint}")


def differences(said: Any, found: Any, key: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield key and both values where two documents differ; rows are named by their name."""
    if isinstance(said, dict) and isinstance(found, dict):
        for name in {**said, **found}:
            yield from differences(said.get(name), found.get(name), f"{key}.{name}" if key else name)
    elif isinstance(said, list) and isinstance(found, list) and len(said) == len(found):
        for i, (one, other) in enumerate(zip(said, found, strict=True)):
            name = one.get("name", i) if isinstance(one, dict) else i
            yield from differences(one, other, f"{key}[{name}]")
    elif not same(said, found):
        yield key[:120], repr(said)[:60], repr(found)[:60]


def _shown(submitted: Submitted, check: Check) -> set[str]:
    """Return the tasks that the level speaks of: those of the board, or all."""
    tasks = {task.name for task in submitted.checkpoint.tasks}
    if not check.columns:
        return tasks
    rows: Mapping[str, tuple[str, ...]] = {row.name: row.tasks for row in submitted.checkpoint.suite_rows}
    return {name for column in check.columns for name in rows.get(column.name, (column.name,))} & tasks


def _unlike_problems(submitted: Submitted, check: Check) -> Iterator[Problem]:
    """Yield that it was made otherwise than the board asks for: much else follows from that."""
    if check.board is None:
        return
    if (reason := unlike(check.board, check.columns, submitted.comparison, submitted.checkpoint)) is not None:
        yield Problem(file=file_of(submitted.checkpoint), reason=reason)


def _board_problems(submitted: Submitted, check: Check) -> Iterator[Problem]:
    if check.board is None:
        return
    if not {row.name for row in submitted.comparison.rows} & {column.name for column in check.columns}:
        yield Problem(file=COMPARISON_FILE, reason=f"has none of the tasks of the board {check.board.name}")
    others = [e for e in check.present if e.directory.resolve() != submitted.directory.resolve()]
    reason_given = submitted.submission.reason if submitted.submission is not None else ""
    yield from present_problems(submitted.comparison, submitted.checkpoint, others, reason=reason_given)


def relative(verified: Verified, folder: Path) -> Verified:
    """Return what was found with the submission named from the folder that it was given in."""
    try:
        return replace(verified, directory=verified.directory.relative_to(folder))
    except ValueError:
        return verified
