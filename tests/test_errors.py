"""Errors go from process to process with all that they say."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from command_line import Terminal
from forgetbench.errors import CheckpointError, ForgetbenchError, MissingPackageError, SampleError, UsageError
from forgetbench.tasks.stub import write_stub


@pytest.mark.parametrize(
    "error",
    [
        UsageError("--thing", "is wrong", "Mend it."),
        CheckpointError("./ckpt", "lacks weights"),
        SampleError("silent_audio", "a.wav", "is silent"),
        MissingPackageError("--engine ray", "ray", extra="ray"),
    ],
)
def test_a_pickled_error_says_the_same(error: ForgetbenchError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__
    assert again.exit_code == error.exit_code


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("tasks", "new", "x", "--kind", "foo"), "'--kind': 'foo' is not one of"),
        (("schema", "foo"), "'foo' is not one of"),
        (("tasks", "ls", "--include-path", "mine.yaml"), "`noise` and `snr_db` belong together"),
        (
            ("run", "--model", "x", "--tasks", "hearing-mini", "--condition", "noise=babble"),
            "belong together",
        ),
    ],
)
def test_what_a_validator_says_stands_without_a_word_of_its_library(
    words: tuple[str, ...], says: str, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    definition, _ = write_stub("mine", "asr", tmp_path)
    definition.write_text(definition.read_text() + "\nconditions: [{noise: babble}]\n")
    (error,) = terminal(*words).errors
    assert says in error and "Value error" not in error
