"""What was lost, in words: word errors by class, base against checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from forgetbench.forgetting.match import ReadyPair
from forgetbench.schema.comparison import WordClassLoss
from forgetbench.schema.sample import stat_columns
from forgetbench.schema.task import WordClass


def lost_words(pairs: Iterable[ReadyPair]) -> tuple[WordClassLoss, ...]:
    """Return the error rates of each class of words that a task's references have."""
    return tuple(loss for pair in pairs for loss in _of_task(pair))


def _of_task(pair: ReadyPair) -> Iterator[WordClassLoss]:
    table = pair.joined.pairs
    for name in get_args(WordClass):
        errors, words = stat_columns(f"wer_{name}", "ratio")
        columns = (f"{words}_base", f"{errors}_base", f"{errors}_checkpoint")
        if not set(columns) <= set(table):
            continue
        n_words, base, checkpoint = (float(table[column].astype("float64").sum()) for column in columns)
        if n_words:
            yield WordClassLoss(
                task=pair.task.name,
                title=pair.task.title,
                word_class=name,
                n_words=int(n_words),
                base=base / n_words,
                checkpoint=checkpoint / n_words,
            )
