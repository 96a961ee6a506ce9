"""Policy: what holds for every task file that ships."""

from __future__ import annotations

import pytest

from forgetbench.data.samples import load_samples
from forgetbench.metrics.registry import lookup
from forgetbench.schema.task import DatasetTask, Divergence, MultipleChoice, Separation, SuiteRow
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import load_registry

ALL = sorted(load_registry(), key=lambda d: d.task.name)
EMBEDDED = [d for d in ALL if isinstance(d.task, DatasetTask) and d.task.dataset.path]


def name(definition: Definition) -> str:
    return definition.task.name


@pytest.mark.parametrize("definition", ALL, ids=name)
def test_it_belongs_to_a_suite_and_has_a_title_and_a_licence(definition: Definition) -> None:
    task = definition.task
    assert task.suites, f"{task.name}: add `suites`"
    assert task.title, f"{task.name}: add `title`"
    assert task.licence, f"{task.name}: add `licence`"
    assert task.verified == all(suite.endswith("-mini") for suite in task.suites), (
        f"{task.name}: hub tasks that the project has not run say `verified: false`"
    )


@pytest.mark.parametrize("definition", ALL, ids=name)
def test_its_metrics_exist(definition: Definition) -> None:
    if isinstance(definition.task, DatasetTask):
        for metric in definition.task.metrics:
            lookup(metric)


@pytest.mark.parametrize("definition", ALL, ids=name)
def test_no_revision_is_pinned_that_was_not_verified(definition: Definition) -> None:
    if isinstance(definition.task, DatasetTask) and not definition.task.verified:
        assert definition.task.dataset.revision is None, f"{name(definition)}: unverified pin"


@pytest.mark.parametrize("definition", EMBEDDED, ids=name)
def test_its_embedded_data_is_whole(definition: Definition) -> None:
    assert isinstance(definition.task, DatasetTask)
    found = load_samples(definition.task, definition.folder, seed=0)
    # Each token of a text says something, so that fewer texts are enough.
    # A mixture has two talkers, and is one sample.
    least = 30 if isinstance(definition.task, Divergence | Separation) else 60
    assert len(found.samples) >= least, f"{name(definition)}: too small to say anything"
    assert not [s.id for s in found.samples if s.error], f"{name(definition)}: recordings are missing"
    assert len({(s.content, s.condition_label) for s in found.samples}) == len(found.samples), "duplicates"


@pytest.mark.parametrize("definition", [d for d in EMBEDDED if isinstance(d.task, MultipleChoice)], ids=name)
def test_its_gold_answers_favour_no_position(definition: Definition) -> None:
    assert isinstance(definition.task, MultipleChoice)
    found = load_samples(definition.task, definition.folder, seed=0)
    gold = [int(s.row["gold"]) for s in found.samples]
    options = len(found.samples[0].row["choices"])
    share = max(gold.count(i) for i in range(options)) / len(gold)
    assert share <= 1 / options + 0.1, f"{name(definition)}: one position is right in {share:.0%}"


def test_suite_rows_name_tasks_that_exist() -> None:
    names = {name(d) for d in ALL}
    for definition in ALL:
        if isinstance(definition.task, SuiteRow):
            assert set(definition.task.tasks) <= names
