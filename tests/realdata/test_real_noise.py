"""Whisper tiny.en on real speech in real noise: the more noise, the more words are lost."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import yaml

from forgetbench.engine.results import read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.models.reference import install_command, resolve_reference

pytestmark = [pytest.mark.slow, pytest.mark.realdata, pytest.mark.timeout(3000)]

TINY_EN = "openai/whisper-tiny.en"
N = 40
SNR_DB = (10, 5, 0, -5)


def write_tasks(folder: Path, test_data: Path) -> None:
    source = test_data / "speech" / "prompts_en.jsonl"
    rows = [json.loads(line) for line in source.read_text().splitlines()]
    lines = [json.dumps({**row, "audio": str(source.parent / row["audio"])}) for row in rows]
    (folder / "prompts.jsonl").write_text("\n".join(lines))
    noise = {"noise": "recordings", "recordings": str(test_data / "noise")}
    for name, conditions in (("clean", []), ("noisy", [{**noise, "snr_db": snr_db} for snr_db in SNR_DB])):
        task = {
            "name": name, "version": 1, "title": name, "kind": "asr", "role": "general", "margin": 0.01,
            "dataset": {"path": "prompts.jsonl", "fields": {"id": "id"}, "sample": N}, "metrics": ["wer"],
            "primary": "wer", "licence": "CC-BY-SA-3.0", "conditions": conditions,
        }  # fmt: skip
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(task))


def word_error_rate(table: pd.DataFrame) -> float:
    return float(table["wer.num"].sum() / table["wer.den"].sum())


def test_word_errors_rise_with_every_step_of_noise(
    test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = resolve_reference(TINY_EN)
    assert found is not None, f"run: {install_command(TINY_EN)}"
    write_tasks(tmp_path, test_data)
    request = Request(
        model=str(found),
        tasks=("clean", "noisy"),
        include_paths=[tmp_path],
        output=tmp_path / "out",
        offline=True,
    )
    result = evaluate(prepare(request))
    tables = read_samples(result.directory, result.checkpoint)
    by_condition = {label: word_error_rate(part) for label, part in tables["noisy"].groupby("condition")}
    rates = [word_error_rate(tables["clean"]), *(by_condition[f"noise {snr_db} dB"] for snr_db in SNR_DB)]

    assert all(lower < higher for lower, higher in pairwise(rates)), rates
    assert rates[0] < 0.07
    assert rates[-1] > 0.2
