"""A grid is trained, measured and drawn; killed and started again, it ends with the same curve."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forgetbench.engine.curve_results import curve_of
from forgetbench.engine.ray_engine import ray_workers
from forgetbench.errors import DataError, ForgetbenchError, StorageError, UsageError
from forgetbench.recipes.grid import read_grid, trainings_of
from forgetbench.recipes.make import make_recipe
from forgetbench.recipes.methods import check_interpolation
from forgetbench.recipes.run import run_recipe
from forgetbench.recipes.sweep import RECORD, plan_sweep, run_sweep
from forgetbench.schema.recipe import Recipe
from forgetbench.schema.sweep import Grid
from ray_runs import a_ray, assert_same
from tiny_recipe_models import Heard, Interrupt
from tiny_tasks import choice_rows, write_task

Write = Callable[..., Path]


@pytest.fixture
def write_grid(tiny_causal: Path, pairs: Path, tmp_path: Path) -> Write:
    (tmp_path / "tasks").mkdir()
    write_task(
        tmp_path / "tasks", "choices", choice_rows(20), kind="multiple_choice", prompt="{question}",
        metrics=["acc"], primary="acc", chance=1 / 3,
    )  # fmt: skip
    (tmp_path / "test.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Say {i}.", "answer": f"It is {i}."}) + "\n" for i in range(50, 60))
    )

    def write(**changes: Any) -> Path:
        content: dict[str, Any] = {
            "name": "tiny",
            "model": str(tiny_causal),
            "data": pairs.name,
            "target": "test.jsonl",
            "tasks": ["choices"],
            "include_paths": ["tasks"],
            "common": {"steps": 4, "save_steps": [2, 4], "learning_rate": 0.01, "warmup_steps": 0},
            "grid": [{"recipe": "lora", "rank": [1, 2]}, {"recipe": "full", "interpolation": [0.5, 1]}],
        }
        path = tmp_path / "grid.yaml"
        path.write_text(yaml.safe_dump({**content, **changes}))
        return path

    return write


def curve(grid: Grid, output: Path, **how: Any) -> str:
    outcome = run_sweep(plan_sweep(grid, output), **how)
    assert outcome.failures == []
    return curve_of(outcome.results).to_json()


def test_lists_are_gone_through_in_all_combinations_and_seeds(write_grid: Write, tmp_path: Path) -> None:
    path = write_grid(
        seeds=[0, 1],
        grid=[
            {"recipe": "lora", "rank": [1, 2], "learning_rate": [0.1, 0.2]},
            {"recipe": "full", "replay": {"data": "old.jsonl", "share": [0.25, 0.5]}},
            {"recipe": "full", "interpolation": [0.5]},
            {"recipe": "full"},
        ],
    )
    trainings = trainings_of(read_grid(path))
    assert len(trainings) == 2 * (4 + 2 + 1)
    assert {t.recipe.name for t in trainings if t.recipe.seed == 1} == {
        "lora-learning-rate-0.1-r1-s1", "lora-learning-rate-0.1-r2-s1", "lora-learning-rate-0.2-r1-s1",
        "lora-learning-rate-0.2-r2-s1", "full-replay-0.25-s1", "full-replay-0.5-s1", "full-s1",
    }  # fmt: skip
    assert {t.alphas for t in trainings if t.recipe.name == "full-s0"} == {(0.5, 1.0)}
    replayed = next(t.recipe for t in trainings if t.recipe.replay is not None)
    assert replayed.replay is not None and replayed.replay.data == str(tmp_path / "old.jsonl")


def test_all_paths_start_at_the_grids_file(write_grid: Write, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text("weights: full\nsteps: 4\nlearning_rate: 0.01\nbatch_size: 2\n")
    (tmp_path / "org" / "here").mkdir(parents=True)
    replay = {"data": ["old1.jsonl", "more/old1.jsonl", "/old2.jsonl"], "share": 0.25}
    distilled = {"recipe": "distillation", "teacher": ["../lm", "org/here", "org/elsewhere"]}
    path = write_grid(
        grid=[
            {"recipe": "own.yaml", "replay": replay},
            {"recipe": "full", "ewc": 1.0, "ewc_data": ["kept1.jsonl", "kept2.jsonl", "~/kept3.jsonl"]},
            {"recipe": "full", "safety": [{"data": "safe.jsonl", "share": 0.25}]},
            distilled,
        ]
    )
    recipes = [training.recipe for training in trainings_of(read_grid(path))]
    mixed = [r.replay.data for r in recipes if r.replay is not None]
    assert mixed == [f"{tmp_path}/old1.jsonl", f"{tmp_path}/more/old1.jsonl", "/old2.jsonl"]
    kept = [f"{tmp_path}/kept1.jsonl", f"{tmp_path}/kept2.jsonl", "~/kept3.jsonl"]
    assert [r.ewc_data for r in recipes if r.ewc] == kept
    assert [r.safety.data for r in recipes if r.safety is not None] == [f"{tmp_path}/safe.jsonl"]
    assert [r.teacher for r in recipes if r.teacher] == [
        f"{tmp_path}/../lm", f"{tmp_path}/org/here", "org/elsewhere"
    ]  # fmt: skip
    assert [r.variant for r in recipes] == [
        f"replay.data {tmp_path.name}/old1.jsonl", "replay.data more/old1.jsonl", "replay.data old2.jsonl",
        "ewc_data kept1.jsonl", "ewc_data kept2.jsonl", "ewc_data kept3.jsonl",
        "safety {'data': 'safe.jsonl', 'share': 0.25}",
        "teacher lm", "teacher here", "teacher elsewhere",
    ]  # fmt: skip


def test_an_entry_may_take_some_of_the_seeds(write_grid: Write) -> None:
    grid = [{"recipe": "lora", "rank": [1, 2], "seeds": [1]}, {"recipe": "full"}]
    names = [t.recipe.name for t in trainings_of(read_grid(write_grid(seeds=[0, 1], grid=grid)))]
    assert names == ["full-s0", "lora-r1-s1", "lora-r2-s1", "full-s1"]
    for wrong in ([2], [], 1):
        with pytest.raises(UsageError, match="seeds"):
            trainings_of(read_grid(write_grid(seeds=[0, 1], grid=[{"recipe": "full", "seeds": wrong}])))


@pytest.mark.slow
def test_a_sweep_that_was_killed_ends_with_the_same_curve(
    write_grid: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = read_grid(write_grid())
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "one"))
    whole = curve(grid, tmp_path / "whole")
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "two"))
    for after in (3, 30, 60, 90):  # in training, in measuring, in the second training …
        with pytest.raises(KeyboardInterrupt):
            curve(grid, tmp_path / "cut", progress=Interrupt(after=after))
    plan = plan_sweep(grid, tmp_path / "cut")
    n_done = sum(len(cell.done) for cell in plan.cells)
    assert 0 < n_done < 8
    assert curve(grid, tmp_path / "cut") == whole
    again = plan_sweep(grid, tmp_path / "cut")
    assert [cell.left for cell in again.cells] == [[], [], []]
    assert [cell.seconds for cell in again.cells] == [0, 0, 0]
    assert not list(
        (tmp_path / "two" / "recipes").glob("*/checkpoint-*")
    )  # weights are gone, results are not


@pytest.mark.slow
def test_on_ray_the_curve_is_the_same(
    write_grid: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = read_grid(write_grid())
    local = run_sweep(plan_sweep(grid, tmp_path / "local")).results
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "cache-ray"))
    with a_ray(2), ray_workers() as workers:
        outcome = run_sweep(plan_sweep(grid, tmp_path / "ray"), workers=workers)
    assert outcome.failures == [] and len(outcome.results) == len(local) == 8
    for one, other in zip(local, outcome.results, strict=True):
        assert_same(one, other)
    assert all(cell.left == [] for cell in plan_sweep(grid, tmp_path / "ray").cells)


@pytest.mark.slow
def test_the_curve_knows_methods_ranks_and_parts(write_grid: Write, tmp_path: Path) -> None:
    made = json.loads(curve(read_grid(write_grid()), tmp_path / "out"))
    groups = {point["group"] for point in made["points"]}
    assert groups == {"lora r1", "lora r2", "full", "full α 0.5"}
    assert {point["training"]["steps"] for point in made["points"]} == {2, 4}
    assert all(point["training"]["target_loss"] is not None for point in made["points"])
    assert made["target"] is not None
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert len(record["measured"]) == 8 and record["seconds_per_example"]


@pytest.mark.slow
def test_a_grid_that_grew_measures_only_what_is_new(write_grid: Write, tmp_path: Path) -> None:
    curve(read_grid(write_grid()), tmp_path / "out")
    grown = read_grid(write_grid(grid=[{"recipe": "lora", "rank": [1, 2, 3]}]))
    plan = plan_sweep(grown, tmp_path / "out")
    assert [len(cell.left) for cell in plan.cells] == [0, 0, 2]
    assert [cell.seconds > 0 for cell in plan.cells] == [False, False, True]
    measured_s = plan.record.seconds_per_result
    assert measured_s is not None and plan.cells[2].seconds > 2 * measured_s


@pytest.mark.slow
def test_a_checkpoint_that_still_is_its_base_costs_the_others_nothing(
    write_grid: Write, tmp_path: Path
) -> None:
    fields = {"steps": 4, "save_steps": [1, 2, 4], "learning_rate": 0.01, "warmup_steps": 2}
    alone = {"recipe": "full", "interpolation": [0.5, 1]}
    grid = read_grid(write_grid(common=fields, grid=[alone, {"recipe": "lora", "rank": 1}]))
    said = Heard()
    outcome = run_sweep(plan_sweep(grid, tmp_path / "out"), progress=said)
    assert outcome.failures == []
    assert sum("after step 1 it still is its base" in line for line in said.said) == 1
    steps = [(point.group, point.training.steps) for point in curve_of(outcome.results).points]
    assert sorted(steps) == [
        ("full", 2), ("full", 4), ("full α 0.5", 2), ("full α 0.5", 4), ("lora", 1), ("lora", 2), ("lora", 4)
    ]  # fmt: skip
    again = plan_sweep(grid, tmp_path / "out")
    assert [cell.left for cell in again.cells] == [[], []]
    assert run_sweep(again).results == outcome.results


@pytest.mark.slow
def test_another_measurement_in_the_same_folder_is_refused(write_grid: Write, tmp_path: Path) -> None:
    curve(read_grid(write_grid()), tmp_path / "out")
    with pytest.raises(UsageError, match="measured differently"):
        plan_sweep(read_grid(write_grid(limit=5)), tmp_path / "out")


def test_a_training_that_fails_does_not_stop_the_others(write_grid: Write, tmp_path: Path) -> None:
    beyond = {"learning_rate": 1e38, "warmup_steps": 0, "schedule": "constant", "max_epochs": 100}
    grid = [{"recipe": "lora", **beyond}, {"recipe": "full"}]
    outcome = run_sweep(plan_sweep(read_grid(write_grid(grid=grid)), tmp_path / "out"))
    assert len(outcome.failures) == 1
    assert re.search(r"recipe lora\S*: .*(no longer finite|the loss is nan)", str(outcome.failures[0]))
    assert {result.checkpoint.measured["training"]["method"] for result in outcome.results} >= {"full"}


def test_training_data_that_holds_test_items_is_refused(
    write_grid: Write, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"training examples are test items"):
        plan_sweep(read_grid(write_grid(target=pairs.name)), tmp_path / "out")
    plan = plan_sweep(read_grid(write_grid(target=pairs.name, allow_contamination=True)), tmp_path / "out")
    assert {cell.contamination.exact for cell in plan.cells} == {7}


def test_each_training_is_told_of_the_test_items_in_its_own_data(write_grid: Write, tmp_path: Path) -> None:
    replay = {"data": "test.jsonl", "share": 0.5}
    path = write_grid(
        grid=[{"recipe": "full", "replay": replay}, {"recipe": "lora"}], allow_contamination=True
    )
    cells = plan_sweep(read_grid(path), tmp_path / "out").cells
    found = {cell.recipe.weights: cell.contamination.exact for cell in cells}
    assert found == {"full": 10, "lora": 0}


def test_a_task_that_was_changed_is_measured_again(write_grid: Write, tmp_path: Path) -> None:
    grid = [{"recipe": "full", "steps": 1, "save_steps": [1]}]
    path = write_grid(grid=grid, target=None)
    run_sweep(plan_sweep(read_grid(path), tmp_path / "out", reproduce="forgetbench sweep grid.yaml"))
    record = json.loads((tmp_path / "out" / "sweep.json").read_text())
    assert record["reproduce"] == "forgetbench sweep grid.yaml" and len(record["measured"]) == 1
    assert plan_sweep(read_grid(path), tmp_path / "out").cells[0].left == []
    task = tmp_path / "tasks" / "choices.yaml"
    task.write_text(task.read_text().replace("margin: 0.05", "margin: 0.2"))
    (cell,) = plan_sweep(read_grid(path), tmp_path / "out").cells
    assert cell.left == [(1, 1.0)]
    (result,) = run_sweep(plan_sweep(read_grid(path), tmp_path / "out")).results
    assert result.comparison is not None and [row.margin for row in result.comparison.rows] == [0.2]


@pytest.mark.parametrize("file", ["comparison.json", "run.json", "run.base.json", "samples/base/*.parquet"])
def test_a_damaged_result_is_said_and_measured_again(file: str, write_grid: Write, tmp_path: Path) -> None:
    path = write_grid(grid=[{"recipe": "full", "steps": 1, "save_steps": [1]}], target=None)
    (whole,) = run_sweep(plan_sweep(read_grid(path), tmp_path / "out")).results
    (place,) = whole.directory.glob(file)
    place.write_bytes(place.read_bytes()[:-20])
    plan = plan_sweep(read_grid(path), tmp_path / "out")
    assert [cell.left for cell in plan.cells] == [[(1, 1.0)]]
    heard = Heard()
    (again,) = run_sweep(plan, progress=heard).results
    assert any(place.name in line and "measured again" in line for line in heard.said)
    assert again.comparison == whole.comparison
    assert len(json.loads((tmp_path / "out" / RECORD).read_text())["measured"]) == 1
    assert [cell.left for cell in plan_sweep(read_grid(path), tmp_path / "out").cells] == [[]]


def test_a_damaged_result_whose_training_fails_stops_no_other(
    write_grid: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"recipe": "full", "steps": 1, "save_steps": [1]}
    path = write_grid(grid=[entry, {**entry, "recipe": "lora"}], target=None)
    first, second = run_sweep(plan_sweep(read_grid(path), tmp_path / "out")).results
    (first.directory / "comparison.json").write_text("{")
    monkeypatch.setattr("forgetbench.recipes.sweep.run_recipe", out_of_memory)
    outcome = run_sweep(plan_sweep(read_grid(path), tmp_path / "out"))
    assert [result.directory for result in outcome.results] == [second.directory]
    assert [failure.cause for failure in outcome.failures] == ["does not fit into memory"]


def out_of_memory(recipe: Recipe, **how: Any) -> None:
    raise ForgetbenchError(recipe.name, "does not fit into memory")


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"grid": [{"rank": 2}]}, "an entry has no recipe"),
        ({"grid": [{"recipe": "lora", "rank": []}]}, "rank is an empty list, which leaves nothing to train"),
        ({"grid": [{"recipe": "full", "replay": {"data": "a", "share": []}}]}, r"replay\.share is an empty"),
        (
            {"grid": [{"recipe": "lora", "target_modules": [[]]}]},
            "target_modules: Tuple should have at least",
        ),
        ({"grid": [{"recipe": "full", "interpolation": []}]}, r"interpolation \[\]: is no part of a change"),
        ({"common": {"steps": 2, "save_steps": []}}, "saves no checkpoint, which leaves nothing to measure"),
        ({"common": {"steps": 10**400}}, "steps: Input should be less than or equal to"),
        ({"grid": [{"recipe": "full", "seeds": [[0]]}]}, r"seeds: \[\[0\]\] of an entry are not some of 0"),
        ({"grid": [{"recipe": "full", "seeds": [{"a": 0}]}]}, "of an entry are not some of 0"),
        ({"seeds": [2**32]}, "seed: Input should be less than or equal to 4294967295"),
        ({"data": "\0"}, "line [0-9]+, key `data`: holds a zero character"),
        ({"target": "\0"}, "line [0-9]+, key `target`: holds a zero character"),
        ({"include_paths": ["\0"]}, r"line [0-9]+, key `include_paths\.0`: holds a zero character"),
        ({"grid": [{"recipe": "full", "ewc": 1, "ewc_data": "\0"}]}, "ewc_data: .*holds a zero character"),
        ({"grid": [{"recipe": "\0.yaml"}]}, "is no path"),
        ({"grid": [{"recipe": "magic"}]}, "recipe magic: is unknown for causal_lm"),
        ({"grid": [{"recipe": "full", "interpolation": [0]}]}, "0 is the base"),
        ({"tasks": [], "target": None}, "measures nothing"),
        ({"seed": 3}, "line [0-9]+, key `seed`: unknown key"),
        ({"common": {"steps": 2, "save_steps": [9]}}, "lies beyond the 2 steps"),
    ],
)
def test_a_wrong_grid_is_one_line(changes: dict[str, Any], match: str, write_grid: Write) -> None:
    with pytest.raises(UsageError, match=match):
        trainings_of(read_grid(write_grid(**changes)))


@pytest.mark.slow
def test_an_unexpected_failure_stops_no_other_training(
    write_grid: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = [{"recipe": "lora"}, {"recipe": "full", "steps": 1, "save_steps": [1]}]
    plan = plan_sweep(read_grid(write_grid(grid=grid, target=None)), tmp_path / "out")
    heard = Heard()
    monkeypatch.setattr("forgetbench.recipes.sweep.run_recipe", failing(RuntimeError("no\nkernel"), "lora"))
    outcome = run_sweep(plan, progress=heard)
    assert [result.checkpoint.measured["training"]["method"] for result in outcome.results] == ["full"]
    (failure,) = outcome.failures
    assert type(failure) is ForgetbenchError and failure.cause == "unexpected RuntimeError: no"
    assert isinstance(failure.__cause__, RuntimeError)
    assert sum("unexpected RuntimeError: no" in line for line in heard.said) == 1


@pytest.mark.parametrize(
    "end",
    [OSError(errno.ENOSPC, "No space left on device"), StorageError("x", "is full"), KeyboardInterrupt()],
)
def test_a_full_disk_or_an_interruption_ends_the_sweep(
    end: BaseException, write_grid: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_sweep(read_grid(write_grid(target=None)), tmp_path / "out")
    monkeypatch.setattr("forgetbench.recipes.sweep.run_recipe", failing(end))
    with pytest.raises(type(end)):
        run_sweep(plan)


def failing(error: BaseException, which: str = "") -> Callable[..., Any]:
    """A training that fails where the recipe's name begins so."""

    def run(recipe: Recipe, **how: Any) -> Any:
        if recipe.name.startswith(which):
            raise error
        return run_recipe(recipe, **how)

    return run


