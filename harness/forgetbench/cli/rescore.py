"""``forgetbench rescore``: score stored predictions again, without a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from forgetbench.cli import options as o

EPILOG = (
    "[bold]Example[/bold]\n\n"
    "forgetbench rescore results/my-whisper/1f2e…/9c3a…/77ab… --normaliser whisper_basic@2\n\n"
    "The old result stays as it is. With no option, the same settings and a newer forgetbench: give another "
    "--output-path."
)


def rescore(
    result: Annotated[Path, typer.Argument(help="The directory that run printed.", metavar="RESULT")],
    normaliser: Annotated[
        str | None,
        o.option(
            "--normaliser",
            help="How transcripts are normalised: [dim]whisper_en@1[/dim], [dim]whisper_basic@1[/dim], "
            "[dim]whisper_basic@2[/dim], [dim]none[/dim].",
            rich_help_panel=o.HOW,
            metavar="NAME",
        ),
    ] = None,
    judge: Annotated[
        str | None,
        o.option(
            "--judge",
            help="How refusals are told: [dim]refusal@1[/dim], [dim]xstest_strmatch[/dim], "
            "[dim]gcg29[/dim], or a model: [dim]classifier:MODEL[/dim].",
            rich_help_panel=o.HOW,
            metavar="NAME",
        ),
    ] = None,
    target: o.Target = None,
    include_path: o.IncludePath = None,
    condition: o.ConditionOption = None,
    jailbreak_suffix: o.JailbreakSuffix = "",
    trust_remote_code: o.TrustRemoteCode = False,
    output_path: o.OutputPath = Path("results"),
    json: o.Json = False,
) -> None:
    """Score the stored predictions of a result again, without a model: another normaliser or judge."""
    from forgetbench.cli.console import warn
    from forgetbench.cli.run import fail_where_nothing_was_measured, fail_where_rows_are_errors, show
    from forgetbench.engine.rescore import Rescoring
    from forgetbench.engine.rescore import rescore as score_again
    from forgetbench.engine.results import read_result
    from forgetbench.report.progress import Bars

    changes = {"normaliser": normaliser, "judge": judge}
    request = Rescoring(
        directory=result,
        output=output_path,
        changes={key: value for key, value in changes.items() if value is not None},
        include_paths=include_path or [],
        target=target,
        conditions=o.conditions(condition),
        jailbreak_suffix=jailbreak_suffix,
        trust_remote_code=trust_remote_code,
    )
    with Bars() as bars:
        done = score_again(request, progress=bars)
    if read_result(result).attribution is not None:
        warn("the attribution to components is not scored again; it stands in the old result.")
    show(done, as_json=json)
    fail_where_nothing_was_measured(done)
    way_out = "The old result and the other rows stand; another --judge or --normaliser may work."
    fail_where_rows_are_errors(done, way_out=way_out)
