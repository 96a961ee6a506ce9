"""A curve over checkpoints: numbers in, numbers out."""

from __future__ import annotations

from typing import Any

from forgetbench.forgetting.adaptability import adaptability_curves
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import CheckpointInfo


def row(name: str, role: str, checkpoint: float | None, **fields: Any) -> Row:
    degradation = None if checkpoint is None else checkpoint - 0.5
    default = {"kind": "task", "metric": "wer", "higher_is_better": False, "margin": 0.02, "verdict": "minor"}
    return Row(
        name=name, title=name, role=role, base=0.5, checkpoint=checkpoint, degradation=degradation,
        **(default | fields),
    )  # type: ignore[arg-type]  # fmt: skip


def comparison(name: str, *rows: Row) -> Comparison:
    info = CheckpointInfo(name=name, fingerprint=name, components=())
    return Comparison(
        run_key="k",
        base=info,
        checkpoint=info,
        alpha=0.05,
        family_size=1,
        rows=rows,
        decision="SHIP",
        summary="",
    )


def test_each_target_has_a_curve_by_rising_audio_with_the_worst_general_loss() -> None:
    clean = row("clean", "general", 0.51)
    comparisons = [
        comparison("b", row("own", "target", 0.3), clean, row("safe", "safety", 0.6, margin=0.1)),
        comparison("a", row("own", "target", 0.4), clean, row("safe", "safety", 0.5, margin=0.1)),
        comparison("c", row("own", "target", 0.2), row("clean", "general", None)),
    ]
    (curve,) = adaptability_curves([58.5, 14.2, 280.0], comparisons)
    assert [(p.audio_s, p.checkpoint, p.target.checkpoint) for p in curve.points] == [
        (14.2, "a", 0.4),
        (58.5, "b", 0.3),
        (280.0, "c", 0.2),
    ]
    assert [p.worst_general.name if p.worst_general else None for p in curve.points] == [
        "clean",
        "safe",
        None,
    ]


def test_a_target_that_one_checkpoint_alone_has_is_no_curve() -> None:
    comparisons = [
        comparison("a", row("own", "target", 0.4), row("more", "target", None, verdict="error")),
        comparison("b", row("own", "target", 0.3), row("more", "target", 0.3)),
    ]
    found = adaptability_curves([6, 12], comparisons)
    assert [curve.target.name for curve in found] == ["own"]
    assert adaptability_curves([6, 6], [comparison("a", row("c", "general", 0.4))] * 2) == ()
