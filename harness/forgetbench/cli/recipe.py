"""``forgetbench recipe``: post-train a checkpoint to measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from forgetbench.cli import completion
from forgetbench.cli import options as o
from forgetbench.errors import UsageError

TRAINING = "Training"
EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "forgetbench recipe run lora --model org/base --data train.jsonl --output ./my-lora --steps 200\n\n"
    "forgetbench recipe run lora --model openai/whisper-tiny.en --data commands.jsonl --output ./my-asr "
    "--noise babble --snr-db 15,10,5 --save-steps 6,12,24\n\n"
    "forgetbench recipe run lora --model openai/whisper-tiny.en --data mine.jsonl --output ./mine "
    "--audio-seconds 15,60,300,900\n\n"
    "forgetbench recipe run full --model org/base --data train.jsonl --output ./full "
    "'replay={data: old.jsonl, share: 0.2}' l2_to_base=0.01\n\n"
    "Then: forgetbench run --model ./my-lora --tasks retention-mini,safety-mini. "
    "What is not given is as the recipe of the model's family says."
)


def run(
    name: Annotated[
        str,
        typer.Argument(
            help="A recipe ([dim]forgetbench recipe ls[/dim]) or a YAML file of your own.",
            metavar="NAME",
            autocompletion=completion.recipe,
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            help="Any field of the recipe: [dim]rank=32[/dim], for peft [dim]peft.peft_type=LOHA[/dim].",
            metavar="KEY=VALUE",
        ),
    ] = None,
    model: Annotated[
        str | None,
        o.option(
            help="Base: hub id ([dim]org/name[@revision][/dim]) or directory of a causal language model or "
            "of Whisper.",
            metavar="MODEL",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        o.option(
            help="Training set, JSONL: [dim]prompt, answer[/dim] for a language model, "
            "[dim]audio, text[/dim] for Whisper.",
            metavar="FILE",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        o.option(
            help="Directory of the checkpoint; those along the way lie in [dim]checkpoint-N[/dim] inside.",
            metavar="DIR",
        ),
    ] = None,
    steps: Annotated[
        int | None,
        o.option(min=1, help="Optimiser steps.", rich_help_panel=TRAINING, metavar="N"),
    ] = None,
    save_steps: Annotated[
        str | None,
        o.option(
            help="Steps after which a checkpoint is kept: [dim]6,12,24[/dim].",
            rich_help_panel=TRAINING,
            metavar="N,N,…",
        ),
    ] = None,
    rank: Annotated[
        int | None,
        o.option(
            min=1,
            help="Rank of the adapter: more learns and forgets more.",
            rich_help_panel=TRAINING,
            metavar="N",
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        o.option(help="Peak learning rate.", rich_help_panel=TRAINING, metavar="RATE"),
    ] = None,
    batch_size: Annotated[
        int | None,
        o.option(min=1, help="Examples a step.", rich_help_panel=TRAINING, metavar="N"),
    ] = None,
    noise: Annotated[
        Literal["babble", "white", "pink", "speech_shaped"] | None,
        o.option(help="Noise that training speech is mixed with, anew each time.", rich_help_panel=TRAINING),
    ] = None,
    snr_db: Annotated[
        str,
        o.option(
            help="Speech over noise in dB; one of these is drawn for each utterance.",
            rich_help_panel=TRAINING,
            metavar="DB,DB,…",
        ),
    ] = "15,10,5",
    audio_seconds: Annotated[
        str | None,
        o.option(
            help="Adaptability: one adapter for each amount of a speaker's own audio, "
            "[dim]15,60,300,900[/dim], in [dim]audio-15s[/dim] … inside.",
            rich_help_panel=TRAINING,
            metavar="S,S,…",
        ),
    ] = None,
    tasks: Annotated[
        list[str] | None,
        o.option(
            help="Tests that the data must not contain. Default: all whose items are on this machine.",
            metavar="NAMES",
        ),
    ] = None,
    target: Annotated[
        Path | None,
        o.option(help="Your own test set, which the data must not contain either.", metavar="FILE"),
    ] = None,
    allow_contamination: Annotated[
        bool,
        o.option("--allow-contamination", help="Train on test items all the same, and record which."),
    ] = False,
    seed: Annotated[
        int | None, o.option(help="Of fresh weights and of the order of the data.", metavar="N")
    ] = None,
    trust_remote_code: Annotated[
        bool,
        o.option(
            "--trust-remote-code",
            help="Let a recipe file name Python code: a teacher or a reward.",
        ),
    ] = False,
    offline: o.Offline = False,
    json: o.Json = False,
) -> None:
    """Post-train a checkpoint to measure: TRL, PEFT and transformers, by a recipe."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.recipes.amounts import run_by_amount
    from forgetbench.recipes.contamination import check_contamination
    from forgetbench.recipes.make import make_recipe, read_overrides
    from forgetbench.recipes.methods import check_method
    from forgetbench.recipes.run import run_recipe
    from forgetbench.report.progress import Bars

    o.go_offline(offline)
    amounts = _amounts(audio_seconds) if audio_seconds else []
    steps_to_keep = tuple(_numbers("--save-steps", save_steps, int)) if save_steps else None
    if amounts and steps_to_keep is None:
        steps_to_keep = ()  # the amounts are the curve
    asked = {
        "model": model,
        "data": str(data) if data else None,
        "output": str(output) if output else None,
        "steps": steps,
        "save_steps": steps_to_keep,
        "rank": rank,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "noise": {"kind": noise, "snr_db": _numbers("--snr-db", snr_db, float)} if noise else None,
        "seed": seed,
    }
    fields = {**read_overrides(overrides or []), **_given(asked)}
    recipe = make_recipe(name, trust_remote_code=trust_remote_code, **fields)
    check_method(recipe)
    found = check_contamination(recipe, o.names(tasks), target=target, allow=allow_contamination)
    with Bars() as bars:
        made = (
            run_by_amount(recipe, amounts, progress=bars, contamination=found)
            if amounts
            else run_recipe(recipe, progress=bars, contamination=found)
        )
    console(as_json=json).print("\n".join(str(folder) for folder in made), soft_wrap=True)
    if json:
        write_json({"checkpoints": [str(folder) for folder in made]})


