from __future__ import annotations

from dataclasses import replace

from forgetbench.engine.reach import fetch_command
from forgetbench.schema.task import LmEval
from forgetbench.tasks.registry import load_registry


def test_of_a_member_of_an_lm_eval_group_the_group_is_fetched() -> None:
    group = load_registry().get("mmlu")
    assert isinstance(group.task, LmEval)
    members = [
        replace(
            group, task=group.task.model_copy(update={"name": f"{group.task.name}.{name}", "lm_eval": name})
        )
        for name in ("mmlu_astronomy", "mmlu_anatomy")
    ]
    assert fetch_command(members) == "forgetbench fetch --tasks mmlu"
