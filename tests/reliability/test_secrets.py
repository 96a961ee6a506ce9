"""A secret of the environment, of a URL or of an exception reaches no output, document, log or tracker."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from command_line import Terminal
from faulty_models import Fault
from forgetbench.atomic import write_atomically
from forgetbench.errors import DataError, first_line
from forgetbench.redact import redact

TOKEN = "hf_AbCdEfGhIjKlMnOpQrStUvWx"
PASSWORD = "correct-horse-battery"
KEY = "AKIA-0123456789-secret"
SECRETS = (TOKEN, PASSWORD, KEY)


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    monkeypatch.setenv("FORGETBENCH_OUTPUT_PATH", str(tmp_path / "results"))


def leaks(text: str | bytes) -> list[str]:
    return [secret for secret in SECRETS if (secret.encode() if isinstance(text, bytes) else secret) in text]


def leaking_files(root: Path) -> list[str]:
    return [str(path) for path in root.rglob("*") if path.is_file() and leaks(path.read_bytes())]


@pytest.mark.usefixtures("secrets")
def test_nothing_that_a_run_says_writes_or_logs_holds_a_secret(
    terminal: Terminal,
    tiny_tasks: Path,
    tmp_path: Path,
    faults: dict[str, Fault],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model fails with its secrets in the message, and the tracker's URL has them too."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'tracker.db'}?token={PASSWORD}")

    def telltale(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
        if len(asked) == 1:
            raise RuntimeError(f"401 for https://me:{PASSWORD}@host/?token={KEY} with Bearer {TOKEN}")
        raise RuntimeError("alone, please")

    faults["checkpoint"] = telltale
    words = ["run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--tasks", "short"]
    ended = terminal(*words, "--include-path", tiny_tasks, "--no-mlflow", "--offline", "--json")
    assert "401 for https://***@host" in ended.err
    assert not leaks(ended.out + ended.err)
    for command in (("env",), ("env", "--json"), ("mlflow", "sync", tmp_path / "results")):
        ended = terminal(*command)
        assert not leaks(ended.out + ended.err), command
    assert list((tmp_path / "results").rglob("run.json"))
    assert leaking_files(tmp_path) == []


@pytest.mark.usefixtures("secrets")
def test_a_tracker_that_cannot_be_reached_is_named_without_its_password(
    terminal: Terminal, tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:{PASSWORD}@127.0.0.1:9/")
    words = ["run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--tasks", "short"]
    ended = terminal(*words, "--include-path", tiny_tasks)
    assert ended.code == 0
    assert "MLflow at http://***@127.0.0.1:9" in ended.err
    assert list((tmp_path / "results").rglob("mlflow.pending.json"))
    assert not leaks(ended.out + ended.err)
    assert leaking_files(tmp_path) == []


@pytest.mark.usefixtures("secrets")
def test_a_secret_on_the_command_line_is_not_in_the_document(
    terminal: Terminal, tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["forgetbench", "run", "--model", f"https://me:{PASSWORD}@host/{TOKEN}"])
    words = ["run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--tasks", "short"]
    assert terminal(*words, "--include-path", tiny_tasks, "--no-mlflow", "--offline").code == 0
    (document,) = (tmp_path / "results").rglob("run.json")
    assert "https://***@host/***" in document.read_text()
    assert leaking_files(tmp_path) == []


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"Bearer {TOKEN}", "Bearer ***"),
        (f"password {PASSWORD}!", "password ***!"),
        ("https://user:pass@host/path", "https://***@host/path"),
        ("https://user:p@ss@host/path and me@home", "https://***@host/path and me@home"),
        ("https://h/x?sig=abc%3D&author=me", "https://h/x?sig=***&author=me"),
        ("http://h/x?a=1&access_token=xyz&b=2", "http://h/x?a=1&access_token=***&b=2"),
        ("another hf_ZyXwVuTsRqPoNmLkJiHg of somebody else", "another *** of somebody else"),
        ("results of org/name@main at 0.5", "results of org/name@main at 0.5"),
        ("hf_hub_download failed", "hf_hub_download failed"),
        ("https://h/x?passwd=abc&X-Amz-Credential=me%2F1", "https://h/x?passwd=***&X-Amz-Credential=***"),
    ],
)
def test_what_is_hidden_and_what_is_not(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert str(DataError("x", text)).removeprefix("x: ").removesuffix(".") == shown.removesuffix(".")


def test_a_secret_is_hidden_before_a_message_is_cut_and_after_escapes_are_taken_out(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_APIKEY", "SSHKEY", "SOME_KEY_2"):
        monkeypatch.setenv(name, f"{PASSWORD}-of-{name}")
        assert redact(f"it is {PASSWORD}-of-{name}") == "it is ***"
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    for n in range(170, 200):
        assert PASSWORD[:12] not in first_line(ValueError("x" * n + PASSWORD))
    shown = terminal("report", f"{PASSWORD[:8]}\x1b[0m{PASSWORD[8:]}").err
    assert PASSWORD not in shown and "***" in shown


def test_short_values_and_names_that_only_look_secret_change_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false-false")
    monkeypatch.setenv("GIT_AUTHOR_NAME", "Ada Lovelace")
    monkeypatch.setenv("SOME_TOKEN", "true")
    assert redact("true false-false Ada Lovelace") == "true false-false Ada Lovelace"


def test_temporary_files_are_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: modes.append(stat.S_IMODE(os.fstat(handle).st_mode)))
    write_atomically(tmp_path / "document.json", b"{}")
    assert modes == [0o600]
