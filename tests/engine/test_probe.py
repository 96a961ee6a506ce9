"""Probes through the engine, by a factory whose features are known."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.report.html.page import html_report
from forgetbench.report.table import verdict_table
from tiny_tasks import write_task

SOURCE = '''
import numpy as np

class Encoder:
    def __init__(self, name, rule):
        self.fingerprint, self.rule = name, rule
    def embed(self, audio):
        return [self.rule(a.samples) for a in audio]

def features(samples):
    """Two layers of eight numbers that hold the recording and nothing of its label."""
    return np.random.default_rng(int(1e6 * samples[0])).normal(size=(2, 8))
def steady(): return Encoder("steady", features)
def per_frame(): return Encoder("per frame", lambda samples: np.ones((2, len(samples) // 160)))
def flat(): return Encoder("flat", lambda samples: np.ones(8))
def voice(): return Encoder("voice", of_speaker)
def of_speaker(samples):
    """One of four, which has nothing in common with another."""
    return np.stack([np.eye(4)[round(100 * samples[0]) - 10]] * 2)
def broken(): return Encoder("broken", lambda samples: features(samples) * np.nan)
def frameless(): return Encoder("frameless", lambda samples: np.zeros((2, 0, 8)).mean(axis=1))
def partly(): return Encoder("partly", lambda s: features(s) * (np.nan if s[0] < 0.1035 else 1.0))
def louder(): return Encoder("louder", lambda samples: 3 * features(samples))
def still(): return Encoder("still", lambda samples: np.stack([features(samples)[0], np.ones(8)]))
def fails_once(): return Encoder("fails once", once)
def once(samples):
    if round(1e3 * samples[0]) == 103:
        raise RuntimeError("fails")
    return features(samples)
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / f"encodes_{tmp_path.name}.py".replace("-", "_")).write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    rows = []
    for i in range(40):
        clip = np.full(1_600 + 160 * i, 0.1 + 0.001 * i)
        soundfile.write(tmp_path / f"{i}.wav", clip, 16_000, subtype="FLOAT")
        rows.append({"id": f"p{i:02}", "audio": f"{i}.wav", "label": "ab"[i % 2]})
    write_task(
        tmp_path, "labels", rows, kind="probe", fields={"answer": "label"}, metrics=["probe_acc"],
        primary="probe_acc",
    )  # fmt: skip
    return tmp_path


def test_a_label_must_be_read_in_a_voice_that_was_not_heard(folder: Path) -> None:
    """Features that hold the speaker and nothing else name the language of a known voice, and of no other."""
    rows = []
    for i in range(40):
        level, language = 0.1 + 0.01 * (i % 4), "xy"[i % 4 // 2]
        soundfile.write(folder / f"v{i}.wav", np.full(1_600 + i, level), 16_000, subtype="FLOAT")
        rows.append({"id": f"v{i:02}", "audio": f"v{i}.wav", "label": language, "speaker": f"s{i % 4}"})

    def right(**unseen: str) -> float | None:
        write_task(
            folder, "labels", rows, kind="probe", fields={"answer": "label"}, metrics=["probe_acc"],
            primary="probe_acc", **unseen,
        )  # fmt: skip
        return run(folder, "voice").checkpoint.tasks[0].metrics["probe_acc"].value

    known, unknown = right(), right(unseen="speaker")
    assert known == 1.0
    assert unknown is not None and unknown < 0.75


def run(folder: Path, model: str, base: str | None = None) -> Result:
    module = f"encodes_{folder.name}".replace("-", "_")
    request = Request(
        model=f"{module}:{model}", base=f"{module}:{base}" if base else None, tasks=["labels"],
        include_paths=[folder], output=folder / "results", offline=True,
    )  # fmt: skip
    return evaluate(prepare(request))


@pytest.mark.parametrize(("model", "code"), [("per_frame", "unequal_features"), ("flat", "model_error")])
def test_features_that_no_probe_can_read_are_an_error(folder: Path, model: str, code: str) -> None:
    (task,) = run(folder, model).checkpoint.tasks
    assert (task.status, task.errors) == ("error", {code: 40})


@pytest.mark.filterwarnings("ignore:Mean of empty slice", "ignore:invalid value")
@pytest.mark.parametrize(
    ("model", "share", "reason"),
    [
        ("broken", 1.0, "the checkpoint's features of 40 of 40 clips are not finite"),
        ("frameless", 1.0, "the checkpoint's features of 40 of 40 clips are not finite"),
        ("partly", 0.1, "the checkpoint's features of 4 of 40 clips are not finite"),
        ("still", 0.0, "features vary in no clip, or in one alone"),
    ],
)
def test_broken_features_are_counted_and_named_where_cka_is_missing(
    folder: Path, model: str, share: float, reason: str
) -> None:
    result = run(folder, model, base="steady")
    comparison = result.comparison
    assert comparison is not None
    rates = [(each.base.nonfinite, each.checkpoint.nonfinite) for each in comparison.output_health]
    assert rates == ([(0.0, share)] if share else [])
    (drift,) = comparison.representation_drift
    assert (drift.cka[1], drift.reason) == (None, reason)
    warned = [line for line in comparison.warnings if "of the checkpoint's outputs are not finite" in line]
    assert len(warned) == (share > 0)
    console = Console(file=io.StringIO(), width=120)
    console.print(verdict_table(comparison))
    drawn = console.file.getvalue()
    page = html_report([result]).replace("&#39;", "'")
    assert f"({reason})" in " ".join(drawn.split()) and f"({reason})" in page
    assert ("Not finite" in page) == (share > 0)
    assert (f"not finite 0% -> {share:.0%}" in drawn) == (share > 0)


def test_whole_features_have_cka_and_no_reason(folder: Path) -> None:
    comparison = run(folder, "louder", base="steady").comparison
    assert comparison is not None
    (drift,) = comparison.representation_drift
    assert (drift.cka, drift.reason) == (pytest.approx((1.0, 1.0)), "")


def test_an_arm_that_lacks_a_sample_keeps_the_folds_of_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.engine import score_probe
    from forgetbench.metrics.linear_probe import probe_right

    used = []

    def spied(x: np.ndarray, labels: list[str], folds: np.ndarray) -> np.ndarray:
        used.append(list(folds))
        return probe_right(x, labels, folds)

    monkeypatch.setattr(score_probe, "probe_right", spied)
    whole, lacking = run(folder, "steady"), run(folder, "fails_once")
    assert (whole.checkpoint.tasks[0].n_scored, lacking.checkpoint.tasks[0].n_scored) == (40, 39)
    missing = read_samples(lacking.directory, lacking.checkpoint)["labels"].set_index("id")["error"]
    (position,) = np.flatnonzero(missing.notna())
    expected = used[0][:position] + used[0][position + 1 :]
    assert used[2] == expected
