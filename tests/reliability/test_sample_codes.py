"""Codes of samples that no other test brings about: what the input must be like, and that only it is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.data.samples import Sample
from forgetbench.engine.divergence import compare_text
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import SampleError
from forgetbench.models.interface import Audio, ScoreRequest, TokenWindow
from forgetbench.models.model_pair import ModelPair
from forgetbench.schema.task import DEFINITION, Divergence
from tiny_tasks import write_speech, write_task

Ask = Callable[..., Request]


@dataclass
class Reader:
    """A language model of ``n_tokens`` tokens that reads every text as these."""

    tokens: tuple[int, ...]
    n_tokens: int
    window: int = 16
    chat_template: str | None = None

    def render_chat(self, user: str, *, template: str | None = None) -> None:
        return None

    def first_token_ids(self, text: str, *, rendered: bool) -> tuple[int, ...]:
        return self.tokens[:16]

    def score_text(self, requests: Sequence[Any]) -> list[Any]:
        return []

    def generate(self, requests: Sequence[Any]) -> list[Any]:
        return []

    def tokenise(self, request: ScoreRequest, *, window: int) -> list[TokenWindow]:
        return [TokenWindow(inputs=(0, *self.tokens[:-1]), targets=self.tokens)] if self.tokens else []

    def predict_tokens(self, window: TokenWindow) -> Any:
        return Uniform(len(window.targets), self.n_tokens, window.targets)


@dataclass
class Uniform:
    n_positions: int
    n_tokens: int
    targets: tuple[int, ...]

    def logprobs(self, start: int, stop: int, *, n_tokens: int) -> Any:
        return np.full((stop - start, n_tokens), -np.log(n_tokens), dtype=np.float32)


@pytest.fixture
def divergence() -> Divergence:
    task = DEFINITION.validate_python({
        "name": "t", "version": 1, "title": "t", "role": "distribution", "margin": 0.1, "licence": "x",
        "kind": "divergence", "metrics": ["kl"], "primary": "kl", "dataset": {"path": "t.jsonl"},
    })  # fmt: skip
    assert isinstance(task, Divergence)
    return task


def compared(task: Divergence, base: Reader, checkpoint: Reader) -> Any:
    sample = Sample(id="a", content="a", row={}, input="", reference="text", size=1.0)
    return compare_text(task, sample, ModelPair(base, checkpoint), lambda *_: ("", False))


def test_a_text_without_tokens_has_no_distribution(divergence: Divergence) -> None:
    assert compared(divergence, Reader((), 4), Reader((), 4)).error == "no_tokens"


def test_a_token_that_only_one_model_knows_is_an_error(divergence: Divergence) -> None:
    both = compared(divergence, Reader((1, 2), 4), Reader((1, 2), 3))
    assert both.prediction.divergence.n_positions == 2
    with pytest.raises(SampleError) as error:
        compared(divergence, Reader((1, 3), 4), Reader((1, 3), 3))
    assert error.value.code == "unshared_token"


def test_a_clip_or_a_transcript_that_is_too_long_for_one_window_is_an_error(made: Path) -> None:
    from forgetbench.models.checkpoint import resolve
    from forgetbench.models.load import load
    from forgetbench.schema.run import LoadSettings

    model: Any = load(resolve(str(made / "whisper")).components["asr"], LoadSettings())
    long = Audio(samples=np.zeros(60 * 16_000, dtype=np.float32), sampling_rate=16_000)
    for call in (
        lambda: model.predict_speech(long, (1, 2), language="en"),
        lambda: model.transcript_tokens("word " * 100, language="en"),
    ):
        with pytest.raises(SampleError) as error:
            call()
        assert error.value.code == "too_long"


def test_babble_needs_other_recordings(ask: Ask, tiny_tasks: Path) -> None:
    rows = write_speech(tiny_tasks, 1)
    write_task(
        tiny_tasks, "alone", rows, kind="asr", metrics=["wer"], primary="wer",
        conditions=[{"noise": "babble", "snr_db": 5}],
    )  # fmt: skip
    request = ask("faulty_models:checkpoint_ears", "alone", base="faulty_models:base_ears")
    (task,) = evaluate(prepare(request)).checkpoint.tasks
    assert (task.status, task.errors) == ("error", {"no_noise_source": 1})
    assert json.loads(task.model_dump_json())["metrics"].get("wer", {"value": None})["value"] is None
