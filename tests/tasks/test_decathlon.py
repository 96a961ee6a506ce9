"""The decathlon is as much of decaNLP as lm-eval has, and says so."""

from __future__ import annotations

from forgetbench.schema.task import LmEval, SuiteRow
from forgetbench.tasks.registry import load_registry


def test_every_task_of_it_is_one_of_lm_eval_and_is_part_of_the_row(lm_eval_index: None) -> None:
    from lm_eval.tasks import TaskManager

    selection = load_registry().select(["decathlon"])
    tasks = [d.task for d in selection.tasks]
    assert all(isinstance(task, LmEval) for task in tasks)
    known = TaskManager(verbosity="ERROR").all_tasks
    assert {task.lm_eval for task in tasks if isinstance(task, LmEval)} <= set(known)
    (row,) = selection.suite_rows
    assert isinstance(row, SuiteRow)
    assert set(row.tasks) == {task.name for task in tasks}


def test_each_says_how_it_differs_and_the_row_what_is_missing() -> None:
    selection = load_registry().select(["decathlon"])
    assert all("Differs from decaNLP:" in d.task.description for d in selection.tasks)
    (row,) = selection.suite_rows
    for missing in ("IWSLT", "QA-SRL", "QA-ZRE", "WOZ", "WikiSQL"):
        assert missing in row.description
