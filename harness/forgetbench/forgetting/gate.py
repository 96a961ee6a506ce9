"""Whether a comparison meets a policy: the one source of a gate's line and of its exit code."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

from forgetbench.forgetting.gate_cost import cost_findings
from forgetbench.forgetting.limited import limited
from forgetbench.forgetting.verdict import GATING, describe_need, describe_worst, margins_lost
from forgetbench.schema.comparison import Comparison, Decision, Row
from forgetbench.schema.policy import Finding, Margins, Policy
from forgetbench.schema.run import RunDocument, SuiteRowInfo, TaskResult
from forgetbench.schema.task import SuiteRow, Task

EXIT_CODES: Mapping[Decision, int] = {"SHIP": 0, "NEED MORE": 3, "DO NOT SHIP": 100}


@dataclass(frozen=True)
class Gate:
    """What a policy says of a comparison.

    Attributes:
        comparison: With the policy's margins, decision and last line.
        findings: Everything that does not pass, failures first.
    """

    comparison: Comparison
    findings: tuple[Finding, ...]

    @property
    def exit_code(self) -> int:
        """0 passed, 3 inconclusive, 100 failed."""
        return EXIT_CODES[self.comparison.decision]

    def as_json(self) -> dict[str, Any]:
        """Return decision, line, exit code and findings."""
        return {
            "decision": self.comparison.decision,
            "summary": self.comparison.summary,
            "exit_code": self.exit_code,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
        }


def with_margins(document: RunDocument, margins: Margins) -> RunDocument:
    """Return a run with the margins of a policy: a row's own name wins over its suite, that over its role."""
    tasks = {task.name: task for task in document.tasks}
    rows = tuple(
        row.model_copy(update={"margin": margin_of(row, common_suites(row, tasks), margins)})
        for row in document.suite_rows
    )
    return document.model_copy(
        update={
            "suite_rows": rows,
            "tasks": tuple(
                task.model_copy(update={"margin": margin_of(task, task.suites, margins)})
                for task in document.tasks
            ),
        }
    )


def gate(
    comparison: Comparison,
    base: RunDocument,
    checkpoint: RunDocument,
    policy: Policy,
    *,
    suites: Mapping[str, Collection[str]],
) -> Gate:
    """Judge a comparison by a policy.

    Rows of the roles general and safety gate; target rows, groups and cost only where the policy says so.
    What the policy names must have been measured.

    Args:
        comparison: Of the two runs, made with the policy's margins (:func:`with_margins`).
        base: Run of the base.
        checkpoint: Run of the checkpoint.
        policy: The policy.
        suites: Tasks of each suite that is defined here: one that is not cannot be seen to be complete.
    """
    findings = [
        *_row_findings(comparison, policy),
        *_scope_findings(comparison, base, checkpoint, policy, suites),
        *_group_findings(comparison, policy),
        *cost_findings(base, checkpoint, policy.cost),
    ]
    findings = list({finding.reason: finding for finding in findings}.values())
    findings.sort(key=lambda finding: finding.outcome != "fails")
    decision: Decision = "NEED MORE" if findings else "SHIP"
    if any(finding.outcome == "fails" for finding in findings):
        decision = "DO NOT SHIP"
    summary = f"{decision}: {_summary(comparison, findings)}."
    gated = comparison.model_copy(update={"decision": decision, "summary": summary})
    return Gate(gated, tuple(findings))


def margin_of(
    entry: TaskResult | SuiteRowInfo | Task | SuiteRow, suites: Iterable[str], margins: Margins
) -> float:
    """Return the margin of a row: by its name, else by a suite that it is in, its role, or its own."""
    if entry.name in margins.tasks:
        return margins.tasks[entry.name]
    by_glob = [value for pattern, value in margins.tasks.items() if fnmatchcase(entry.name, pattern)]
    by_suite = [margins.suites[suite] for suite in suites if suite in margins.suites]
    # Of several that name it equally well, the strictest.
    return min(by_glob or by_suite or [margins.roles.get(entry.role, entry.margin)])


def common_suites(row: SuiteRowInfo, tasks: Mapping[str, TaskResult | Task]) -> set[str]:
    """Return the suites that all tasks of a suite row are in."""
    members = [set(tasks[name].suites) for name in row.tasks if name in tasks]
    return set.intersection(*members) if members else set()


def _summary(comparison: Comparison, findings: Sequence[Finding]) -> str:
    if not findings:
        n = len([row for row in comparison.rows if row.role in GATING])
        return f"the policy is met in {n} row{'s' if n != 1 else ''}"
    first, more = findings[0], len(findings) - 1
    return first.reason + (f" (and {more} more finding{'s' if more > 1 else ''})" if more else "")


def _row_findings(comparison: Comparison, policy: Policy) -> Iterator[Finding]:
    judged = [row for row in comparison.rows if row.role in GATING]
    if not judged:
        yield Finding(outcome="inconclusive", reason="no general or safety task was measured")
    if policy.target != "ignored":
        targets = [row for row in comparison.rows if row.role == "target"]
        judged += targets
        if not targets:
            yield Finding(outcome="inconclusive", reason="no target task was measured")
        if policy.target == "improved":
            yield from _not_improved(targets)
    by_loss = sorted(judged, key=margins_lost, reverse=True)
    for row in by_loss:
        yield from _row_finding(row)


