"""One task by speaker, accent, severity or condition: who lost most, and who is served worst."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from forgetbench.forgetting.family import bonferroni
from forgetbench.forgetting.match import ReadyPair
from forgetbench.forgetting.rows import Judging, estimate_pair
from forgetbench.forgetting.verdict import judge
from forgetbench.schema.comparison import GroupFamily, GroupRow

if TYPE_CHECKING:
    import pandas as pd

MOST_GROUPS = 50
"""A family's bootstrap costs k² draws, and an interval at 1 − α/k of more groups says little."""
_PREFIX, _SUFFIX = "group.", "_base"


def group_families(pairs: Iterable[ReadyPair], judging: Judging) -> tuple[GroupFamily, ...]:
    """Return each task broken down by each of its groupings: conditions first, then the columns by name.

    Every grouping of every task is a family of its own, judged at 1 − α/k by the task's margin.

    Args:
        pairs: The tasks that both arms have scored.
        judging: Of the run; the family size is set here.
    """
    return tuple(
        family
        for pair in pairs
        for by, values in _groupings(pair.joined.pairs)
        if (family := _family(pair, by, values, judging)) is not None
    )


def _groupings(table: pd.DataFrame) -> Iterator[tuple[str, pd.Series[str]]]:
    yield "condition", table["condition"]
    for column in sorted(map(str, table.columns)):
        if column.startswith(_PREFIX) and column.endswith(_SUFFIX):
            yield column[len(_PREFIX) : -len(_SUFFIX)], table[column].fillna("").astype(str)


def _family(pair: ReadyPair, by: str, values: pd.Series[str], judging: Judging) -> GroupFamily | None:
    """Return the family of one grouping, None where there is nothing to tell apart."""
    sizes = values[values != ""].value_counts()
    names = sorted(sizes.index, key=lambda name: (-sizes[name], name))
    if len(names) < 2:
        return None
    kept = sorted(names[:MOST_GROUPS])
    own = replace(judging, family_size=len(kept))
    rows = tuple(_row(pair, name, pair.joined.pairs[values == name], own) for name in kept)
    higher = pair.metric.higher_is_better
    return GroupFamily(
        task=pair.task.name,
        title=pair.task.title,
        by=by,
        metric=pair.task.primary,
        higher_is_better=higher,
        margin=pair.task.margin,
        level=own.level,
        rows=rows,
        smallest_n=min(row.n for row in rows),
        worst_served=_worst_served(rows, higher_is_better=higher),
        lost_most=_lost_most(rows),
        groups_left_out=len(names) - len(kept),
        n_ungrouped=int((values == "").sum()),
    )


def _row(pair: ReadyPair, name: str, table: pd.DataFrame, judging: Judging) -> GroupRow:
    group = replace(pair, joined=replace(pair.joined, pairs=table.reset_index(drop=True)))
    estimate = estimate_pair(group, judging)
    floor = judging.noise_floor(pair.task.name)
    judged = judge(estimate, margin=pair.task.margin, min_n=judging.min_n, noise_floor=floor)
    return GroupRow(
        value=name,
        n=estimate.n,
        verdict=judged.verdict,
        reason=judged.reason,
        base=estimate.base,
        checkpoint=estimate.checkpoint,
        degradation=estimate.degradation,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        p=estimate.p,
        p_adjusted=bonferroni(estimate.p, judging.family_size),
    )


def _worst_served(rows: Iterable[GroupRow], *, higher_is_better: bool) -> str | None:
    scores = {row.value: row.checkpoint for row in rows if row.checkpoint is not None}
    return min(scores, key=lambda name: scores[name] if higher_is_better else -scores[name], default=None)


def _lost_most(rows: Iterable[GroupRow]) -> str | None:
    losses = {row.value: row.degradation for row in rows if row.degradation is not None}
    worst = max(losses, key=lambda name: losses[name], default=None)
    return worst if worst is not None and losses[worst] > 0 else None
