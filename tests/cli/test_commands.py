from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.main import get_command

from forgetbench.cli.app import app
from forgetbench.cli.env import INSTALLED_ALONE, shown_settings
from forgetbench.cli.mlflow import ui_command
from forgetbench.cli.options import assignments, names
from forgetbench.errors import UsageError
from forgetbench.schema.run import Settings
from forgetbench.tracking import mlflow_log


def leaves(command, path=()):
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
    else:
        for name, child in below.items():
            yield from leaves(child, (*path, name))


LEAVES = dict(leaves(get_command(app)))
FINISHED = {
    "run", "fetch", "lm-eval", "tasks ls", "tasks show", "tasks validate", "tasks new", "recipe ls",
    "recipe show", "recipe run", "selftest", "sweep",
    "mlflow sync", "mlflow ui", "env", "schema", "compare", "curves", "gate", "report", "rescore",
    "sequence", "card", "leaderboard build", "leaderboard publish", "leaderboard serve", "leaderboard submit",
    "leaderboard verify",
}  # fmt: skip


def test_only_commands_that_work_are_there():
    assert {" ".join(path) for path in LEAVES} == FINISHED


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_option_teaches_and_can_be_set_by_environment(path):
    for parameter in LEAVES[path].params:
        if "--help" in parameter.opts:
            continue
        assert parameter.help, f"{' '.join(path)} {parameter.opts}: say what it does, in one line"
        assert len(parameter.help) < 200, f"{' '.join(path)} {parameter.opts}: one line"
        if parameter.opts[0].startswith("--"):
            expected = parameter.opts[0].removeprefix("--").replace("-", "_")
            assert parameter.name == expected, f"FORGETBENCH_{expected.upper()} would not be read"


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_is_for_users_and_has_no_section_of_a_docstring(path):
    assert not re.search(r"^ *(Args|Returns|Raises):", LEAVES[path].help or "", re.MULTILINE)


def test_the_help_has_its_panels(cli):
    said = cli("--help").stdout
    assert said.index("Everyday") < said.index("Research")


def test_the_version(cli):
    assert cli("--version").stdout == "forgetbench 0.1.0\n"


