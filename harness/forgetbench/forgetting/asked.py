"""Whether two arms were asked the same: another prompt can look like forgetting."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from forgetbench.forgetting.verdict import TOLERATED_FAILURES
from forgetbench.schema.run import TaskResult

if TYPE_CHECKING:
    import pandas as pd

HASHES = ("prompt_hash", "target_hash")
"""Columns of sample tables made of another tool's output, whose ``content`` is the document alone."""


class Differing(NamedTuple):
    """Joined samples whose prompt, or whose right answer, is not the same in both arms."""

    prompts: int
    targets: int


def count_differing(pairs: pd.DataFrame) -> Differing:
    """Count the joined samples that differ in a hash which both arms have; none where an arm has no hashes.

    Args:
        pairs: Joined samples, columns ending in ``_base`` or ``_checkpoint``.
    """
    return Differing(*(_differing(pairs, name) for name in HASHES))


def asked_differently(base: TaskResult, checkpoint: TaskResult, pairs: pd.DataFrame) -> str:
    """Return why a task cannot be compared, empty where it can.

    On more than 1 % of the samples the prompts or the right answers differ; or, where no prompt hashes are
    known, the arms say that they made their prompts differently.
    """
    differing, n = count_differing(pairs), len(pairs)
    ways = f"{base.prompting} in the base's run, {checkpoint.prompting} in the checkpoint's"
    same_way = base.prompting == checkpoint.prompting
    if differing.prompts > TOLERATED_FAILURES * n:
        because = f"both say {base.prompting or 'nothing about it'}" if same_way else ways
        return f"the prompts differ in {differing.prompts} of {n} samples: {because}"
    if differing.targets > TOLERATED_FAILURES * n:
        return f"the right answers differ in {differing.targets} of {n} samples"
    if not same_way and not _known(pairs, "prompt_hash"):
        return f"the prompts were made differently: {ways}"
    return ""


def _differing(pairs: pd.DataFrame, name: str) -> int:
    if not _known(pairs, name):
        return 0
    ours, theirs = pairs[f"{name}_base"], pairs[f"{name}_checkpoint"]
    return int((ours.notna() & theirs.notna() & (ours != theirs)).sum())


def _known(pairs: pd.DataFrame, name: str) -> bool:
    return all(
        f"{name}_{arm}" in pairs and pairs[f"{name}_{arm}"].notna().any() for arm in ("base", "checkpoint")
    )
