"""``--engine ray``: workers on a cluster in place of models in this process, and where they would run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

from forgetbench.cli.options import HOW, option
from forgetbench.errors import UsageError

if TYPE_CHECKING:
    from forgetbench.engine.ray_engine import RayWorkers
    from forgetbench.engine.run import Prepared

EngineName = Literal["local", "ray"]

Engine = Annotated[
    EngineName,
    option(
        help="Who asks the models: this process, or actors on a Ray cluster. The results are the same.",
        rich_help_panel=HOW,
    ),
]
RayAddress = Annotated[
    str | None,
    option(
        help="The cluster, for --engine ray: [dim]auto[/dim], [dim]host:6379[/dim]. Default: "
        "[dim]RAY_ADDRESS[/dim], else a Ray on this machine.",
        rich_help_panel=HOW,
        metavar="ADDRESS",
    ),
]


def check_engine(engine: EngineName, address: str | None) -> None:
    """Fail where an address is given and no cluster is asked for.

    Raises:
        UsageError: So it is.
    """
    if engine == "local" and address is not None:
        raise UsageError("--ray-address", "is for --engine ray", "Add --engine ray.")


@contextmanager
def workers_of(engine: EngineName, address: str | None) -> Iterator[RayWorkers | None]:
    """Yield the workers of an engine; None where models are in this process.

    Raises:
        MissingPackageError: Ray is not installed.
        UsageError: There is no cluster at the address.
    """
    if engine == "local":
        yield None
        return
    from forgetbench.engine.ray_engine import ray_workers

    with ray_workers(address) as workers:
        yield workers


def show_placement(
    workers: RayWorkers | None, everything: Sequence[Prepared], *, as_json: bool, times: int = 1
) -> dict[str, Any]:
    """Print where the units of a plan will run and what that costs, and return it as JSON.

    Args:
        workers: None prints nothing.
        everything: What is planned.
        as_json: Print to stderr.
        times: So many checkpoints like these, which are not made yet.
    """
    if workers is None:
        return {}
    from forgetbench.cli.console import console
    from forgetbench.engine.run import open_questions
    from forgetbench.report.placement import placement_table

    placed = workers.placed(open_questions(everything), times=times)
    console(as_json=as_json).print(placement_table(placed))
    return {"ray": asdict(placed)}


def ask_all(workers: RayWorkers | None, everything: Sequence[Prepared]) -> None:
    """Have everything answered that several checkpoints are asked, under one progress bar."""
    if workers is None:
        return
    from forgetbench.engine.run import leave_partial, open_questions
    from forgetbench.report.progress import Bars

    try:
        with Bars() as bars:
            workers.ask(open_questions(everything), bars)
    except KeyboardInterrupt:
        for prepared in everything:
            leave_partial(prepared)
        raise