def test_options_reach_the_engine(cli, engine, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    done = cli(
        "run", "--model", "ckpt", "--base", "org/base", "--tasks", "a,b", "--tasks", "c*",
        "--target", "t.jsonl", "--role", "a=target,b=safety", "--include-path", "x.yaml",
        "--limit", "7", "--num-fewshot", "5",
        "--batch-size", "4", "--device", "cuda", "--dtype", "bfloat16",
        "--chat-template", "base", "--seed", "3",
        "--output-path", "out", "--offline", "--strict", "--trust-remote-code", "--cost", "--no-mlflow",
        "--confirm-run-unsafe-code",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    (asked,) = engine.requests
    assert (asked.model, asked.base, asked.tasks) == ("ckpt", "org/base", ["a", "b", "c*"])
    assert (asked.target, asked.roles) == (Path("t.jsonl"), {"a": "target", "b": "safety"})
    assert (asked.include_paths, asked.output) == ([Path("x.yaml")], Path("out"))
    assert (asked.offline, asked.strict, asked.trust_remote_code, asked.cost) == (True, True, True, True)
    assert asked.confirm_run_unsafe_code is True
    assert asked.settings == Settings(
        seed=3, limit=7, num_fewshot=5, batch_size=4, chat_template="base",
        load={"device": "cuda", "dtype": "bfloat16"},
    )  # fmt: skip


def test_a_device_or_a_number_type_that_is_not_there_is_told_before_the_plan(cli, engine, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    run, selftest = ("run", "--model", "m", "--dry-run"), ("selftest", "--model", "m", "--tasks", "a")
    for command, words, says in (
        (run, ("--dtype", "fp16"), "--dtype fp16: is not known. Known are float32, bfloat16, float16."),
        (run, ("--device", "cuda"), "--device cuda: is not here. Here: cpu"),
        (selftest, ("--device", "cuda"), "--device cuda: is not here. Here: cpu"),
        (run, ("--engine", "ray", "--dtype", "bf16"), "--dtype bf16: is not known"),
    ):
        done = cli(*command, *words)
        assert isinstance(done.exception, UsageError) and says in str(done.exception)
    assert engine.requests == []


@pytest.mark.parametrize(
    ("sees", "given", "warns"),
    [
        ("cuda", (), "a GPU is here and not used: --device cuda"),
        ("mps", (), "a GPU is here and not used: --device mps"),
        ("cuda", ("--device", "cpu"), ""),
        ("cuda", ("--dry-run",), ""),
        ("nothing", (), ""),
    ],
)
def test_a_gpu_that_no_device_was_chosen_for_is_told_once(cli, engine, monkeypatch, sees, given, warns):
    monkeypatch.setattr("torch.cuda.is_available", lambda: sees == "cuda")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: sees == "mps")
    done = cli("run", "--model", "m", "--tasks", "a", "--no-mlflow", "--json", *given)
    assert done.exit_code == 0
    assert done.stderr.count("a GPU is here") == bool(warns) and warns in done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize(("finished", "loaded_as"), [(True, "transformers"), (False, "factory")])
def test_a_gpu_is_not_told_where_nothing_would_run_on_it(cli, engine, monkeypatch, finished, loaded_as):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    engine.is_finished, engine.components = finished, {"lm": SimpleNamespace(format=loaded_as)}
    assert "GPU" not in cli("run", "--model", "m", "--tasks", "a", "--no-mlflow").stderr


def test_underscores_are_dashes(cli, engine):
    assert cli("run", "--model", "m", "--batch_size", "4", "--no_mlflow", "--dry_run").exit_code == 0
    assert engine.requests[0].settings.batch_size == 4


def test_an_option_can_come_from_the_environment_and_the_command_line_wins(cli, engine):
    cli(
        "run",
        "--dry-run",
        "--seed",
        "1",
        FORGETBENCH_MODEL="m",
        FORGETBENCH_SEED="2",
        FORGETBENCH_OUTPUT_PATH="o",
    )
    (asked,) = engine.requests
    assert (asked.model, asked.settings.seed, asked.output) == ("m", 1, Path("o"))


def test_a_dry_run_shows_the_plan_and_computes_nothing(cli, engine):
    done = cli("run", "--model", "m", "--dry-run")
    assert "12.0 points" in done.stdout
    assert engine.evaluated == 0
    assert not engine.directory.exists()


def test_a_run_ends_with_verdict_directory_and_tracker(cli, engine):
    done = cli("run", "--model", "m", "--tasks", "arc")
    assert done.exit_code == 0, done.output
    assert "✓ SHIP: nothing lost." in done.stdout
    assert f"Look at it: forgetbench report {engine.directory}\n" in done.stdout
    assert (engine.directory / mlflow_log.LOGGED).is_file()


def test_a_checkpoint_without_a_base_is_shown_alone(cli, engine):
    engine.with_base = False
    assert "No base: this is the checkpoint alone." in cli("run", "--model", "m", "--no-mlflow").stdout


def test_json_is_alone_on_stdout_and_the_table_is_on_stderr(cli, engine):
    done = cli("run", "--model", "m", "--no-mlflow", "--json")
    found = json.loads(done.stdout)
    assert found["decision"] == "SHIP"
    assert found["comparison"]["rows"][0]["ci_low"] is None, "an infinite number is no JSON"
    assert "✓ SHIP" in done.stderr
    plan = json.loads(cli("run", "--model", "m", "--dry-run", "--json").stdout)
    assert plan["plan"][0]["task"] == "arc"


def test_an_offline_run_opens_no_socket_to_a_tracker(cli, engine, monkeypatch):
    monkeypatch.setattr(mlflow_log, "log_pair", lambda *a, **k: pytest.fail("asked the server"))
    done = cli("run", "--model", "m", "--offline", MLFLOW_TRACKING_URI="http://u:secret@127.0.0.1:9")
    assert done.exit_code == 0
    assert "forgetbench mlflow sync" in done.stderr
    assert "secret" not in done.output


def test_a_tracker_that_is_down_is_a_warning_and_not_a_failure(cli, engine, monkeypatch):
    monkeypatch.setattr(mlflow_log, "log_pair", lambda *a, **k: "not logged")
    done = cli("run", "--model", "m")
    assert done.exit_code == 0
    assert "warning: not logged" in done.stderr


def test_selftest_shows_a_table_too(cli, engine):
    assert "✓ SHIP" in cli("selftest", "--model", "m", "--tasks", "arc").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--model", "m", "--limit", "0"],
        ["run", "--model", "m", "--chat-template", "x"],
        ["nope"],
    ],
    ids=" ".join,
)
def test_usage_errors_exit_with_2(cli, engine, arguments):
    assert cli(*arguments).exit_code == 2


def test_a_typo_is_answered_with_what_was_meant(cli):
    assert "selftest" in cli("selftst").stderr


def test_names_and_assignments():
    assert names(["a, b", "c"]) == ["a", "b", "c"]
    assert assignments("--role", ["a=target"]) == {"a": "target"}
    for wrong in (["a"], ["=x"], ["a="], ["a=x,a=y"]):
        with pytest.raises(UsageError, match="--role"):
            assignments("--role", wrong)


