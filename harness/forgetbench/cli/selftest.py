"""``forgetbench selftest``: the same checkpoint in both arms, to see the noise floor."""

from __future__ import annotations

from pathlib import Path

from forgetbench.cli import options as o

EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench selftest --model ./my-lora --tasks retention-mini --limit 100\n\n"
    "The second arm has other batches in another order. What differs is noise of the machine, not "
    "forgetting: it is kept, and a later `run` of this checkpoint asks a loss to exceed it."
)


def selftest(
    model: o.Model,
    tasks: o.Tasks = None,
    include_path: o.IncludePath = None,
    condition: o.ConditionOption = None,
    limit: o.Limit = None,
    batch_size: o.BatchSize = 16,
    device: o.Device = None,
    dtype: o.Dtype = "float32",
    seed: o.Seed = 0,
    output_path: o.OutputPath = Path("results/selftest"),
    offline: o.Offline = False,
    trust_remote_code: o.TrustRemoteCode = False,
    json: o.Json = False,
) -> None:
    """Run one checkpoint against itself: how large a "loss" noise alone makes."""
    settings = o.make_settings(seed=seed, limit=limit, batch_size=batch_size, device=device, dtype=dtype)
    o.go_offline(offline)
    from forgetbench.cli.run import finish, show
    from forgetbench.engine import run as engine
    from forgetbench.errors import ForgetbenchError
    from forgetbench.report.progress import Bars
    from forgetbench.report.selftest import unfit_rows

    request = engine.Request(
        model=model,
        tasks=o.names(tasks),
        include_paths=include_path or [],
        conditions=o.conditions(condition),
        settings=settings,
        output=output_path,
        offline=offline,
        trust_remote_code=trust_remote_code,
    )
    prepared = engine.prepare_selftest(request)
    with Bars() as bars:
        result = engine.selftest(prepared, progress=bars)
    show(result, as_json=json)
    finish(result, request=request, mlflow=False, as_json=json)
    if result.comparison is not None and (unfit := unfit_rows(result.comparison)):
        raise ForgetbenchError(
            f"{len(unfit)} of {len(result.comparison.rows)} rows",
            "the same checkpoint differs from itself by a margin or more",
            "A loss of one margin cannot be told from noise here: try float32 or more samples.",
        )
