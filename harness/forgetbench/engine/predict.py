"""Asking a model: from the samples of a batch to raw predictions, by kind of task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial, singledispatch
from itertools import islice
from typing import cast

import numpy as np
from numpy.typing import NDArray

from forgetbench.data.samples import Sample
from forgetbench.engine.audio_store import put
from forgetbench.engine.divergence import compare_clip, compare_text
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask
from forgetbench.engine.prompting import Prompting, prompt_of, prompts_of, spoken_request
from forgetbench.engine.recordings import converted_from_hz, hear, heard_by, kept, text_prediction
from forgetbench.engine.returned_audio import as_mono
from forgetbench.errors import SampleError, UsageError
from forgetbench.models.interface import (
    AnswersAudio,
    Audio,
    Converter,
    EmbedsSpeech,
    Enhancer,
    GenerateRequest,
    LanguageIdentifier,
    Loglikelihood,
    Model,
    Output,
    Phrase,
    ScoreRequest,
    ScoresAudio,
    Separator,
    SpeechRecogniser,
    SpeechTimer,
    SpeechTranslator,
    Synthesiser,
    TextModel,
    VoiceCloner,
)
from forgetbench.models.model_pair import ModelPair
from forgetbench.schema.sample import Embedding, RawPrediction
from forgetbench.schema.task import (
    Asr,
    Conversion,
    Divergence,
    Enhancement,
    Generate,
    LanguageId,
    Likelihood,
    LmEval,
    MinimalPair,
    MultipleChoice,
    Probe,
    Refusal,
    RefusalMargin,
    Separation,
    SpeechDivergence,
    SpeechTimes,
    SpeechTranslation,
    SpokenQuestion,
    SpokenRefusal,
    Synthesis,
    Task,
    VoiceCloning,
)


@singledispatch
def predict(
    task: Task,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: Model | ModelPair,
    prompting: Prompting,
) -> list[Answer]:
    """Return one answer per sample, in order; a pair of models is for the comparison of distributions."""
    raise TypeError(f"no engine for tasks of kind {task.kind}")


@predict.register
def _(
    task: MultipleChoice,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: TextModel,
    prompting: Prompting,
) -> list[Answer]:
    choices = [cast(list[str], sample.row[task.dataset.fields.choices]) for sample in samples]
    return _score(
        model,
        [
            (sample.input, [f" {choice}" for choice in own], False)
            for sample, own in zip(samples, choices, strict=True)
        ],
    )


@predict.register
def _(
    task: Likelihood, planned: PlannedTask, samples: Sequence[Sample], model: TextModel, prompting: Prompting
) -> list[Answer]:
    groups = []
    prompts = prompts_of(planned, samples, model, prompting)
    for sample, (context, rendered) in zip(samples, prompts, strict=True):
        groups.append((context, [sample.reference if rendered else f" {sample.reference}"], rendered))
    return _score(model, groups)


@predict.register
def _(
    task: RefusalMargin,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: TextModel,
    prompting: Prompting,
) -> list[Answer]:
    openings = [*task.refusal_openings, *task.compliant_openings]
    groups = []
    for context, rendered in prompts_of(planned, samples, model, prompting):
        groups.append((context, [o if rendered else f" {o}" for o in openings], rendered))
    return _score(model, groups)


@predict.register(Generate)
@predict.register(Refusal)
def _(
    task: Generate | Refusal,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: TextModel,
    prompting: Prompting,
) -> list[Answer]:
    requests = []
    prompts = prompts_of(planned, samples, model, prompting)
    for sample, (prompt, rendered) in zip(samples, prompts, strict=True):
        requests.append(
            GenerateRequest(
                prompt=prompt,
                max_new_tokens=task.max_new_tokens,
                stop=getattr(task, "stop", ()),
                rendered=rendered,
                draw=prompting.draw(sample),
            )
        )
    return [
        Answer(prediction=text_prediction(output), first_token_ids=start)
        for output, start in zip(model.generate(requests), _starts(model, prompts), strict=True)
    ]


@predict.register
def _(
    task: Asr, planned: PlannedTask, samples: Sequence[Sample], model: SpeechRecogniser, prompting: Prompting
) -> list[Answer]:
    transcribe = partial(model.transcribe, language=task.language)
    return heard_by(planned, samples, model.sampling_rate, transcribe, text_prediction)


@predict.register
def _(
    task: SpeechTranslation,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: SpeechTranslator,
    prompting: Prompting,
) -> list[Answer]:
    translate = partial(model.translate, language=task.language)
    return heard_by(planned, samples, model.sampling_rate, translate, text_prediction)


@predict.register
def _(
    task: LanguageId,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: LanguageIdentifier,
    prompting: Prompting,
) -> list[Answer]:
    def written(code: str | None) -> RawPrediction:
        return text_prediction(Output(text="" if code is None else code, n_tokens=1, truncated=False))

    return heard_by(planned, samples, model.sampling_rate, model.identify_language, written)


@predict.register
def _(
    task: SpeechTimes,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: SpeechTimer,
    prompting: Prompting,
) -> list[Answer]:
    def written(told: Sequence[Phrase] | None) -> RawPrediction:
        phrases = told or ()
        return RawPrediction(
            text=" ".join(phrase.text.strip() for phrase in phrases),
            phrases=tuple((phrase.start_s, phrase.end_s) for phrase in phrases),
        )

    time_speech = partial(model.time_speech, language=task.language)
    return heard_by(planned, samples, model.sampling_rate, time_speech, written)


@predict.register
def _(
    task: Probe, planned: PlannedTask, samples: Sequence[Sample], model: EmbedsSpeech, prompting: Prompting
) -> list[Answer]:
    def written(features: NDArray[np.float32]) -> RawPrediction:
        return RawPrediction(embedding=Embedding.of(features))

    return heard_by(planned, samples, model.sampling_rate, model.embed, written)


@predict.register
def _(
    task: MinimalPair,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: ScoresAudio,
    prompting: Prompting,
) -> list[Answer]:
    right, answers = hear(planned, samples, model.sampling_rate)
    wrong, unheard = hear(planned, samples, model.sampling_rate, column=task.wrong)
    answers |= unheard
    positions = [position for position in right if position in wrong]
    clips = [clip for position in positions for clip in (right[position], wrong[position])]
    scores = model.score_audio(clips) if clips else []
    for i, position in enumerate(positions):
        converted = converted_from_hz(planned, samples[position], model.sampling_rate)
        pair = _scores(scores[2 * i : 2 * i + 2])
        answers[position] = Answer(prediction=pair, resampled_from_hz=converted)
    return [answers[position] for position in range(len(samples))]


@predict.register
def _(
    task: Synthesis,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: Synthesiser,
    prompting: Prompting,
) -> list[Answer]:
    answers = []
    outputs = model.synthesize([sample.input for sample in samples], language=task.language)
    for _, output in zip(samples, outputs, strict=True):
        mono, n_channels = as_mono(output, sampling_rate=model.sampling_rate)
        answers.append(Answer(prediction=RawPrediction(audio=put(mono, n_channels=n_channels))))
    return answers


@predict.register
def _(
    task: Conversion,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: Converter,
    prompting: Prompting,
) -> list[Answer]:
    heard, answers = hear(planned, samples, model.sampling_rate)
    voices, unheard = (
        hear(planned, samples, model.sampling_rate, column=task.voice) if task.voice else (heard, {})
    )
    answers |= unheard
    positions = [position for position in heard if position in voices]
    wanted = [voices[position] for position in positions] if task.voice else None
    clips = [heard[position] for position in positions]
    outputs = model.convert(clips, language=task.language, voices=wanted) if clips else []
    answers |= kept(planned, samples, positions, outputs, model.sampling_rate)
    return [answers[position] for position in range(len(samples))]


@predict.register
def _(
    task: VoiceCloning,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: VoiceCloner,
    prompting: Prompting,
) -> list[Answer]:
    voices, answers = hear(planned, samples, model.sampling_rate)
    texts = [samples[position].reference for position in voices]
    outputs = model.clone_voice(texts, voices=list(voices.values()), language=task.language) if texts else []
    answers |= kept(planned, samples, list(voices), outputs, model.sampling_rate)
    return [answers[position] for position in range(len(samples))]


@predict.register
def _(
    task: Separation,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: Separator,
    prompting: Prompting,
) -> list[Answer]:
    heard, answers = hear(planned, samples, model.sampling_rate)
    n_stems = 1 + len(task.mixed_with)
    outputs = model.separate(list(heard.values()), n_stems=n_stems) if heard else []
    for position, output in zip(heard, outputs, strict=True):
        given = output or ()
        missing = [None] * (n_stems - len(given))
        made = [as_mono(stem, sampling_rate=model.sampling_rate) for stem in [*given, *missing]]
        stems = tuple(put(mono, n_channels=n_channels) for mono, n_channels in made)
        converted = converted_from_hz(planned, samples[position], model.sampling_rate)
        answers[position] = Answer(prediction=RawPrediction(stems=stems), resampled_from_hz=converted)
    return [answers[position] for position in range(len(samples))]


@predict.register
def _(
    task: Enhancement, planned: PlannedTask, samples: Sequence[Sample], model: Enhancer, prompting: Prompting
) -> list[Answer]:
    heard, answers = hear(planned, samples, model.sampling_rate)
    outputs = model.enhance(list(heard.values())) if heard else []
    answers |= kept(planned, samples, list(heard), outputs, model.sampling_rate)
    return [answers[position] for position in range(len(samples))]


@predict.register(SpokenQuestion)
@predict.register(SpokenRefusal)
def _(
    task: SpokenQuestion | SpokenRefusal,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: AnswersAudio,
    prompting: Prompting,
) -> list[Answer]:
    if prompting.sampling is not None:
        raise UsageError(
            "--gen-kwargs", "a model that answers speech in one piece answers greedily", "Leave it out."
        )
    heard, answers = hear(planned, samples, model.sampling_rate)
    requests = [
        spoken_request(task, samples[position], audio, prompting) for position, audio in heard.items()
    ]
    outputs = model.answer_audio(requests) if requests else []
    written = _in_writing(planned, [samples[position] for position in heard], model, prompting)
    for position, output, as_text in zip(heard, outputs, written, strict=True):
        converted = converted_from_hz(planned, samples[position], model.sampling_rate)
        said = text_prediction(output).model_copy(update={"as_text": as_text})
        answers[position] = Answer(prediction=said, resampled_from_hz=converted)
    return [answers[position] for position in range(len(samples))]


def _in_writing(
    planned: PlannedTask, samples: Sequence[Sample], model: AnswersAudio, prompting: Prompting
) -> Sequence[str | None]:
    """Return the answers to spoken requests in writing; None of a model that reads nothing."""
    task = planned.task
    assert isinstance(task, SpokenQuestion | SpokenRefusal)
    if not isinstance(model, TextModel) or not samples:
        return [None] * len(samples)
    requests = []
    for prompt, rendered in prompts_of(planned, samples, model, prompting):
        stop = getattr(task, "stop", ())
        requests.append(
            GenerateRequest(prompt=prompt, max_new_tokens=task.max_new_tokens, stop=stop, rendered=rendered)
        )
    return [output.text for output in model.generate(requests)]


@predict.register
def _(
    task: LmEval, planned: PlannedTask, samples: Sequence[Sample], model: TextModel, prompting: Prompting
) -> list[Answer]:
    assert planned.lm_eval is not None
    prompts = prompts_of(planned, samples, model, prompting)
    drawn = [prompting.draw(sample) for sample in samples]
    answers = planned.lm_eval.predict(samples, prompts, model, drawn)
    starts = _starts(model, prompts)
    return [replace(a, first_token_ids=start) for a, start in zip(answers, starts, strict=True)]


@predict.register
def _(
    task: Divergence,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: Model | ModelPair,
    prompting: Prompting,
) -> list[Answer]:
    def render(sample: Sample, base: TextModel) -> tuple[str, bool]:
        return prompt_of(planned, sample, base, prompting)

    return [_or_code(partial(compare_text, task, sample, model, render)) for sample in samples]


@predict.register
def _(
    task: SpeechDivergence,
    planned: PlannedTask,
    samples: Sequence[Sample],
    model: Model | ModelPair,
    prompting: Prompting,
) -> list[Answer]:
    speech = planned.speech
    assert speech is not None

    def answer(sample: Sample) -> Answer:
        def audio(rate: int) -> Audio:
            return Audio(samples=speech.waveform(sample.id, sample.condition, rate), sampling_rate=rate)

        return compare_clip(task, sample, audio, model)

    return [_or_code(partial(answer, sample)) for sample in samples]


def _or_code(answer: Callable[[], Answer]) -> Answer:
    """Return an answer, or the code of the input error that keeps it from being given."""
    try:
        return answer()
    except SampleError as error:
        return Answer(prediction=None, error=error.code)


def _score(model: TextModel, groups: Sequence[tuple[str, Sequence[str], bool]]) -> list[Answer]:
    """Score several continuations of each context in one call."""
    requests = [
        ScoreRequest(context=context, continuation=continuation, rendered=rendered)
        for context, continuations, rendered in groups
        for continuation in continuations
    ]
    scored = iter(model.score_text(requests))
    starts = _starts(model, [(context, rendered) for context, _, rendered in groups])
    return [
        Answer(prediction=_scores(list(islice(scored, len(continuations)))), first_token_ids=start)
        for (_, continuations, _), start in zip(groups, starts, strict=True)
    ]


def _starts(model: TextModel, prompts: Sequence[tuple[str, bool]]) -> list[tuple[int, ...]]:
    """Return how each prompt starts for the model's tokenizer; nothing of a model that has none."""
    if not hasattr(model, "first_token_ids"):  # asking whether it is a TextModel would cost each batch
        return [()] * len(prompts)
    return [tuple(model.first_token_ids(text, rendered=rendered)) for text, rendered in prompts]


def _scores(scores: Sequence[Loglikelihood]) -> RawPrediction:
    return RawPrediction(
        loglikelihoods=tuple(score.logprob for score in scores),
        n_tokens=tuple(score.n_tokens for score in scores),
        is_greedy=tuple(score.is_greedy for score in scores),
        truncated=any(score.truncated for score in scores),
    )
