"""Folders of audio with transcripts, in the three ways they are usually laid out."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forgetbench.errors import DataError

Rows = list[dict[str, Any]]

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".mp3")
METADATA = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
TEXT_COLUMNS = ("text", "transcription", "transcript", "sentence")
_LIBRISPEECH_ID = re.compile(r"(\d+)-\d+-\d+")


def audio_files(folder: Path) -> list[Path]:
    """Return all audio files below a folder, sorted."""
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS and path.is_file()
    )


def read_audio_folder(folder: Path, read_metadata: Callable[[Path], Rows]) -> Rows:
    """Return one row per recording, with ``id``, ``audio`` (relative to the folder) and ``text``.

    The transcripts are, whichever comes first: a ``metadata`` file with the column ``file_name`` (as the
    AudioFolder of `datasets`; every ``X_file_name`` becomes the column ``X``); ``*.trans.txt`` files with
    lines of an id and its text (as LibriSpeech, whose speakers are in the ids); a ``.txt`` beside each audio
    file.

    Args:
        folder: Searched with all its folders.
        read_metadata: Reads a JSONL, CSV or Parquet file.

    Raises:
        DataError: There is no audio or are no transcripts, or one is missing or unreadable.
    """
    for name in METADATA:
        if (folder / name).is_file():
            return [
                _described(row, folder / name, n) for n, row in enumerate(read_metadata(folder / name), 1)
            ]
    if lists := sorted(folder.rglob("*.trans.txt")):
        return [row for file in lists for row in _listed(file, folder)]
    files = audio_files(folder)
    if not files:
        raise DataError(str(folder), "has no audio files", "Give a folder with WAV, FLAC, Ogg or MP3 files.")
    return [_beside(file, folder) for file in files]


def _described(row: dict[str, Any], metadata: Path, number: int) -> dict[str, Any]:
    if not isinstance(row.get("file_name"), str):
        raise DataError(f"{metadata}, row {number}", "lacks `file_name`", "Name the audio file of every row.")
    found: dict[str, Any] = {"id": str(Path(row["file_name"]).with_suffix(""))}
    for column, value in row.items():
        found["audio" if column == "file_name" else column.removesuffix("_file_name")] = value
    text = next((column for column in TEXT_COLUMNS if column in row), None)
    return found | ({"text": row[text]} if text else {})


def _listed(file: Path, folder: Path) -> Rows:
    here = {path.stem: path for path in audio_files(file.parent) if path.parent == file.parent}
    rows: Rows = []
    for line in _read_text(file).splitlines():
        if not line.strip():
            continue
        key, _, text = line.strip().partition(" ")
        audio = here.get(key, file.parent / f"{key}.flac")
        row = {"id": key, "audio": audio.relative_to(folder).as_posix(), "text": text.strip()}
        speaker = _LIBRISPEECH_ID.fullmatch(key)
        rows.append(row | ({"speaker": speaker[1]} if speaker else {}))
    return rows


def _beside(audio: Path, folder: Path) -> dict[str, Any]:
    transcript = audio.with_suffix(".txt")
    if not transcript.is_file():
        raise DataError(
            str(audio.relative_to(folder)),
            "has no transcript",
            f"Write {transcript.name} beside it, or a {METADATA[1]} with `file_name` and `text`.",
        )
    place = audio.relative_to(folder)
    return {
        "id": place.with_suffix("").as_posix(),
        "audio": place.as_posix(),
        "text": _read_text(transcript).strip(),
    }


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(str(file), "is not UTF-8 text", "Save it as UTF-8.") from None
