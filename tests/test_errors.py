"""Errors go from process to process with all that they say."""

from __future__ import annotations

import pickle

import pytest

from forgetbench.errors import CheckpointError, ForgetbenchError, MissingPackageError, SampleError, UsageError


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
