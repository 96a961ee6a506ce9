"""The root of the command line: which commands there are, and in which panel of the help."""

from __future__ import annotations

from typing import Annotated

import typer

from forgetbench.cli import (
    card,
    compare,
    curves,
    env,
    fetch,
    gate,
    leaderboard,
    lm_eval,
    mlflow,
    recipe,
    report,
    rescore,
    run,
    schema,
    selftest,
    sequence,
    sweep,
    tasks,
)

EVERYDAY, RESEARCH, PUBLISH, SUPPORT = "Everyday", "Research", "Publish", "When something is odd"


def dashes(token: str) -> str:
    """Read ``--num_fewshot`` as ``--num-fewshot``, as lm-eval and its users write it."""
    return token.replace("_", "-")


NOT_GIVEN = {"help": False, "install_completion": False, "show_completion": False}
"""Typer would load pydantic to turn the None of a flag that was not given into a bool."""
GROUP = {"default_map": NOT_GIVEN}
ROOT = {"default_map": NOT_GIVEN, "help_option_names": ["-h", "--help"], "token_normalize_func": dashes}
COMMAND = {"auto_envvar_prefix": "FORGETBENCH"}

app = typer.Typer(
    name="forgetbench",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings=ROOT,
    epilog="Exit codes: 0 done · 1 error · 2 usage · 130 interrupted; gates: 3 inconclusive · 100 failed. "
    "Each option can also be set as FORGETBENCH_<OPTION>.",
)


def show_version(wanted: bool) -> None:
    """Print the version and leave."""
    if wanted:
        from forgetbench import __version__

        typer.echo(f"forgetbench {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=show_version, is_eager=True),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="On an error, show the traceback. May stand anywhere.")
    ] = False,
) -> None:
    """You fine-tuned it. What did it forget? Compares a checkpoint with its base: may it ship?"""


def group(name: str, panel: str, help_text: str) -> typer.Typer:
    """Add and return a group of commands."""
    made = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", context_settings=GROUP)
    app.add_typer(made, name=name, help=help_text, rich_help_panel=panel)
    return made


def _register() -> None:
    app.command("run", rich_help_panel=EVERYDAY, context_settings=COMMAND, epilog=run.EPILOG)(run.run)
    app.command("compare", rich_help_panel=EVERYDAY, context_settings=COMMAND, epilog=compare.EPILOG)(
        compare.compare
    )
    app.command("report", rich_help_panel=EVERYDAY, context_settings=COMMAND, epilog=report.EPILOG)(
        report.report
    )
    app.command("gate", rich_help_panel=EVERYDAY, context_settings=COMMAND, epilog=gate.EPILOG)(gate.gate)
    task_group = group("tasks", EVERYDAY, "List, show, check and begin task definitions.")
    task_group.command("ls", context_settings=COMMAND)(tasks.ls)
    task_group.command("show", context_settings=COMMAND)(tasks.show)
    task_group.command("validate", context_settings=COMMAND)(tasks.validate)
    task_group.command("new", context_settings=COMMAND)(tasks.new)
    app.command("fetch", rich_help_panel=EVERYDAY, context_settings=COMMAND, epilog=fetch.EPILOG)(fetch.fetch)

    recipe_group = group("recipe", RESEARCH, "Post-train a reference checkpoint to measure.")
    recipe_group.command("ls", context_settings=COMMAND)(recipe.ls)
    recipe_group.command("show", context_settings=COMMAND)(recipe.show)
    recipe_group.command("run", context_settings=COMMAND, epilog=recipe.EPILOG)(recipe.run)
    app.command("sweep", rich_help_panel=RESEARCH, context_settings=COMMAND, epilog=sweep.EPILOG)(sweep.sweep)
    app.command("curves", rich_help_panel=RESEARCH, context_settings=COMMAND, epilog=curves.EPILOG)(
        curves.curves
    )
    app.command("sequence", rich_help_panel=RESEARCH, context_settings=COMMAND, epilog=sequence.EPILOG)(
        sequence.sequence
    )
    app.command("rescore", rich_help_panel=RESEARCH, context_settings=COMMAND, epilog=rescore.EPILOG)(
        rescore.rescore
    )
    app.command("selftest", rich_help_panel=RESEARCH, context_settings=COMMAND, epilog=selftest.EPILOG)(
        selftest.selftest
    )
    app.command(
        "lm-eval", rich_help_panel=RESEARCH, context_settings=lm_eval.SETTINGS, epilog=lm_eval.EPILOG
    )(lm_eval.lm_eval)
    mlflow_group = group("mlflow", RESEARCH, "Log results to MLflow later, and look at them.")
    mlflow_group.command("sync", context_settings=COMMAND)(mlflow.sync)
    mlflow_group.command("ui", context_settings=COMMAND)(mlflow.ui)

    boards = group("leaderboard", PUBLISH, "Boards of what checkpoints lost, that anyone can check.")
    boards.command("build", context_settings=COMMAND, epilog=leaderboard.BUILD_EPILOG)(leaderboard.build)
    boards.command("verify", context_settings=COMMAND, epilog=leaderboard.VERIFY_EPILOG)(leaderboard.verify)
    boards.command("submit", context_settings=COMMAND, epilog=leaderboard.SUBMIT_EPILOG)(leaderboard.submit)
    boards.command("publish", context_settings=COMMAND, epilog=leaderboard.PUBLISH_EPILOG)(
        leaderboard.publish
    )
    boards.command("serve", context_settings=COMMAND)(leaderboard.serve)
    app.command("card", rich_help_panel=PUBLISH, context_settings=COMMAND, epilog=card.EPILOG)(card.card)

    app.command("env", rich_help_panel=SUPPORT, context_settings=COMMAND)(env.env)
    app.command("schema", rich_help_panel=SUPPORT, context_settings=COMMAND)(schema.schema)


_register()
