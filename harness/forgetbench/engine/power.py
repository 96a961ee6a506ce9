"""A power analysis of a plan: is there enough of each row to see a loss of a given size?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from forgetbench.engine.forecast import forecast
from forgetbench.engine.run import Prepared


@dataclass(frozen=True, kw_only=True)
class PowerLine:
    """One row of the plan.

    Attributes:
        metric: Of the row; a suite row has that of its first task.
        n: Samples that there are.
        effect_size: Loss to be seen, in the metric's units.
        n_needed: Samples that show it with the power asked for; None where the spread is not known.
        smallest_detectable: Loss that ``n`` shows with that power; None likewise.
    """

    name: str
    role: str
    metric: str
    n: int
    effect_size: float
    n_needed: int | None
    smallest_detectable: float | None

    @property
    def is_enough(self) -> bool | None:
        """Whether there are as many samples as are needed; None where that is not known."""
        return None if self.n_needed is None else self.n >= self.n_needed


def power_lines(
    prepared: Prepared, *, effect_size: float | None, alpha: float, power: float
) -> tuple[PowerLine, ...]:
    """Return one line per row of the verdict table that will be run.

    n = (z_{1−α/2k} + z_power)²·σ²/δ² (Miller 2024, arXiv 2411.00640, §5) with the spreads that the plan
    assumes (``engine/forecast.py``); words of a speech task are turned into utterances of its mean length.

    Args:
        prepared: The plan.
        effect_size: Loss δ in each metric's units; None for each row's margin.
        alpha: Error rate of a family of k rows.
        power: Probability of seeing the loss.
    """
    pair = prepared.pair
    arms = (pair.checkpoint,) if pair.base is None else (pair.checkpoint, pair.base)
    found = forecast(prepared.plan, arms, identical=prepared.identical, alpha=alpha, power=power)
    metrics = {planned.task.name: planned.task.primary or "" for planned in prepared.plan.tasks}
    lines = []
    for line in found:
        if not line.n:
            continue
        effect, detects = effect_size or line.margin, line.smallest_detectable
        lines.append(
            PowerLine(
                name=line.name,
                role=line.role,
                metric=metrics[line.members[0]] if line.members else line.metric,
                n=line.n,
                effect_size=effect,
                n_needed=None if detects is None else math.ceil(line.n * (detects / effect) ** 2 - 1e-9),
                smallest_detectable=detects,
            )
        )
    return tuple(lines)
