"""Text to speech: what a voice says is heard by a fixed recogniser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.engine.results import Result
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.models import factory
from forgetbench.models.checkpoint import resolve
from forgetbench.models.load import load
from forgetbench.models.vits import VitsVoice
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import make_vits
from tiny_tasks import write_task

SOURCE = '''
import numpy as np
from forgetbench.models.interface import Audio, Output

class Voice:
    """Speaks each word as a clip of 10 ms times its length, so that the ears below can count them."""
    def __init__(self, name, say):
        self.fingerprint, self.say = name, say
    def synthesize(self, texts, *, language):
        return [self.say(text) for text in texts]

def spoken(text, rate=16_000):
    return Audio(samples=np.full(160 * len(text), 0.1, dtype=np.float32), sampling_rate=rate)

def clear(): return Voice("clear", spoken)
def mute(): return Voice("mute", lambda text: spoken(""))
def no_rate(): return Voice("no rate", lambda text: spoken(text, rate=0))
def nan(): return Voice("nan", broken)
def broken(text): return Audio(samples=spoken(text).samples * np.nan, sampling_rate=16_000)
def endless(): return Voice("endless", lambda text: spoken(50 * text))

class Ears:
    fingerprint = "ears"
    def transcribe(self, audio, *, language):
        return [Output(text=self.hear(a.samples), n_tokens=1, truncated=False) for a in audio]
    def hear(self, samples):
        known = {"the cat": 7, "a dog sat": 9}
        found = [text for text, n in known.items() if samples.any() and round(len(samples) / 160) == n]
        return found[0] if found else "mumble"
def ears(): return Ears()
'''


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    name = f"voices_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(factory.OURS, "ears-of-this-test", f"{name}:ears")
    rows = [{"id": f"t{i}", "text": ["the cat", "a dog sat"][i % 2]} for i in range(6)]
    write_task(
        tmp_path, "said", rows, kind="synthesis", recogniser="ears-of-this-test",
        metrics=["wer", "cer", "wer_raw"], primary="wer",
    )  # fmt: skip

    def call(model: str, **changes: Any) -> Result:
        named = model if "/" in model else f"{name}:{model}"
        request = Request(
            model=named, tasks=["tiny"], include_paths=[tmp_path], output=tmp_path / "results", offline=True,
            **changes,
        )  # fmt: skip
        return evaluate(prepare(request))

    return call


def test_a_clear_voice_is_understood(run: Callable[..., Result]) -> None:
    (task,) = run("clear").checkpoint.tasks
    assert (task.status, task.metrics["wer"].value) == ("done", 0.0)
    assert task.judge is not None and task.judge.name.startswith("recogniser:") and task.judge.fingerprint


@pytest.mark.parametrize("voice", ["mute", "no_rate", "nan", "endless"])
def test_whatever_a_voice_returns_is_an_answer(run: Callable[..., Result], voice: str) -> None:
    (task,) = run(voice).checkpoint.tasks
    assert (task.n_scored, task.errors) == (6, {})
    assert task.metrics["wer"].value == 1.0, "two or three words, of which none was said"


def test_vits_speaks_the_same_each_time(tmp_path: Path) -> None:
    checkpoint = resolve(str(make_vits(tmp_path / "voice")))
    component = checkpoint.components["tts"]
    assert component.capabilities == ("synthesize",)
    first, again = (load(component, LoadSettings()) for _ in range(2))
    assert isinstance(first, VitsVoice) and isinstance(again, VitsVoice)
    one, two = first.synthesize(["the cat sat", "a dog"], language="en")
    assert one.sampling_rate == first.sampling_rate and len(one.samples) > len(two.samples) > 0
    np.testing.assert_array_equal(again.synthesize(["a dog"], language="en")[0].samples, two.samples)


def test_vits_goes_through_the_engine(run: Callable[..., Result], tmp_path: Path) -> None:
    models = [str(make_vits(tmp_path / name, seed=seed)) for seed, name in enumerate(("voice", "other"))]
    result = run(models[1], base=models[0])
    assert result.comparison is not None
    assert [task.status for task in result.checkpoint.tasks] == ["done"]


def test_a_recogniser_that_hears_nothing_skips_the_task(tmp_path: Path) -> None:
    from forgetbench.errors import UsageError

    rows = [{"id": "t", "text": "the cat"}]
    write_task(tmp_path, "said", rows, kind="synthesis", recogniser="rnnoise", metrics=["wer"], primary="wer")
    request = Request(
        model=str(make_vits(tmp_path / "voice")), tasks=["tiny"], include_paths=[tmp_path],
        output=tmp_path / "results", offline=True,
    )  # fmt: skip
    with pytest.raises(UsageError, match="cannot transcribe speech"):
        prepare(request)


def test_a_task_file_names_no_python_code(tmp_path: Path) -> None:
    from forgetbench.errors import UsageError

    write_task(
        tmp_path, "said", [{"id": "t", "text": "the cat"}], kind="synthesis", recogniser="os:getcwd",
        metrics=["wer"], primary="wer",
    )  # fmt: skip
    request = Request(
        model=str(make_vits(tmp_path / "voice")), tasks=["tiny"], include_paths=[tmp_path],
        output=tmp_path / "results", offline=True,
    )  # fmt: skip
    with pytest.raises(UsageError, match="Python code, which a task file cannot name"):
        prepare(request)
