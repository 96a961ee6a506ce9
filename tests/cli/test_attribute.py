"""``--attribute``, on systems of factories through the whole pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from forgetbench.errors import UsageError

Parts = Callable[..., str]


@pytest.fixture
def run(cli: Callable[..., Result], spoken_tasks: Path, tmp_path: Path) -> Callable[..., Result]:
    def call(model: str, base: str, *more: str) -> Result:
        return cli(
            "run", "--model", model, "--base", base, "--tasks", "questions",
            "--include-path", str(spoken_tasks), "--output-path", str(tmp_path / "results"),
            "--offline", "--no-mlflow", *more,
        )  # fmt: skip

    return call


def test_the_table_comes_before_the_decision_and_the_document_is_kept(
    run: Callable[..., Result], parts: Parts, tmp_path: Path
) -> None:
    done = run(parts("deafer", "duller"), parts("ears", "head"), "--attribute")
    assert done.exit_code == 0, done.output
    assert done.stdout.index("Where the loss comes from") < done.stdout.index("DO NOT SHIP")
    (document,) = (tmp_path / "results").rglob("attribution.json")
    found = json.loads(document.read_text())
    assert found["n_systems"] == 2 and found["reproduce"].endswith(" --attribute")
    swapped = list((document.parent / "swapped").rglob("run.json"))
    assert len(swapped) == 2
    for path in swapped:
        assert json.loads(path.read_text())["reproduce"] == found["reproduce"]


def test_json_holds_the_attribution_only_where_it_was_asked_for(
    run: Callable[..., Result], parts: Parts
) -> None:
    pair = parts("ears", "duller"), parts("ears", "head")
    assert "attribution" not in json.loads(run(*pair, "--json").stdout)
    found = json.loads(run(*pair, "--attribute", "--json").stdout)["attribution"]
    assert found["identical"] == ["asr"]
    assert found["tasks"][0]["components"][0]["role"] == "lm"


def test_systems_that_are_the_same_run_nothing(run: Callable[..., Result], parts: Parts) -> None:
    done = run(parts("ears", "head"), parts("ears", "head"), "--attribute")
    assert isinstance(done.exception, UsageError)
    assert "the same, byte for byte" in str(done.exception)
