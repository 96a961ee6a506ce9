"""``--chat-template both``: one pair under each arm's template, to tell whose loss it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from forgetbench.cli.console import console, heading, write_json
from forgetbench.cli.engine import show_placement
from forgetbench.cli.run import finish, measure, result_json, show_plan, show_table, warn_of_idle_gpu
from forgetbench.errors import UsageError

if TYPE_CHECKING:
    from forgetbench.engine.ray_engine import RayWorkers
    from forgetbench.engine.results import Result
    from forgetbench.engine.run import Prepared, Request

WHOSE = ("base", "checkpoint")


def run_under_both(
    request: Request,
    *,
    several: bool,
    device_given: bool,
    dry_run: bool,
    mlflow: bool,
    as_json: bool,
    workers: RayWorkers | None,
) -> None:
    """Run both arms under the base's chat template, then under the checkpoint's, and compare the verdicts.

    What goes through no template is computed once.

    Raises:
        UsageError: There are several checkpoints, there is no base, or an arm has no template.
    """
    if several:
        raise UsageError("--chat-template both", "takes one checkpoint at a time", "Give one --model.")
    pairs = _prepare(request)
    if len(pairs) == 1:
        heading("Both arms have the same chat template: one run shows all", as_json=as_json)
    if not dry_run and not device_given and workers is None:
        warn_of_idle_gpu([*pairs.values()])
    results: dict[str, Result] = {}
    plans = []
    for whose, prepared in pairs.items():
        if len(pairs) > 1:
            heading(f"Both arms under the chat template of the {whose}", as_json=as_json)
        placement = show_placement(workers, [prepared], as_json=as_json)
        plans.append(show_plan(prepared, as_json=as_json) | placement)
        if dry_run:
            continue
        results[whose] = measure(prepared, workers=workers)
        show_table(results[whose], as_json=as_json)
        finish(results[whose], request=request, mlflow=mlflow, as_json=as_json)
    if len(results) > 1:
        _say_what_differs(results, as_json=as_json)
    if as_json:
        write_json(plans if dry_run else [result_json(result) for result in results.values()])


def _prepare(request: Request) -> Mapping[str, Prepared]:
    from forgetbench.engine.chat_templates import template_of
    from forgetbench.engine.run import prepare

    first = prepare(request)
    if first.pair.base is None:
        raise UsageError("--chat-template both", "there is no base", "Add --base MODEL.")
    templates = {"base": template_of(first.pair.base), "checkpoint": template_of(first.pair.checkpoint)}
    for whose, template in templates.items():
        if template is None:
            cause = f"the {whose} has no chat template"
            raise UsageError("--chat-template both", cause, "Use auto or none.")
    if templates["base"] == templates["checkpoint"]:
        return {"both": first}
    return {
        whose: prepare(
            replace(request, settings=request.settings.model_copy(update={"chat_template": whose}))
        )
        for whose in WHOSE
    }


def _say_what_differs(results: Mapping[str, Result], *, as_json: bool) -> None:
    from forgetbench.report.both_templates import templates_line

    comparisons = [results[whose].comparison for whose in WHOSE]
    base, checkpoint = comparisons
    assert base is not None and checkpoint is not None
    out = console(as_json=as_json)
    out.print()
    out.print(templates_line(base, checkpoint))