def test_env_hides_secrets_and_says_that_they_are_set():
    shown = shown_settings(
        {
            "HF_TOKEN": "hf_secret", "MLFLOW_TRACKING_PASSWORD": "hunter2", "HF_HOME": "/data/hf",
            "MLFLOW_TRACKING_URI": "http://me:hunter2@tracker", "TOKENIZERS_PARALLELISM": "false",
            "AWS_SECRET_ACCESS_KEY": "x", "SHELL": "/bin/sh",
        }
    )  # fmt: skip
    assert shown == {
        "HF_HOME": "/data/hf", "HF_TOKEN": "set (hidden)", "MLFLOW_TRACKING_PASSWORD": "set (hidden)",
        "MLFLOW_TRACKING_URI": "http://***@tracker", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_env_hides_a_secret_wherever_it_stands(cli, monkeypatch, options):
    token, secret = "hf_abcdefghijklmnopqrstuvwx", "correct-horse-battery"
    monkeypatch.setenv("HF_PAT", token)
    monkeypatch.setenv("MY_SECRET", secret)
    monkeypatch.setenv("FORGETBENCH_NOTE", f"it is {secret}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://tracker/{secret}")
    shown = cli("env", *options).stdout
    assert "HF_PAT" in shown and "it is ***" in shown
    assert token not in shown and secret not in shown


def test_env_as_json_and_as_text_say_the_same(cli):
    found = json.loads(cli("env", "--json").stdout)
    said = cli("env").stdout
    assert {"forgetbench", "python", "platform", "cores", "memory_gib", "packages", "settings"} <= set(found)
    assert found["packages"]["typer"]
    assert f"python: {found['python']}" in said


def test_env_names_what_is_missing_in_one_line_and_no_tools_of_developers(cli, monkeypatch):
    monkeypatch.setattr("forgetbench.cli.env.requires", lambda name: [
        "typer>=0.29", 'absent-a; extra == "gguf"', "absent-b; extra == 'ray'", 'ruff; extra == "dev"',
    ])  # fmt: skip
    said = cli("env").stdout
    assert "  not installed: absent-a, absent-b\n" in said
    assert "typer: " in said and "ruff" not in said


def test_env_names_the_packages_that_are_installed_alone_where_they_are(cli, monkeypatch):
    listed = (Path(__file__).parents[2] / "requirements-no-deps.txt").read_text().splitlines()
    alone = [line.partition("==")[0] for line in listed if line and not line.startswith("#")]
    assert tuple(alone) == INSTALLED_ALONE
    monkeypatch.setattr("forgetbench.cli.env.requires", lambda name: ["typer>=0.29"])
    found = {"typer": "1", alone[0]: "7.7"}
    monkeypatch.setattr("forgetbench.engine.environment.package_version", found.get)
    said = cli("env").stdout
    assert f"  {alone[0]}: 7.7\n" in said
    assert not any(name in said for name in alone[1:])


@pytest.mark.parametrize("name", ["task", "run", "comparison", "sample", "metric", "cost", "curve", "policy"])
def test_each_document_has_a_schema(cli, name):
    found = json.loads(cli("schema", name).stdout)
    assert found["$id"] == f"forgetbench:{name}"
    assert found == json.loads(cli("schema").stdout)[name]


def test_schemas_explain_their_fields(cli):
    run = json.loads(cli("schema", "run").stdout)
    assert "never zero" in run["$defs"]["MetricValue"]["properties"]["value"]["description"]


def test_tasks_are_listed_and_shown(cli):
    rows = json.loads(cli("tasks", "ls", "--json").stdout)
    assert rows
    name = rows[0]["name"]
    assert name in cli("tasks", "ls", name).stdout
    whole = cli("tasks", "ls").stdout
    assert "Gated" in whole and "Licence" in whole and "decathlon_cnn_dailymail" in whole
    assert f"name: {name}" in cli("tasks", "show", name).stdout
    assert json.loads(cli("tasks", "show", name, "--json").stdout)["name"] == name


def test_validate_names_every_broken_file(cli, tmp_path):
    (tmp_path / "a.yaml").write_text("name: a\nkind: asr\n")
    (tmp_path / "b.yaml").write_text("- no mapping\n")
    done = cli("tasks", "validate", str(tmp_path))
    assert isinstance(done.exception, UsageError)
    assert done.stdout.count("✗") == 2


def test_fetching_an_embedded_task_needs_no_network(cli, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text(
        "name: mine\nversion: 1\ntitle: Mine\nkind: generate\nrole: general\nmargin: 0.02\nlicence: CC0-1.0\n"
        "prompt: '{q}'\nmetrics: [exact_match]\nprimary: exact_match\ndataset: {path: mine.jsonl}\n"
    )
    done = cli("fetch", "--tasks", "mine", "--include-path", str(tmp_path / "mine.yaml"))
    assert (done.exit_code, done.stdout) == (0, "mine: embedded, nothing to fetch\n")


def test_fetching_offline_says_so_at_once(cli):
    done = cli("fetch", "--tasks", "hellaswag")
    assert isinstance(done.exception, UsageError) and "offline switch is set" in str(done.exception)


def test_the_page_shows_the_store_that_runs_are_logged_to(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///.demo/mlflow.db")
    with pytest.raises(UsageError, match="does not exist yet"):
        ui_command(5001)
    (tmp_path / ".demo").mkdir()
    (tmp_path / ".demo" / "mlflow.db").touch()
    assert ui_command(5001) == [
        sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", "5001", "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path}/.demo/mlflow.db",
        "--default-artifact-root", f"file://{tmp_path}/.demo/mlartifacts",
    ]  # fmt: skip
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracker:5000")
    with pytest.raises(UsageError, match="a page of its own"):
        ui_command(5001)
