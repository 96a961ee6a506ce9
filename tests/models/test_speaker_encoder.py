"""The speaker encoder is Resemblyzer's, read without its code, and tells people apart."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.errors import CheckpointError
from forgetbench.metrics.speaker import SAME_SPEAKER, cloned, speaker_similarity
from forgetbench.models import speaker_encoder
from forgetbench.models.speaker_encoder import SpeakerEncoder

VOICES = Path(__file__).parents[2] / "tasks" / "hearing" / "mini"


@pytest.fixture(scope="module")
def encoder() -> SpeakerEncoder:
    return SpeakerEncoder()


def sentences(n_each: int) -> list[tuple[str, Any]]:
    """Speaker and samples of some everyday sentences."""
    found: dict[str, list[Any]] = {}
    for line in (VOICES / "data" / "everyday_test.jsonl").read_text().splitlines():
        row = json.loads(line)
        clips = found.setdefault(row["speaker"], [])
        if len(clips) < n_each:
            clips.append(soundfile.read(VOICES / "data" / row["audio"], dtype="float32")[0])
    return [(speaker, clip) for speaker, clips in found.items() for clip in clips]


def test_it_embeds_as_resemblyzer_does(encoder: SpeakerEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resemblyzer imports a voice-activity detector that is compiled, and not called here."""
    monkeypatch.setitem(sys.modules, "webrtcvad", ModuleType("webrtcvad"))
    pytest.importorskip("librosa")
    from resemblyzer import VoiceEncoder
    from resemblyzer.audio import normalize_volume

    theirs = VoiceEncoder("cpu", verbose=False)
    for _, clip in sentences(1):
        for part in (clip, clip[:9_000], 0.01 * clip):
            expected = theirs.embed_utterance(normalize_volume(part, -30, increase_only=True))
            np.testing.assert_allclose(encoder.embed(part), expected, atol=1e-4)


def test_the_voices_of_hearing_mini_are_told_apart(encoder: SpeakerEncoder) -> None:
    embedded = [(speaker, encoder.embed(clip)) for speaker, clip in sentences(4)]
    same, other = [], []
    for i, (one, first) in enumerate(embedded):
        for two, second in embedded[:i]:
            (same if one == two else other).append(speaker_similarity(first, second))
    assert min(same) > SAME_SPEAKER > np.mean(other)
    assert np.mean(np.array(other) < SAME_SPEAKER) > 0.9


def test_silence_is_nobodys_voice(encoder: SpeakerEncoder) -> None:
    silence = encoder.embed(np.zeros(16_000, np.float32))
    assert speaker_similarity(silence, encoder.embed(sentences(1)[0][1])) == 0.0
    assert not encoder.embed(np.full(16_000, 1e-42, np.float32)).any()
    assert np.isfinite(encoder.embed(np.full(16_000, 1e6, np.float32))).all()


@pytest.mark.parametrize(
    ("similarity", "heard", "expected"), [(0.9, 1.0, 1.0), (0.9, 0.5, 1.0), (0.9, 0.4, 0.0), (0.7, 1.0, 0.0)]
)
def test_cloned_is_understood_and_taken_for_the_speaker(
    similarity: float, heard: float, expected: float
) -> None:
    assert cloned(similarity=similarity, heard=heard) == expected


def test_a_file_that_is_not_the_pinned_one_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "resemblyzer").mkdir()
    (tmp_path / "resemblyzer" / "__init__.py").write_text("")
    (tmp_path / "resemblyzer" / "pretrained.pt").write_bytes(b"pickle")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "resemblyzer", raising=False)
    with pytest.raises(CheckpointError, match=r"not the file that was pinned.*--force-reinstall"):
        speaker_encoder.weights_file()


def test_without_the_package_the_way_to_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker_encoder.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CheckpointError, match=r"pip install --no-deps resemblyzer==0\.1\.4"):
        speaker_encoder.weights_file()
