"""``forgetbench gate``: may this result ship, by a policy, as an exit code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetbench.cli import options as o

EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench gate results/my-lora/1f2e…/9c3a…/77ab… --policy policy.yaml\n\n"
    "Exit codes: 0 passed · 3 inconclusive · 100 failed · 1 error · 2 usage. "
    "forgetbench schema policy has the keys of the file."
)


def gate(
    result: Annotated[
        Path, typer.Argument(help="The directory that run or compare printed.", metavar="RESULT")
    ],
    policy: Annotated[
        Path,
        o.option("--policy", help="What may be lost: a YAML file.", rich_help_panel=o.WHAT, metavar="FILE"),
    ],
    include_path: o.IncludePath = None,
    json: o.Json = False,
) -> None:
    """Judge a result by a policy: one line, and an exit code for CI."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.engine.gate import gate_result
    from forgetbench.engine.policy import read_policy
    from forgetbench.report.gate import findings, gate_table

    gated = gate_result(result, read_policy(policy), include_paths=include_path or [])
    out = console(as_json=json)
    out.print(gate_table(gated))
    out.print(findings(gated))
    if json:
        write_json({"directory": str(result), **gated.as_json()})
    raise typer.Exit(gated.exit_code)
