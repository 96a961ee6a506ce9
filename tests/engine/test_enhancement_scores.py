"""Enhancers through the whole pipeline: made by factories of the test's own, scored over processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from forgetbench.engine import score_audio
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare, prepare_selftest, selftest
from forgetbench.errors import UsageError
from forgetbench.metrics import requirements
from forgetbench.metrics.registry import lookup
from forgetbench.paths import cache_root
from metrics.speech_clips import RATE, synthetic_pair
from tiny_tasks import write_task

SOURCE = """
import numpy as np
from forgetbench.models.interface import Audio

class Made:
    def __init__(self, function, fingerprint):
        self.function, self.fingerprint, self.sampling_rate = function, fingerprint, 16_000
    def enhance(self, audio):
        return [Audio(samples=self.function(a.samples), sampling_rate=16_000) for a in audio]

def explode(x):
    if len(x) > 1.3 * 16_000:
        raise ValueError("too long")
    return x

def identity(): return Made(lambda x: x, "identity")
def twin(): return Made(lambda x: x, "twin")
def delayed(): return Made(lambda x: np.pad(x, (320, 0)).astype(np.float32), "delayed")
def silent(): return Made(np.zeros_like, "silent")
def nan(): return Made(lambda x: np.full_like(x, np.nan), "nan")
def exploding(): return Made(explode, "exploding")
"""
METRICS = ["stoi", "si_sdr", "si_sdr_improvement", "pesq_wb"]
N = 6

Ask = Callable[..., Request]


@pytest.fixture
def factory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"made_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return name


def kill(*signals: object) -> None:
    os.abort()


def make_task(folder: Path, n: int = N, **changes: Any) -> None:
    folder.mkdir(exist_ok=True)
    rows = []
    for i in range(n):
        clean, noisy = synthetic_pair(1.0 + 0.1 * i, seed=i)
        for kind, waveform in (("clean", clean), ("noisy", noisy)):
            soundfile.write(folder / f"{kind}{i}.wav", waveform, RATE, subtype="FLOAT")
        rows.append({"id": f"e{i}", "noisy": f"noisy{i}.wav", "clean": f"clean{i}.wav"})
    definition = {"kind": "enhancement", "metrics": METRICS, "primary": "stoi"} | changes
    write_task(folder, "pairs", rows, fields={"audio": "noisy", "clean": "clean"}, **definition)


@pytest.fixture
def ask(tmp_path: Path, factory: str) -> Ask:
    make_task(tmp_path / "tasks")

    def build(model: str, base: str = "identity", **changes: Any) -> Request:
        given: dict[str, Any] = {
            "include_paths": [tmp_path / "tasks"], "output": tmp_path / "results", "offline": True,
            "tasks": ["pairs"],
        }  # fmt: skip
        return Request(model=f"{factory}:{model}", base=f"{factory}:{base}", **(given | changes))

    return build


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def table(result: Result, arm: str = "checkpoint") -> pd.DataFrame:
    document = result.checkpoint if arm == "checkpoint" else result.base
    assert document is not None
    return read_samples(result.directory, document)["pairs"]


def test_an_identity_leaves_the_noisy_input_s_own_scores(ask: Ask) -> None:
    from pystoi import stoi

    found = table(run(ask("delayed")), "base")
    expected = [stoi(*synthetic_pair(1.0 + 0.1 * i, seed=i), RATE) for i in range(N)]
    assert found["stoi"].tolist() == pytest.approx(expected, abs=1e-6)
    assert (found["si_sdr_improvement"] == 0).all() and (found["delay_ms"] == 0).all()


def test_a_delay_is_reported_and_changes_no_score_much(ask: Ask) -> None:
    result = run(ask("delayed"))
    (task,) = result.checkpoint.tasks
    assert task.metrics["delay_ms"].value == 20.0
    assert result.comparison is not None and result.comparison.rows[0].metric == "stoi"
    assert abs(result.comparison.rows[0].degradation or 0) < 1e-6


def test_equal_outputs_of_two_models_differ_by_exactly_nothing(ask: Ask) -> None:
    result = run(ask("twin"))
    assert result.comparison is not None and result.comparison.rows[0].degradation == 0.0
    pd.testing.assert_frame_equal(table(result), table(result, "base"))


@pytest.mark.parametrize("model", ["silent", "nan"])
def test_an_unusable_output_is_an_answer_with_the_worst_score(model: str, ask: Ask) -> None:
    result = run(ask(model))
    (task,) = result.checkpoint.tasks
    assert task.coverage == 1
    for metric in ("stoi", "si_sdr", "pesq_wb"):
        assert task.metrics[metric].value == lookup(metric).worst
        assert task.metrics[metric].type == "mean"
    assert "delay_ms" not in task.metrics
    assert result.comparison is not None and (result.comparison.rows[0].degradation or 0) > 0.3


def test_a_model_that_fails_at_one_sample_loses_one_pair(ask: Ask) -> None:
    result = run(ask("exploding"))
    (task,) = result.checkpoint.tasks
    assert task.errors == {"model_error": 2} and task.n_scored == N - 2
    assert result.comparison is not None and result.comparison.rows[0].n == N - 2


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sample of each score that was computed, in order."""
    ids: list[str] = []
    original = score_audio._call

    def noting(planned: Any, task: Any, sample: Any, audio: Any, seed: int) -> Any:
        ids.append(sample.id)
        return original(planned, task, sample, audio, seed)

    monkeypatch.setattr(score_audio, "_call", noting)
    return ids


