"""Errors that a user sees: one line that names the thing, the cause and the way out."""

from __future__ import annotations


class ForgetbenchError(Exception):
    """An expected failure, shown as one line and turned into an exit code.

    Args:
        thing: What the message is about: a path, a task, an option.
        cause: What is wrong with it.
        way_out: What the user can do next.
    """

    exit_code = 1

    def __init__(self, thing: str, cause: str, way_out: str = "") -> None:
        self.thing, self.cause, self.way_out = thing, cause, way_out
        message = f"{thing}: {cause.rstrip('.')}."
        super().__init__(f"{message} {way_out}".strip())


class UsageError(ForgetbenchError):
    """The command asks for something that cannot be: exit code 2."""

    exit_code = 2


class CheckpointError(UsageError):
    """A checkpoint that does not exist, is not one, or cannot be loaded."""


class TaskError(UsageError):
    """A task definition that is unknown or invalid."""


class MissingPackageError(UsageError):
    """A part of forgetbench that is asked for and was not installed."""

    def __init__(self, thing: str, package: str, *, extra: str) -> None:
        super().__init__(thing, f"needs {package}", f"Run: pip install 'forgetbench[{extra}]'")


class DataError(ForgetbenchError):
    """A data set or a manifest that cannot be read."""


class SampleError(ForgetbenchError):
    """An input that cannot be used: it drops the pair, under ``code``."""

    def __init__(self, code: str, thing: str, cause: str) -> None:
        super().__init__(thing, cause)
        self.code = code