IA3 = {"recipe": "peft", "peft": {"peft_type": "IA3"}}
DORA = {"recipe": "peft", "peft": {"peft_type": "lora", "use_dora": True, "target_modules": ["q_proj"]}}


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        ({**IA3, "interpolation": [0.5, 1]}, r"recipe ia3-s0, interpolation 0\.5: IA3 is no adapter whose"),
        ({"recipe": "full", "ewc": 1.0}, "ewc needs data"),
        ({**IA3, "l2_to_base": 1.0}, "other adapters add no change"),
        ({"recipe": "dpo", "replay": {"data": "x", "share": 0.5}}, "replay goes with supervised methods"),
        ({"recipe": "full", "safety": {"data": "x", "share": 0.05}}, "of 8 examples is none"),
        ({**DORA, "interpolation": 0.5}, "LORA is no adapter whose whole change is a plain LoRA"),
        (
            {"recipe": "lora", "load_in_4bit": True, "ewc": 1.0, "ewc_data": "x"},
            "weights in 4 bits have none",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_the_plan(
    entry: dict[str, Any], match: str, write_grid: Write, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=match):
        plan_sweep(read_grid(write_grid(grid=[{"recipe": "full"}, entry])), tmp_path / "out")


def test_a_plain_lora_in_pefts_words_has_parts(write_grid: Write, tmp_path: Path) -> None:
    plain = {"peft_type": "lora", "r": 2, "target_modules": ["q_proj"]}
    entries = [{"recipe": "peft", "peft": plain, "interpolation": 0.5}, IA3]
    cells = plan_sweep(read_grid(write_grid(grid=entries)), tmp_path / "out").cells
    assert [cell.alphas for cell in cells] == [(0.5,), (1.0,)]


def test_an_enhancer_has_no_parts() -> None:
    recipe = make_recipe("full", model="small-enhancer", data="d", output="o")
    check_interpolation(recipe, [1.0])
    with pytest.raises(UsageError, match="ONNX graph"):
        check_interpolation(recipe, [0.5])