def _row_finding(row: Row) -> Iterator[Finding]:
    if row.verdict == "regressed":
        yield Finding(outcome="fails", row=row.name, reason=describe_worst([row]))
    elif row.verdict == "error":
        reason = f"{row.name} could not be measured ({row.reason})"
        yield Finding(outcome="fails", row=row.name, reason=reason)
    elif row.verdict in ("worse", "inconclusive"):
        yield Finding(outcome="inconclusive", row=row.name, reason=describe_need([row]))


def _not_improved(targets: Sequence[Row]) -> Iterator[Finding]:
    for row in targets:
        if row.verdict in ("minor", "worse", "identical"):
            yield Finding(outcome="fails", row=row.name, reason=f"{row.name} did not improve ({row.verdict})")
        elif row.verdict in ("retained", "inconclusive"):
            reason = f"{row.name} is not shown to have improved"
            yield Finding(outcome="inconclusive", row=row.name, reason=reason)


def _scope_findings(
    comparison: Comparison,
    base: RunDocument,
    checkpoint: RunDocument,
    policy: Policy,
    suites: Mapping[str, Collection[str]],
) -> Iterator[Finding]:
    """Find what the policy names, or the run planned, and was not measured in full."""
    wanted: dict[str, None] = {}
    for name in names_of(policy):
        found = {member: _tasks_of(member, base, checkpoint) for member in (name, *suites.get(name, ()))}
        run = dict.fromkeys(task for tasks in found.values() for task in tasks)
        wanted |= run
        if not run:
            yield Finding(outcome="inconclusive", row=name, reason=f"{name} was NOT measured")
            continue
        for member in suites.get(name, ()):
            if not found[member]:
                reason = f"{member} of the suite {name} was not run"
                yield Finding(outcome="inconclusive", row=member, reason=reason)
        if name not in suites and any(name in task.suites for task in _tasks(base, checkpoint)):
            reason = f"the suite {name} is not defined here, so that nobody knows whether all of it was run"
            way_out = "install its plug-in, or give its tasks by --include-path"
            yield Finding(outcome="inconclusive", row=name, reason=f"{reason}: {way_out}")
    if policy.required is None:
        roles = {*GATING, *(("target",) if policy.target != "ignored" else ())}
        wanted |= dict.fromkeys(task.name for task in _tasks(base, checkpoint) if task.role in roles)
    inside = {row.name for row in comparison.details}
    rows = {row.name: row for row in comparison.rows}
    for document in (checkpoint, base):
        for task in document.tasks:
            if task.name in wanted and not (task.name in inside and task.status == "error"):
                yield from _task_findings(task, rows.get(task.name), document, checkpoint)


def names_of(policy: Policy) -> tuple[str, ...]:
    """Return the suites, tasks and globs that a policy names, each once."""
    named = (*(policy.required or ()), *policy.margins.tasks, *policy.margins.suites)
    return tuple(dict.fromkeys(named))


def _tasks(*documents: RunDocument) -> tuple[TaskResult, ...]:
    return tuple(task for document in documents for task in document.tasks)


def _tasks_of(name: str, base: RunDocument, checkpoint: RunDocument) -> list[str]:
    rows = (*base.suite_rows, *checkpoint.suite_rows)
    inside = {task for row in rows if fnmatchcase(row.name, name) for task in row.tasks}
    return [
        task.name
        for task in _tasks(base, checkpoint)
        if task.name in inside or name in task.suites or fnmatchcase(task.name, name)
    ]


def _task_findings(
    task: TaskResult, row: Row | None, document: RunDocument, checkpoint: RunDocument
) -> Iterator[Finding]:
    outcome: Literal["fails", "inconclusive"] = "inconclusive"
    if task.status == "error" or (row is not None and row.verdict == "error"):
        outcome, reason = "fails", (row.reason if row else "") or task.reason
        yield Finding(outcome=outcome, row=task.name, reason=f"{task.name} could not be measured ({reason})")
    elif task.status == "skipped":
        because = f" ({task.reason.rstrip('.')})" if task.reason else ""
        yield Finding(outcome=outcome, row=task.name, reason=f"{task.name} was skipped{because}")
    elif task.status == "done" and (cut := limited(task, document.settings)):
        theirs = next((other for other in checkpoint.tasks if other.name == task.name), task)
        alone = " in the base's run" if limited(theirs, checkpoint.settings) != cut else ""
        yield Finding(outcome=outcome, row=task.name, reason=f"{task.name} was measured on {cut}{alone}")


def _group_findings(comparison: Comparison, policy: Policy) -> Iterator[Finding]:
    gating = {row.name for row in (*comparison.rows, *comparison.details) if row.role in GATING}
    for column in policy.groups:
        families = [f for f in comparison.groups if f.by == column and f.task in gating]
        if not families:
            reason = f"no general or safety task was broken down by {column}"
            yield Finding(outcome="inconclusive", row=column, reason=reason)
        for family in families:
            if family.groups_left_out:
                reason = f"{family.task}: {family.groups_left_out} smaller groups by {column} were not judged"
                yield Finding(outcome="inconclusive", row=family.task, reason=reason)
            for group in family.rows:
                name = f"{family.task}, {column} {group.value},"
                if group.verdict in ("regressed", "error"):
                    yield Finding(outcome="fails", row=family.task, reason=f"{name} is {group.verdict}")
                elif group.verdict in ("worse", "inconclusive"):
                    reason = f"{name} is {group.verdict} on {group.n} samples"
                    yield Finding(outcome="inconclusive", row=family.task, reason=reason)
