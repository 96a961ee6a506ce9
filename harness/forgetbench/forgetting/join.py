"""The sample tables of two arms, joined sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

NO_RECORD = "no_record"
"""Error code of a sample that was to be scored and is in no file."""
KEYS = ["id", "condition", "content", "occurrence"]


@dataclass(frozen=True)
class Joined:
    """What two arms have in common.

    Attributes:
        pairs: Samples that both arms scored, columns ending in ``_base`` or ``_checkpoint``.
        n_joined: Samples that both arms have, scored or not, or that the checkpoint's arm lost.
        n_unmatched: Other samples that only one arm has.
        checkpoint_failures: Samples that only the checkpoint's arm could not score, or lost.
        n_checkpoint_failures: How many these are. More than the rows of ``checkpoint_failures`` where the
            base has samples that the other arm was never asked for: then it is not known which were lost.
        base_failures: Joined samples that only the base's arm could not score.
        n_without: Joined samples without the statistic and without an error in either arm, such as one
            without a number where errors on numbers are counted: not a loss of coverage.
    """

    pairs: pd.DataFrame
    n_joined: int
    n_unmatched: int
    checkpoint_failures: pd.DataFrame
    n_checkpoint_failures: int
    base_failures: int
    n_without: int = 0

    @property
    def unpaired(self) -> int:
        """Samples that only one arm could score."""
        return self.n_unmatched + self.n_checkpoint_failures + self.base_failures


def join(base: pd.DataFrame, checkpoint: pd.DataFrame, *, columns: Sequence[str], lost: int = 0) -> Joined:
    """Join on sample id, condition, content hash and occurrence, in the order of these keys.

    A sample that carries an error code, or lacks a statistic, is not scored.

    Args:
        base: Sample table of the base.
        checkpoint: Sample table of the checkpoint.
        columns: The statistics that are compared.
        lost: Samples that the checkpoint's arm planned and holds no record of: failures of that arm, as far
            as the base scored them.
    """
    import pandas as pd

    both = with_keys(base, columns).merge(
        with_keys(checkpoint, columns),
        on=KEYS,
        how="outer",
        suffixes=("_base", "_checkpoint"),
        indicator=True,
    )
    joined = both[both["_merge"] == "both"].sort_values(KEYS, kind="stable")
    base_scored, checkpoint_scored = (joined[f"scored_{arm}"].astype(bool) for arm in ("base", "checkpoint"))
    neither = joined[~base_scored & ~checkpoint_scored]
    failures = joined[base_scored & ~checkpoint_scored]
    base_alone = both[both["_merge"] == "left_only"]
    base_alone = base_alone[base_alone["scored_base"].astype(bool)].assign(error_checkpoint=NO_RECORD)
    n_lost = min(lost, len(base_alone))
    known = base_alone if n_lost == len(base_alone) else base_alone.head(0)
    return Joined(
        pairs=joined[base_scored & checkpoint_scored].reset_index(drop=True),
        n_joined=len(joined) + n_lost,
        n_unmatched=len(both) - len(joined) - n_lost,
        checkpoint_failures=pd.concat([failures, known]) if n_lost else failures,
        n_checkpoint_failures=len(failures) + n_lost,
        base_failures=int((~base_scored & checkpoint_scored).sum()),
        n_without=int((neither["error_base"].isna() & neither["error_checkpoint"].isna()).sum()),
    )


def with_keys(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Return a sample table with the keys that it is joined on, and whether each sample is ``scored``."""
    keyed = table.copy()
    for name in ("id", "condition", "content"):
        keyed[name] = keyed[name].fillna("").astype(str)
    for name in columns:
        keyed[name] = keyed[name].astype("float64")
    keyed["occurrence"] = keyed.groupby(["id", "condition", "content"], sort=False).cumcount()
    keyed["scored"] = keyed["error"].isna() & keyed[list(columns)].notna().all(axis=1)
    return keyed
