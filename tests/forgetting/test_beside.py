from __future__ import annotations

from collections.abc import Callable
from typing import Any

from forgetbench.forgetting.beside import beside_metrics
from forgetbench.schema.run import MetricValue

Make = Callable[..., Any]


def ratio(value: float) -> MetricValue:
    return MetricValue(value=value, n=40, type="ratio", higher_is_better=False)


def test_the_raw_word_error_rate_of_both_arms_stands_beside_the_normalised_one(
    make_task: Make, make_run: Make
) -> None:
    base, checkpoint = (
        make_task(
            "speech", primary="wer", metrics={"wer": ratio(w), "wer_raw": ratio(r), "wer_names": ratio(1)}
        )
        for w, r in ((0.1, 0.2), (0.3, 0.4))
    )
    (raw,) = beside_metrics(make_run("base", base), make_run("checkpoint", checkpoint))
    assert (raw.task, raw.metric, raw.base, raw.checkpoint) == ("speech", "wer_raw", 0.2, 0.4)


def test_a_task_that_one_arm_lacks_has_nothing_beside(make_task: Make, make_run: Make) -> None:
    task = make_task("speech", primary="wer", metrics={"wer": ratio(0.1), "wer_raw": ratio(0.2)})
    failed = task.model_copy(update={"status": "error"})
    assert not list(beside_metrics(make_run("base", failed), make_run("checkpoint", task)))
    assert not list(beside_metrics(make_run("base"), make_run("checkpoint", task)))
