"""run --gate, gate, compare, rescore and report as a person gives them, on tiny models."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from safetensors.torch import load_file, save_file
from typer.testing import Result

from forgetbench.engine.gate import check_margins
from forgetbench.errors import UsageError
from forgetbench.schema.policy import Margins
from forgetbench.schema.run import SuiteRowInfo
from forgetbench.tasks.registry import load_registry

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "github-actions"
Call = Callable[..., Result]


@pytest.fixture
def policy(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "policy.yaml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def run(cli: Call, made: Path, tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """``run`` of the tiny adapter on a task that tells its arms apart."""
    monkeypatch.chdir(tmp_path)

    def call(*more: str, tasks: str = "choices", model: str = "lora") -> Result:
        return cli(
            "run", "--model", model if "=" in model else str(made / model), "--tasks", tasks,
            "--include-path", str(tiny_tasks), "--no-mlflow", "--offline", *more,
        )  # fmt: skip

    return call


def directory(done: Result) -> str:
    return next(line for line in reversed(done.stdout.splitlines()) if line.startswith("results/"))


def test_a_margin_for_a_task_inside_a_row_is_refused_for_nothing_is_judged_by_it() -> None:
    registry = load_registry()
    tasks = {d.task.name: d.task for d in registry.select(["retention-mini"]).tasks}
    rows = [
        SuiteRowInfo(name=r.name, title=r.title, role=r.role, margin=r.margin, tasks=r.tasks)
        for r in registry.select(["retention-mini"]).suite_rows
    ]
    for asked in ("facts_mini", "commonsense*"):
        with pytest.raises(UsageError, match="is judged inside the row retention_mini, which has one margin"):
            check_margins(Margins(tasks={asked: 0.01}), tasks, rows)
    for asked in ("retention_mini", "*_mini", "elsewhere"):
        check_margins(Margins(tasks={asked: 0.01}), tasks, rows)


def test_the_exit_code_and_the_last_line_agree_in_run_and_in_gate(
    run: Call, cli: Call, policy: Callable[[str], str]
) -> None:
    for text, code, word in (
        ("margins: {roles: {general: 0.9}}", 0, "SHIP:"),
        ("margins: {roles: {general: 0.0001}}", 3, "NEED MORE:"),
        ("required: [hearing]\nmargins: {roles: {general: 0.9}}", 3, "NEED MORE: hearing was NOT measured."),
    ):
        done = run("--gate", policy(text))
        assert done.exit_code == code, done.output
        assert word in done.stdout.splitlines()[-1]
        again = cli("gate", directory(done), "--policy", policy(text))
        assert (again.exit_code, again.stdout.splitlines()[-1]) == (code, done.stdout.splitlines()[-1])


def test_a_suite_is_measured_when_all_of_its_tasks_are(
    run: Call, cli: Call, policy: Callable[[str], str], tiny_tasks: Path
) -> None:
    asked = policy("required: [tiny]\nmargins: {roles: {general: 0.9}}")
    done = run("--gate", asked)
    assert done.exit_code == 3, done.output
    assert "answers of the suite tiny was not run" in " ".join(done.stdout.split())
    given = cli("gate", directory(done), "--policy", asked, "--include-path", str(tiny_tasks))
    assert given.stdout.splitlines()[-1] == done.stdout.splitlines()[-1]
    unknown = cli("gate", directory(done), "--policy", asked)
    assert unknown.exit_code == 3
    assert "the suite tiny is not defined here" in " ".join(unknown.stdout.split())


def overconfident(source: Path, target: Path) -> Path:
    """Return a model whose logits are twenty times those of another: what it gets wrong costs it dearly."""
    shutil.copytree(source, target)
    weights = load_file(target / "model.safetensors")
    weights["model.norm.weight"] *= 20
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    return target


def test_a_loss_beyond_the_margin_exits_with_100(
    run: Call, policy: Callable[[str], str], tmp_path: Path, cli: Call, made: Path
) -> None:
    text = "target: retained\nmargins: {tasks: {answers: 0.5}}"
    worse = overconfident(made / "llama", tmp_path / "worse")
    gated = ("--gate", policy(text))
    lost = run(f"--base={made / 'llama'}", *gated, tasks="choices,answers", model=f"lm={worse}")
    assert lost.exit_code == 100, lost.output
    assert lost.stdout.splitlines()[-1].startswith("✗ DO NOT SHIP: answers is worse by")
    gained = run(f"--base={worse}", *gated, tasks="choices,answers", model="llama")
    assert "answers" not in gained.stdout.splitlines()[-1]
    found = json.loads(
        cli("gate", directory(lost), "--policy", str(tmp_path / "policy.yaml"), "--json").stdout
    )
    assert (found["decision"], found["exit_code"]) == ("DO NOT SHIP", 100)


def test_a_broken_policy_is_named_before_anything_runs(run: Call, policy: Callable[[str], str]) -> None:
    for text, said in (
        ("margins:\n  role: {general: 1}\n", "line 2, key `margins.role`: unknown key"),
        ("margins:\n  roles: {general: 0}\n", "line 2, key `margins.roles.general`"),
        ("target: retained\ntarget: improved\n", "comes twice"),
        ("- general\n", "is not a YAML mapping"),
    ):
        done = run("--gate", policy(text))
        assert said in str(done.exception)
        assert not Path("results").exists()


def test_a_margin_in_per_cent_is_refused_before_anything_runs(
    run: Call, cli: Call, policy: Callable[[str], str]
) -> None:
    said = "margin of choices: 5 is 500 points of acc, and judges nothing. Did you mean 0.05?"
    mistaken = policy("margins: {roles: {general: 5}}")
    done = run("--gate", mistaken)
    assert said in str(done.exception)
    assert not Path("results").exists()
    given = directory(run())
    assert said in str(cli("gate", given, "--policy", mistaken).exception)


def test_a_gate_needs_a_pair(run: Call, policy: Callable[[str], str]) -> None:
    done = run("--gate", policy("{}"), model="llama")
    assert "there is no base" in str(done.exception)


def test_two_results_are_compared_by_their_checkpoints(run: Call, cli: Call, made: Path) -> None:
    first = directory(run())
    second = directory(run(f"--base={made / 'llama'}", model="other"))
    done = cli("compare", first, second, "--margin", "choices=0.9", "--json")
    found = json.loads(done.stdout)["comparison"]
    assert (found["base"]["name"], found["checkpoint"]["name"]) == ("lora", "other")
    assert (found["rows"][0]["margin"], found["rows"][0]["n"]) == (0.9, 30)
    base = cli("compare", f"{first}/run.base.json", second, "--json")
    assert json.loads(base.stdout)["comparison"]["base"]["name"] == "llama"
    assert "same checkpoint" in str(cli("compare", first, first).exception)
    mistaken = cli("compare", first, second, "--margin", "choices=9")
    assert "--margin choices=9: 9 is 900 points of acc" in str(mistaken.exception)


def test_what_was_identical_to_another_base_is_not_called_identical(
    run: Call, cli: Call, made: Path, copy: Callable[..., Path]
) -> None:
    other = copy("whisper", "other-whisper")
    config = json.loads((other / "generation_config.json").read_text())
    (other / "generation_config.json").write_text(json.dumps(config | {"length_penalty": 2.0}))
    results = []
    for lm, asr in (("lora", made / "whisper"), ("other", made / "whisper"), ("other", other)):
        base = f"--base=asr={asr},lm={made / 'llama'}"
        results.append(directory(run(base, tasks="choices,heard", model=f"asr={asr},lm={made / lm}")))
    same = json.loads(cli("compare", results[0], results[1], "--json").stdout)["comparison"]
    assert {row["name"]: row["verdict"] for row in same["rows"]}["heard"] == "identical"
    found = json.loads(cli("compare", results[0], results[2], "--json").stdout)["comparison"]
    assert [row["name"] for row in found["rows"]] == ["choices"]
    assert any(line.startswith("heard was NOT measured") for line in found["not_measured"])


def test_results_of_other_settings_are_no_loss(run: Call, cli: Call, made: Path) -> None:
    first = directory(run())
    second = directory(run(f"--base={made / 'llama'}", "--seed=1", model="other"))
    assert "settings" in str(cli("compare", first, second).exception)


def test_a_report_in_each_format(run: Call, cli: Call, tmp_path: Path) -> None:
    result = directory(run())
    said = cli("report", result, "--format", "markdown").stdout
    assert "for this checkpoint" in said
    assert "| Choices | acc |" in said
    assert r"\toprule" in cli("report", result, "--format", "latex").stdout
    rows = list(csv.DictReader(io.StringIO(cli("report", result, "--format", "csv").stdout)))
    assert [row["task"] for row in rows] == ["choices"]
    cli("report", result, "--format", "csv", "--bibtex", "tasks.bib")
    assert Path("tasks.bib").read_text().startswith("@software{forgetbench,")


def test_several_seeds_speak_of_the_method_and_other_checkpoints_do_not(
    run: Call, cli: Call, made: Path, tmp_path: Path
) -> None:
    results = [directory(run()), directory(run(f"--base={made / 'llama'}", model="other"))]
    table = ("--format", "markdown")
    said = cli("report", *results, *table).stdout
    assert "What these checkpoints lost" in said
    assert "They speak of no method: their methods differ" in said
    (tmp_path / "made.csv").write_text(
        "checkpoint,method,steps,seed,lora_rank,trained_parameters\nlora,full,5,0,1,9\nother,full,5,1,1,9\n"
    )
    told = cli("report", *results, "--training", str(tmp_path / "made.csv"), *table).stdout
    assert "What this method lost" in told
    assert "these checkpoints" not in told
    assert "hold one checkpoint twice" in str(cli("report", results[0], results[0], *table).exception)


def test_the_workflow_measures_what_its_policy_requires() -> None:
    (job,) = yaml.safe_load((EXAMPLE / "forgetbench.yml").read_text())["jobs"].values()
    policy = yaml.safe_load((EXAMPLE / "policy.yaml").read_text())
    assert set(policy["required"]) <= set(job["env"]["TASKS"].split(","))


@pytest.mark.parametrize("missing", [None, "FORGETBENCH_SOURCE", "TORCH_CPU_INDEX"])
def test_the_workflow_installs_what_its_user_pinned_and_nothing_by_its_bare_name(
    tmp_path: Path, missing: str | None
) -> None:
    (job,) = yaml.safe_load((EXAMPLE / "forgetbench.yml").read_text())["jobs"].values()
    (command,) = [step["run"] for step in job["steps"] if "pip install" in step.get("run", "")]
    pip = tmp_path / "bin" / "pip"
    pip.parent.mkdir()
    pip.write_text('#!/bin/sh\necho "$@"\n')
    pip.chmod(0o755)
    given = {
        "FORGETBENCH_SOURCE": "git+https://git.invalid/forgetbench@0f3c",
        "TORCH_CPU_INDEX": "https://cpu.invalid",
    }
    given |= {missing: ""} if missing else {}
    environment = {"PATH": f"{pip.parent}:{os.environ['PATH']}", **given}
    done = subprocess.run(["bash", "-ec", command], env=environment, capture_output=True, text=True)
    if missing:
        assert done.returncode and f"{missing}: is not set" in done.stderr
    else:
        torch, forgetbench = done.stdout.splitlines()
        assert torch == "install torch --index-url https://cpu.invalid"
        assert forgetbench == "install git+https://git.invalid/forgetbench@0f3c"


def test_the_workflow_parses_and_its_command_judges(made: Path, tiny_tasks: Path, tmp_path: Path) -> None:
    workflow = yaml.safe_load((EXAMPLE / "forgetbench.yml").read_text())
    (job,) = workflow["jobs"].values()
    assert job["env"]["CHECKPOINT"] == "${{ inputs.checkpoint }}"
    assert "checkpoint" in workflow["on"]["workflow_dispatch"]["inputs"]
    (command,) = [step["run"] for step in job["steps"] if "forgetbench run" in step.get("run", "")]
    shim = tmp_path / "bin" / "forgetbench"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from forgetbench.cli import main; main()" "$@"\n')
    shim.chmod(0o755)
    environment = os.environ | {
        "PATH": f"{shim.parent}:{os.environ['PATH']}",
        "CHECKPOINT": str(made / "lora"),
        "TASKS": "choices,leaning",
        "POLICY": str(EXAMPLE / "policy.yaml"),
        "FORGETBENCH_INCLUDE_PATH": str(tiny_tasks),
        "PYTHONPATH": ":".join(filter(None, sys.path)),
    }
    done = subprocess.run(
        ["bash", "-ec", command], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode in (0, 3, 100), done.stderr
    word = {0: "SHIP", 3: "NEED MORE", 100: "DO NOT SHIP"}[done.returncode]
    decision = [line for line in done.stdout.splitlines() if line[:2] in ("✓ ", "? ", "✗ ")][-1]
    assert decision[2:].startswith(f"{word}: ")
    assert list(tmp_path.glob("results/lora/*/*/*/comparison.json"))


def test_rescoring_by_a_judge_that_cannot_be_read_exits_with_1(
    run: Call, cli: Call, tiny_tasks: Path, made: Path, tmp_path: Path
) -> None:
    given = directory(run(tasks="refusals,choices"))
    more = ("--include-path", str(tiny_tasks), "--output-path", str(tmp_path / "again"))
    done = cli("rescore", given, "--judge", f"chat:{made / 'other'}", *more)
    assert "unparsable_verdict" in str(done.exception)
    assert getattr(done.exception, "exit_code", done.exit_code) == 1
    assert cli("rescore", given, "--judge", "gcg29", *more).exit_code == 0
