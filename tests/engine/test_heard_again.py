"""What a report plays is what the models heard."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.engine.heard_again import Sources, Wanted, clips, heard_definitions
from forgetbench.engine.results import read_result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.forgetting.answers import parse
from forgetbench.models.interface import Audio
from forgetbench.report.html.players import LONGEST_S, data_uri
from forgetbench.report.html.samples import samples_of
from forgetbench.schema.run import Settings

SOURCE = """
import hashlib
from forgetbench.models.interface import Audio, Output

class Made:
    sampling_rate = 16_000
    def __init__(self, name): self.fingerprint = name
    def transcribe(self, audio, *, language):
        said = [hashlib.sha256(a.samples.tobytes()).hexdigest() for a in audio]
        return [Output(text=f"{self.fingerprint} {text}", n_tokens=1, truncated=False) for text in said]

class Scaled:
    sampling_rate = 16_000
    def __init__(self, factor): self.factor, self.fingerprint = factor, str(factor)
    def enhance(self, audio):
        made = [(self.factor * a.samples).astype("float32") for a in audio]
        return [Audio(samples=samples, sampling_rate=16_000) for samples in made]

def first(): return Made("left")
def second(): return Made("right away please")
def loud(): return Scaled(1.0)
def soft(): return Scaled(0.25)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"heard_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    return name


@pytest.fixture
def result(module: str, ask: Callable[..., Request]) -> Any:
    request = ask(f"{module}:second", "heard", base=f"{module}:first", settings=Settings(limit=21, seed=3))
    return read_result(evaluate(prepare(request)).directory)


def wanted(result: Any, task: str, n: int) -> list[Wanted]:
    table = read_samples(result.directory, result.checkpoint)[task].head(n)
    return [
        Wanted(
            sample_id=row["id"],
            condition=row["condition"],
            content=row["content"],
            predictions={"checkpoint": parse(row["prediction"])},
        )
        for row in table.to_dict("records")
    ]


def test_a_clip_is_what_the_model_heard_in_noise(result: Any, tiny_tasks: Path) -> None:
    definition = heard_definitions(result.checkpoint, Sources(include_paths=[tiny_tasks]))["heard"]
    asked = wanted(result, "heard", 4)
    found, reason = clips(result.checkpoint, definition, asked)
    assert reason == ""
    for each in asked:
        ((kind, audio),) = found[each.sample_id, each.condition]
        prediction = each.predictions["checkpoint"]
        assert prediction is not None and prediction.text is not None
        assert kind == "heard"
        assert prediction.text.split()[-1] == hashlib.sha256(audio.samples.tobytes()).hexdigest()


def test_changed_data_are_not_played_as_if_they_had_been_heard(result: Any, tiny_tasks: Path) -> None:
    sources = Sources(include_paths=[tiny_tasks])
    asked = wanted(result, "heard", 2)
    soundfile.write(tiny_tasks / f"{asked[0].sample_id}.wav", np.ones(8000) * 0.1, 16_000)
    definition = heard_definitions(result.checkpoint, sources)["heard"]
    found, reason = clips(result.checkpoint, definition, asked)
    assert (asked[0].sample_id, asked[0].condition) not in found
    assert reason == "its data are not those of the run any more"


def test_a_report_without_the_tasks_of_its_run_has_no_players(result: Any, tiny_tasks: Path) -> None:
    with_tasks = samples_of(result, Sources(include_paths=[tiny_tasks]))
    assert with_tasks.cards[0].players
    assert not any(card.players for card in samples_of(result, Sources()).cards)


def test_enhanced_audio_is_played_as_each_arm_returned_it(
    module: str, ask: Callable[..., Request], tiny_tasks: Path
) -> None:
    from tiny_tasks import write_task

    rows = [json.loads(line) for line in (tiny_tasks / "heard.jsonl").read_text().splitlines()]
    write_task(
        tiny_tasks, "cleaned", rows, kind="enhancement", metrics=["si_sdr"], primary="si_sdr",
        conditions=[{"noise": "white", "snr_db": 0}],
    )  # fmt: skip
    request = ask(f"{module}:soft", "cleaned", base=f"{module}:loud")
    result = read_result(evaluate(prepare(request)).directory)
    definition = heard_definitions(result.checkpoint, Sources(include_paths=[tiny_tasks]))["cleaned"]
    (asked,) = wanted(result, "cleaned", 1)
    found, _ = clips(result.checkpoint, definition, [asked])
    kinds = {kind: audio.samples for kind, audio in found[asked.sample_id, asked.condition]}
    assert set(kinds) == {"heard", "clean", "checkpoint"}
    np.testing.assert_array_equal(kinds["checkpoint"], (0.25 * kinds["heard"]).astype(np.float32))
    assert not np.allclose(kinds["clean"], kinds["heard"], atol=0.05)


def decoded(uri: str) -> tuple[Any, int]:
    kind, _, content = uri.partition(";base64,")
    assert kind == "data:audio/flac"
    return soundfile.read(io.BytesIO(base64.b64decode(content)))


def test_a_player_holds_the_waveform_to_sixteen_bits() -> None:
    samples = (0.5 * np.sin(np.arange(8000) / 7)).astype(np.float32)
    heard, rate = decoded(data_uri(Audio(samples=samples, sampling_rate=16_000)))
    assert rate == 16_000
    assert np.abs(heard - samples).max() <= 2**-15


def test_broken_and_endless_outputs_can_be_played() -> None:
    broken = np.array([np.nan, np.inf, -np.inf, 7, -7, 0.25], dtype=np.float32)
    heard, _ = decoded(data_uri(Audio(samples=broken, sampling_rate=16_000)))
    assert heard == pytest.approx([0, 1, -1, 1, -1, 0.25], abs=1e-4)
    endless = np.zeros(100 * 8_000, dtype=np.float32)
    heard, _ = decoded(data_uri(Audio(samples=endless, sampling_rate=8_000)))
    assert len(heard) == LONGEST_S * 8_000
    heard, rate = decoded(data_uri(Audio(samples=np.zeros(96_000, dtype=np.float32), sampling_rate=96_000)))
    assert (rate, len(heard)) == (48_000, 48_000)
