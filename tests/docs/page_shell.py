"""A bash in which pages are typed: its ``forgetbench`` and ``python`` run in the process of the test."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

Run = Callable[[list[str]], tuple[int, str]]
"""Runs a program by its words, in the working directory and environment of the shell."""
COMMANDS = r"""
ask() {
  { printf '%s\0' "$PWD" "$#" "$@"; env -0; printf '\0'; } >&"$ASK"
  local code; IFS= read -r code <&"$ANSWER"; cat "$SAID"; return "$code"
}
forgetbench() { ask forgetbench "$@"; }
python() { ask python "$@"; }
set -e
"""


def type_lines(lines: list[str], *, folder: Path, run: Run) -> None:
    """Type lines into one bash, which ends at the first that fails.

    Args:
        folder: The working directory of the first line.
        run: Gives exit code and output of each ``forgetbench`` and ``python``.

    Raises:
        AssertionError: A line failed; the message has what it said.
    """
    said = folder.parent / f"{folder.name}.said"
    asked, ask = os.pipe()
    answer, answered = os.pipe()
    script = f"ASK={ask} ANSWER={answer} SAID={shlex.quote(str(said))}\n{COMMANDS}" + "\n".join(lines)
    shell = subprocess.Popen(
        ["bash", "-c", script], cwd=folder, pass_fds=(ask, answer), text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    os.close(ask)
    os.close(answer)
    output: list[str] = []
    listening = threading.Thread(target=lambda: output.extend(shell.stdout or []))
    listening.start()
    with os.fdopen(asked, "rb") as questions, os.fdopen(answered, "w") as answers:
        try:
            while place := _field(questions):
                words = [_field(questions) for _ in range(int(_field(questions)))]
                environment = dict(entry.partition("=")[::2] for entry in iter(lambda: _field(questions), ""))
                with pytest.MonkeyPatch.context() as patch:
                    patch.chdir(place)
                    for name, value in environment.items():
                        patch.setenv(name, value)
                    code, text = run(words)
                said.write_text(text)
                print(code, file=answers, flush=True)
        finally:
            answers.close()
            shell.wait()
            listening.join()
    assert shell.returncode == 0, "".join(output[-40:])


def _field(stream: BinaryIO) -> str:
    return b"".join(iter(lambda: stream.read(1), b"\0" if stream.peek(1) else b"")).decode()
