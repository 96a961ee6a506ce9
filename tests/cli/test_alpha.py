"""``--alpha`` on tiny models through the whole pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from forgetbench.cli.options import alphas
from forgetbench.errors import UsageError
from forgetbench.models.resident_base import ResidentBase
from tiny_models import make_lora

Run = Callable[..., Result]


@pytest.mark.parametrize(
    ("given", "expected"), [(None, []), ("0.5", [0.5]), ("1,0.25, 0.5,1", [0.25, 0.5, 1.0])]
)
def test_parts_are_read_in_order(given: str | None, expected: list[float]) -> None:
    assert alphas(given) == expected


@pytest.mark.parametrize("given", ["0", "half", "1.5", "nan", "-1"])
def test_what_is_no_part_is_named(given: str) -> None:
    with pytest.raises(UsageError, match=f"--alpha {given}: is no part of a change"):
        alphas(f"0.5,{given}")


@pytest.fixture
def run(cli: Run, tiny_tasks: Path, tmp_path: Path) -> Run:
    def call(*models: Path, more: tuple[str, ...] = ()) -> Result:
        named = [word for model in models for word in ("--model", str(model))]
        return cli(
            "run", *named, "--tasks", "choices,answers", "--role", "choices=target", "--include-path",
            str(tiny_tasks), "--output-path", str(tmp_path / "results"), "--offline", "--no-mlflow", *more,
        )  # fmt: skip

    return call


def test_the_line_over_alpha_ends_the_run(run: Run, made: Path, tmp_path: Path) -> None:
    done = run(made / "lora", more=("--alpha", "0.5,1"))
    assert done.exit_code == 0, done.output
    said = done.stdout
    assert said.index("[1/2]") < said.index("α = 0.5") < said.index("[2/2]")
    assert "Learning and forgetting by α" in said
    (file,) = (tmp_path / "results").rglob("alpha_line.csv")
    assert len(file.read_text().splitlines()) == 3
    names = {path.name for path in (tmp_path / "results").iterdir()}
    assert names == {"lora", "lora-alpha-0.5"}
    (half,) = (tmp_path / "results").glob("lora-alpha-0.5/*/*/*/run.json")
    line = json.loads(half.read_text())["reproduce"]
    assert line.startswith("forgetbench run --model lora --base") and " --alpha 0.5 " in line


def test_json_says_which_part_was_chosen(run: Run, made: Path) -> None:
    done = run(made / "lora", more=("--alpha", "0.5,1", "--json"))
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert len(said["results"]) == 2
    (line,) = said["alpha_lines"]
    assert line["model"] == str(made / "lora")
    assert [point["alpha"] for point in line["points"]] == [0.5, 1.0]
    assert line["chosen"] in (None, 0.5, 1.0)
    assert (line["chosen"] is None) == (line["conclusion"].startswith("No α"))


def test_adapters_of_one_base_load_it_once(
    run: Run, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    original = ResidentBase.weights

    def watching(self: ResidentBase, *arguments: object) -> object:
        found = original(self, *arguments)  # type: ignore[arg-type]
        seen.append(self.n_loads)
        return found

    monkeypatch.setattr(ResidentBase, "weights", watching)
    second = make_lora(tmp_path / "second", made / "llama", seed=7)
    done = run(made / "lora", second)
    assert done.exit_code == 0, done.output
    assert seen == [1, 1, 1]  # the first adapter, the base, the second adapter: one reading of the disk
