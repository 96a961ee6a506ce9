"""Embedded suites can end with SHIP: their margins are no narrower than their number of items allows."""

from collections.abc import Callable
from typing import Any

import pytest

from forgetbench.data.samples import Sample, load_samples
from forgetbench.engine.run import Request, select_tasks
from forgetbench.forgetting.pairs import compare
from forgetbench.metrics.registry import lookup
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.run import SuiteRowInfo
from forgetbench.schema.sample import stat_columns
from forgetbench.schema.task import DatasetTask
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import load_registry

SUITES = sorted({s for d in load_registry() for s in d.task.suites if s.endswith("-mini")})
NEVER_SHIP = {
    "speech-divergence-mini": "no general or safety task was measured",
    "probes-mini": "keyword_probe_mini needs",
}
"""The first gates nothing; ten voices cannot rule out a loss of the second's words (docs/assistant.md)."""


def equal_scores(samples: list[Sample], columns: tuple[str, ...]) -> dict[str, list[float]]:
    """Half of the items right, or one error in ten words."""
    if len(columns) == 2:
        return {columns[0]: [1.0] * len(samples), columns[1]: [10.0] * len(samples)}
    return {columns[0]: [float(i % 2) for i in range(len(samples))]}


@pytest.fixture
def unchanged(
    make_run: Callable[..., Any], make_task: Callable[..., Any], make_table: Callable[..., Any]
) -> Callable[[str], Comparison]:
    """Compare a suite, run alone, between two arms whose scores are equal on every embedded sample."""

    def task_of(definition: Definition) -> tuple[Any, Any]:
        task = definition.task
        assert isinstance(task, DatasetTask)
        metric = lookup(task.primary)
        samples = list(load_samples(task, definition.folder, seed=0).samples)
        result = make_task(
            task.name, primary=task.primary, metric_type=metric.type, higher=metric.higher_is_better,
            role=task.role, margin=task.margin, n_planned=len(samples),
        )  # fmt: skip
        table = make_table(
            equal_scores(samples, stat_columns(task.primary, metric.type)),
            id=[sample.id for sample in samples],
            content=[f"{sample.content} {sample.condition_label}" for sample in samples],
            cluster=[sample.cluster for sample in samples],
            condition=[sample.condition_label for sample in samples],
        )
        return result, table

    def run(suite: str) -> Comparison:
        selection = select_tasks(Request(model="", tasks=[suite]))
        made = [task_of(definition) for definition in selection.tasks]
        rows = [
            SuiteRowInfo(name=row.name, title=row.title, role=row.role, margin=row.margin, tasks=row.tasks)
            for row in selection.suite_rows
        ]
        results = [result for result, _ in made]
        arms = [make_run(arm, *results, suites=[suite], suite_rows=rows) for arm in ("base", "checkpoint")]
        tables = {result.name: table for result, table in made}
        return compare(*arms, tables, tables)

    return run


@pytest.mark.parametrize("suite", SUITES)
def test_a_checkpoint_that_changed_no_score_ships(unchanged: Callable[[str], Comparison], suite: str) -> None:
    found = unchanged(suite)
    open_rows = {
        row.name: f"[{row.ci_low:+.3f}, {row.ci_high:+.3f}] with a margin of {row.margin} and n = {row.n}"
        for row in found.rows
        if row.role in ("general", "safety") and row.verdict not in ("retained", "identical")
    }
    if suite in NEVER_SHIP:
        assert found.summary.startswith(f"NEED MORE: {NEVER_SHIP[suite]}")
    else:
        assert found.decision == "SHIP", f"{suite} can never end with SHIP: {open_rows}"
