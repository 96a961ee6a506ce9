"""The sample tables of two arms, joined sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

KEYS = ["id", "condition", "content", "occurrence"]


@dataclass(frozen=True)
class Joined:
    """What two arms have in common.

    Attributes:
        pairs: Samples that both arms scored, columns ending in ``_base`` or ``_checkpoint``.
        n_joined: Samples that both arms have, scored or not.
        n_unmatched: Samples that only one arm has.
        checkpoint_failures: Joined samples that only the checkpoint's arm could not score.
        base_failures: Joined samples that only the base's arm could not score.
        n_without: Joined samples without the statistic and without an error in either arm, such as one
            without a number where errors on numbers are counted: not a loss of coverage.
    """

    pairs: pd.DataFrame
    n_joined: int
    n_unmatched: int
    checkpoint_failures: pd.DataFrame
    base_failures: int
    n_without: int = 0

    @property
    def unpaired(self) -> int:
        """Samples that only one arm could score."""
        return self.n_unmatched + len(self.checkpoint_failures) + self.base_failures


def join(base: pd.DataFrame, checkpoint: pd.DataFrame, *, columns: Sequence[str]) -> Joined:
    """Join on sample id, condition, content hash and occurrence, in the order of these keys.

    A sample that carries an error code, or lacks a statistic, is not scored.

    Args:
        base: Sample table of the base.
        checkpoint: Sample table of the checkpoint.
        columns: The statistics that are compared.
    """
    both = _with_keys(base, columns).merge(
        _with_keys(checkpoint, columns),
        on=KEYS,
        how="outer",
        suffixes=("_base", "_checkpoint"),
        indicator=True,
    )
    joined = both[both["_merge"] == "both"].sort_values(KEYS, kind="stable")
    base_scored, checkpoint_scored = (joined[f"scored_{arm}"].astype(bool) for arm in ("base", "checkpoint"))
    neither = joined[~base_scored & ~checkpoint_scored]
    return Joined(
        pairs=joined[base_scored & checkpoint_scored].reset_index(drop=True),
        n_joined=len(joined),
        n_unmatched=len(both) - len(joined),
        checkpoint_failures=joined[base_scored & ~checkpoint_scored].reset_index(drop=True),
        base_failures=int((~base_scored & checkpoint_scored).sum()),
        n_without=int((neither["error_base"].isna() & neither["error_checkpoint"].isna()).sum()),
    )


def _with_keys(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    keyed = table.copy()
    for name in ("id", "condition", "content"):
        keyed[name] = keyed[name].fillna("").astype(str)
    for name in columns:
        keyed[name] = keyed[name].astype("float64")
    keyed["occurrence"] = keyed.groupby(["id", "condition", "content"], sort=False).cumcount()
    keyed["scored"] = keyed["error"].isna() & keyed[list(columns)].notna().all(axis=1)
    return keyed
