"""When a phrase is said: Whisper's own timestamps, against times that are known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from forgetbench.data.samples import load_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import DataError
from forgetbench.metrics.speech_times import boundary_f1
from forgetbench.models.checkpoint import resolve
from forgetbench.models.load import load
from forgetbench.models.whisper import WhisperRecogniser
from forgetbench.schema.run import LoadSettings
from forgetbench.tasks.definition import read_definition
from tiny_models import make_whisper
from tiny_speech_models import speech_like
from tiny_tasks import write_task

TRUE = [(0.5, 2.0), (3.0, 4.5)]
moments = st.lists(st.floats(0, 30), min_size=2, max_size=12)


def phrases(values: Sequence[float]) -> list[tuple[float, float]]:
    ordered = sorted(values[: len(values) // 2 * 2])
    return list(zip(ordered[::2], ordered[1::2], strict=True))


def test_right_boundaries_count_once_and_in_both_directions() -> None:
    assert boundary_f1(TRUE, TRUE, collar_s=0.5) == 1
    assert boundary_f1(TRUE, [(0.9, 1.6), (3.4, 4.1)], collar_s=0.5) == 1
    assert boundary_f1(TRUE, [(0.5, 1.0), (3.0, 4.5)], collar_s=0.5) == pytest.approx(1 / 2)
    assert boundary_f1(TRUE, [*TRUE, (6.0, 7.0), (8.0, 9.0)], collar_s=0.5) == pytest.approx(2 * 0.5 / 2)
    assert boundary_f1(TRUE, [], collar_s=0.5) == 0
    assert boundary_f1(TRUE, [(2.0, 0.5)], collar_s=0.5) == 0, "it ends before it begins"


def test_one_phrase_over_the_whole_recording_finds_nothing() -> None:
    assert boundary_f1(TRUE, [(0.0, 5.0)], collar_s=0.5) == 0
    assert boundary_f1(TRUE, [(0.5, 4.5)], collar_s=0.5) == 0
    assert boundary_f1([(0.5, 2.0)], [(0.0, 2.5)], collar_s=0.5) == 1, "it is one phrase"
    assert boundary_f1([(0.5, 2.0)], TRUE, collar_s=0.5) == 0


@given(moments, moments, st.floats(0.01, 5))
def test_it_is_the_f1_of_the_largest_matching(one: list[float], other: list[float], collar_s: float) -> None:
    true, found = phrases(one), phrases(other)
    matched = 0
    for side, inner in ((0, slice(1, None)), (1, slice(None, -1))):
        near = np.array([[abs(t[side] - f[side]) <= collar_s for f in found[inner]] for t in true[inner]])
        matched += int(near[linear_sum_assignment(near, maximize=True)].sum()) if near.size else 0
    n_true, n_found = 2 * (len(true) - 1), 2 * (len(found) - 1)
    expected = 2 * matched / (n_true + n_found) if n_true + n_found else 1
    assert boundary_f1(true, found, collar_s=collar_s) == pytest.approx(expected)


def whisper(path: Path) -> WhisperRecogniser:
    model = load(resolve(str(path)).components["asr"], LoadSettings())
    assert isinstance(model, WhisperRecogniser)
    return model


@pytest.mark.parametrize("multilingual", [True, False])
def test_times_are_those_of_transformers_and_lie_in_the_clip(multilingual: bool, tmp_path: Path) -> None:
    model = whisper(make_whisper(tmp_path / "w", multilingual=multilingual))
    clips = [speech_like(seed, 1.0) for seed in range(3)]
    timed = model.time_speech(clips, language="en")
    assert len(timed) == 3
    for clip, found in zip(clips, timed, strict=True):
        features = model.processor.feature_extractor(
            clip.samples, sampling_rate=16_000, return_tensors="pt"
        ).input_features
        with torch.no_grad():
            expected = model.model.generate(
                features,
                generation_config=model._long_form_config(model._limit(4)),
                return_timestamps=True,
                return_segments=True,
                **({"language": "en", "task": "transcribe"} if multilingual else {}),
            )["segments"][0]
        said = [s for s in expected if model._output(s["tokens"].tolist(), truncated=False).text]
        assert [phrase.start_s for phrase in found] == [min(float(s["start"]), 1.0) for s in said]
        assert all(0 <= phrase.start_s <= 1 and 0 <= phrase.end_s <= 1 for phrase in found)
    assert timed == [model.time_speech([clip], language="en")[0] for clip in clips]


def made_task(folder: Path, times: object) -> Path:
    soundfile.write(folder / "a.wav", speech_like(0, 1.0).samples, 16_000, subtype="FLOAT")
    rows = [{"id": "s", "audio": "a.wav", "text": "a cat sat", "phrases": times}]
    write_task(folder, "times", rows, kind="speech_times", metrics=["boundary_f1"], primary="boundary_f1")
    return folder / "times.yaml"


@pytest.mark.parametrize(
    "times",
    [
        None,
        [],
        3,
        [[1.0]],
        [["a", "b"]],
        [[2.0, 1.0]],
        [[-1.0, 1.0]],
        [[0.0, float("nan")]],
        [[3, 4], [1, 2]],
    ],
)
def test_times_that_are_none_are_refused(times: object, tmp_path: Path) -> None:
    definition = read_definition(made_task(tmp_path, times))
    with pytest.raises(DataError, match="phrases"):
        load_samples(definition.task, tmp_path, seed=0)  # type: ignore[arg-type]


def test_it_runs_through_the_engine(made: Path, tmp_path: Path) -> None:
    made_task(tmp_path, [[0.2, 0.8]])
    request = Request(
        model=str(made / "whisper"),
        tasks=["times"],
        include_paths=[tmp_path],
        output=tmp_path / "r",
        offline=True,
    )
    result = evaluate(prepare(request))
    (task,) = result.checkpoint.tasks
    (phrase,) = [whisper(made / "whisper").time_speech([speech_like(0, 1.0)], language="en")[0]]
    expected = boundary_f1([(0.2, 0.8)], [(p.start_s, p.end_s) for p in phrase], collar_s=0.5)
    assert task.status == "done" and task.metrics["boundary_f1"].value == pytest.approx(expected)


def test_the_embedded_times_are_where_speech_begins_and_ends() -> None:
    """Where the manifest says that nobody speaks, it is quiet; where a phrase begins and ends, it is not."""
    folder = Path("tasks/hearing/times/data")
    rows: list[dict[str, Any]] = [
        json.loads(line) for line in (folder / "times.jsonl").read_text().splitlines()
    ]
    assert len(rows) >= 60 and len({row["speaker"] for row in rows}) == 4
    for row in rows:
        signal, rate = soundfile.read(folder / row["audio"])
        levels = 20 * np.log10(
            [np.sqrt(np.mean(f**2)) for f in np.split(signal[: len(signal) // 160 * 160], len(signal) // 160)]
        )
        edges = [0.0, *(moment for pair in row["phrases"] for moment in pair), len(signal) / rate]
        for start, end in zip(edges[::2], edges[1::2], strict=True):
            quiet = levels[int(100 * start) + 4 : int(100 * end) - 4]
            assert not len(quiet) or quiet.max() < -55, row["id"]
        for start, end in row["phrases"]:
            assert levels[int(100 * start) : int(100 * start) + 12].max() > -60, row["id"]
            assert levels[int(100 * end) - 12 : int(100 * end)].max() > -60, row["id"]
