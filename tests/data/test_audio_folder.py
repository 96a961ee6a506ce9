from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.data.samples import load_samples
from forgetbench.data.tabular import read_rows
from forgetbench.engine.run import Request, select_tasks
from forgetbench.errors import DataError
from forgetbench.schema.task import DEFINITION, Asr

RATE = 16_000


def write(path: Path, seconds: float = 0.5) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(int(seconds * RATE)) / RATE)
    soundfile.write(path, tone, RATE)


def metadata_jsonl(folder: Path) -> None:
    rows = [{"file_name": f"audio/{i}.wav", "transcription": f"word {i}", "speaker": "s"} for i in range(3)]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for i in range(3):
        write(folder / "audio" / f"{i}.wav", 0.5 + i)


def metadata_csv(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file_name,text\n0.mp3,word 0\n1.ogg,word 1\n2.flac,word 2\n")
    for i, ending in enumerate(("mp3", "ogg", "flac")):
        write(folder / f"{i}.{ending}", 0.5 + i)


def librispeech(folder: Path) -> None:
    for speaker, keys in (("12", ["12-7-0000", "12-7-0001"]), ("9", ["9-3-0000"])):
        book = folder / speaker / keys[0].split("-")[1]
        for i, key in enumerate(keys):
            write(book / f"{key}.flac", 0.5 + i)
        text = "".join(f"{key} WORD {i}\n" for i, key in enumerate(keys))
        (book / f"{'-'.join(keys[0].split('-')[:2])}.trans.txt").write_text(text)


def texts_beside(folder: Path) -> None:
    for i in range(3):
        write(folder / "a" / f"{i}.wav", 0.5 + i)
        (folder / "a" / f"{i}.txt").write_text(f"word {i}\n")


LAYOUTS: dict[str, tuple[Callable[[Path], None], list[str], list[str]]] = {
    "metadata.jsonl": (metadata_jsonl, ["audio/0", "audio/1", "audio/2"], ["word 0", "word 1", "word 2"]),
    "metadata.csv": (metadata_csv, ["0", "1", "2"], ["word 0", "word 1", "word 2"]),
    "LibriSpeech": (librispeech, ["12-7-0000", "12-7-0001", "9-3-0000"], ["WORD 0", "WORD 1", "WORD 0"]),
    "texts beside": (texts_beside, ["a/0", "a/1", "a/2"], ["word 0", "word 1", "word 2"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_folder_is_a_set_of_recordings_with_transcripts(layout: str, tmp_path: Path) -> None:
    make, ids, texts = LAYOUTS[layout]
    folder = tmp_path / "set"
    folder.mkdir()
    make(folder)
    definition = {
        "name": "t", "version": 1, "title": "t", "role": "general", "margin": 0.1, "licence": "x",
        "kind": "asr", "metrics": ["wer"], "primary": "wer",
        "dataset": {"path": "set/", "fields": {"id": "id"}},
    }  # fmt: skip
    task = DEFINITION.validate_python(definition)
    assert isinstance(task, Asr)
    found = load_samples(task, tmp_path, seed=0)
    assert [sample.id for sample in found.samples] == ids
    assert [sample.reference for sample in found.samples] == texts
    assert found.speech is not None
    for sample in found.samples:
        assert len(found.speech.waveform(sample.id, None, RATE)) == pytest.approx(
            sample.size * RATE, abs=1200
        )
    before = found.revision
    (transcript,) = sorted(
        folder.rglob("*.txt" if layout in ("LibriSpeech", "texts beside") else "metadata*")
    )[:1]
    transcript.write_text(transcript.read_text().replace("0\n", "0 more\n").replace('0"', '0 more"'))
    assert load_samples(task, tmp_path, seed=0).revision != before


def test_speakers_of_librispeech_are_in_its_ids(tmp_path: Path) -> None:
    librispeech(tmp_path)
    assert [row["speaker"] for row in read_rows(tmp_path)] == ["12", "12", "9"]


def test_a_pair_of_recordings_has_two_file_names(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,clean_file_name\nn.wav,c.wav\n")
    assert read_rows(tmp_path) == [{"id": "n", "audio": "n.wav", "clean": "c.wav"}]


@pytest.mark.parametrize("path", ["", "."])
def test_a_folder_can_be_the_target(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts_beside(tmp_path)
    monkeypatch.chdir(tmp_path)
    target = Path(path) if path else tmp_path
    (definition,) = select_tasks(Request(model="m", target=target)).tasks
    assert isinstance(definition.task, Asr)
    assert len(load_samples(definition.task, definition.folder, seed=0).samples) == 3


def no_audio(folder: Path) -> None:
    (folder / "readme.txt").write_text("nothing")


def no_transcript(folder: Path) -> None:
    texts_beside(folder)
    (folder / "a" / "1.txt").unlink()


def no_file_name(folder: Path) -> None:
    (folder / "metadata.csv").write_text("file,text\na.wav,word\n")


def not_utf8(folder: Path) -> None:
    texts_beside(folder)
    (folder / "a" / "1.txt").write_bytes(b"\xff\xfe\x00")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (no_audio, "has no audio files"),
        (no_transcript, r"a/1\.wav: has no transcript. Write 1\.txt beside it"),
        (no_file_name, r"metadata\.csv, row 1: lacks `file_name`"),
        (not_utf8, r"1\.txt: is not UTF-8"),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(
    make: Callable[[Path], Any], message: str, tmp_path: Path
) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path)
