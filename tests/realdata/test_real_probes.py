"""The encoder of Whisper tiny.en holds keywords and vowels; one that nobody trained holds little of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.models.reference import install_command, resolve_reference

pytestmark = [pytest.mark.slow, pytest.mark.realdata]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
TINY_EN = "openai/whisper-tiny.en"


def test_what_was_learnt_is_lost_without_its_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve_reference(TINY_EN) is not None, f"run: {install_command(TINY_EN)}"
    monkeypatch.chdir(EXAMPLES)
    result = evaluate(
        prepare(
            Request(
                model="whisper_encoder:untrained",
                base="whisper_encoder:tiny_en",
                tasks=["keyword_probe_mini", "vowel_probe_mini"],
                output=tmp_path / "results",
                offline=True,
            )
        )
    )
    assert result.comparison is not None
    rows = {row.name: row for row in result.comparison.rows}
    keyword, vowel = rows["keyword_probe_mini"], rows["vowel_probe_mini"]
    assert keyword.base is not None and keyword.base > 0.9
    assert vowel.base is not None and vowel.base > 0.65
    for row in (keyword, vowel):
        assert row.checkpoint is not None and 0.15 < row.checkpoint < 0.6
        assert row.verdict == "regressed"
    drifts = result.comparison.representation_drift
    assert {drift.task for drift in drifts} == set(rows)
    for drift in drifts:
        assert len(drift.cka) == 5 and all(value is not None and value < 0.9 for value in drift.cka)
