"""The commands ``recipe`` and ``sweep``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from forgetbench.errors import DataError, UsageError
from tiny_recipe_models import facts_of

Cli = Callable[..., Result]


def test_the_list_names_each_recipe_by_family_with_what_it_does(cli: Cli) -> None:
    found = json.loads(cli("recipe", "ls", "--json").stdout)
    assert {"lora", "full", "sdft-rewrite", "dpo", "grpo", "pseudo-label"} <= {one["name"] for one in found}
    assert "pseudo-label" in cli("recipe", "ls").stdout
    shown = cli("recipe", "show", "lora").stdout
    assert "family: causal_lm" in shown and "family: whisper" in shown
    assert "There is distillation" in str(cli("recipe", "show", "magic").exception)


def test_a_recipe_runs_with_overrides_and_names_its_directories(
    cli: Cli, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    done = cli(
        "recipe", "run", "full", "schedule=constant", "l2_to_base=0.5", "--model", str(tiny_causal),
        "--data", str(pairs), "--output", str(tmp_path / "out"), "--steps", "2", "--save-steps", "1,2",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert done.stdout.split() == [str(tmp_path / "out" / n) for n in ("checkpoint-1", "checkpoint-2")] + [
        str(tmp_path / "out")
    ]
    facts = facts_of(tmp_path / "out")
    assert (facts.recipe.schedule, facts.recipe.l2_to_base) == ("constant", 0.5)
    assert facts.contamination is not None and facts.contamination.exact == 0


def test_what_is_refused_says_why_before_data_is_looked_for(
    cli: Cli, tiny_causal: Path, tmp_path: Path
) -> None:
    there = ("--model", str(tiny_causal), "--data", "nothere.jsonl", "--output", str(tmp_path / "out"))
    assert "pseudo-label is for speech" in str(
        cli("recipe", "run", "full", "method=pseudo-label", *there).exception
    )
    assert "nothere.jsonl" in str(cli("recipe", "run", "full", *there).exception)


def test_training_on_a_test_set_is_an_error_unless_allowed_and_then_recorded(
    cli: Cli, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    words = (
        "recipe", "run", "lora", "--model", str(tiny_causal), "--data", str(pairs), "--target", str(pairs),
        "--output", str(tmp_path / "out"), "--steps", "1",
    )  # fmt: skip
    refused = cli(*words)
    assert isinstance(refused.exception, DataError) and "--allow-contamination" in str(refused.exception)
    assert not (tmp_path / "out").exists()
    assert cli(*words, "--allow-contamination").exit_code == 0
    contamination = facts_of(tmp_path / "out").contamination
    assert contamination is not None and contamination.exact == 7


def test_what_is_missing_is_said(cli: Cli, tiny_causal: Path) -> None:
    assert "needs a model" in str(cli("recipe", "run", "lora").exception)
    missing = cli("recipe", "run", "lora", "--model", str(tiny_causal)).exception
    assert isinstance(missing, UsageError) and "needs --data and --output" in str(missing)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_plan_of_a_sweep_is_shown_and_nothing_is_trained(
    as_json: bool, cli: Cli, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    grid = {
        "name": "tiny",
        "model": str(tiny_causal),
        "data": str(pairs),
        "tasks": ["facts_mini"],
        "limit": 2,
        "common": {"steps": 4, "save_steps": [2, 4]},
        "grid": [{"recipe": "lora", "rank": [1, 2]}],
    }
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    out = str(tmp_path / "results")
    done = cli("sweep", str(tmp_path / "grid.yaml"), "--dry-run", "--output-path", out, *["--json"] * as_json)
    assert done.exit_code == 0, done.output
    if as_json:
        lines = json.loads(done.stdout)
        assert [(line["name"], line["checkpoints"], line["measured"]) for line in lines] == [
            ("lora-r1-s0", 2, 0), ("lora-r2-s0", 2, 0),
        ]  # fmt: skip
        assert all(line["seconds"] > 0 for line in lines)
    else:
        assert "2 trainings" in done.stdout
    assert not (tmp_path / "results").exists()
