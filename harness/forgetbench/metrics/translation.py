"""Translations against a reference, sentence by sentence, by sacrebleu."""

from __future__ import annotations


def translation_stats(reference: str, hypothesis: str) -> dict[str, float]:
    """Return ``sentence_chrf`` and ``sentence_bleu``, 0 to 100, as sacrebleu computes them.

    chrF: Popović 2015, order 6, β = 2; an empty translation scores 0. BLEU: Papineni et al. 2002, with
    sacrebleu's exponential smoothing and effective order, as it is for single sentences. A mean over
    sentences is not the corpus score that papers report: each sample has a value, so that arms can be paired.

    Example:
        >>> round(translation_stats("The window is open.", "The window is open.")["sentence_bleu"], 3)
        100.0
    """
    from sacrebleu import sentence_bleu, sentence_chrf

    return {
        "sentence_chrf": float(sentence_chrf(hypothesis, [reference]).score),
        "sentence_bleu": float(sentence_bleu(hypothesis, [reference]).score),
    }
