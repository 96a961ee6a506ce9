"""Conditions of a run in place of those of its tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from forgetbench.engine.conditions import make_condition
from forgetbench.engine.results import read_samples
from forgetbench.engine.run import Request, prepare, prepare_selftest, selftest
from forgetbench.schema.run import Settings


def test_a_run_in_other_conditions_is_another_run_and_says_in_which(
    made: Path, ask: Callable[..., Request], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "street").mkdir()
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, 16_000)
    soundfile.write(tmp_path / "street" / "a.wav", noise, 16_000)
    monkeypatch.chdir(tmp_path)
    wanted = [
        make_condition({"noise": "recordings", "recordings": "street", "snr_db": "5"}),
        make_condition({"hearing_loss": "N3", "amplification": "nal_r"}),
    ]
    settings = Settings(limit=4)
    request = ask(made / "whisper", "heard", conditions=wanted, settings=settings)
    result = selftest(prepare_selftest(request))
    heard = read_samples(result.directory, result.checkpoint)["heard"]
    assert set(heard["condition"]) == {"street 5 dB", "N3 nal_r"}
    assert len(heard) == 8
    plain = prepare_selftest(ask(made / "whisper", "heard", settings=settings)).plan
    assert plain.run_key != result.checkpoint.run_key
    assert str(tmp_path) not in result.checkpoint.to_json().partition('"measured"')[0]


def test_tasks_that_are_read_stay_as_they_are(made: Path, ask: Callable[..., Request]) -> None:
    system = {"model": f"asr={made / 'whisper'},lm={made / 'lora'}", "tasks": "heard,choices"}
    base = f"asr={made / 'whisper'},lm={made / 'llama'}"
    loss = make_condition({"hearing_loss": "N1"})
    plan = prepare(ask(**system, base=base, conditions=[loss])).plan
    labels = {task.task.name: {s.condition_label for s in task.samples} for task in plan.tasks}
    assert labels == {"heard": {"N1"}, "choices": {""}}
