"""Enhancement tasks, from recordings to stored audio; the enhancers are factories of the test's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.data.audio import resample
from forgetbench.engine import answers, task_result
from forgetbench.engine.arm_run import ArmRun
from forgetbench.engine.audio_store import get
from forgetbench.engine.forecast import forecast
from forgetbench.engine.journal import Answer, Journal
from forgetbench.engine.lazy_model import LazyModel
from forgetbench.engine.plan import Plan, PlannedTask, make_plan
from forgetbench.engine.predict import predict
from forgetbench.engine.progress import Silent
from forgetbench.engine.prompting import Prompting
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio, Enhancer
from forgetbench.models.load import load
from forgetbench.paths import cache_root
from forgetbench.schema.run import LoadSettings, Settings
from forgetbench.tasks.registry import load_registry

RATE = 16_000
SOURCE = '''
import numpy as np
from forgetbench.models.interface import Audio

class Made:
    """Answers with a function of the waveform, at a rate of its own."""
    fingerprint = "v1"
    calls = 0
    def __init__(self, function, rate=16_000, claims=None):
        self.function, self.sampling_rate, self.claims = function, rate, claims
    def enhance(self, audio):
        Made.calls += len(audio)
        rate = self.sampling_rate if self.claims is None else self.claims
        return [Audio(samples=self.function(a.samples), sampling_rate=rate) for a in audio]

def same(): return Made(lambda x: x)
def half(): return Made(lambda x: 0.5 * x)
def at_48_khz(): return Made(lambda x: x, rate=48_000)
def at_8_khz(): return Made(lambda x: x, rate=8_000)
def stereo(): return Made(lambda x: np.stack([x, 0 * x]))
def empty(): return Made(lambda x: x[:0])
def short(): return Made(lambda x: x[:800])
def silent(): return Made(np.zeros_like)
def clipped(): return Made(lambda x: np.clip(1000 * x, -1, 1))
def nan(): return Made(lambda x: np.full_like(x, np.nan))
def no_rate(): return Made(lambda x: x, claims=0)
def integers(): return Made(lambda x: (1000 * x).astype(np.int16))

class Fewer(Made):
    def enhance(self, audio): return super().enhance(audio)[1:]
def fewer(): return Fewer(lambda x: x)
'''


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"enhancers_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return name


def tone(seconds: float, *, sampling_rate: int = RATE, hz: float = 440) -> Any:
    return 0.3 * np.sin(2 * np.pi * hz * np.arange(int(seconds * sampling_rate)) / sampling_rate)


def planned(folder: Path, *, clean: bool = True, **changes: Any) -> Plan:
    """A plan of one enhancement task over every file in ``folder``."""
    rows = [
        {"id": path.stem, "audio": path.name, "clean": "clean/clean.wav"}
        for path in sorted(folder.glob("*.wav"))
    ]
    (folder / "clean").mkdir(exist_ok=True)
    if not (folder / "clean" / "clean.wav").exists():
        soundfile.write(folder / "clean" / "clean.wav", tone(0.5), RATE, subtype="FLOAT")
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {
        "name": "pairs", "version": 1, "title": "Pairs", "kind": "enhancement", "role": "general",
        "margin": 0.1, "licence": "CC0-1.0", "metrics": ["si_sdr"], "primary": "si_sdr",
        "dataset": {"path": "pairs.jsonl", "fields": {"id": "id", **({"clean": "clean"} if clean else {})}},
        **changes,
    }  # fmt: skip
    (folder / "pairs.yaml").write_text(json.dumps(task))
    selection = load_registry([folder / "pairs.yaml"]).select(["pairs"])
    return make_plan(
        selection, settings=Settings(batch_size=2), capabilities={"checkpoint": frozenset({"enhance"})}
    )


def recordings(folder: Path, n: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(n):
        soundfile.write(folder / f"r{i}.wav", tone(0.3 + 0.1 * i), RATE, subtype="FLOAT")
    return folder


def answers_of(plan: Plan, factory: str) -> list[Answer]:
    (task,) = plan.tasks
    model = load(resolve(factory).components["enhancer"], LoadSettings())
    assert isinstance(model, Enhancer)
    return predict(task.task, task, task.samples, model, Prompting())


def stored(answer: Answer) -> Audio:
    assert answer.error is None and answer.prediction is not None and answer.prediction.audio is not None
    return get(answer.prediction.audio)


def answered(plan: Plan, factory: str, journal: Path) -> tuple[dict[str, Answer], int]:
    """Run a task by its journal; return the answers and how many were computed."""
    checkpoint = resolve(factory)
    run = ArmRun(
        arm="checkpoint", checkpoint=checkpoint, plan=plan, identical=frozenset(), prompting=Prompting(),
        cache=cache_root(), directory=journal.parent, progress=Silent(),
    )  # fmt: skip
    model = LazyModel(checkpoint.components["enhancer"], LoadSettings(), Silent())
    with Journal.open(journal) as opened:
        computed = answers._answer(run, plan.tasks[0], model, opened)
        return dict(opened.answers), computed


def test_an_enhancer_hears_each_recording_and_its_audio_is_stored(tmp_path: Path, module: str) -> None:
    plan = planned(recordings(tmp_path / "set"))
    for i, answer in enumerate(answers_of(plan, f"{module}:half")):
        audio = stored(answer)
        assert audio.sampling_rate == RATE
        np.testing.assert_allclose(audio.samples, 0.5 * tone(0.3 + 0.1 * i), atol=1e-6)


@pytest.mark.parametrize(("factory", "rate"), [("at_48_khz", 48_000), ("at_8_khz", 8_000)])
def test_a_model_hears_and_answers_at_its_own_rate(
    factory: str, rate: int, tmp_path: Path, module: str
) -> None:
    plan = planned(recordings(tmp_path / "set"))
    for i, answer in enumerate(answers_of(plan, f"{module}:{factory}")):
        audio, recording = stored(answer), tone(0.3 + 0.1 * i).astype(np.float32)
        assert audio.sampling_rate == rate and answer.resampled_from_hz == RATE
        np.testing.assert_array_equal(audio.samples, resample(recording, RATE, rate))


@pytest.mark.parametrize(
    ("factory", "n_samples"), [("empty", 0), ("no_rate", 4_800), ("short", 800), ("silent", 4800)]
)
def test_a_bad_output_is_an_answer(factory: str, n_samples: int, tmp_path: Path, module: str) -> None:
    plan = planned(recordings(tmp_path / "set", n=1))
    (answer,) = answers_of(plan, f"{module}:{factory}")
    assert len(stored(answer).samples) == n_samples


def test_nan_clipped_and_stereo_outputs_are_answers_too(tmp_path: Path, module: str) -> None:
    plan = planned(recordings(tmp_path / "set", n=1))
    audio = {name: stored(answers_of(plan, f"{module}:{name}")[0]).samples for name in ("nan", "clipped")}
    assert np.isnan(audio["nan"]).all() and np.abs(audio["clipped"]).max() == 1
    (answer,) = answers_of(plan, f"{module}:stereo")
    np.testing.assert_allclose(stored(answer).samples, 0.5 * tone(0.3), atol=1e-6)
    assert answer.prediction and answer.prediction.audio and answer.prediction.audio.n_channels == 2
    (warning,) = task_result.remarks(plan.tasks[0], [answer], [])
    assert "had several channels" in warning


@pytest.mark.parametrize("factory", ["integers", "fewer"])
def test_a_loader_that_breaks_its_promise_is_a_model_error_and_is_asked_again(
    factory: str, tmp_path: Path, module: str
) -> None:
    plan = planned(recordings(tmp_path / "set"))
    for _ in range(2):
        found, computed = answered(plan, f"{module}:{factory}", tmp_path / "journal.jsonl")
        assert computed == 3 and {answer.error for answer in found.values()} == {"model_error"}


def test_recordings_that_cannot_be_heard_cost_themselves_only(tmp_path: Path, module: str) -> None:
    folder = recordings(tmp_path / "set", n=1)
    (folder / "corrupt.wav").write_bytes(b"no audio at all")
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    soundfile.write(folder / "nan.wav", np.full(100, np.nan), RATE, subtype="FLOAT")
    soundfile.write(folder / "stereo.wav", np.stack([tone(0.2), tone(0.2)], axis=1), 48_000)
    soundfile.write(folder / "telephone.wav", tone(0.2, sampling_rate=8_000), 8_000)
    soundfile.write(folder / "blip.wav", tone(0.05), RATE)
    soundfile.write(folder / "silence.wav", np.zeros(1600), RATE)
    soundfile.write(folder / "loud.wav", np.clip(100 * tone(0.1), -1, 1), RATE)
    plan = planned(folder)
    codes = {
        sample.id: answer.error
        for sample, answer in zip(plan.tasks[0].samples, answers_of(plan, f"{module}:same"), strict=True)
    }
    errors = {"corrupt": "corrupt_audio", "empty": "empty_audio", "nan": "nonfinite_audio"}
    fine = dict.fromkeys(("r0", "stereo", "telephone", "blip", "silence", "loud"))
    assert codes == errors | fine


def test_answers_come_back_from_the_journal_without_the_model(tmp_path: Path, module: str) -> None:
    plan = planned(recordings(tmp_path / "set"))
    first, computed = answered(plan, f"{module}:half", tmp_path / "journal.jsonl")
    again, computed_again = answered(plan, f"{module}:half", tmp_path / "journal.jsonl")
    assert (computed, computed_again) == (3, 0)
    assert again == first


@pytest.mark.parametrize("harm", ["delete", "damage"])
def test_lost_audio_is_made_again_with_its_batch(harm: str, tmp_path: Path, module: str) -> None:
    plan = planned(recordings(tmp_path / "set"))
    first, _ = answered(plan, f"{module}:half", tmp_path / "journal.jsonl")
    smallest = min((cache_root() / "audio").rglob("*.wav"), key=lambda path: path.stat().st_size)
    if harm == "delete":
        smallest.unlink()
    else:
        smallest.write_bytes(smallest.read_bytes()[:-1] + b"?")
    again, computed = answered(plan, f"{module}:half", tmp_path / "journal.jsonl")
    assert computed == 1
    assert again == first and all(len(stored(answer).samples) for answer in again.values())


def test_the_reference_is_the_clean_recording_or_else_the_recording_itself(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "set", n=1)
    (pair,) = planned(folder).tasks
    assert pair.speech is not None
    np.testing.assert_allclose(pair.speech.clean("r0"), tone(0.5), atol=1e-6)
    conditions = [{"noise": "white", "snr_db": 0}]
    (own,) = planned(folder, clean=False, conditions=conditions).tasks
    assert own.speech is not None
    np.testing.assert_allclose(own.speech.clean("r0"), tone(0.3), atol=1e-6)
    heard = own.speech.waveform("r0", own.samples[0].condition, RATE)
    assert np.std(heard - tone(0.3)) > 0.1


def test_the_reference_is_at_the_rate_of_the_task(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "set", n=1)
    (folder / "clean").mkdir()
    soundfile.write(folder / "clean" / "clean.wav", tone(0.5, sampling_rate=48_000), 48_000)
    (task,) = planned(folder, sampling_rate=8_000).tasks
    assert task.speech is not None and len(task.speech.clean("r0")) == 4_000


def contents(task: PlannedTask) -> list[str]:
    return [sample.content for sample in task.samples]


def test_another_clean_recording_is_another_sample_wherever_it_lies(tmp_path: Path) -> None:
    first = contents(planned(recordings(tmp_path / "set", n=1)).tasks[0])
    assert contents(planned(recordings(tmp_path / "moved", n=1)).tasks[0]) == first
    other = recordings(tmp_path / "other", n=1)
    (other / "clean").mkdir()
    soundfile.write(other / "clean" / "clean.wav", tone(0.5, hz=441), RATE, subtype="FLOAT")
    assert contents(planned(other).tasks[0]) != first


def test_a_missing_clean_recording_drops_the_sample_before_any_model_runs(tmp_path: Path) -> None:
    folder = recordings(tmp_path / "set", n=1)
    planned(folder)
    (folder / "clean" / "clean.wav").rename(folder / "clean" / "elsewhere.wav")
    selection = load_registry([folder / "pairs.yaml"]).select(["pairs"])
    (task,) = make_plan(
        selection, settings=Settings(), capabilities={"checkpoint": frozenset({"enhance"})}
    ).tasks
    assert [sample.error for sample in task.samples] == ["missing_audio"] and task.batches == ()


def test_time_is_forecast_for_an_enhancer_that_does_not_say_its_size(tmp_path: Path, module: str) -> None:
    checkpoint = resolve(f"{module}:same")
    assert checkpoint.components["enhancer"].parameters is None
    (line,) = forecast(planned(recordings(tmp_path / "set")), (checkpoint,))
    assert line.n == 3 and line.seconds == pytest.approx(3 * 0.5)
