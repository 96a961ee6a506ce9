"""``forgetbench run``: measure a checkpoint against its base."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forgetbench.cli import options as o
from forgetbench.cli.budget import keep_budget, read_budget
from forgetbench.cli.engine import Engine, RayAddress, check_engine, show_placement, workers_of
from forgetbench.cli.output_url import results_in
from forgetbench.cli.power import Power, show_power
from forgetbench.errors import ForgetbenchError, UsageError

if TYPE_CHECKING:
    from forgetbench.engine.ray_engine import RayWorkers
    from forgetbench.engine.results import Result
    from forgetbench.engine.run import Prepared, Request
    from forgetbench.forgetting.gate import Gate
    from forgetbench.models.resident_base import ResidentBase
    from forgetbench.report.plan_table import PlanLine
    from forgetbench.schema.policy import Policy

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench run --model ./my-lora --tasks retention-mini,safety-mini\n\n"
    "forgetbench run --model ckpt --base org/base@main --target test.jsonl --tasks retention --dry-run\n\n"
    "forgetbench run --model asr=./whisper-lora,lm=./chat-lora --tasks hearing-mini\n\n"
    "forgetbench run --model asr=./whisper-lora,lm=./chat-lora --tasks spoken-mini --attribute\n\n"
    "forgetbench run --model ./my-lora --target test.jsonl --tasks retention-mini --alpha 0.25,0.5,0.75,1\n\n"
    "forgetbench run --model './mine/audio-*' --target user.jsonl --tasks hearing-mini\n\n"
    "forgetbench run --model './out/checkpoint-*' --tasks retention-mini --engine ray --ray-address auto\n\n"
    "The same command again goes on where it stopped; once more, it computes nothing. "
    "The exit code is 0 when the run is complete, whatever the verdict, unless --gate judges it."
)


def run(
    model: o.Models,
    base: o.Base = None,
    tasks: o.Tasks = None,
    target: o.Target = None,
    role: o.Role = None,
    include_path: o.IncludePath = None,
    condition: o.ConditionOption = None,
    jailbreak_suffix: o.JailbreakSuffix = "",
    limit: o.Limit = None,
    budget: o.Budget = None,
    alpha: o.Alpha = None,
    cost: o.Cost = False,
    attribute: o.Attribute = False,
    dry_run: Annotated[
        bool,
        o.option(
            "--dry-run",
            help="Show the plan and stop: tasks, samples, time, and the smallest loss that would show.",
            rich_help_panel=o.WHAT,
        ),
    ] = False,
    power_analysis: o.PowerAnalysis = False,
    effect_size: o.EffectSize = None,
    power: o.Power = None,
    num_fewshot: o.NumFewshot = None,
    repeats: o.Repeats = 1,
    gen_kwargs: o.GenKwargs = None,
    batch_size: o.BatchSize = 16,
    device: o.Device = None,
    dtype: o.Dtype = "float32",
    compile: o.Compile = False,
    chat_template: o.ChatTemplateOption = "auto",
    seed: o.Seed = 0,
    output_path: o.OutputPath = Path("results"),
    offline: o.Offline = False,
    strict: o.Strict = False,
    engine: Engine = "local",
    ray_address: RayAddress = None,
    gate: Annotated[
        Path | None,
        o.option(
            "--gate",
            help="Judge the result by a policy file: exit code 0, 3 (inconclusive) or 100 (failed).",
            rich_help_panel=o.HOW,
            metavar="FILE",
        ),
    ] = None,
    trust_remote_code: o.TrustRemoteCode = False,
    confirm_run_unsafe_code: o.ConfirmRunUnsafeCode = False,
    mlflow: Annotated[
        bool,
        o.option(
            "--mlflow/--no-mlflow",
            help="Log the pair to MLflow: MLFLOW_TRACKING_URI, else mlflow.db in this directory.",
            rich_help_panel=o.WHERE,
        ),
    ] = True,
    json: o.Json = False,
) -> None:
    """Measure what a checkpoint lost against its base, and say whether it may ship."""
    settings = o.make_settings(
        seed=seed,
        limit=limit,
        num_fewshot=num_fewshot,
        batch_size=batch_size,
        chat_template=chat_template,
        device=device,
        dtype=dtype,
        repeats=repeats,
        gen_kwargs=gen_kwargs,
        compile=compile,
        elsewhere=engine == "ray",
    )
    check_engine(engine, ray_address)
    asked = Power.of(power_analysis, effect_size=effect_size, alpha=alpha, power=power)
    budget_s = read_budget(budget)
    roles = o.assignments("--role", role)
    alphas = [] if power_analysis else o.alphas(alpha)
    o.go_offline(offline)
    from forgetbench.cli.checkpoints import expand, is_glob
    from forgetbench.engine.policy import read_policy
    from forgetbench.engine.run import Request, prepare

    policy = read_policy(gate) if gate is not None else None
    models = expand(model)
    request = Request(
        model=models[0],
        base=base,
        tasks=o.names(tasks),
        target=target,
        roles=roles,
        include_paths=include_path or [],
        conditions=o.conditions(condition),
        jailbreak_suffix=jailbreak_suffix,
        settings=settings,
        output=output_path,
        offline=offline,
        strict=strict,
        trust_remote_code=trust_remote_code,
        cost=cost,
        attribute=attribute,
        confirm_run_unsafe_code=confirm_run_unsafe_code,
    )
    if asked is not None:
        show_power(prepare(request), asked, as_json=json)
        return
    if budget_s is not None:
        if engine == "ray":
            raise UsageError("--budget with --engine ray", "a budget times this machine", "Use --limit.")
        request = keep_budget(request, budget_s, dry_run=dry_run, as_json=json)
    several = len(models) > 1 or bool(alphas) or any(map(is_glob, model))
    if chat_template == "both" and policy is not None:
        raise UsageError(
            "--gate with --chat-template both", "a gate judges one table, not two", "Give one template."
        )
    with (
        workers_of(engine, ray_address) as workers,
        results_in(output_path, as_json=json) as folder,
    ):
        request = replace(request, output=folder)
        if chat_template == "both":
            from forgetbench.cli.both_templates import run_under_both

            run_under_both(
                request,
                several=several,
                device_given=device is not None,
                dry_run=dry_run,
                mlflow=mlflow,
                as_json=json,
                workers=workers,
            )
        elif several:
            from forgetbench.cli.several import run_several

            run_several(
                request,
                models,
                alphas=alphas,
                device_given=device is not None,
                dry_run=dry_run,
                mlflow=mlflow,
                policy=policy,
                as_json=json,
                workers=workers,
            )
        else:
            _run(
                request,
                prepare(request),
                device_given=device is not None,
                dry_run=dry_run,
                mlflow=mlflow,
                policy=policy,
                as_json=json,
                workers=workers,
            )


def _run(
    request: Request,
    prepared: Prepared,
    *,
    device_given: bool,
    dry_run: bool,
    mlflow: bool,
    policy: Policy | None,
    as_json: bool,
    workers: RayWorkers | None,
) -> None:
    from forgetbench.cli.console import write_json

    plan = show_plan(prepared, as_json=as_json) | show_placement(workers, [prepared], as_json=as_json)
    if dry_run:
        if as_json:
            write_json(plan)
        return
    check_gated([prepared], policy)
    if not device_given and workers is None:
        warn_of_idle_gpu([prepared])
    result = measure(prepared, workers=workers)
    gated = judge(result, policy, request.include_paths)
    show_table(result, gated, as_json=as_json)
    if as_json:
        write_json(result_json(result, gated))
    finish(result, gated, request=request, mlflow=mlflow, as_json=as_json)
    if gated is not None:
        raise typer.Exit(gated.exit_code)


def show_plan(prepared: Prepared, *, as_json: bool) -> dict[str, Any]:
    """Print what will be run, and return it as JSON."""
    from forgetbench.cli.console import console
    from forgetbench.report.plan_table import plan_table

    lines = plan_lines(prepared)
    console(as_json=as_json).print(plan_table(lines))
    return {"directory": str(prepared.directory), "plan": [asdict(line) for line in lines]}


def measure(
    prepared: Prepared, *, resident: ResidentBase | None = None, workers: RayWorkers | None = None
) -> Result:
    """Run a plan under a progress bar, on a base that may be loaded already, or on workers."""
    from forgetbench.engine.run import evaluate
    from forgetbench.report.progress import Bars

    with Bars() as bars:
        return evaluate(prepared, progress=bars, resident=resident, workers=workers)


def warn_of_idle_gpu(everything: Sequence[Prepared]) -> None:
    """Say that a GPU is here where models will be loaded by torch, whose device is the CPU by default."""
    from forgetbench.cli.console import warn
    from forgetbench.engine.run import is_finished
    from forgetbench.models.devices import LOADED_BY_TORCH, gpus

    formats = {
        component.format
        for prepared in everything
        if not is_finished(prepared)
        for component in prepared.pair.checkpoint.components.values()
    }
    if formats & LOADED_BY_TORCH and (here := gpus()):
        warn(f"a GPU is here and not used: --device {here[0]}")


def check_gated(prepared: Sequence[Prepared], policy: Policy | None) -> None:
    """Fail before any work where a gate has no pair to judge, or a margin that no loss could exceed.

    Raises:
        UsageError: A checkpoint has no base, or the policy has such a margin.
    """
    if policy is None:
        return
    from forgetbench.engine.gate import check_margins

    alone = [one.request.model for one in prepared if one.pair.base is None]
    if alone:
        raise UsageError(
            f"--gate with {alone[0]}", "a gate judges a pair, and there is no base", "Add --base."
        )
    for one in prepared:
        tasks = {planned.task.name: planned.task for planned in one.plan.tasks}
        check_margins(policy.margins, tasks, one.plan.suite_rows)


def judge(result: Result, policy: Policy | None, include_paths: Sequence[Path]) -> Gate | None:
    """Return what a policy says of a result; None without a policy."""
    if policy is None:
        return None
    from forgetbench.engine.gate import gate_result

    return gate_result(result.directory, policy, include_paths=include_paths)


def finish(
    result: Result, gated: Gate | None = None, *, request: Request, mlflow: bool, as_json: bool
) -> None:
    """Log a result; say what its gate found, or fail where a task of it has no score.

    Raises:
        ForgetbenchError: A task could not be measured.
    """
    if mlflow:
        _log(result, request, as_json=as_json)
    if gated is None:
        fail_where_nothing_was_measured(result)
        return
    from forgetbench.cli.console import console
    from forgetbench.report.gate import findings

    console(as_json=as_json).print(findings(gated))


def plan_lines(prepared: Prepared) -> list[PlanLine]:
    """Return the plan as it is shown."""
    from forgetbench.engine.forecast import forecast
    from forgetbench.report import numbers
    from forgetbench.report.plan_table import PlanLine

    pair = prepared.pair
    arms = (pair.checkpoint,) if pair.base is None else (pair.checkpoint, pair.base)
    primaries = {planned.task.name: planned.task.primary or "" for planned in prepared.plan.tasks}
    lines = []
    for line in forecast(prepared.plan, arms, identical=prepared.identical):
        metric = primaries[line.members[0]] if line.members else line.metric
        detects = line.smallest_detectable
        lines.append(
            PlanLine(
                task=line.name,
                role=line.role,
                n=line.n,
                smallest_detectable=(
                    ""
                    if detects is None
                    else numbers.difference(detects, metric=metric, unit=True).lstrip("+")
                ),
                seconds=line.seconds,
                download=line.download,
                skipped=line.skipped,
            )
        )
    return lines


def show(result: Result, *, as_json: bool) -> None:
    """Print a result, and write it to stdout where JSON is asked for."""
    from forgetbench.cli.console import write_json

    show_table(result, as_json=as_json)
    if as_json:
        write_json(result_json(result))


def show_table(result: Result, gated: Gate | None = None, *, as_json: bool) -> None:
    """Print the verdict table, by the margins of a gate if there is one, and where the documents are."""
    from forgetbench.cli.console import console
    from forgetbench.report.attribution import attribution_table
    from forgetbench.report.escape import plain
    from forgetbench.report.single import single_table
    from forgetbench.report.table import verdict_table
    from forgetbench.schema.cost import Cost

    out = console(as_json=as_json)
    out.print()
    if result.attribution is not None:
        out.print(attribution_table(result.attribution))
        out.print()
    if result.comparison is None:
        out.print(single_table(result.checkpoint))
    else:
        measured, base_measured = (
            Cost.of(document.measured) if document else None for document in (result.checkpoint, result.base)
        )
        out.print(
            verdict_table(
                gated.comparison if gated else result.comparison,
                result.checkpoint.suite_rows,
                measured=measured,
                base_measured=base_measured,
            )
        )
    out.print(plain(str(result.directory)), style="dim", soft_wrap=True)
    if result.comparison is not None:
        line = f"Look at it: forgetbench report {shlex.quote(str(result.directory))}"
        out.print(plain(line), style="dim", soft_wrap=True)


def result_json(result: Result, gated: Gate | None = None) -> dict[str, Any]:
    """Return a result as JSON: where it is, the decision, the documents, and what its gate says."""
    documents = {"base": result.base, "checkpoint": result.checkpoint, "comparison": result.comparison}
    return {
        "directory": str(result.directory),
        "decision": result.comparison.decision if result.comparison else None,
        **{
            name: document.model_dump(mode="json") if document else None
            for name, document in documents.items()
        },
        **({"attribution": result.attribution.model_dump(mode="json")} if result.attribution else {}),
        **({"gate": gated.as_json()} if gated else {}),
    }


def fail_where_rows_are_errors(result: Result, *, way_out: str) -> None:
    """Fail where a row of a comparison is an error.

    Raises:
        ForgetbenchError: It names the rows.
    """
    rows = result.comparison.rows if result.comparison is not None else ()
    failed = [row for row in rows if row.verdict == "error"]
    if failed:
        raise ForgetbenchError(
            f"task {', '.join(row.name for row in failed)}",
            f"could not be compared ({failed[0].name}: {failed[0].reason})",
            way_out,
        )


def fail_where_nothing_was_measured(result: Result) -> None:
    """Fail where a task of either arm is an error.

    Raises:
        ForgetbenchError: It names the tasks.
    """
    documents = [document for document in (result.checkpoint, result.base) if document is not None]
    failed = {
        task.name: task.reason for document in documents for task in document.tasks if task.status == "error"
    }
    if failed:
        name, reason = next(iter(failed.items()))
        raise ForgetbenchError(
            f"task {', '.join(failed)}",
            f"could not be measured ({name}: {reason})",
            "The warnings above name the samples; the other rows stand.",
        )


def _log(result: Result, request: Request, *, as_json: bool) -> None:
    from forgetbench.cli.console import console, warn
    from forgetbench.cli.report import files_of
    from forgetbench.engine.heard_again import Sources
    from forgetbench.tracking.mlflow_log import log_pair
    from forgetbench.tracking.store import sqlite_path, tracking_address, without_password

    sources = Sources(
        include_paths=request.include_paths, target=request.target, conditions=request.conditions
    )
    files = partial(files_of, sources=sources)
    address = tracking_address()
    if request.offline and sqlite_path(address) is None:
        warn(f"MLflow: not logged, for the run is offline. Later: forgetbench mlflow sync {result.directory}")
        return
    warning = log_pair(result.directory, result.base, result.checkpoint, result.comparison, files=files)
    if warning:
        warn(warning)
    else:
        console(as_json=as_json).print(f"MLflow: {without_password(address)}", style="dim", soft_wrap=True)
