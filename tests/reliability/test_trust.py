"""What comes from others is data: it names no code that runs, and no file outside its folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile

from command_line import Terminal
from forgetbench.engine.environment import read_environment
from forgetbench.tasks.registry import load_registry
from tiny_tasks import write_speech, write_task

TRAP = (
    "from pathlib import Path\nPath('sprung').write_text('')\ndef run():\n    Path('sprung').write_text('')\n"
)


@pytest.fixture
def trap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module in the working directory that leaves a file when it is imported."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trap_module.py").write_text(TRAP)
    sys.modules.pop("trap_module", None)
    return tmp_path / "sprung"


def adapter(folder: Path) -> None:
    config = json.loads((folder / "adapter_config.json").read_text())
    changed = config | {"base_model_name_or_path": "trap_module:run"}
    (folder / "adapter_config.json").write_text(json.dumps(changed))


def model_card(folder: Path) -> None:
    (folder / "README.md").write_text("---\nbase_model: trap_module:run\n---\n")


def config(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | {"_name_or_path": "trap_module:run"}))


def system(folder: Path) -> None:
    (folder / "system.yaml").write_text("components: {lm: .}\nbase: {lm: 'trap_module:run'}\n")


def system_of_an_adapter(folder: Path) -> None:
    """The adapter's own base cannot be had, so that the file's would take its place."""
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "a/gone"}))
    system(folder)


@pytest.mark.parametrize("key", ["reward", "teacher"])
def test_a_recipe_or_grid_names_no_python_code_that_runs(
    key: str, made: Path, terminal: Terminal, trap: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "data.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    method = {"reward": "grpo", "teacher": "distillation"}[key]
    fields = {"model": str(made / "llama"), "data": "data.jsonl", key: "trap_module:run"}
    recipe = {"method": method, "output": "out", "steps": 1, "learning_rate": 1e-4, "batch_size": 1, **fields}
    (tmp_path / "mine.yaml").write_text(json.dumps(recipe))
    grid = {"name": "g", "model": fields["model"], "data": "data.jsonl", "tasks": ["facts_mini"]}
    grid["grid"] = [{"recipe": method, key: "trap_module:run"}]
    (tmp_path / "grid.yaml").write_text(json.dumps(grid))
    for words in (("recipe", "run", "mine.yaml"), ("sweep", "grid.yaml", "--dry-run")):
        ended = terminal(*words, "--offline")
        assert not trap.exists()
        assert ended.code == 2 and "names the Python code trap_module:run" in ended.errors[0]
        assert "--trust-remote-code" in ended.errors[0]
    terminal("recipe", "run", "mine.yaml", "--trust-remote-code", "--offline")
    assert trap.exists(), "the recipe would not have run it, so that the refusal proves nothing"


def test_a_link_to_an_installed_task_lends_no_trust_to_files_beside_it(
    made: Path, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed, theirs = tmp_path / "installed", tmp_path / "theirs"
    for folder in (installed, theirs / "lm_eval"):
        folder.mkdir(parents=True)
    (installed / "evil.yaml").write_text("lm_eval: evil\ninclude_path: lm_eval\n")
    (theirs / "evil.yaml").symlink_to(installed / "evil.yaml")
    (theirs / "lm_eval" / "evil.yaml").write_text("task: evil\nprocess_docs: !function boom.run\n")
    (theirs / "lm_eval" / "boom.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\n")
    load_registry()  # the built-in tasks are read once, from where they are
    monkeypatch.setattr("forgetbench.tasks.registry.builtin_root", lambda: installed)
    ended = terminal(
        "run", "--model", made / "lora", "--tasks", "evil", "--include-path", theirs, "--dry-run", "--offline"
    )
    assert ended.code == 2 and "--trust-remote-code" in ended.errors[0]
    assert not (tmp_path / "ran").exists()


def test_a_repository_s_own_monitor_is_not_run_by_asking_for_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "monitor.sh").write_text("#!/bin/sh\ntouch ran\n")
    (tmp_path / "monitor.sh").chmod(0o755)
    who = ("-c", "user.name=A", "-c", "user.email=a@b.c")
    for words in (("init", "-q"), ("add", "."), (*who, "commit", "-qm", "x")):
        subprocess.run(["git", *words], check=True)
    subprocess.run(["git", "config", "core.fsmonitor", "./monitor.sh"], check=True)
    assert read_environment().git_dirty is False
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("kind", "plant"),
    [
        ("lora", adapter),
        ("llama", model_card),
        ("llama", config),
        ("llama", system),
        ("lora", system_of_an_adapter),
    ],
)
def test_no_file_of_a_checkpoint_can_name_python_code_that_runs(
    kind: str,
    plant: Callable[[Path], None],
    copy: Callable[..., Path],
    terminal: Terminal,
    tiny_tasks: Path,
    trap: Path,
) -> None:
    folder = copy(kind, "theirs")
    plant(folder)
    ended = terminal(
        "run", "--model", folder, "--tasks", "choices", "--include-path", tiny_tasks, "--dry-run", "--offline"
    )
    assert not trap.exists()
    assert "is Python code that a file names" in ended.err or plant is config


def test_remote_code_of_a_checkpoint_is_never_loaded(
    copy: Callable[..., Path], terminal: Terminal, tiny_tasks: Path, trap: Path
) -> None:
    folder = copy("llama", "theirs")
    shutil.copy("trap_module.py", folder / "modeling_theirs.py")
    content = json.loads((folder / "config.json").read_text())
    auto = {"AutoConfig": "modeling_theirs.Config", "AutoModelForCausalLM": "modeling_theirs.Model"}
    (folder / "config.json").write_text(json.dumps(content | {"auto_map": auto}))
    for more in ((), ("--trust-remote-code",)):
        terminal(
            "run", "--model", folder, "--tasks", "choices", "--include-path", tiny_tasks, "--no-mlflow",
            "--limit", "2", "--offline", *more,
        )  # fmt: skip
    assert not trap.exists()


@pytest.mark.parametrize("way", ["upwards", "link", "link to a folder"])
def test_a_task_s_manifest_reads_no_recording_outside_the_task(
    way: str, terminal: Terminal, tmp_path: Path, faults: object
) -> None:
    private, task = tmp_path / "private", tmp_path / "task"
    private.mkdir()
    task.mkdir()
    write_speech(private, 2)
    rows = write_speech(task, 3)
    (task / "u1.wav").unlink()
    rows[1]["audio"] = {"upwards": "../private/u1.wav", "link": "u1.wav", "link to a folder": "p/u1.wav"}[way]
    if way == "link":
        (task / "u1.wav").symlink_to(private / "u1.wav")
    if way == "link to a folder":
        (task / "p").symlink_to(private)
    write_task(task, "heard", rows, kind="asr", metrics=["wer"], primary="wer")
    ended = terminal(
        "run", "--model", "faulty_models:checkpoint_ears", "--base", "faulty_models:base_ears", "--tasks",
        "heard", "--include-path", task, "--no-mlflow", "--offline", "--output-path", tmp_path / "results",
    )  # fmt: skip
    (document,) = (tmp_path / "results").rglob("run.json")
    (found,) = json.loads(document.read_text())["tasks"]
    assert found["errors"] == {"audio_outside": 1} and found["n_scored"] == 2, ended.err


def test_a_user_s_own_test_set_may_name_recordings_anywhere(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "sets").mkdir()
    soundfile.write(tmp_path / "elsewhere" / "a.wav", [0.1, -0.1] * 4_000, 16_000)
    rows = [
        {"audio": "../elsewhere/a.wav", "text": "a"},
        {"audio": str(tmp_path / "elsewhere/a.wav"), "text": "b"},
    ]
    (tmp_path / "sets" / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = terminal(
        "run", "--model", "faulty_models:checkpoint_ears", "--base", "faulty_models:base_ears", "--target",
        tmp_path / "sets" / "own.jsonl", "--no-mlflow", "--offline", "--output-path", tmp_path / "results",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (document,) = (tmp_path / "results").rglob("run.json")
    assert json.loads(document.read_text())["tasks"][0]["n_scored"] == 2


@pytest.mark.parametrize(
    ("before", "after", "key"),
    [
        ("path: heard.jsonl", "path: ../heard.jsonl", "dataset.path"),
        ("noise: babble", "noise: recordings\n  recordings: ../private", "conditions.0.recordings"),
        ("noise: babble", "noise: white\n  hearing_loss: ../me.json:A", "conditions.0.hearing_loss"),
    ],
)
def test_a_task_file_names_nothing_outside_its_folder(
    before: str, after: str, key: str, terminal: Terminal, tiny_tasks: Path
) -> None:
    path = tiny_tasks / "heard.yaml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    ended = terminal("tasks", "validate", path)
    assert ended.code == 2
    assert f"key `{key}`: leads out of tasks/." in ended.out


def test_what_is_said_of_a_hostile_task_is_stripped_of_escapes(
    terminal: Terminal, tiny_tasks: Path, tmp_path: Path
) -> None:
    path = tiny_tasks / "choices.yaml"
    path.write_text(path.read_text().replace("title: Choices", 'title: "\\e]0;owned\\a\\e[2JChoices"'))
    ended = terminal("tasks", "show", "choices", "--include-path", tiny_tasks)
    run = terminal(
        "run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--tasks", "choices",
        "--include-path", tiny_tasks, "--no-mlflow", "--offline", "--output-path", tmp_path / "results",
    )  # fmt: skip
    assert "\x1b" not in ended.out + ended.err + run.out + run.err
    assert "\x07" not in ended.out + ended.err + run.out + run.err
