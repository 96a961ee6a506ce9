"""What hearing costs, from the records of both arms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from forgetbench.forgetting.pairs import compare
from forgetbench.schema.comparison import HearingCost
from forgetbench.schema.run import RunDocument, TaskResult


def test_requests_of_one_speaker_move_together_in_the_cost_of_hearing(
    make_task: Callable[..., TaskResult],
    make_run: Callable[..., RunDocument],
    make_table: Callable[..., Any],
) -> None:
    """Of twelve speakers some are misheard throughout: the interval is theirs, not that of 240 requests."""
    misheard = np.repeat(np.arange(12) % 3 == 0, 20)
    speakers = [f"speaker {i}" for i in np.repeat(np.arange(12), 20)]

    def cost(**given: Any) -> HearingCost:
        arms = [
            {"quiz": make_table({"acc": heard.astype(float), "acc_as_text": np.ones(240)}, **given)}
            for heard in (np.ones(240), ~misheard)
        ]
        task = make_task()
        (found,) = compare(make_run("base", task), make_run("checkpoint", task), *arms).hearing_costs
        return found

    alone, by_speaker = cost(), cost(cluster=speakers)
    assert alone.checkpoint.cost == by_speaker.checkpoint.cost == 80 / 240

    def width(low: float | None, high: float | None) -> float:
        assert low is not None and high is not None
        return high - low

    for wide, narrow in ((by_speaker, alone), (by_speaker.checkpoint, alone.checkpoint)):
        assert width(wide.ci_low, wide.ci_high) > 2 * width(narrow.ci_low, narrow.ci_high)
