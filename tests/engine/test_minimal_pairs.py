"""Minimal pairs of speech through the engine, by a factory whose likings are known."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.metrics.minimal_pair import minimal_pair_stats
from tiny_tasks import write_task

SOURCE = '''
import numpy as np
from forgetbench.models.interface import Loglikelihood

class Likes:
    """A clip's log-likelihood by the rule, over one unit for each tenth of a second."""
    def __init__(self, name, rule):
        self.fingerprint, self.rule = name, rule
    def score_audio(self, audio):
        return [Loglikelihood(logprob=self.rule(a.samples), is_greedy=False, n_tokens=len(a.samples) // 1600)
                for a in audio]

def level(samples): return float(20 * np.log10(np.abs(samples).max()))
def loud(): return Likes("loud", level)
def quiet(): return Likes("quiet", lambda samples: -level(samples))
def deaf(): return Likes("deaf", lambda samples: -3.0)
def short(): return Likes("short", lambda samples: -float(len(samples)))
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of 24 pairs the right recording is the louder one; it is twice as long."""
    (tmp_path / f"likes_{tmp_path.name}.py".replace("-", "_")).write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(24):
        for column, level, n in (("audio", 0.5, 16_000), ("wrong", 0.05, 8_000)):
            soundfile.write(tmp_path / f"{column}{i}.wav", level * rng.uniform(-1, 1, n), 16_000)
        rows.append({"id": f"p{i}", "audio": f"audio{i}.wav", "wrong": f"wrong{i}.wav"})
    write_pairs_task(tmp_path, rows)
    return tmp_path


def write_pairs_task(folder: Path, rows: list[dict[str, Any]], **changes: Any) -> None:
    fields: dict[str, Any] = {"kind": "minimal_pair", "metrics": ["acc", "acc_norm"], "primary": "acc"}
    write_task(folder, "pairs", rows, **{**fields, **changes})


def run(folder: Path, model: str, base: str | None = None) -> Result:
    module = f"likes_{folder.name}".replace("-", "_")
    request = Request(
        model=f"{module}:{model}", base=f"{module}:{base}" if base else None, tasks=["pairs"],
        include_paths=[folder], output=folder / "results", offline=True,
    )  # fmt: skip
    return evaluate(prepare(request))


@pytest.mark.parametrize(
    ("model", "acc", "acc_norm"),
    [("loud", 1.0, 1.0), ("quiet", 0.0, 0.0), ("deaf", 0.0, 1.0), ("short", 0.0, 0.0)],
)
def test_the_likelier_recording_is_the_answer(folder: Path, model: str, acc: float, acc_norm: float) -> None:
    """``deaf`` holds both for as likely, which is no answer; per unit, the longer one is the likelier."""
    (task,) = run(folder, model).checkpoint.tasks
    assert (task.status, task.n_scored, task.errors) == ("done", 24, {})
    assert (task.metrics["acc"].value, task.metrics["acc_norm"].value) == (acc, acc_norm)


def test_a_pair_is_one_sample_with_both_log_likelihoods(folder: Path) -> None:
    result = run(folder, "short")
    record = read_samples(result.directory, result.checkpoint)["pairs"].set_index("id").loc["p0"]
    prediction = json.loads(record["prediction"])
    assert prediction["loglikelihoods"] == [-16_000.0, -8_000.0] and prediction["n_tokens"] == [10, 5]
    assert record["input"] == "audio0.wav, not wrong0.wav"


def test_what_was_lost_is_a_verdict(folder: Path) -> None:
    comparison = run(folder, "quiet", base="loud").comparison
    assert comparison is not None
    assert [(row.verdict, row.degradation) for row in comparison.rows] == [("regressed", 1.0)]


def test_another_wrong_recording_is_another_sample(folder: Path) -> None:
    before = set(_contents(run(folder, "loud")))
    soundfile.write(folder / "wrong0.wav", np.full(8_000, 0.01), 16_000)
    after = set(_contents(run(folder, "loud")))
    assert len(before - after) == 1


def _contents(result: Result) -> list[str]:
    return list(read_samples(result.directory, result.checkpoint)["pairs"]["content"])


@pytest.mark.parametrize("broken", ["audio3.wav", "wrong3.wav"])
def test_a_broken_recording_costs_its_pair_alone(folder: Path, broken: str) -> None:
    (folder / broken).write_bytes(b"no audio")
    (task,) = run(folder, "loud").checkpoint.tasks
    assert (task.n_scored, sum(task.errors.values())) == (23, 1)


def test_both_recordings_are_heard_in_the_condition(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    write_pairs_task(folder, rows, conditions=[{"noise": "white", "snr_db": 0}])
    (task,) = run(folder, "loud").checkpoint.tasks
    assert (task.n_scored, task.errors) == (24, {})
    assert task.metrics["acc"].value == 1.0, "the noise goes by the level of each recording"


def test_a_tie_is_not_told_apart() -> None:
    assert minimal_pair_stats(-2.0, -2.0, n_right=1, n_wrong=1) == {"acc": 0.0, "acc_norm": 0.0}
    assert minimal_pair_stats(-2.0, -3.0, n_right=1, n_wrong=2) == {"acc": 1.0, "acc_norm": 0.0}
    assert minimal_pair_stats(0.0, -3.0, n_right=0, n_wrong=2) == {"acc": 1.0, "acc_norm": 1.0}
