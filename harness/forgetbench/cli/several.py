"""Several checkpoints in one ``forgetbench run``: a table for each, and a curve where they are a sequence.

With ``--alpha`` each checkpoint is measured at several parts of its change, and ends with a line over them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from forgetbench.cli.console import console, heading, write_json
from forgetbench.cli.engine import ask_all, show_placement
from forgetbench.cli.run import (
    check_gated,
    finish,
    judge,
    measure,
    result_json,
    show_plan,
    show_table,
    warn_of_idle_gpu,
)
from forgetbench.errors import ForgetbenchError

if TYPE_CHECKING:
    from forgetbench.engine.ray_engine import RayWorkers
    from forgetbench.engine.results import Result
    from forgetbench.engine.run import Prepared, Request
    from forgetbench.forgetting.alpha_line import AlphaLine
    from forgetbench.forgetting.gate import Gate
    from forgetbench.schema.policy import Policy


def run_several(
    request: Request,
    models: Sequence[str],
    *,
    alphas: Sequence[float] = (),
    device_given: bool,
    dry_run: bool,
    mlflow: bool,
    policy: Policy | None,
    as_json: bool,
    workers: RayWorkers | None,
) -> None:
    """Measure each checkpoint against the base; one that fails does not stop the others, nor does a gate.

    A base that adapters share is loaded once, and scored once.

    Raises:
        ForgetbenchError: Of all that failed, with the highest of their exit codes.
        typer.Exit: With the highest exit code of the gates.
    """
    from forgetbench.engine.run import prepare_each
    from forgetbench.models.resident_base import ResidentBase
    from forgetbench.report.alpha_line import line_json

    resident = ResidentBase()
    everything = prepare_each(request, models, alphas=alphas)
    results: list[tuple[Prepared, Result]] = []
    gates: list[Gate | None] = []
    failures: list[ForgetbenchError] = []
    plans = []
    check_gated(everything, policy)
    placement = show_placement(workers, everything, as_json=as_json)
    if not dry_run and not device_given and workers is None:
        warn_of_idle_gpu(everything)
    if not dry_run:
        ask_all(workers, everything)
    for position, prepared in enumerate(everything, start=1):
        heading(f"[{position}/{len(everything)}] {_name(prepared)}", as_json=as_json)
        plans.append(show_plan(prepared, as_json=as_json) | placement)
        if dry_run:
            continue
        try:
            results.append((prepared, measure(prepared, resident=resident, workers=workers)))
            gates.append(None)
            gates[-1] = judge(results[-1][1], policy, request.include_paths)
            show_table(results[-1][1], gates[-1], as_json=as_json)
            finish(results[-1][1], gates[-1], request=request, mlflow=mlflow, as_json=as_json)
        except ForgetbenchError as error:
            failures.append(error)
            heading(f"{_name(prepared)}: {error}", as_json=True)
    lines = []
    if alphas and not dry_run:
        for model in models:
            own = [(prepared, result) for prepared, result in results if prepared.request.model == model]
            if line := _show_alpha_line(own, as_json=as_json):
                lines.append({"model": model, **line_json(line)})
    if as_json:
        documents = plans if dry_run else _as_json(results, gates)
        write_json({"results": documents, "alpha_lines": lines} if lines else documents)
    if not alphas and not dry_run:
        _show_curve(results, request.output, mlflow=mlflow, offline=request.offline, as_json=as_json)
    _raise(failures, len(everything))
    if judged := [gated.exit_code for gated in gates if gated is not None]:
        raise typer.Exit(max(judged))


def _as_json(
    results: Sequence[tuple[Prepared, Result]], gates: Sequence[Gate | None]
) -> list[dict[str, Any]]:
    return [result_json(result, gated) for (_, result), gated in zip(results, gates, strict=True)]


def _name(prepared: Prepared) -> str:
    model, alpha = prepared.request.model, prepared.alpha
    return model if alpha is None else f"{model}, α = {alpha:g}"


def _show_curve(
    results: Sequence[tuple[Prepared, Result]], output: Path, *, mlflow: bool, offline: bool, as_json: bool
) -> None:
    """Print, write and draw the curve of checkpoints that are a sequence: of more audio, or of more steps."""
    from forgetbench.cli.curves import FOLDER, show_curve
    from forgetbench.engine.curve_results import curve_of
    from forgetbench.engine.reproduce import command_line
    from forgetbench.errors import UsageError
    from forgetbench.models.training_record import training_of
    from forgetbench.report.escape import plain

    pairs = {result.checkpoint.checkpoint.fingerprint: prepared.pair for prepared, result in results}
    trainings = {key: training_of(pair.checkpoint, pair.base) for key, pair in pairs.items()}
    compared = [result for _, result in results if result.comparison is not None]
    amounts = [trainings[result.checkpoint.checkpoint.fingerprint].audio_s for result in compared]
    if None not in amounts and len(set(amounts)) > 1:
        _show_adaptability([a for a in amounts if a is not None], compared, output, as_json=as_json)
        return
    try:
        curve = curve_of(compared, trainings, reproduce=command_line("curves", output, "--seed", 0))
    except UsageError as error:
        if len(compared) > 1:
            console(as_json=as_json).print(f"\nNo curve: {plain(str(error))}", style="dim", soft_wrap=True)
        return
    show_curve(curve, output / FOLDER, mlflow=mlflow, offline=offline, as_json=as_json, document=False)


def _show_adaptability(
    audio_s: Sequence[float], results: Sequence[Result], output: Path, *, as_json: bool
) -> None:
    from forgetbench.forgetting.adaptability import adaptability_curves
    from forgetbench.report.adaptability import FILE_NAME, adaptability_table, draw, write_csv
    from forgetbench.report.escape import plain

    out = console(as_json=as_json)
    found = adaptability_curves(
        audio_s, [result.comparison for result in results if result.comparison is not None]
    )
    if not found:
        out.print("\nNo curve: no task of the role target was measured. Add --target FILE.", style="dim")
        return
    out.print(adaptability_table(found))
    for suffix, write in ((".csv", write_csv), (".png", draw)):
        path = output / f"{FILE_NAME}{suffix}"
        write(found, path)
        out.print(plain(str(path)), style="dim", soft_wrap=True)


def _show_alpha_line(results: Sequence[tuple[Prepared, Result]], *, as_json: bool) -> AlphaLine | None:
    """Print and write how gain and loss go with α, beside the result of the largest one."""
    from forgetbench.engine.results import read_samples
    from forgetbench.forgetting.alpha_line import alpha_line, alpha_point
    from forgetbench.report.alpha_line import FILE_NAME, alpha_table, write_csv
    from forgetbench.report.escape import plain

    points = [
        alpha_point(
            prepared.alpha,
            result.base,
            result.checkpoint,
            read_samples(result.directory, result.base),
            read_samples(result.directory, result.checkpoint),
        )
        for prepared, result in results
        if prepared.alpha is not None and result.base is not None
    ]
    if not points:
        return None
    out, line = console(as_json=as_json), alpha_line(points)
    out.print(alpha_table(line))
    path = max(results, key=lambda pair: pair[0].alpha or 0.0)[1].directory / FILE_NAME
    write_csv(line, path)
    out.print(plain(str(path)), style="dim", soft_wrap=True)
    return line


def _raise(failures: Sequence[ForgetbenchError], n_models: int) -> None:
    if not failures:
        return
    worst = max(failures, key=lambda error: error.exit_code)
    error = ForgetbenchError(f"{len(failures)} of {n_models} checkpoints", "not measured in full", str(worst))
    error.exit_code = worst.exit_code
    raise error
