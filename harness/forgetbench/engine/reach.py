"""Whether the data of tasks can be had, and the command that fetches it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from forgetbench.data.hub import is_unfetched
from forgetbench.errors import DataError
from forgetbench.offline import HUB_TIMEOUT_S, hub_answers, is_offline
from forgetbench.schema.task import LmEval, SuiteRow, Task
from forgetbench.tasks.definition import Definition
from forgetbench.tasks.registry import is_installed


def fetch_command(definitions: Sequence[Definition]) -> str:
    """Return the command that fetches the data of tasks; a user's own files are named with it."""
    names = ",".join(dict.fromkeys(_defined_name(definition.task) for definition in definitions))
    own = dict.fromkeys(d.source for d in definitions if not is_installed(d.source))
    included = (f"--include-path {shlex.quote(str(path))}" for path in own)
    return " ".join((f"forgetbench fetch --tasks {names}", *included))


def _defined_name(task: Task | SuiteRow) -> str:
    """Return the name in the file: of a member of an lm-eval group, which is GROUP.MEMBER, the group's."""
    return task.name.removesuffix(f".{task.lm_eval}") if isinstance(task, LmEval) else task.name


def missing_offline(definitions: Sequence[Definition]) -> DataError:
    """Return the error for the data of tasks that was not fetched."""
    return DataError(
        f"--offline, task {', '.join(definition.task.name for definition in definitions)}",
        "the data is not on this machine",
        f"Fetch it with `{fetch_command(definitions)}`; the embedded suites hearing-mini, retention-mini and "
        "safety-mini run now.",
    )


def check_reach(definition: Definition, *, offline: bool) -> None:
    """See that the data of a task can be had before it is asked for.

    Raises:
        DataError: It was not fetched, and the run is offline or the hub does not answer.
    """
    if is_unfetched(definition.task):
        if is_offline(offline):
            raise missing_offline([definition])
        knock(definition)


def knock(definition: Definition) -> None:
    """See that the hub answers.

    Raises:
        DataError: It does not.
    """
    if not hub_answers():
        raise DataError(
            f"task {definition.task.name}",
            f"the hub did not answer within {HUB_TIMEOUT_S:g} s",
            "Check the connection and HF_ENDPOINT, then `forgetbench fetch`; the embedded suites "
            "hearing-mini, retention-mini and safety-mini run without it.",
        )