def ls(json: o.Json = False) -> None:
    """List the recipes: family, method, trained weights, steps, and what each is for."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.recipes.make import definitions
    from forgetbench.report.recipes import recipe_table

    found = definitions()
    if json:
        write_json([{**d.fields, "name": d.name, "family": d.family, "about": d.about} for d in found])
    else:
        console().print(recipe_table([(d.name, d.family, d.fields, d.about) for d in found]))


def show(
    name: Annotated[
        str,
        typer.Argument(help="A recipe: [dim]lora[/dim].", metavar="NAME", autocompletion=completion.recipe),
    ],
    json: o.Json = False,
) -> None:
    """Show the file of a recipe, for each family that it is for."""
    from forgetbench.cli.console import console, write_json
    from forgetbench.cli.tasks import plain_indented
    from forgetbench.recipes.make import definitions
    from forgetbench.report.escape import plain

    known = definitions()
    found = [d for d in known if d.name == name]
    if not found:
        names = ", ".join(sorted({d.name for d in known}))
        raise UsageError(f"recipe {name}", "is unknown", f"There is {names}.")
    if json:
        write_json([{**d.fields, "name": d.name, "family": d.family, "about": d.about} for d in found])
        return
    out = console()
    for definition in found:
        out.print(f"# {plain(str(definition.path))}", style="dim", soft_wrap=True)
        for line in definition.path.read_text(encoding="utf-8").splitlines():
            out.print(plain_indented(line), soft_wrap=True)


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _amounts(text: str) -> list[float]:
    amounts = _numbers("--audio-seconds", text, float)
    if not all(0 < amount < float("inf") for amount in amounts):
        raise UsageError(f"--audio-seconds {text}", "is not a list of seconds", "Write 15,60,300,900.")
    return amounts


def _numbers(option: str, text: str, kind: type[int] | type[float]) -> list[float]:
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} {text}", "is not a list of numbers", f"Write {option} 5,10,15.") from None
