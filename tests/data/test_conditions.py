"""Conditions as a task defines them: what a model hears, and when something for them is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.data import room
from forgetbench.data.noise import active_level
from forgetbench.data.room import make_rooms, reverberate
from forgetbench.data.samples import SampleSet, load_samples
from forgetbench.engine.plan import PlannedTask, make_plan
from forgetbench.errors import DataError
from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS
from forgetbench.metrics.nal_r import amplify
from forgetbench.schema.run import Settings
from forgetbench.schema.task import DEFINITION, Condition, SpeechTask
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import Selection

RATE = 16_000
EVERYTHING = {
    "noise": "recordings",
    "recordings": "noises",
    "snr_db": 5,
    "rt60_s": 0.25,
    "hearing_loss": "N2",
    "amplification": "nal_r",
}


def task(kind: str = "asr", **changes: Any) -> SpeechTask:
    metrics = {"asr": ["wer"], "enhancement": ["stoi"], "separation": ["si_sdr"]}.get(
        kind, ["speaker_similarity"]
    )
    own = {"separation": {"mixed_with": ["audio"]}}.get(kind, {"recogniser": "ears"})
    changes |= own if kind in ("separation", "conversion", "voice_cloning") else {}
    definition = {
        "name": "t", "version": 1, "title": "t", "role": "general", "margin": 0.1, "licence": "x",
        "kind": kind,
        "dataset": {"path": "set.jsonl", "fields": {"id": "id", "cluster": "speaker"}},
        "metrics": metrics, "primary": metrics[0], **changes,
    }  # fmt: skip
    found = DEFINITION.validate_python(definition)
    assert isinstance(found, SpeechTask)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(6):
        soundfile.write(tmp_path / f"{i}.wav", rng.uniform(-0.3, 0.3, 8000 + 800 * i), RATE)
        rows.append({"id": f"u{i}", "audio": f"{i}.wav", "text": "word", "speaker": f"s{i % 3}"})
    (tmp_path / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "noises").mkdir()
    for i in range(2):
        soundfile.write(tmp_path / "noises" / f"{i}.wav", rng.uniform(-0.3, 0.3, 12_000), RATE)
    return tmp_path


def heard(found: SampleSet, key: str, rate: int = RATE) -> np.ndarray:
    assert found.speech is not None
    condition = next(sample.condition for sample in found.samples if sample.id == key)
    return found.speech.waveform(key, condition, rate)


@pytest.mark.parametrize(
    "condition",
    [
        EVERYTHING,
        {"rt60_s": 0.25},
        {"hearing_loss": "N3"},
        {"noise": "recordings", "recordings": "noises/0.wav", "snr_db": 0},
        {"rt60_s": 0.25, "noise": "babble", "snr_db": 0},
    ],
    ids=lambda condition: Condition.model_validate(condition).label,
)
def test_what_is_heard_is_the_same_bit_for_bit_in_any_order_and_part(
    folder: Path, condition: dict[str, Any]
) -> None:
    whole = load_samples(task(conditions=[condition]), folder, seed=0)
    part = load_samples(task(conditions=[condition]), folder, seed=0, limit=3)
    other = load_samples(task(conditions=[condition]), folder, seed=1)
    contents = {sample.id: sample.content for sample in whole.samples}
    for sample in reversed(part.samples):
        assert sample.content == contents[sample.id]
        assert np.array_equal(heard(part, sample.id), heard(whole, sample.id))
        assert not np.allclose(heard(other, sample.id), heard(whole, sample.id))
        assert len(heard(whole, sample.id)) == len(soundfile.read(folder / f"{sample.id[1:]}.wav")[0])


def test_a_model_of_another_rate_hears_the_same_scene_resampled(folder: Path) -> None:
    found = load_samples(task(conditions=[{"hearing_loss": "N2"}]), folder, seed=0)
    import soxr

    expected = soxr.resample(heard(found, "u0"), RATE, 48_000, quality="HQ")
    assert np.array_equal(heard(found, "u0", 48_000), expected)


def test_noise_is_set_by_the_level_of_the_speech_in_the_room(folder: Path) -> None:
    condition = {"rt60_s": 0.25, "noise": "white", "snr_db": 0.0}
    dry = load_samples(task(), folder, seed=0)
    whole = load_samples(task(conditions=[condition]), folder, seed=0)
    rooms = [reverberate(heard(dry, "u0"), response) for response in make_rooms(0.25, 1.5, RATE, seed=0)]
    mixture = heard(whole, "u0")

    def snr_db(speech: np.ndarray) -> float:
        scale = np.dot(mixture, speech) / np.dot(speech, speech)
        return float(20 * np.log10(scale * active_level(speech, RATE) / np.std(mixture - scale * speech)))

    # The room that it was is the one that explains most of the mixture.
    assert max(map(snr_db, rooms)) == pytest.approx(0.0, abs=0.3)


def test_amplification_lifts_the_speech_above_what_the_loss_hides(folder: Path) -> None:
    speech = heard(load_samples(task(), folder, seed=0), "u0")
    unaided = load_samples(task(conditions=[{"hearing_loss": "N3"}]), folder, seed=0)
    aided = load_samples(task(conditions=[{"hearing_loss": "N3", "amplification": "nal_r"}]), folder, seed=0)
    louder = amplify(speech, STANDARD_AUDIOGRAMS["N3"], RATE)
    left = np.corrcoef(speech, heard(unaided, "u0"))[0, 1]
    assert np.corrcoef(louder, heard(aided, "u0"))[0, 1] > 2 * left


@pytest.mark.parametrize("kind", ["enhancement", "separation", "conversion", "voice_cloning"])
def test_what_makes_sound_hears_what_the_microphone_picks_up(folder: Path, kind: str) -> None:
    noise = {"noise": "white", "snr_db": 5}
    loss = {**noise, "hearing_loss": "N3", "amplification": "nal_r"}
    key = "u0"
    before = load_samples(task(kind, conditions=[{"hearing_loss": "N3"}]), folder, seed=0)
    assert any("the hearing loss changes nothing" in warning for warning in before.warnings)
    assert np.array_equal(heard(before, key), heard(load_samples(task(kind), folder, seed=0), key))
    aided = heard(load_samples(task(kind, conditions=[loss]), folder, seed=0), key)
    assert np.std(aided) < 1.5 * np.std(heard(before, key))


def test_other_recordings_or_another_listener_are_another_content_and_another_name_is_not(
    folder: Path,
) -> None:
    (folder / "me.json").write_text('{"frequencies_hz": [500, 4000], "levels_db_hl": [10, 50]}')
    conditions = [{"noise": "recordings", "recordings": "noises", "snr_db": 0, "hearing_loss": "me.json"}]

    def content(folder: Path, **changes: Any) -> str:
        changed = task(conditions=[conditions[0] | changes])
        return load_samples(changed, folder, seed=0).samples[0].content

    before = content(folder)
    (folder / "noises").rename(folder / "street")
    assert content(folder, recordings="street") == before
    (folder / "me.json").write_text('{"frequencies_hz": [500, 4000], "levels_db_hl": [10, 60]}')
    assert content(folder, recordings="street") != before
    (folder / "me.json").write_text('{"frequencies_hz": [500, 4000], "levels_db_hl": [10, 50]}')
    soundfile.write(folder / "street" / "0.wav", np.full(800, 0.1), RATE)
    assert content(folder, recordings="street") != before


@pytest.mark.parametrize("like", ["ben", "N3"])
def test_what_has_one_content_sounds_the_same_whatever_the_listener_is_called(
    folder: Path, like: str
) -> None:
    """Predictions are kept by content: where two samples share one, the second is answered by the first."""
    n3 = STANDARD_AUDIOGRAMS["N3"]
    loss = {"frequencies_hz": n3.frequencies_hz, "levels_db_hl": n3.levels_db_hl}
    (folder / "all.json").write_text(json.dumps({"anna": loss, "ben": loss}))
    losses = ["all.json:anna", "all.json:ben" if like == "ben" else like]
    conditions = [{"noise": "babble", "snr_db": 0, "hearing_loss": name} for name in losses]
    found = load_samples(task(conditions=conditions), folder, seed=0)
    assert found.speech is not None
    anna, other = (sample for sample in found.samples if sample.id == "u0")
    assert anna.condition != other.condition and anna.content == other.content
    heard_by_anna = found.speech.waveform("u0", anna.condition, RATE)
    assert np.array_equal(heard_by_anna, found.speech.waveform("u0", other.condition, RATE))


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"noise": "recordings", "recordings": "gone", "snr_db": 0}, "gone: does not exist"),
        ({"noise": "recordings", "recordings": "set.jsonl", "snr_db": 0}, r"set\.jsonl: cannot be decoded"),
        ({"hearing_loss": "N9"}, "'N9': no standard audiogram has this name"),
        ({"hearing_loss": "gone.json"}, r"gone\.json: No such file"),
    ],
)
def test_what_a_condition_lacks_is_said_before_any_model_runs(
    folder: Path, condition: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        load_samples(task(conditions=[condition]), folder, seed=0)


def test_a_task_whose_rooms_cannot_be_made_is_skipped_with_the_command_that_helps(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    definition = Definition(task=task(conditions=[{"rt60_s": 0.3}]), source=folder / "t.yaml")
    selection = Selection(tasks=(definition,), suite_rows=(), suites=())
    plan = make_plan(selection, settings=Settings(), capabilities={"checkpoint": frozenset({"transcribe"})})
    (planned,) = plan.tasks
    assert isinstance(planned, PlannedTask)
    assert planned.skipped is not None
    assert "pip install 'forgetbench[rooms]'" in planned.skipped


def test_two_conditions_of_one_name_are_refused() -> None:
    twice = [{"hearing_loss": "a/me.json"}, {"hearing_loss": "b/me.json"}]
    with pytest.raises(ValueError, match="two conditions are called 'me'"):
        task(conditions=twice)


def test_a_label_names_everything_that_is_done_in_its_order() -> None:
    condition = Condition.model_validate({**EVERYTHING, "hearing_loss": "clinic/all.json:L7"})
    assert condition.label == "RT60 0.25 s at 1.5 m, noises 5 dB, L7 nal_r"
