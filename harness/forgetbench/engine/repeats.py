"""Several answers drawn to each sample become one: their scores are averaged (Miller 2024, §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from forgetbench.engine.journal import Answer
from forgetbench.engine.score import Scored
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.sample import RawPrediction


def joined_answers(repeats: Sequence[Sequence[Answer]]) -> list[Answer]:
    """Return one answer per sample that holds what all repeats said; the first error stands for all."""
    return [_joined(answers) for answers in zip(*repeats, strict=True)]


def nth_answer(answer: Answer, repeat: int) -> Answer:
    """Return one of the answers that :func:`joined_answers` has put together."""
    prediction = answer.prediction
    if prediction is None or not prediction.more_texts:
        return answer
    own = {
        "text": _nth(prediction.text, prediction.more_texts, repeat),
        "heard": _nth(prediction.heard, prediction.more_heard, repeat),
        "as_text": _nth(prediction.as_text, prediction.more_as_text, repeat),
        "n_tokens": (prediction.n_tokens or ())[repeat : repeat + 1],
    }
    alone = dict.fromkeys(("more_texts", "more_heard", "more_as_text"), ())
    return replace(answer, prediction=prediction.model_copy(update=own | alone))


def averaged_scores(repeats: Sequence[Sequence[Scored]]) -> list[Scored]:
    """Return the scores of each sample averaged over its repeats; a ratio is summed, as it is pooled."""
    return [_averaged(scored) for scored in zip(*repeats, strict=True)]


def of_repeats(spec: MetricSpec, repeats: int) -> MetricSpec:
    """Return the metric as it is over several answers: a share of right ones is a mean, no longer binary."""
    return spec.model_copy(update={"type": "mean"}) if repeats > 1 and spec.type == "binary" else spec


def _joined(answers: Sequence[Answer]) -> Answer:
    first = answers[0]
    failed = next((answer for answer in answers if answer.prediction is None), None)
    if failed is not None or len(answers) == 1:
        return failed or first
    predictions = [answer.prediction for answer in answers if answer.prediction is not None]
    texts = [prediction.text or "" for prediction in predictions]
    joined = RawPrediction(
        text=texts[0],
        more_texts=tuple(texts[1:]),
        heard=predictions[0].heard,
        more_heard=_more([prediction.heard for prediction in predictions]),
        as_text=predictions[0].as_text,
        more_as_text=_more([prediction.as_text for prediction in predictions]),
        n_tokens=tuple(n for prediction in predictions for n in prediction.n_tokens or ()),
        truncated=any(prediction.truncated for prediction in predictions),
    )
    return replace(first, prediction=joined)


def _more(texts: Sequence[str | None]) -> tuple[str | None, ...]:
    return tuple(texts[1:]) if any(text is not None for text in texts) else ()


def _nth(first: str | None, more: Sequence[str | None], repeat: int) -> str | None:
    return (first, *more)[repeat] if more else first


def _averaged(scored: Sequence[Scored]) -> Scored:
    failed = next((each for each in scored if each.error is not None), None)
    if failed is not None or len(scored) == 1:
        return failed or scored[0]
    names = dict.fromkeys(name for each in scored for name in each.stats)
    return Scored(stats={name: _mean([s.stats[name] for s in scored if name in s.stats]) for name in names})


def _mean(values: Sequence[float | tuple[float, float]]) -> float | tuple[float, float]:
    ratios = [value for value in values if isinstance(value, tuple)]
    if ratios:
        return sum(numerator for numerator, _ in ratios), sum(denominator for _, denominator in ratios)
    return fmean(value for value in values if not isinstance(value, tuple))
