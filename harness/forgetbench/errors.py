"""Errors that a user sees: one line that names the thing, the cause and the way out."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from forgetbench.redact import redact

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


class ForgetbenchError(Exception):
    """An expected failure, shown as one line without secrets and turned into an exit code.

    Args:
        thing: What the message is about: a path, a task, an option.
        cause: What is wrong with it.
        way_out: What the user can do next.
    """

    exit_code = 1

    def __init__(self, thing: str, cause: str, way_out: str = "") -> None:
        self.thing, self.cause, self.way_out = redact(thing), redact(cause), redact(way_out)
        message = f"{self.thing}: {self.cause.rstrip('.')}."
        super().__init__(f"{message} {self.way_out}".strip())

    def __reduce__(self) -> tuple[Callable[..., ForgetbenchError], tuple[object, ...]]:
        """Pickle by what it says: other processes raise it, too, and every subclass has its own arguments."""
        return _restored, (type(self), self.args, self.__dict__)


class UsageError(ForgetbenchError):
    """The command asks for something that cannot be: exit code 2."""

    exit_code = 2


class CheckpointError(UsageError):
    """A checkpoint that does not exist, is not one, or cannot be loaded."""


class TaskError(UsageError):
    """A task definition that is unknown or invalid."""


class MissingPackageError(UsageError):
    """A part of forgetbench that is asked for and was not installed.

    Args:
        thing: What needs it.
        package: What is missing.
        extra: The extra that brings it; empty for none.
        then: Command that must follow, for a package that no extra may name.
    """

    def __init__(self, thing: str, package: str, *, extra: str, then: str = "") -> None:
        with_extra = f"pip install 'forgetbench[{extra}]'" if extra else ""
        commands = " && ".join(filter(None, (with_extra, then)))
        super().__init__(thing, f"needs {package}", f"Run: {commands}")


class StorageError(ForgetbenchError):
    """A place to write that is full or cannot be written: the run stops there, and goes on from there."""


class DataError(ForgetbenchError):
    """A data set or a manifest that cannot be read."""


class SampleError(ForgetbenchError):
    """An input that cannot be used: it drops the pair, under ``code``."""

    def __init__(self, code: str, thing: str, cause: str) -> None:
        super().__init__(thing, cause)
        self.code = code


def _restored(
    kind: type[ForgetbenchError], said: tuple[Any, ...], state: Mapping[str, Any]
) -> ForgetbenchError:
    error = kind.__new__(kind, *said)
    error.__dict__.update(state)
    return error


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or its type where it says nothing."""
    return redact(str(error).strip().splitlines()[0])[:200] if str(error).strip() else type(error).__name__


def is_full(error: BaseException) -> bool:
    """Say whether a disk is full or has turned read-only: nothing more can be kept there."""
    return isinstance(error, OSError) and error.errno in _FULL


def did_you_mean(name: str, known: Iterable[str], otherwise: str, *, n: int = 1, cutoff: float = 0.6) -> str:
    """Return the way out of a wrong name: up to ``n`` known ones that are near, or else ``otherwise``."""
    near = get_close_matches(name, list(known), n=n, cutoff=cutoff)
    return f"Did you mean {' or '.join(near)}?" if near else otherwise
