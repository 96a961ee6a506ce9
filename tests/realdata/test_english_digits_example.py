"""examples/english-digits: the recordings become what the measured pages train on."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "english-digits" / "make_manifest.py"


def make(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["make_manifest.py", *arguments])
    runpy.run_path(str(EXAMPLE), run_name="__main__")


def rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.realdata
def test_the_recordings_become_three_manifests(
    test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(monkeypatch, str(test_data / "speech" / "digits_en"), "--output", str(tmp_path))
    known = {row["id"]: row["text"] for row in rows(test_data / "speech" / "digits_en.jsonl")}
    everything, train, test = (rows(tmp_path / f"{name}.jsonl") for name in ("all", "train", "test"))
    assert {row["id"]: row["text"] for row in everything} == known
    assert (len(train), len(test)) == (134, 66)
    assert not {row["speaker"] for row in train} & {row["speaker"] for row in test}
    assert all(Path(row["audio"]).is_file() for row in everything)


def test_a_recording_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        make(monkeypatch, str(tmp_path), "--output", str(tmp_path / "english"))
    assert "0_george_1.wav is not there" in capsys.readouterr().err
    assert not (tmp_path / "english").exists()
