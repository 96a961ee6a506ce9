"""Every kind of bad recording, in every format: an error code of its own sample, or scored; never a crash."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.data.samples import Sample, SampleSet, load_samples
from forgetbench.data.tabular import read_rows
from forgetbench.engine.results import read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import SampleError
from forgetbench.schema.task import DEFINITION, SpeechTask

RATE = 16_000
FORMATS = ("WAV", "FLAC", "OGG", "MP3")


def speech(seconds: float = 1.5, rate: int = RATE) -> np.ndarray:
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).standard_normal(len(time))
    return 0.2 * np.sin(2 * np.pi * 220 * time) * (1 + np.sin(2 * np.pi * 3 * time)) / 2 + 0.02 * noise


def encoded(samples: np.ndarray, kind: str, rate: int = RATE) -> bytes:
    buffer = io.BytesIO()
    subtype = "FLOAT" if kind == "WAV" else None
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def cut(kind: str, part: float) -> bytes:
    content = encoded(speech(), kind)
    return content[: int(part * len(content))]


def garbled(kind: str) -> bytes:
    content = bytearray(encoded(speech(), kind))
    content[: len(content) // 4] = np.random.default_rng(1).bytes(len(content) // 4)
    return bytes(content)


BAD: dict[str, tuple[Callable[[str], bytes], set[str]]] = {
    "silent": (lambda kind: encoded(np.zeros(RATE), kind), set()),
    "50 ms": (lambda kind: encoded(speech(0.05), kind), set()),
    "clipped": (lambda kind: encoded(np.clip(20 * speech(), -1, 1), kind), set()),
    "stereo": (lambda kind: encoded(np.stack([speech(), -0.5 * speech()], axis=1), kind), set()),
    "8 kHz": (lambda kind: encoded(speech(rate=8_000), kind, 8_000), set()),
    "48 kHz": (lambda kind: encoded(speech(rate=48_000), kind, 48_000), set()),
    "zero-length": (lambda kind: encoded(np.zeros(0), kind), {"empty_audio", "corrupt_audio"}),
    "no bytes": (lambda kind: b"", {"corrupt_audio"}),
    "corrupt": (garbled, {"corrupt_audio", "truncated_audio"}),
    "cut in half": (lambda kind: cut(kind, 0.5), {"truncated_audio", "corrupt_audio"}),
    "without its end": (lambda kind: cut(kind, 0.75), {"truncated_audio", "corrupt_audio"}),
}
CASES = [(name, kind) for name in BAD for kind in FORMATS]


def keyed(name: str, kind: str) -> str:
    return f"{name}.{kind}".replace(" ", "-").lower()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for every kind of badness and format, WAV with NaN, one that is missing, and a good one."""
    folder = tmp_path_factory.mktemp("bad")
    contents = {keyed(name, kind): BAD[name][0](kind) for name, kind in CASES}
    contents["nan.wav"] = encoded(np.array([0.1, np.nan] * 4000), "WAV")
    contents["good.wav"] = encoded(speech(), "WAV")
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    rows = [
        {"id": name, "audio": name, "good": "good.wav", "text": "the cat"}
        for name in [*contents, "missing.wav"]
    ]
    (folder / "set.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def expected(key: str) -> set[str]:
    special = {"nan.wav": {"nonfinite_audio"}, "missing.wav": {"missing_audio"}, "good.wav": set()}
    codes = {keyed(name, kind): BAD[name][1] for name, kind in CASES} | special
    return codes[key]


def samples_of(
    folder: Path, kind: str, *, conditions: tuple[dict[str, Any], ...] = (), **fields: str
) -> SampleSet:
    metric = {"asr": "wer", "enhancement": "stoi"}[kind]
    definition = {
        "name": "t", "version": 1, "title": "t", "role": "general", "margin": 0.1, "licence": "x",
        "kind": kind, "metrics": [metric], "primary": metric, "conditions": conditions,
        "dataset": {"path": "set.jsonl", "fields": {"id": "id", **fields}},
    }  # fmt: skip
    task = DEFINITION.validate_python(definition)
    assert isinstance(task, SpeechTask)
    return load_samples(task, folder, seed=0)


def codes_of(hear: Callable[[Sample], np.ndarray], found: SampleSet) -> dict[str, str | None]:
    codes: dict[str, str | None] = {}
    for sample in found.samples:
        codes[sample.id] = sample.error
        try:
            if sample.error is None:
                waveform = hear(sample)
                assert waveform.dtype == np.float32 and waveform.ndim == 1 and np.isfinite(waveform).all()
        except SampleError as error:
            codes[sample.id] = error.code
    return codes


def assert_as_expected(codes: dict[str, str | None]) -> None:
    wrong = {
        key: code
        for key, code in codes.items()
        if (code not in expected(key) if expected(key) else code is not None)
    }
    assert not wrong


def test_asr_scores_what_can_be_heard_and_drops_the_rest_with_a_code(
    folder: Path, made: Path, tmp_path: Path
) -> None:
    """Through the whole engine, on a tiny Whisper, in batches together with good recordings."""
    formats = dict(zip(BAD, FORMATS * 3, strict=False))
    wanted = [*(keyed(name, kind) for name, kind in formats.items()), "nan.wav", "missing.wav", "good.wav"]
    rows = read_rows(folder / "set.jsonl")
    part = folder / "part.jsonl"
    part.write_text("".join(json.dumps(row) + "\n" for row in rows if row["id"] in wanted))
    result = evaluate(
        prepare(Request(model=str(made / "whisper"), target=part, output=tmp_path / "out", offline=True))
    )
    table = read_samples(result.directory, result.checkpoint)["target"]
    assert set(table["id"]) == set(wanted)
    errors = [code if isinstance(code, str) else None for code in table["error"]]
    assert_as_expected(dict(zip(table["id"], errors, strict=True)))
    scored = table[table["error"].isna()]
    assert (scored["wer.den"] == 2).all()


@pytest.mark.parametrize("kind", ["asr", "enhancement"])
def test_a_bad_recording_is_heard_or_has_a_code(kind: str, folder: Path) -> None:
    found = samples_of(folder, kind)
    assert found.speech is not None
    hear = found.speech
    assert_as_expected(codes_of(lambda sample: hear.waveform(sample.id, None, 48_000), found))


def test_a_bad_clean_recording_can_be_compared_with_or_has_a_code(folder: Path) -> None:
    found = samples_of(folder, "enhancement", audio="good", clean="audio")
    assert found.speech is not None
    hear = found.speech
    assert_as_expected(codes_of(lambda sample: hear.clean(sample.id), found))


def test_a_silent_recording_has_no_level_to_set_a_condition_by(folder: Path) -> None:
    found = samples_of(folder, "asr", conditions=({"hearing_loss": "N2"},))
    assert found.speech is not None
    hear = found.speech
    codes = codes_of(lambda sample: hear.waveform(sample.id, sample.condition, RATE), found)
    silent = {keyed("silent", kind): codes.pop(keyed("silent", kind)) for kind in FORMATS}
    assert set(silent.values()) == {"silent_audio"}
    assert_as_expected(codes)
