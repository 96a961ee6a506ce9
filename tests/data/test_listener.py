from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from forgetbench.data.listener import find_audiogram
from forgetbench.errors import DataError
from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS

OURS = {"frequencies_hz": [500, 4000], "levels_db_hl": [10, 50]}
CLARITYS = {
    "name": "L0001",
    "audiogram_cfs": [500, 1000, 2000, 4000],
    "audiogram_levels_l": [50, 50, 60, 70],
    "audiogram_levels_r": [40, 45, 50, 80],
}


def write(folder: Path, content: Any) -> None:
    (folder / "listeners.json").write_text(json.dumps(content))


def test_a_standard_audiogram_has_a_name(tmp_path: Path) -> None:
    assert find_audiogram("N3", tmp_path) is STANDARD_AUDIOGRAMS["N3"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (OURS, "listeners.json"),
        ({"me": OURS}, "listeners.json"),
        ({"me": OURS, "you": CLARITYS}, "listeners.json:me"),
    ],
)
def test_a_listener_comes_from_a_file(tmp_path: Path, content: Any, name: str) -> None:
    write(tmp_path, content)
    assert find_audiogram(name, tmp_path).levels_db_hl == (10, 50)


def test_the_better_ear_of_a_clarity_listener_hears(tmp_path: Path) -> None:
    write(tmp_path, {"L0001": CLARITYS})
    assert find_audiogram("listeners.json:L0001", tmp_path).levels_db_hl == (40, 45, 50, 80)


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ({}, "N8", "no standard audiogram"),
        ({}, "none.json", "No such file"),
        ([1], "listeners.json", "not a JSON object"),
        ({"L0001": CLARITYS}, "listeners.json:L001", "no listener 'L001'. Did you mean L0001"),
        ({"a": OURS, "b": OURS}, "listeners.json", "holds 2 listeners. Choose one: listeners.json:a"),
        ({"frequencies_hz": [500]}, "listeners.json", "lacks 'levels_db_hl'"),
        ({"frequencies_hz": [500, 400], "levels_db_hl": [1, 2]}, "listeners.json", "ascend"),
        ({"frequencies_hz": [500], "levels_db_hl": ["x"]}, "listeners.json", "could not convert"),
        ({"frequencies_hz": [500], "levels_db_hl": [10**400]}, "listeners.json", "too large"),
        ({"frequencies_hz": [500], "levels_db_hl": [1e6]}, "listeners.json", "between -20 and 130 dB HL"),
        ({"frequencies_hz": [500], "levels_db_hl": [-21]}, "listeners.json", "between -20 and 130 dB HL"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: Any, name: str, message: str) -> None:
    write(tmp_path, content)
    with pytest.raises(DataError, match=message):
        find_audiogram(name, tmp_path)
