"""Audio inside tables: it stays there until it is heard, from Parquet files and hub data sets alike."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from forgetbench.data.hub import record_fetch
from forgetbench.data.recording import StoredAudio
from forgetbench.data.samples import SampleSet, load_samples
from forgetbench.data.tabular import read_rows
from forgetbench.schema.task import DEFINITION, SpeechTask

RATE = 16_000


def wav(seed: int, seconds: float = 0.5) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * RATE))
    soundfile.write(buffer, noise, RATE, format="FLAC")
    return buffer.getvalue()


def columns(n: int = 5) -> dict[str, list[Any]]:
    return {
        "audio": [{"bytes": wav(i), "path": f"folder/{i}.flac"} for i in range(n)],
        "clean": [{"bytes": wav(100 + i), "path": f"{i}.flac"} for i in range(n)],
        "text": [f"word {i}" for i in range(n)],
        "speaker": [f"s{i % 2}" for i in range(n)],
    }


def task(dataset: dict[str, Any], **changes: Any) -> SpeechTask:
    definition = {
        "name": "t", "version": 1, "title": "t", "role": "general", "margin": 0.1, "licence": "x",
        "kind": "asr", "metrics": ["wer"], "primary": "wer", "dataset": dataset, **changes,
    }  # fmt: skip
    found = DEFINITION.validate_python(definition)
    assert isinstance(found, SpeechTask)
    return found


@pytest.fixture(params=["parquet", "hub"])
def found(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SampleSet:
    """The same five rows from a Parquet file, and from a hub data set: only the network is missing there."""
    pq.write_table(pa.table(columns()), tmp_path / "set.parquet")
    if request.param == "parquet":
        return load_samples(task({"path": "set.parquet"}), tmp_path, seed=0)
    audio, text = datasets.Audio(sampling_rate=RATE), datasets.Value("string")
    data = datasets.Dataset.from_parquet(
        str(tmp_path / "set.parquet"),
        features=datasets.Features({"audio": audio, "clean": audio, "text": text, "speaker": text}),
        cache_dir=str(tmp_path / "cache"),
    )
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: data)
    record_fetch("t", {"hub": "org/name", "split": "test", "revision": "c0ffee"})
    return load_samples(task({"hub": "org/name"}), tmp_path, seed=0)


def test_a_row_holds_a_handle_and_what_is_heard_is_the_recording(found: SampleSet) -> None:
    assert found.revision == "c0ffee" or found.revision.startswith("sha256:")
    assert [sample.input for sample in found.samples] == [f"{i}.flac" for i in range(5)]
    assert [sample.reference for sample in found.samples] == [f"word {i}" for i in range(5)]
    assert [sample.size for sample in found.samples] == [0.5] * 5
    assert all(isinstance(sample.row["audio"], StoredAudio) for sample in found.samples)
    assert found.speech is not None
    for i, sample in reversed(list(enumerate(found.samples))):
        expected, _ = soundfile.read(io.BytesIO(wav(i)), dtype="float32")
        assert np.array_equal(found.speech.waveform(sample.id, None, RATE), expected)


def test_content_is_what_is_heard_and_not_another_recording_of_the_row(tmp_path: Path) -> None:
    def contents(changed: dict[str, list[Any]], **fields: str) -> list[str]:
        pq.write_table(pa.table(changed), tmp_path / "set.parquet")
        known = task({"path": "set.parquet", "fields": fields})
        return [sample.content for sample in load_samples(known, tmp_path, seed=0).samples]

    before, again = columns(), columns()
    again["clean"][0] = {"bytes": wav(7), "path": "x"}
    assert contents(before) == contents(again)
    assert contents(before, clean="clean")[0] != contents(again, clean="clean")[0]
    again["audio"][1] = {"bytes": wav(8), "path": "folder/1.flac"}
    assert [a == b for a, b in zip(contents(before), contents(again), strict=True)] == [
        True,
        False,
        *[True] * 3,
    ]


def test_plain_bytes_and_missing_ones_are_told_apart(tmp_path: Path) -> None:
    table = pa.table({"audio": pa.array([wav(0), None, b""], pa.binary()), "text": ["a", "b", "c"]})
    pq.write_table(table, tmp_path / "set.parquet")
    rows = read_rows(tmp_path / "set.parquet")
    assert rows[0]["audio"].read() == wav(0)
    assert rows[1]["audio"] is None
    assert rows[2]["audio"].read() == b""


def test_a_table_of_texts_is_read_as_before(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2], "b": ["x", None]}), tmp_path / "set.parquet")
    assert read_rows(tmp_path / "set.parquet") == [{"a": 1, "b": "x"}, {"a": 2, "b": None}]


MEASURE = """
import sys, tracemalloc
from pathlib import Path
import numpy, pyarrow, soundfile, scipy.signal
from test_stored_audio import task
from forgetbench.data import speech
from forgetbench.data.samples import load_samples
speech.WaveformCache.__init__.__defaults__ = (2**20,)
tracemalloc.start()
folder = Path(sys.argv[1])
found = load_samples(task({"path": "set.parquet"}), folder, seed=0)
for sample in found.samples:
    found.speech.waveform(sample.id, None, 16_000)
print(tracemalloc.get_traced_memory()[1], pyarrow.default_memory_pool().max_memory())
"""


def test_memory_does_not_grow_with_the_audio_of_a_table(tmp_path: Path) -> None:
    """96 MB of audio: Python and Arrow each stay far below it. (Mapped pages are the system's to drop.)"""
    recording = np.random.default_rng(0).integers(-9000, 9000, 8000).astype(np.int16)
    many = []
    for i in range(96):
        buffer = io.BytesIO()
        soundfile.write(buffer, np.tile(np.roll(recording, i), 65), RATE, format="WAV")
        many.append({"bytes": buffer.getvalue(), "path": f"{i}.wav"})
    table = pa.table({"audio": many, "text": ["word"] * len(many)})
    assert table.nbytes > 95e6
    # A Parquet page is read as a whole: real sets have blocks of some tens of recordings.
    pq.write_table(
        table, tmp_path / "set.parquet", compression="none", use_dictionary=False, row_group_size=8
    )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parent,
    )  # fmt: skip
    python, arrow = map(int, done.stdout.split())
    assert python < 32e6, done.stdout
    assert arrow < 48e6, done.stdout


def test_a_copy_that_another_process_is_writing_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two runs that start at once read the same table; neither may write into the other's copy."""
    pq.write_table(pa.table(columns()), tmp_path / "set.parquet")
    written: list[str] = []
    original = pa.OSFile

    def noting(path: str, *arguments: Any) -> Any:
        written.append(path)
        return original(path, *arguments)

    monkeypatch.setattr(pa, "OSFile", noting)
    for cache in ("one", "other"):
        monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / cache))
        assert read_rows(tmp_path / "set.parquet")[0]["audio"].read() == wav(0)
        (copy,) = (tmp_path / cache / "tables").iterdir()
        assert copy.suffix == ".arrow"  # and nothing unfinished beside it
    assert (
        len(
            {
                path.removeprefix(str(tmp_path / "one")).removeprefix(str(tmp_path / "other"))
                for path in written
            }
        )
        == 2
    )
