"""A spoken request on its way through a system, as one planned task for each of its models.

The enhancer's stage is an enhancement task, the recogniser's a transcription, the language model's a request
in writing: each is asked, batched, cached and retried as any other task is. Nothing here runs a model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from forgetbench.data.samples import Sample, sha256_of
from forgetbench.engine.journal import Answer
from forgetbench.engine.plan import PlannedTask, plan_batches
from forgetbench.engine.prompting import said_instead
from forgetbench.schema.sample import RawPrediction
from forgetbench.schema.task import (
    Asr,
    Enhancement,
    Generate,
    Refusal,
    SpokenQuestion,
    SpokenRefusal,
    Task,
)

_LISTENING = (
    "name",
    "version",
    "title",
    "role",
    "margin",
    "licence",
    "dataset",
    "conditions",
    "sampling_rate",
)
_READING = (*_LISTENING[:-2], "prompt", "max_new_tokens")
_QUESTION = (*_READING, "metrics", "primary", "chat_template", "stop", "extract")
_REQUEST = (*_READING, "metrics", "primary", "suffix", "judge", "judge_input", "judge_labels")


def cleaning(planned: PlannedTask) -> PlannedTask:
    """Return what a system's enhancer is asked; no stage is ever scored, but a definition has a metric."""
    own = _fields(planned.task, _LISTENING)
    task = Enhancement(kind="enhancement", metrics=("stoi",), primary="stoi", **own)
    return replace(planned, task=task, judge=None)


def hearing_cleaned(planned: PlannedTask, cleaned: Sequence[Answer]) -> PlannedTask:
    """Return a spoken task whose recordings are what the enhancer made of them.

    Args:
        planned: The task.
        cleaned: The enhancer's answers, in the order of its samples.
    """
    files = [answer.prediction.audio if answer.prediction else None for answer in cleaned]
    samples = tuple(
        replace(
            sample,
            content=sha256_of(sample.content, file.sha256 if file else ""),
            error=answer.error if file is None else None,
        )
        for sample, answer, file in zip(planned.samples, cleaned, files, strict=True)
    )
    enhanced = {s.content: file for s, file in zip(samples, files, strict=True) if file is not None}
    return _with_samples(replace(planned, enhanced=enhanced), samples)


def transcribing(planned: PlannedTask) -> PlannedTask:
    """Return what a system's recogniser is asked."""
    own = _fields(planned.task, (*_LISTENING, "language"))
    task = Asr(kind="asr", metrics=("wer",), primary="wer", normaliser="none", **own)
    return replace(planned, task=task, judge=None)


def reading(planned: PlannedTask, heard: Sequence[Answer]) -> PlannedTask:
    """Return what a system's language model is asked: each request as it was heard, and as it is written.

    Args:
        planned: The spoken task.
        heard: The recogniser's answers, in the order of its samples.
    """
    task = planned.task
    assert isinstance(task, SpokenQuestion | SpokenRefusal)
    as_written: Generate | Refusal
    if isinstance(task, SpokenQuestion):
        as_written = Generate(kind="generate", **_fields(task, _QUESTION))
    else:
        as_written = Refusal(kind="refusal", **_fields(task, _REQUEST))
    requests = {s.content: s for pair in _requests(planned, heard) for s in pair if s is not None}
    plain = replace(planned, task=as_written, speech=None, judge=None, enhanced={})
    return _with_samples(plain, tuple(requests.values()))


def answered(planned: PlannedTask, heard: Sequence[Answer], read: Mapping[str, Answer]) -> list[Answer]:
    """Return the system's answers, in the order of the task's samples.

    Args:
        planned: The spoken task.
        heard: The recogniser's answers.
        read: The language model's answers to :func:`reading`, by content.
    """
    found = []
    for (spoken, written), transcript in zip(_requests(planned, heard), heard, strict=True):
        if spoken is None:
            found.append(transcript)
            continue
        answer, in_writing = read[spoken.content], read[written.content]
        said = answer.prediction
        if said is not None and transcript.prediction is not None:
            said = RawPrediction(
                text=said.text,
                n_tokens=said.n_tokens,
                truncated=said.truncated,
                heard=transcript.prediction.text,
                as_text=in_writing.prediction.text if in_writing.prediction else None,
            )
        # How the prompt starts is told of the written request: what is heard differs between the arms.
        starts = in_writing.first_token_ids
        rate = transcript.resampled_from_hz
        found.append(replace(answer, prediction=said, first_token_ids=starts, resampled_from_hz=rate))
    return found


def _requests(planned: PlannedTask, heard: Sequence[Answer]) -> list[tuple[Sample | None, Sample]]:
    """Return each sample as the language model reads it, heard (None where nothing was) and written."""
    task = planned.task
    assert isinstance(task, SpokenQuestion | SpokenRefusal)
    requests = []
    for sample, answer in zip(planned.samples, heard, strict=True):
        said = answer.prediction.text or "" if answer.prediction is not None else None
        spoken = None if said is None else _request(sample, said_instead(task, sample, said))
        requests.append((spoken, _request(sample, sample.input)))
    return requests


def _request(sample: Sample, prompt: str) -> Sample:
    # Id and condition seed the draws of a sampled answer, so that they are part of what decides it.
    content = sha256_of(sample.id, sample.condition_label, prompt)
    return replace(sample, content=content, input=prompt, size=float(len(prompt)), error=None)


def _with_samples(planned: PlannedTask, samples: tuple[Sample, ...]) -> PlannedTask:
    largest = max(map(len, planned.batches), default=1)
    return replace(planned, samples=samples, batches=plan_batches(samples, largest))


def _fields(task: Task, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(task, name) for name in names}
