"""``forgetbench recipe``: post-train a checkpoint to measure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

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
    "Then: forgetbench run --model ./my-lora --tasks retention-mini,safety-mini. "
    "What is not given is as the recipe of the model's family says."
)


def lora(
    model: Annotated[
        str,
        o.option(
            help="Base: hub id ([dim]org/name[@revision][/dim]) or directory of a causal language model or "
            "of Whisper.",
            metavar="MODEL",
        ),
    ],
    data: Annotated[
        Path,
        o.option(
            help="Training set, JSONL: [dim]prompt, answer[/dim] for a language model, "
            "[dim]audio, text[/dim] for Whisper.",
            metavar="FILE",
        ),
    ],
    output: Annotated[
        Path,
        o.option(
            help="Directory of the adapter; checkpoints along the way lie in [dim]checkpoint-N[/dim] inside.",
            metavar="DIR",
        ),
    ],
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
    seed: o.Seed = 0,
    offline: o.Offline = False,
) -> None:
    """Post-train with LoRA: a causal language model (TRL) or Whisper, on PEFT."""
    from forgetbench.cli.console import console
    from forgetbench.cli.progress import Bars
    from forgetbench.recipes.amounts import run_by_amount
    from forgetbench.recipes.lora import run_lora
    from forgetbench.recipes.make import make_recipe

    o.go_offline(offline)
    amounts = _amounts(audio_seconds) if audio_seconds else []
    steps_to_keep = tuple(_numbers("--save-steps", save_steps, int)) if save_steps else None
    if amounts and steps_to_keep is None:
        steps_to_keep = ()  # the amounts are the curve
    recipe = make_recipe(
        "lora",
        model=model,
        data=str(data),
        output=str(output),
        steps=steps,
        save_steps=steps_to_keep,
        rank=rank,
        learning_rate=learning_rate,
        batch_size=batch_size,
        noise={"kind": noise, "snr_db": _numbers("--snr-db", snr_db, float)} if noise else None,
        seed=seed,
    )
    with Bars() as bars:
        made = run_by_amount(recipe, amounts, progress=bars) if amounts else run_lora(recipe, progress=bars)
    console().print("\n".join(str(folder) for folder in made), soft_wrap=True)


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
