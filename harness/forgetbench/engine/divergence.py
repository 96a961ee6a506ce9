"""How far the checkpoint's distributions are from the base's, sample by sample, with both models at hand.

In the base's own arm there is one model, and it is compared with itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from forgetbench.data.samples import Sample
from forgetbench.engine.journal import Answer
from forgetbench.errors import CheckpointError, SampleError
from forgetbench.metrics.divergence import divergence_sums, total
from forgetbench.models.interface import (
    Audio,
    Distributions,
    Model,
    PredictsSpeech,
    PredictsText,
    ScoreRequest,
    TextModel,
    TokenWindow,
)
from forgetbench.models.model_pair import ModelPair
from forgetbench.schema.sample import DivergenceSums, RawPrediction
from forgetbench.schema.task import Divergence, SpeechDivergence

BLOCK = 2**22
"""Log-probabilities held at a time, of each model (positions × vocabulary): 16 MB."""
_N_FIRST_TOKENS = 16

Render = Callable[[Sample, TextModel], tuple[str, bool]]
"""Returns a sample's context as a model gets it, and whether a chat template rendered it."""


def compare_text(task: Divergence, sample: Sample, model: Model | ModelPair, render: Render) -> Answer:
    """Compare two language models on one text; both read the base's tokens, windowed for the shorter one."""
    longest = min(task.window, _text_model(_checkpoint(model)).window)
    with _as_base(model) as base:
        assert isinstance(base, TextModel)
        context, rendered = render(sample, base)
        continuation = sample.reference if rendered or not context else f" {sample.reference}"
        request = ScoreRequest(context=context, continuation=continuation, rendered=rendered)
        reader = _text_model(base)
        windows = reader.tokenise(request, window=min(longest, reader.window))
    first_token_ids = windows[0].inputs[:_N_FIRST_TOKENS] if windows else ()

    def read(window: TokenWindow, each: Model) -> Distributions:
        return _text_model(each).predict_tokens(window)

    parts = [part for window in windows for part in _compare(model, partial(read, window))]
    return _answer(parts, first_token_ids)


def compare_clip(
    task: SpeechDivergence, sample: Sample, audio: Callable[[int], Audio], model: Model | ModelPair
) -> Answer:
    """Compare two recognisers on one recording, with the reference transcript forced where they write one.

    Args:
        task: The definition.
        sample: The sample.
        audio: Returns the recording at a sampling rate in Hz.
        model: A pair, or a model alone.
    """
    with _as_base(model) as base:
        tokens = _recogniser(base).transcript_tokens(sample.reference, language=task.language)

    def hear(each: Model) -> Distributions:
        recogniser = _recogniser(each)
        clip = audio(recogniser.sampling_rate)
        return recogniser.predict_speech(clip, tokens, language=task.language)

    return _answer(list(_compare(model, hear)))


def _compare(model: Model | ModelPair, predict: Callable[[Model], Distributions]) -> Iterator[DivergenceSums]:
    """Yield the sums of one input, block by block of positions; the shared part of the vocabulary counts."""
    with _as_base(model) as base:
        before = predict(base)
    after = predict(model.checkpoint) if isinstance(model, ModelPair) else before
    if after.n_positions != before.n_positions:
        raise CheckpointError(
            "base and checkpoint",
            f"predict {before.n_positions} and {after.n_positions} positions of the same input",
            "Distributions are compared at equal positions only.",
        )
    n_tokens = min(before.n_tokens, after.n_tokens)
    targets = before.targets
    if targets and max(targets) >= n_tokens:
        raise SampleError("unshared_token", "the text", "has a token that only one of the models knows")
    n_rows = max(1, BLOCK // n_tokens)
    for start in range(0, before.n_positions, n_rows):
        stop = min(start + n_rows, before.n_positions)
        with _as_base(model):
            p = before.logprobs(start, stop, n_tokens=n_tokens)
        q = p if after is before else after.logprobs(start, stop, n_tokens=n_tokens)
        yield divergence_sums(p, q, None if targets is None else targets[start:stop])


def _answer(parts: Sequence[DivergenceSums], first_token_ids: tuple[int, ...] = ()) -> Answer:
    if not parts:
        return Answer(prediction=None, error="no_tokens")
    return Answer(prediction=RawPrediction(divergence=total(parts)), first_token_ids=first_token_ids)


def _as_base(model: Model | ModelPair) -> AbstractContextManager[Model]:
    return model.as_base() if isinstance(model, ModelPair) else nullcontext(model)


def _checkpoint(model: Model | ModelPair) -> Model:
    return model.checkpoint if isinstance(model, ModelPair) else model


def _text_model(model: Model) -> PredictsText:
    assert isinstance(model, PredictsText)
    return model


def _recogniser(model: Model) -> PredictsSpeech:
    assert isinstance(model, PredictsSpeech)
    return model
