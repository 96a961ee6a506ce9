"""examples/voice-prompts: packages of voice prompts become a test set that its task files read."""

from __future__ import annotations

import gzip
import json
import runpy
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from forgetbench.cli.app import app

EXAMPLE = Path(__file__).parents[2] / "examples" / "voice-prompts"
PROMPTS = {
    "good": ("dites le nom de la ville", 2.0),
    "digits/seven": ("sept", 0.5),
    "beep": ("[un son qui descend lentement]", 2.0),
    "short": ("un son de deux tons qui descend", 0.2),
    "digit": ("dites 7 fois le nom", 2.0),
    "long": ("le texte de cette annonce est trop long", 16.0),
    "not-recorded": ("personne ne dit cette phrase", None),
}


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """Packages of four languages with the same prompts, as dpkg-deb extracts them."""
    root = tmp_path / "unpacked"
    voices = runpy.run_path(str(EXAMPLE / "make_manifest.py"))["VOICES"]
    for language, voice in voices.items():
        texts = root / f"usr/share/doc/asterisk-core-sounds-{language}/core-sounds-{language}.txt.gz"
        texts.parent.mkdir(parents=True)
        lines = ["; Core Sounds", "", *(f"{name}: {text}" for name, (text, _) in PROMPTS.items())]
        texts.write_bytes(gzip.compress("\n".join(lines).encode("utf-8-sig")))
        for name, (_, seconds) in PROMPTS.items():
            if seconds is not None:
                audio = root / "usr/share/asterisk/sounds" / voice / f"{name}.wav"
                audio.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(audio, np.full(int(8000 * seconds), 0.1), 8000, subtype="PCM_16")
    return root


def make(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["make_manifest.py", *arguments])
    runpy.run_path(str(EXAMPLE / "make_manifest.py"), run_name="__main__")


def test_prompts_whose_text_is_what_is_heard_become_a_test_set(
    unpacked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "voice-prompts"
    make(monkeypatch, str(unpacked), "--output", str(folder / "data"))
    rows = [json.loads(line) for line in (folder / "data" / "prompts.jsonl").read_text("utf-8").splitlines()]
    assert [row["id"] for row in rows] == ["es-good", "fr-good", "it-good", "ru-good"]
    assert {row["text"] for row in rows} == {"dites le nom de la ville"}
    for task in EXAMPLE.glob("*.yaml"):
        shutil.copy(task, folder)
    done = CliRunner().invoke(app, ["tasks", "validate", *map(str, sorted(folder.glob("*.yaml")))])
    assert done.exit_code == 0, done.output
    assert done.output.count("✓") == 5


def test_a_package_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        make(monkeypatch, str(tmp_path), "--output", str(tmp_path / "data"))
    assert "core-sounds-es.txt.gz is not there" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
