from __future__ import annotations

import json
import subprocess
import sys

import pytest

from forgetbench.cli import _take_debug, main
from forgetbench.cli import app as app_module
from forgetbench.errors import DataError, UsageError

HEAVY = ("torch", "transformers", "mlflow", "pydantic", "numpy", "pandas", "datasets", "lm_eval")


def forgetbench(*arguments: str, code: str = "from forgetbench.cli import main; main()", **options):
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, **options
    )


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["run"],
        ["compare"],
        ["gate"],
        ["report"],
        ["tasks", "ls"],
        ["recipe", "run"],
        ["sweep"],
        ["mlflow", "ui"],
    ],
)
def test_help_loads_nothing_heavy(arguments):
    code = (
        "import sys\nfrom forgetbench.cli import main\ntry:\n    main()\nexcept SystemExit as exit:\n"
        f"    heavy = [name for name in {HEAVY} if name in sys.modules]\n"
        "    sys.stderr.write(repr((exit.code, heavy)))"
    )
    done = forgetbench(*arguments, "--help", code=code)
    assert done.stderr == "(0, [])"
    assert "Usage: forgetbench" in done.stdout


def test_a_real_process_fails_in_one_line_with_its_exit_code():
    done = forgetbench("tasks", "show", "no-such-task")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: task 'no-such-task': no task or suite has this name.")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--debug", "tasks", "show", "x"], ["tasks", "show", "x", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(arguments):
    done = forgetbench(*arguments)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "TaskError" in done.stderr


def test_a_reader_that_leaves_early_sees_no_traceback():
    code = "from forgetbench.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""


def test_an_ascii_terminal_gets_help_and_json_still(tmp_path):
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path), "PATH": ""}
    assert forgetbench("--help", env=environment).returncode == 0
    assert json.loads(forgetbench("schema", "run", env=environment).stdout)


def broken(monkeypatch, error: BaseException):
    def fail(**kwargs):
        raise error

    monkeypatch.setattr(app_module, "app", fail)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("--model x", "is not here", "Try y."), 2, "error: --model x: is not here. Try y.\n"),
        (DataError("a\x1b[2Jb", "bad"), 1, "error: ab: bad.\n"),
        (KeyboardInterrupt(), 130, "error: interrupted; the same command goes on from here\n"),
    ],
)
def test_failures_are_one_line_with_an_exit_code(monkeypatch, capsys, error, code, said):
    broken(monkeypatch, error)
    with pytest.raises(SystemExit) as exit_info:
        main(["run"])
    assert (exit_info.value.code, capsys.readouterr().err) == (code, said)


def test_a_bug_is_one_line_that_says_how_to_see_more(monkeypatch, capsys):
    broken(monkeypatch, ZeroDivisionError("division by zero"))
    with pytest.raises(SystemExit) as exit_info:
        main(["run"])
    assert exit_info.value.code == 1
    assert (
        "unexpected ZeroDivisionError: division by zero (the same command with --debug"
        in capsys.readouterr().err
    )
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "run"])


def test_interrupting_a_command_exits_with_130(engine, capsys):
    engine.error = KeyboardInterrupt()
    with pytest.raises(SystemExit) as exit_info:
        main(["run", "--model", "m"])
    assert exit_info.value.code == 130
    assert capsys.readouterr().err == "error: interrupted; the same command goes on from here\n"


def test_debug_after_two_dashes_is_a_name():
    assert _take_debug(["tasks", "ls", "--", "--debug"]) == (["tasks", "ls", "--", "--debug"], False)