def test_a_metric_that_kills_its_process_costs_its_sample_and_is_tried_again(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_task(tmp_path / "tasks", metrics=["si_sdr"], primary="si_sdr")
    monkeypatch.setattr(score_audio, "LONGEST_IN_PROCESS_S", 0.0)
    original = score_audio._call

    def deadly(planned: Any, task: Any, sample: Any, audio: Any, seed: int) -> Any:
        call = original(planned, task, sample, audio, seed)
        return partial(kill, *call.args) if sample.id == "e2" else call

    monkeypatch.setattr(score_audio, "_call", deadly)
    assert run(ask("delayed")).checkpoint.tasks[0].errors == {"scoring_error": 1}
    monkeypatch.setattr(score_audio, "_call", original)
    assert run(ask("delayed")).checkpoint.tasks[0].n_scored == N


def test_another_checkpoint_does_not_score_the_base_again(
    ask: Ask, tmp_path: Path, scored: list[str]
) -> None:
    first = run(ask("delayed"))
    assert len(scored) == 2 * N
    run(ask("silent"))
    assert len(scored) == 3 * N
    again = run(ask("delayed", output=tmp_path / "elsewhere"))
    assert len(scored) == 3 * N
    pd.testing.assert_frame_equal(table(first), table(again))


def test_an_interrupted_scoring_goes_on_where_it_stopped(ask: Ask, tmp_path: Path, scored: list[str]) -> None:
    first = run(ask("delayed"))
    journal = next((cache_root() / "predictions").glob("*/*.scores-*.jsonl"))
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:4]) + lines[4][:10])
    scored.clear()
    again = run(ask("delayed", output=tmp_path / "elsewhere"))
    assert len(scored) == N - 4
    pd.testing.assert_frame_equal(table(first), table(again))


def test_processes_score_as_this_one_does(ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_task(tmp_path / "tasks", metrics=["pesq_wb", "si_sdr"], primary="si_sdr")
    here = run(ask("delayed"))
    monkeypatch.setattr(score_audio, "WORTH_PROCESSES_S", 0.0)
    monkeypatch.setattr(score_audio, "available_cores", lambda: 2)
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "other-cache"))
    used: list[int] = []
    original = score_audio.over_processes

    def noting(calls: Any, *, processes: int) -> Any:
        used.append(processes)
        return original(calls, processes=processes)

    monkeypatch.setattr(score_audio, "over_processes", noting)
    there = run(ask("delayed", output=tmp_path / "elsewhere"))
    assert used == [2, 2]
    pd.testing.assert_frame_equal(table(here), table(there))


def test_processes_are_started_only_where_they_save_time() -> None:
    pace = score_audio.Pace()
    assert pace.forecast_s(1000) == 0
    pace.timed(lambda: time.sleep(0.05) or {})
    assert 0.05 <= pace.forecast_s(1000) < 5
    pace.timed(lambda: time.sleep(0.05) or {})
    assert pace.forecast_s(1000) >= 50


def test_a_silent_clean_recording_drops_the_pair_in_both_arms(ask: Ask, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "tasks" / "clean1.wav", np.zeros(16_000), RATE)
    result = run(ask("silent"))
    assert result.base is not None
    for document in (result.base, result.checkpoint):
        assert document.tasks[0].errors == {"unusable_reference": 1}
    (said,) = [line for line in result.checkpoint.warnings if "unusable_reference in 1 of 6" in line]
    assert "noisy" not in said, "the recording to look at is the clean one"


def test_a_selftest_of_an_enhancer_finds_it_equal_to_itself(ask: Ask) -> None:
    result = selftest(prepare_selftest(ask("delayed")))
    assert result.comparison is not None and result.comparison.rows[0].degradation == 0.0


def test_a_task_whose_metric_is_not_installed_is_skipped_before_any_model_runs(
    ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requirements, "find_spec", lambda name: None)
    make_task(tmp_path / "tasks", metrics=["stoi", "haspi"])
    with pytest.raises(UsageError, match=r"haspi.*forgetbench\[hearing-loss\].*--no-deps pyclarity"):
        prepare(ask("silent"))


def test_a_metric_that_the_rate_has_no_room_for_is_refused_by_validation(tmp_path: Path, ask: Ask) -> None:
    make_task(tmp_path / "tasks", sampling_rate=8000)
    with pytest.raises(UsageError, match="pesq_wb` needs 16000 Hz, not 8000 Hz"):
        prepare(ask("silent"))


@pytest.mark.slow
def test_a_recording_that_crashes_pesq_costs_itself_and_not_the_run(ask: Ask, tmp_path: Path) -> None:
    pause = np.zeros(RATE // 2, dtype=np.float32)
    many = np.concatenate([part for i in range(60) for part in (synthetic_pair(0.8, seed=i).clean, pause)])
    for kind in ("clean", "noisy"):
        soundfile.write(tmp_path / "tasks" / f"{kind}1.wav", many, RATE, subtype="FLOAT")
    result = run(ask("delayed"))
    assert result.base is not None
    for document in (result.base, result.checkpoint):
        assert document.tasks[0].errors == {"scoring_error": 1} and document.tasks[0].n_scored == N - 1
