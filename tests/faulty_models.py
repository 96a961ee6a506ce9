"""Models that answer from a hash of the question, and fail as a test tells them to; named by factory.

A test puts a function into :data:`FAULTS` under the name of an arm. It gets what the model was asked and what
it would answer, in the order of the batch, and returns what the engine gets, or raises.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from forgetbench.models.interface import Audio, GenerateRequest, Loglikelihood, Output, ScoreRequest

Fault = Callable[[Sequence[Any], list[Any]], list[Any]]
FAULTS: dict[str, Fault] = {}
ASKED: list[int] = []
"""Size of each batch that any of these models was asked."""
WORDS = ("no", "a cat", "the dog sat", "I cannot help with that.", "forgot")


class Model:
    """Score text and generate; by name, the base or the checkpoint."""

    chat_template = None

    def __init__(self, name: str) -> None:
        self.name = name
        self.fingerprint = hashlib.sha256(name.encode()).hexdigest()

    def render_chat(self, user: str, *, template: str | None = None) -> None:
        return None

    def first_token_ids(self, text: str, *, rendered: bool) -> tuple[int, ...]:
        return (1, 2, 3)

    def score_text(self, requests: Sequence[ScoreRequest]) -> list[Loglikelihood]:
        return self._answer(requests, [self._scored(r.context + r.continuation) for r in requests])

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Output]:
        return self._answer(requests, [self._written(r.prompt) for r in requests])

    def _answer(self, requests: Sequence[Any], answers: list[Any]) -> list[Any]:
        ASKED.append(len(requests))
        fault = FAULTS.get(self.name)
        return answers if fault is None else fault(requests, answers)

    def _scored(self, text: str) -> Loglikelihood:
        return Loglikelihood(logprob=-1 - 9 * self._value(text), is_greedy=False, n_tokens=1)

    def _written(self, text: str) -> Output:
        return Output(text=WORDS[int(len(WORDS) * self._value(text))], n_tokens=2, truncated=False)

    def _value(self, text: str) -> float:
        return int(hashlib.sha256(f"{self.name} {text}".encode()).hexdigest()[:8], 16) / 2**32


class Ears(Model):
    """Also hears."""

    sampling_rate = 16_000

    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        return self._answer(audio, [self._written(str(len(each.samples))) for each in audio])


class Enhancer:
    """Returns what it hears, a little softer."""

    sampling_rate = 16_000

    def __init__(self, name: str) -> None:
        self.name = name
        self.fingerprint = hashlib.sha256(f"enhancer {name}".encode()).hexdigest()

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        ASKED.append(len(audio))
        soft = [
            Audio(samples=(0.9 * each.samples).astype(np.float32), sampling_rate=each.sampling_rate)
            for each in audio
        ]
        fault = FAULTS.get(self.name)
        return soft if fault is None else fault(audio, soft)


def base() -> Model:
    return Model("base")


def checkpoint() -> Model:
    return Model("checkpoint")


def base_ears() -> Ears:
    return Ears("base")


def checkpoint_ears() -> Ears:
    return Ears("checkpoint")


def base_enhancer() -> Enhancer:
    return Enhancer("base")


def checkpoint_enhancer() -> Enhancer:
    return Enhancer("checkpoint")


@pytest.fixture
def faults() -> Iterator[dict[str, Fault]]:
    """Faults by arm, gone after the test; what was asked is counted anew."""
    FAULTS.clear()
    ASKED.clear()
    yield FAULTS
    FAULTS.clear()
