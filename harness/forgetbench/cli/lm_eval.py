"""``forgetbench lm-eval``: lm-eval's own command line, with our text engine as its model."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from forgetbench.errors import UsageError

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench lm-eval --model_args pretrained=./my-lora --tasks hellaswag,mmlu --num_fewshot 5\n\n"
    "forgetbench lm-eval run --help\n\n"
    "pretrained takes every name that forgetbench run --model takes, adapters among them."
)
SETTINGS = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False}
"""What stands behind the command is lm-eval's."""

_SUBCOMMANDS = ("run", "ls", "validate")
_NAME_A_MODEL = {"--model", "-M", "--config", "-C"}
_NAME_A_SIZE = {"--batch_size", "-b"}


def lm_eval(context: typer.Context) -> None:
    """Run lm-eval's command line on our text engine: the same scores, several times the speed."""
    sys.argv = ["lm-eval", *with_model(context.args)]
    from lm_eval.__main__ import cli_evaluate

    import forgetbench.models.lm_eval_model  # noqa: F401  registers the model

    try:
        cli_evaluate()
    except ValueError as error:
        if not str(error).startswith("Tasks not found"):
            raise
        unknown = str(error).partition(":")[2].strip().splitlines()[0]
        raise UsageError(
            f"--tasks {unknown}", "lm-eval has no such task", "`forgetbench lm-eval ls tasks` lists them."
        ) from error


def with_model(words: Sequence[str]) -> list[str]:
    """Return lm-eval's words with ``--model forgetbench`` where they run and name no model.

    lm-eval's own batch size, 1, would continue prompts one at a time.
    """
    if not words or (words[0] in _SUBCOMMANDS and words[0] != "run"):
        return list(words)
    rest = words[1:] if words[0] == "run" else words
    named = {word.partition("=")[0] for word in rest}
    if named & _NAME_A_MODEL:
        return ["run", *rest]
    size = [] if named & _NAME_A_SIZE else ["--batch_size", "auto"]
    return ["run", "--model", "forgetbench", *size, *rest]
