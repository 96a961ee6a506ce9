"""Choosing how much of a change to keep: on one half of the items, confirmed on the other."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forgetbench.forgetting.alpha_line import AlphaLine, alpha_line, alpha_point, gain, halves
from forgetbench.report.alpha_line import conclusion, write_csv

Make = Callable[..., Any]
N = 400


@pytest.fixture
def line(make_task: Make, make_run: Make, make_table: Make) -> Callable[..., AlphaLine]:
    """A line over α with so many items of each half won on the target, and lost on the general task."""

    def make(
        won: dict[float, tuple[int, int]], lost: dict[float, tuple[int, int]], **roles: str
    ) -> AlphaLine:
        tasks = [make_task(name, n_planned=N, role=roles.get(name, name)) for name in ("target", "general")]
        base = {"target": make_table({"acc": [0.0] * N}), "general": make_table({"acc": [1.0] * N})}
        is_second = np.isin(base["target"]["id"], halves(base)[1]["target"]["id"])

        def scored(start: float, counts: tuple[int, int]) -> pd.DataFrame:
            scores = np.full(N, start)
            for half, n in zip((~is_second, is_second), counts, strict=True):
                scores[np.flatnonzero(half)[:n]] = 1 - start
            return make_table({"acc": list(scores)})

        points = [
            alpha_point(
                alpha,
                make_run("base", *tasks),
                make_run("checkpoint", *tasks),
                base,
                {"target": scored(0.0, won[alpha]), "general": scored(1.0, lost[alpha])},
            )
            for alpha in won
        ]
        return alpha_line(points)

    return make


def test_the_largest_gain_without_a_regression_is_chosen_and_confirmed(
    line: Callable[..., AlphaLine],
) -> None:
    found = line({0.25: (20, 20), 0.5: (60, 60), 1.0: (80, 80)}, {0.25: (0, 0), 0.5: (0, 0), 1.0: (60, 60)})
    assert found.chosen is not None and found.chosen.alpha == 0.5
    assert found.is_confirmed and found.gain_kept == pytest.approx(0.75)
    assert conclusion(found).startswith("α = 0.5 keeps 75% of the gain without a regression")


def test_what_regresses_on_the_other_half_is_not_confirmed(line: Callable[..., AlphaLine]) -> None:
    found = line({0.5: (60, 60), 1.0: (80, 80)}, {0.5: (0, 60), 1.0: (60, 60)})
    assert found.chosen is not None and found.chosen.alpha == 0.5 and not found.is_confirmed
    assert "NOT confirmed" in conclusion(found)


def test_what_regresses_everywhere_is_never_chosen(line: Callable[..., AlphaLine]) -> None:
    found = line({0.5: (60, 60), 1.0: (80, 80)}, {0.5: (60, 60), 1.0: (60, 60)})
    assert found.chosen is None and "No α gains without a regression" in conclusion(found)


def test_without_a_target_nothing_is_chosen_and_that_is_said(line: Callable[..., AlphaLine]) -> None:
    found = line({1.0: (80, 80)}, {1.0: (0, 0)}, target="cost")
    assert found.chosen is None and gain(found.points[0].whole) is None
    assert "no task of the role target was measured" in conclusion(found)


def test_points_are_written_by_rising_alpha(line: Callable[..., AlphaLine], tmp_path: Path) -> None:
    found = line({1.0: (80, 80), 0.5: (60, 60)}, {1.0: (60, 60), 0.5: (0, 0)})
    write_csv(found, tmp_path / "line.csv")
    with (tmp_path / "line.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["alpha"], row["chosen"], row["decision"]) for row in rows] == [
        ("0.5", "True", "SHIP"),
        ("1.0", "False", "DO NOT SHIP"),
    ]
    assert float(rows[0]["gain_margins"]) == pytest.approx(120 / N / 0.02)


def test_a_cluster_is_never_in_both_halves(make_table: Make) -> None:
    table = make_table({"acc": [1.0] * 200}, cluster=[f"speaker {i // 10}" for i in range(200)])
    first, second = (half["quiz"] for half in halves({"quiz": table}))
    assert not set(first["cluster"]) & set(second["cluster"])
    assert len(first) + len(second) == 200 and min(len(first), len(second)) >= 40


def test_both_arms_are_split_alike(make_table: Make) -> None:
    table = make_table({"acc": [1.0] * 100})
    other = table.iloc[::-1]
    for half, of_other in zip(halves({"quiz": table}), halves({"quiz": other}), strict=True):
        assert set(half["quiz"]["id"]) == set(of_other["quiz"]["id"])
