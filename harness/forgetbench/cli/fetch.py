"""``forgetbench fetch``: get the data of tasks before a run, and record at which commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from forgetbench.cli import options as o
from forgetbench.errors import ForgetbenchError, UsageError
from forgetbench.offline import hub_answers, is_offline

if TYPE_CHECKING:
    from forgetbench.tasks.definition import Definition

EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench fetch --tasks hearing && forgetbench run --offline --model ckpt --tasks hearing\n\n"
    "Gated data needs HF_TOKEN and its licence accepted on the hub. "
    "Suites whose names end in -mini are embedded."
)


def fetch(
    tasks: o.Tasks = None,
    include_path: o.IncludePath = None,
    trust_remote_code: o.TrustRemoteCode = False,
    json: o.Json = False,
) -> None:
    """Download the data of tasks, so that runs are pinned to it and work offline."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.data.hub import is_unfetched
    from forgetbench.report.escape import plain
    from forgetbench.tasks.registry import load_registry

    if not tasks:
        raise UsageError("--tasks", "nothing to fetch", "Name suites or tasks: --tasks hearing,retention.")
    out = console(as_json=json)
    failed: list[str] = []
    outcomes = []
    selection = load_registry(include_path or []).select(o.names(tasks))
    if is_offline() and any(is_unfetched(definition.task) for definition in selection.tasks):
        raise UsageError(
            "fetch",
            "HF_HUB_OFFLINE or another offline switch is set",
            "Unset it to fetch; the embedded suites hearing-mini, retention-mini and safety-mini run now.",
        )
    if any(is_unfetched(definition.task) for definition in selection.tasks) and not hub_answers():
        raise ForgetbenchError(
            "fetch",
            "the hub did not answer",
            "Check the connection and HF_ENDPOINT; the embedded suites hearing-mini, retention-mini and "
            "safety-mini need no fetching.",
        )
    for definition in selection.tasks:
        try:
            said = _fetch(definition, trust_remote_code=trust_remote_code)
        except ForgetbenchError as error:
            failed.append(definition.task.name)
            said = str(error)
        name = definition.task.name
        outcomes.append({"task": name, "fetched": name not in failed, "said": said})
        out.print(f"{name}: {plain(said)}", soft_wrap=True)
    if json:
        write_json(outcomes)
    if failed:
        raise ForgetbenchError(
            f"{len(failed)} of {len(selection.tasks)} tasks",
            f"not fetched: {', '.join(failed)}",
            "The reasons are above; the same command tries them again.",
        )


def _fetch(definition: Definition, *, trust_remote_code: bool) -> str:
    """Fetch one task and say what happened."""
    from forgetbench.schema.task import DatasetTask, LmEval

    task = definition.task
    if isinstance(task, LmEval):
        from forgetbench.engine.lm_eval import fetch_lm_eval_data

        n_tasks = fetch_lm_eval_data(definition, trust_remote_code=trust_remote_code)
        return f"fetched with lm-eval, {n_tasks} task{'s' if n_tasks > 1 else ''}"
    if not isinstance(task, DatasetTask) or task.dataset.hub is None:
        return "embedded, nothing to fetch"
    from forgetbench.data.hub import fetch_hub_data

    return f"fetched {task.dataset.hub} at {fetch_hub_data(task)[:12]}"
