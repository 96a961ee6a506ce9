"""Options that several commands share, each with its one line of help."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from forgetbench.cli import completion
from forgetbench.errors import UsageError

if TYPE_CHECKING:
    from forgetbench.schema.run import Settings
    from forgetbench.schema.task import Condition

WHAT, HOW, WHERE = "What is measured", "How it is measured", "Where things go"
POWER = "How many samples are enough"
_DIGITS = 12
"""Of a number of samples: Python reads no number of thousands."""


def option(*names: str, **how: Any) -> Any:
    """Return a Typer option whose help does not repeat that it can be set as FORGETBENCH_<OPTION>."""
    return typer.Option(*names, show_envvar=False, **how)


ChatTemplate = Literal["auto", "base", "checkpoint", "none", "both"]

Model = Annotated[
    str,
    option(
        help="Checkpoint: hub id ([dim]org/name@revision[/dim]), directory, PEFT adapter, GGUF, ONNX, "
        "factory ([dim]package.module:function[/dim]), or a system "
        "([dim]asr=./whisper-lora,lm=./chat-lora[/dim]).",
        rich_help_panel=WHAT,
        metavar="MODEL",
    ),
]
Models = Annotated[
    list[str],
    option(
        "--model",
        help="Checkpoint: hub id ([dim]org/name@revision[/dim]), directory, PEFT adapter, GGUF file, "
        "factory, system ([dim]asr=./lora,lm=./chat[/dim]). Repeatable; also [dim]'out/checkpoint-*'[/dim].",
        rich_help_panel=WHAT,
        metavar="MODEL",
    ),
]
Base = Annotated[
    str | None,
    option(
        help="What it was before post-training. Default: as adapter, model card or config say.",
        rich_help_panel=WHAT,
        metavar="MODEL",
    ),
]
Tasks = Annotated[
    list[str] | None,
    option(
        help="Suites, tasks or globs, comma-separated: [dim]hearing-mini,retention-mini,'safety*'[/dim]. "
        "[dim]forgetbench tasks ls[/dim] lists them.",
        rich_help_panel=WHAT,
        metavar="NAMES",
        autocompletion=completion.task_or_suite,
    ),
]
Target = Annotated[
    Path | None,
    option(
        help="Your own test set, no YAML needed: JSONL, CSV or Parquet with [dim]audio, text[/dim] or "
        "[dim]prompt, answer[/dim], or a folder of audio with transcripts.",
        rich_help_panel=WHAT,
        metavar="FILE|DIR",
    ),
]
Role = Annotated[
    list[str] | None,
    option(
        help="Count a suite or task as target, general, safety, cost or distribution: "
        "[dim]hearing_care=target[/dim].",
        rich_help_panel=WHAT,
        metavar="SUITE=ROLE",
        autocompletion=completion.assigned,
    ),
]
IncludePath = Annotated[
    list[Path] | None,
    option(
        help="More task definitions: a YAML file or a folder of them. Repeatable.",
        rich_help_panel=WHAT,
        metavar="PATH",
    ),
]
TrainingTable = Annotated[
    Path | None,
    option(
        "--training",
        help="CSV with [dim]checkpoint[/dim] (name or fingerprint) and what their own files do not say: "
        "[dim]steps, trained_parameters, method, hyperparameters, run, seed, target_gain[/dim] …",
        rich_help_panel=WHAT,
        metavar="FILE",
    ),
]
ConditionOption = Annotated[
    list[str] | None,
    option(
        "--condition",
        help="Hear every speech task so, in place of its own conditions: [dim]noise=babble,snr_db=5[/dim], "
        "[dim]rt60_s=0.6[/dim], [dim]hearing_loss=N3,amplification=nal_r[/dim]. Repeatable.",
        rich_help_panel=WHAT,
        metavar="KEY=VALUE,…",
    ),
]
JailbreakSuffix = Annotated[
    str,
    option(
        "--jailbreak-suffix",
        help="Append this to every harmful request, in place of its task's own; asked, not judged.",
        rich_help_panel=WHAT,
        metavar="TEXT",
    ),
]
Limit = Annotated[
    str | None,
    option(
        help="At most this many samples of each task, or of one ([dim]20,facts_mini=50[/dim]: the smaller "
        "holds): a seeded part, the same in both arms.",
        rich_help_panel=HOW,
        metavar="N|TASK=N",
    ),
]
Budget = Annotated[
    str | None,
    option(
        help="Time for both arms, [dim]90s[/dim], [dim]30m[/dim], [dim]1h30m[/dim]: fewer samples where "
        "they tell least, chosen by measured speed and power.",
        rich_help_panel=HOW,
        metavar="TIME",
    ),
]
Repeats = Annotated[
    int,
    option(
        min=1,
        help="Answers drawn for each generated sample, whose scores are averaged; needs --gen-kwargs.",
        rich_help_panel=HOW,
        metavar="K",
    ),
]
GenKwargs = Annotated[
    list[str] | None,
    option(
        help="Draw generated answers in place of greedy ones: [dim]temperature=0.7,top_p=0.9[/dim]; also "
        "[dim]do_sample, top_k, min_p[/dim].",
        rich_help_panel=HOW,
        metavar="KEY=VALUE,…",
    ),
]
PowerAnalysis = Annotated[
    bool,
    option(
        "--power-analysis",
        help="Show how many samples each row needs and the smallest loss it shows, and stop: no model runs.",
        rich_help_panel=POWER,
    ),
]
EffectSize = Annotated[
    float | None,
    option(
        help="Loss to be seen, in each metric's units ([dim]0.02[/dim]: two points). Default: each margin.",
        rich_help_panel=POWER,
        metavar="D",
    ),
]
Power = Annotated[
    float | None,
    option(
        help="Probability of seeing a loss of that size. Default: 0.8.",
        rich_help_panel=POWER,
        metavar="P",
    ),
]
NumFewshot = Annotated[
    int | None,
    option(
        min=0,
        help="Worked examples before each question, for lm-eval tasks. Without it: as the task says.",
        rich_help_panel=HOW,
        metavar="N",
    ),
]
BatchSize = Annotated[
    int,
    option(
        min=1,
        help="Samples that go through the model together. Not part of a result's key.",
        rich_help_panel=HOW,
        metavar="N",
    ),
]
Device = Annotated[
    str | None,
    option(
        help="Where the models run: [dim]cpu[/dim], [dim]cuda[/dim], [dim]cuda:1[/dim], [dim]mps[/dim]; "
        "[dim]auto[/dim] lays one model over all devices. Default: cpu.",
        rich_help_panel=HOW,
        metavar="DEVICE",
    ),
]
Dtype = Annotated[
    str,
    option(
        help="Number type of the weights, the same in both arms: [dim]float32[/dim], [dim]bfloat16[/dim], "
        "[dim]float16[/dim].",
        rich_help_panel=HOW,
        metavar="TYPE",
    ),
]
Compile = Annotated[
    bool,
    option(
        "--compile",
        help="Compile the layers of language models with torch.compile: slow to start, for long runs.",
        rich_help_panel=HOW,
    ),
]
ChatTemplateOption = Annotated[
    ChatTemplate,
    option(
        help="Whose chat template: each arm's own where the task wants one, one arm's for both, none, or a "
        "run under each ([dim]both[/dim]), to see which losses are the template's.",
        rich_help_panel=HOW,
    ),
]
Seed = Annotated[
    int,
    option(
        help="Seed of sampling and noise, the same in both arms.",
        rich_help_panel=HOW,
        metavar="N",
    ),
]
OutputPath = Annotated[
    Path,
    option(
        help="Folder of the results, or a URL ([dim]s3://bucket/folder[/dim]); each result gets a directory "
        "of its own, named by content.",
        rich_help_panel=WHERE,
        metavar="DIR",
    ),
]
Offline = Annotated[
    bool,
    option(
        "--offline",
        help="Open no socket; what is missing is named, with the command that fetches it.",
        rich_help_panel=HOW,
    ),
]
TrustRemoteCode = Annotated[
    bool,
    option(
        "--trust-remote-code",
        help="Load files that can run any code of their author's: torch.export ([dim].pt2[/dim]), "
        "TorchScript ([dim].pt[/dim]), lm-eval's files that a task names ([dim]include_path[/dim]).",
        rich_help_panel=HOW,
    ),
]
ConfirmRunUnsafeCode = Annotated[
    bool,
    option(
        "--confirm-run-unsafe-code",
        help="Run tasks that execute code which the model wrote, such as HumanEval: lm-eval's own consent.",
        rich_help_panel=HOW,
    ),
]
Strict = Annotated[
    bool,
    option(
        "--strict",
        help="A task that would be skipped is an error.",
        rich_help_panel=HOW,
    ),
]
Alpha = Annotated[
    str | None,
    option(
        help="Parts of the change, such as [dim]0.25,0.5,0.75,1[/dim]: scales an adapter or interpolates "
        "with the base. With --power-analysis: the error rate of a family, 0.05 without it.",
        rich_help_panel=WHAT,
        metavar="α,…",
    ),
]
Cost = Annotated[
    bool,
    option(
        "--cost",
        help="Afterwards, time both arms in turn on up to 20 recordings, and find their peak memory. "
        "No verdict rests on it.",
        rich_help_panel=WHAT,
    ),
]
Attribute = Annotated[
    bool,
    option(
        "--attribute",
        help="Of two systems that answer speech: swap their components one by one, and say which of them the "
        "loss comes from.",
        rich_help_panel=WHAT,
    ),
]
Json = Annotated[
    bool,
    option(
        "--json",
        help="Write JSON to stdout and everything else to stderr.",
        rich_help_panel=WHERE,
    ),
]


def go_offline(offline: bool) -> None:
    """Tell the Hugging Face libraries, before they are imported, to open no socket."""
    if offline:
        for variable in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
            os.environ[variable] = "1"


def names(values: Iterable[str] | None) -> list[str]:
    """Return the names of comma-separated and repeated values, in order."""
    return [name.strip() for value in values or () for name in value.split(",") if name.strip()]


def assignments(option: str, values: Iterable[str] | None) -> dict[str, str]:
    """Return ``key=value`` pairs as a mapping.

    Raises:
        UsageError: A value has no ``=`` or a key comes twice.
    """
    found: dict[str, str] = {}
    for value in names(values):
        key, equals, rest = (part.strip() for part in value.partition("="))
        if not (key and equals and rest):
            raise UsageError(
                f"{option} {value}",
                "not of the form NAME=VALUE",
                "Write name=value; several are separated by commas.",
            )
        if key in found:
            raise UsageError(f"{option} {value}", f"{key} is given twice", "Give it once.")
        found[key] = rest
    return found


def alphas(value: str | None) -> list[float]:
    """Return the parts of ``--alpha``, rising, each once.

    Raises:
        UsageError: One is no number above 0 and up to 1.
    """
    found = set()
    for part in names([value] if value else None):
        try:
            number = float(part)
        except ValueError:
            number = 0.0
        if not 0 < number <= 1:
            way_out = "Give numbers above 0, up to 1; 0 is the base."
            raise UsageError(f"--alpha {part}", "is no part of a change", way_out)
        found.add(number)
    return sorted(found)


def limits(value: str | None) -> tuple[int | None, dict[str, int]]:
    """Return the most samples of each task, and those of single ones.

    Raises:
        BadParameter: A part is no number above 0, with or without a task before it.

    Example:
        >>> limits("20,facts_mini=50")
        (20, {'facts_mini': 50})
    """
    of_each, of_one = None, {}
    for part in names([value] if value else None):
        task, _, number = part.rpartition("=")
        if not number.isdecimal() or len(number) > _DIGITS or int(number) < 1:
            told = f"{part} is no number of samples greater than or equal to 1."
            raise typer.BadParameter(f"{told} Write 20, or TASK=20 for one task.", param_hint="--limit")
        if task:
            of_one[task] = int(number)
        else:
            of_each = int(number)
    return of_each, of_one


def conditions(values: Iterable[str] | None) -> list[Condition]:
    """Return the conditions of ``--condition``.

    Raises:
        UsageError: A key is unknown or a value is wrong.
    """
    if not values:
        return []
    from forgetbench.engine.conditions import make_condition

    return [make_condition(assignments("--condition", [value])) for value in values]


def make_settings(
    *,
    seed: int = 0,
    limit: str | None = None,
    num_fewshot: int | None = None,
    batch_size: int = 16,
    chat_template: ChatTemplate = "auto",
    device: str | None = None,
    dtype: str = "float32",
    repeats: int = 1,
    gen_kwargs: Iterable[str] | None = None,
    compile: bool = False,
    elsewhere: bool = False,
) -> Settings:
    """Return the settings of a run from its options; of one ``elsewhere`` the device need not be here.

    Raises:
        BadParameter: ``limit`` is wrong.
        UsageError: ``gen_kwargs`` are wrong, answers are repeated that are all the same, a number type is
            not known, or a device not here.
    """
    from forgetbench.engine.sampling_options import read_sampling
    from forgetbench.models.devices import check_device, check_dtype
    from forgetbench.schema.run import LoadSettings, Settings

    of_each, of_one = limits(limit)
    device = device or "cpu"
    check_dtype(dtype)
    if not elsewhere:
        check_device(device)
    return Settings(
        seed=seed,
        limit=of_each,
        limits=of_one,
        num_fewshot=num_fewshot,
        batch_size=batch_size,
        chat_template="auto" if chat_template == "both" else chat_template,
        load=LoadSettings(device=device, dtype=dtype, compile=compile),
        repeats=repeats,
        sampling=read_sampling(assignments("--gen-kwargs", gen_kwargs), repeats=repeats),
    )
