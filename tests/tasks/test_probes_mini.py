"""The keyword and vowel probes: whole, balanced, and read from sound rather than from how they were made."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.data.samples import load_samples
from forgetbench.metrics.linear_probe import FOLDS, probe_right, unseen_folds
from forgetbench.paths import builtin_root
from forgetbench.schema.task import Probe
from forgetbench.tasks.registry import load_registry

FOLDER = builtin_root() / "hearing" / "probes"
SETS = {"keyword_probe_mini": "keywords", "vowel_probe_mini": "vowels"}
SUPERB = {"yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"}
N_VOICES = 10


def rows_of(name: str) -> list[dict[str, Any]]:
    """Return the lines of a task's manifest, in the order in which probes see them."""
    lines = (FOLDER / "data" / f"{SETS[name]}.jsonl").read_text(encoding="utf-8").splitlines()
    return sorted(map(json.loads, lines), key=lambda row: str(row["id"]))


def labels_of(name: str) -> list[str]:
    return [row[SETS[name].removesuffix("s")] for row in rows_of(name)]


def folds_of(name: str) -> np.ndarray:
    return unseen_folds(labels_of(name), [row["speaker"] for row in rows_of(name)])


def mean_log_spectra(name: str) -> np.ndarray:
    """Return 41 numbers for each recording, the mean of 10 ms frames: no model."""
    spectra = []
    for row in rows_of(name):
        samples, _ = soundfile.read(FOLDER / "data" / row["audio"])
        frames = samples[: len(samples) // 80 * 80].reshape(-1, 80) * np.hanning(80)
        spectra.append(np.log(np.abs(np.fft.rfft(frames)) ** 2 + 1e-6).mean(axis=0))
    return np.stack(spectra)


def test_the_suite_has_four_probes() -> None:
    found = {d.task.name for d in load_registry() if "probes-mini" in d.task.suites}
    assert found == {"speaker_probe_mini", "language_probe_mini", *SETS}


@pytest.mark.parametrize("name", SETS)
def test_the_task_asks_for_the_label_of_its_set_in_an_unseen_voice(name: str) -> None:
    (definition,) = [d for d in load_registry() if d.task.name == name]
    task = definition.task
    assert isinstance(task, Probe) and task.unseen == "speaker"
    samples = load_samples(task, definition.folder, seed=0).samples
    assert sorted((s.id, s.reference) for s in samples) == [
        (row["id"], label) for row, label in zip(rows_of(name), labels_of(name), strict=True)
    ]


def test_noise_by_other_speakers_may_not_tell_who_speaks() -> None:
    (definition,) = [d for d in load_registry() if d.task.name == "speaker_probe_mini"]
    given = definition.task.model_dump(mode="json")
    given["dataset"]["fields"]["cluster"] = "speaker"
    with pytest.raises(ValueError, match="`cluster` is the label 'speaker'"):
        Probe.model_validate(given)


@pytest.mark.parametrize("name", SETS)
def test_every_voice_says_every_word_once(name: str) -> None:
    lines = (FOLDER / "text" / f"{SETS[name]}.txt").read_text(encoding="utf-8").splitlines()
    words = {line.split("|")[0]: line.split("|")[-1] for line in lines}
    rows, labels = rows_of(name), labels_of(name)
    speakers = {row["speaker"] for row in rows}
    assert len(words) == len(set(words.values())) == 10 and len(speakers) == N_VOICES
    said = Counter((row["text"], row["speaker"]) for row in rows)
    assert said == Counter((word, speaker) for word in words for speaker in speakers)
    assert labels == [words[row["text"]] for row in rows]


def test_the_keywords_are_those_of_superb() -> None:
    assert set(labels_of("keyword_probe_mini")) == SUPERB


@pytest.mark.parametrize("name", SETS)
def test_the_manifest_names_the_recordings_that_lie_there_and_how_long_they_are(name: str) -> None:
    rows = rows_of(name)
    lie = {path.resolve() for path in (FOLDER / "audio" / SETS[name]).iterdir()}
    assert {(FOLDER / "data" / row["audio"]).resolve() for row in rows} == lie
    for row in rows:
        samples, rate = soundfile.read(FOLDER / "data" / row["audio"])
        assert rate == 16_000 and samples.ndim == 1
        assert row["duration_s"] == round(len(samples) / rate, 2), row["id"]


def test_the_datasheet_says_how_many_how_long_and_how_large() -> None:
    sheet = (FOLDER / "DATASHEET.md").read_text(encoding="utf-8")
    for name, of_set in SETS.items():
        rows = rows_of(name)
        size = sum(path.stat().st_size for path in (FOLDER / "audio" / of_set).iterdir())
        said = re.search(rf"\| `{of_set}` .*\| (\d+) \| (\d+) s \| (\d+) kB \|", sheet)
        assert said is not None, of_set
        seconds = round(sum(row["duration_s"] for row in rows))
        assert tuple(map(int, said.groups())) == (len(rows), seconds, round(size / 1_000))
    total = sum(path.stat().st_size for path in (FOLDER / "audio").rglob("*.ogg"))
    assert total < 600_000


@pytest.mark.parametrize("name", SETS)
def test_a_fold_has_a_voice_of_espeak_ng_and_one_of_another_engine(name: str) -> None:
    folds = folds_of(name)
    for fold in range(FOLDS):
        inside = [row for row, own in zip(rows_of(name), folds, strict=True) if own == fold]
        engines = Counter(row["speaker"].startswith("espeak_") for row in inside)
        assert engines == {True: 10, False: 10}


@pytest.mark.parametrize("name", SETS)
def test_the_label_is_in_the_sound_and_not_in_how_the_set_was_made(name: str) -> None:
    """With labels dealt out anew within each voice, whatever else a recording betrays reads nothing."""
    spectra, labels, folds = mean_log_spectra(name), np.array(labels_of(name)), folds_of(name)
    assert 0.25 < probe_right(spectra, list(labels), folds).mean() < 0.6
    speakers, dealt = np.array([row["speaker"] for row in rows_of(name)]), []
    for seed in range(20):
        rng, shuffled = np.random.default_rng(seed), labels.copy()
        for speaker in np.unique(speakers):
            shuffled[speakers == speaker] = rng.permutation(labels[speakers == speaker])
        dealt.append(probe_right(spectra, list(shuffled), folds).mean())
    assert np.mean(dealt) == pytest.approx(0.1, abs=0.03)


def test_no_voice_is_another_by_a_second_name() -> None:
    """An engine that does not know a variant of a voice speaks as the voice without it, and says nothing."""
    for name in SETS:
        heard = [soundfile.read(FOLDER / "data" / row["audio"])[0].tobytes() for row in rows_of(name)]
        assert len(set(heard)) == len(heard)
