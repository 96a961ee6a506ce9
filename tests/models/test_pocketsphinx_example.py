"""The documented example of a Python factory runs, by the command that its docstring gives."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import speech_like

MAIN = "from forgetbench.cli import main; main()"
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture
def in_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES)


def test_the_example_hears_anything_in_any_order(in_examples: None) -> None:
    component = resolve("pocketsphinx_asr:us_english").components["asr"]
    model = load(component, LoadSettings())
    clips = [speech_like(1, 0.5), speech_like(2, 0.3)]
    clips += [Audio(samples=np.zeros(n, np.float32), sampling_rate=16_000) for n in (0, 1, 8_000)]
    assert model.transcribe(clips, language="en") == model.transcribe(clips[::-1], language="en")[::-1]


def test_its_fingerprint_has_the_packages_version_and_the_settings(in_examples: None) -> None:
    plain, narrow = (resolve(f"pocketsphinx_asr:{name}") for name in ("us_english", "us_english_narrow"))
    assert plain.fingerprint != narrow.fingerprint
    module = importlib.import_module("pocketsphinx_asr")
    assert importlib.metadata.version("pocketsphinx") in module.us_english.fingerprint()


@pytest.mark.slow
@pytest.mark.realdata
def test_the_command_of_the_docstring_scores_real_speech(test_data: Path, tmp_path: Path) -> None:
    lines = (test_data / "speech" / "prompts_en.jsonl").read_text().splitlines()[2:4]
    rows = [json.loads(line) for line in lines]
    target = tmp_path / "test.jsonl"
    target.write_text(
        "".join(
            json.dumps({"audio": str(test_data / "speech" / row["audio"]), "text": row["text"]}) + "\n"
            for row in rows
        )
    )
    options = ["--base", "pocketsphinx_asr:us_english", "--target", str(target), "--offline"]
    options += ["--output-path", str(tmp_path / "results"), "--no-mlflow"]
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "run", "--model", "pocketsphinx_asr:us_english_narrow", *options],
        cwd=EXAMPLES,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"FORGETBENCH_CACHE": str(tmp_path / "cache")},
    )
    assert done.returncode in {0, 3}, done.stderr
    run = json.loads(next((tmp_path / "results").rglob("run.json")).read_text())
    (component,) = run["checkpoint"]["components"]
    assert (component["format"], component["architecture"]) == ("factory", "PocketSphinx")
    assert [task["n_scored"] for task in run["tasks"]] == [2]
