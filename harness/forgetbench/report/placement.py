"""Where a plan would run on a Ray cluster, and what that costs."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from forgetbench.engine.placement import Placed
from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.layout import ruled_grid


def placement_table(placed: Placed) -> RenderableType:
    """Show the workers on each node, what each reserves, the units for them, and the estimated cost."""
    if not placed.rows:
        return Text("Ray: everything is answered already", style="dim")
    table = ruled_grid("Node", "Workers", "Each reserves", "Units", right={"Workers", "Units"})
    for row in placed.rows:
        for node, n_workers in row.workers.items() or {"no node has room": 0}.items():
            table.add_row(plain(node), str(n_workers), str(row.share), str(row.n_units))
    return Group(Text(), Text("On Ray", style="bold"), table, Text(_cost(placed), style="dim"))


def _cost(placed: Placed) -> str:
    if placed.seconds is None:
        return "No estimate: a model fits on no node of the cluster as it is"
    gpus = f", {placed.gpu_hours:.2f} GPU hours" if placed.gpu_hours else ""
    return f"About {numbers.seconds(placed.seconds)}: {placed.cpu_hours:.2f} CPU hours{gpus}"
