"""BLEU and chrF of a whole test set, as papers report them, beside the judged means over sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from forgetbench.forgetting.match import ReadyPair
from forgetbench.schema.comparison import BesideMetric
from forgetbench.schema.run import Arm
from forgetbench.schema.sample import RawPrediction

OF_SENTENCES = {"sentence_bleu": "bleu", "sentence_chrf": "chrf"}
"""Means over sentences, and the corpus score that goes with each."""


def corpus_translation(pairs: Iterable[ReadyPair]) -> Iterator[BesideMetric]:
    """Yield the corpus scores of each task of translations, over the samples that both arms translated.

    Counts of n-grams are summed over the set first (Papineni et al. 2002; Popović 2015), by sacrebleu with
    its defaults: ``BLEU|nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp``, ``chrF2|nrefs:1|case:mixed|eff:yes|
    nc:6|nw:0|space:no`` (Post 2018). Of speech made from speech, the recogniser's transcript is scored.
    """
    for pair in pairs:
        table = pair.joined.pairs
        metrics = [OF_SENTENCES[name] for name in pair.task.metrics if name in OF_SENTENCES]
        if not metrics or table.empty:
            continue
        references = list(table["reference_base"].fillna(""))
        said: dict[Arm, list[str]] = {
            "base": _said(table["prediction_base"]),
            "checkpoint": _said(table["prediction_checkpoint"]),
        }
        for metric in metrics:
            values = {arm: _score(metric, texts, references) for arm, texts in said.items()}
            yield BesideMetric(
                task=pair.task.name,
                title=pair.task.title,
                metric=metric,
                higher_is_better=True,
                base=values["base"],
                checkpoint=values["checkpoint"],
                n=len(table),
            )


def _score(metric: str, texts: list[str], references: list[str]) -> float:
    from sacrebleu import corpus_bleu, corpus_chrf

    found = corpus_bleu(texts, [references]) if metric == "bleu" else corpus_chrf(texts, [references])
    return float(found.score)


def _said(predictions: Iterable[str]) -> list[str]:
    read = (RawPrediction.model_validate_json(prediction) for prediction in predictions)
    return [(one.text if one.heard is None else one.heard) or "" for one in read]
