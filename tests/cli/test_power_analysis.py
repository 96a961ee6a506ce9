"""``run --power-analysis``: the numbers of a plan, before any model runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from forgetbench.cli.power import Power
from forgetbench.engine import lazy_model
from forgetbench.errors import UsageError
from forgetbench.forgetting.power import binary_sd, mean_sd, required_n, smallest_detectable


@pytest.fixture
def analyse(
    cli: Callable[..., Result], made: Path, tiny_tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, dict[str, object]]]:
    """Run a power analysis of tasks of the tiny suite and return its rows by name."""
    monkeypatch.setattr(lazy_model, "load", lambda *_: pytest.fail("a model was loaded"))

    def call(tasks: str, *more: str) -> dict[str, dict[str, object]]:
        done = cli(
            "run", "--power-analysis", "--model", str(made / "lora"), "--tasks", tasks,
            "--include-path", str(tiny_tasks), "--offline", "--json", *more,
        )  # fmt: skip
        assert done.exit_code == 0, done.output
        return {row["name"]: row for row in json.loads(done.stdout)["rows"]}

    return call


def test_needed_and_detectable_are_those_of_the_formulas(
    analyse: Callable[..., dict[str, dict[str, float]]],
) -> None:
    rows = analyse("choices,short,leaning", "--effect-size", "0.03", "--alpha", "0.1", "--power", "0.9")
    level = 1 - 0.1 / 3
    for name, n in (("choices", 30), ("short", 24)):
        assert rows[name]["n"] == n
        assert rows[name]["n_needed"] == required_n(binary_sd(0.1), 0.03, level=level, power=0.9)
        expected = smallest_detectable(binary_sd(0.1), n, level=level, power=0.9)
        assert rows[name]["smallest_detectable"] == pytest.approx(expected)
    assert rows["leaning"]["n_needed"] is rows["leaning"]["smallest_detectable"] is None


def test_without_an_effect_size_it_is_the_margin(analyse: Callable[..., dict[str, dict[str, float]]]) -> None:
    rows = analyse("choices")
    assert rows["choices"]["effect_size"] == 0.05
    assert rows["choices"]["n_needed"] == required_n(binary_sd(0.1), 0.05)


def test_drawn_answers_need_more_samples_and_repeats_make_up_for_it(
    analyse: Callable[..., dict[str, dict[str, float]]],
) -> None:
    drawn = {
        k: analyse("short", "--gen-kwargs", "temperature=1", "--repeats", str(k))["short"] for k in (1, 10)
    }
    assert drawn[1]["n_needed"] == required_n(mean_sd(0.1, 1 / 6), 0.05)
    assert drawn[10]["n_needed"] == required_n(mean_sd(0.1, 1 / 6, 10), 0.05)
    assert analyse("short")["short"]["n_needed"] < drawn[10]["n_needed"] < drawn[1]["n_needed"]


def test_the_table_says_which_rows_are_too_small(cli, made, tiny_tasks):
    said = cli(
        "run", "--power-analysis", "--effect-size", "0.3", "--model", str(made / "lora"),
        "--tasks", "choices,leaning", "--include-path", str(tiny_tasks), "--offline",
    ).stdout  # fmt: skip
    assert "enough" in said and "unknown before a run" in said
    assert "30.0" in said


@pytest.mark.parametrize("option", ["effect_size", "power"])
def test_its_options_belong_to_it(option: str) -> None:
    given = {"effect_size": None, "alpha": None, "power": None, option: 0.1}
    with pytest.raises(UsageError, match="belongs to --power-analysis"):
        Power.of(False, **given)
    for wrong in (0.0, -1.0, *(() if option == "effect_size" else (1.0,))):
        with pytest.raises(UsageError, match="is not"):
            Power.of(True, **{**given, option: wrong})
    assert Power.of(False, effect_size=None, alpha=None, power=None) is None


def test_alpha_is_an_error_rate_here_and_parts_of_a_change_elsewhere() -> None:
    assert Power.of(False, effect_size=None, alpha="0.25,0.5", power=None) is None
    for wrong, said in (("0.25,0.5", "is no error rate"), ("0", "is not between"), ("1", "is not between")):
        with pytest.raises(UsageError, match=said):
            Power.of(True, effect_size=None, alpha=wrong, power=None)
