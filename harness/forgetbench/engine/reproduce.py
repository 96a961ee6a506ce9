"""The command that makes a document again, from what the document itself may say."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from forgetbench.models.pairing import Pair
from forgetbench.redact import redact
from forgetbench.schema.run import CheckpointInfo, Sampling, Settings
from forgetbench.schema.task import Condition

if TYPE_CHECKING:
    from forgetbench.engine.run import Request


_ALPHA = re.compile(r"@alpha=([\d.e-]+)$")
"""What :mod:`forgetbench.models.alpha` adds to the name of a part of a change."""


def run_line(request: Request, pair: Pair, settings: Settings, *, alpha: float | None = None) -> str:
    """Return the ``forgetbench run`` of a run document in one line, or the ``selftest``.

    Files and directories stand in it by their names alone, as in the rest of a document: no path of the
    machine that made it is published. Output, cache and tracker are left out, for no result depends on them.

    Args:
        request: What was asked.
        pair: The checkpoints; a hub id has the commit that it was resolved to.
        settings: Of the plan.
        alpha: The part of the checkpoint's change that was measured.
    """
    itself = pair.base is pair.checkpoint
    words = ["--model", named(pair.checkpoint.info())]
    if pair.base is not None and not itself:
        words += ["--base", named(pair.base.info())]
    if request.tasks:
        words += ["--tasks", ",".join(request.tasks)]
    if request.target is not None:
        words += ["--target", request.target.name]
    words += _repeated("--role", (f"{name}={role}" for name, role in (request.roles or {}).items()))
    words += _repeated("--include-path", (Path(path).name for path in request.include_paths))
    words += _repeated("--condition", map(condition_words, request.conditions))
    if request.jailbreak_suffix:
        words.append(f"--jailbreak-suffix={request.jailbreak_suffix}")
    if alpha is not None:
        words += ["--alpha", f"{alpha:g}"]
    words += setting_options(settings)
    words += _load_options(settings)
    flags = {
        "--trust-remote-code": request.trust_remote_code,
        "--confirm-run-unsafe-code": request.confirm_run_unsafe_code,
    }
    words += [flag for flag, wanted in flags.items() if wanted]
    return redact(shlex.join(["forgetbench", "selftest" if itself else "run", *words]))


def command_line(command: str, *words: object) -> str:
    """Return a command in one line; an absolute path stands in it by its name alone."""
    shown = (word.name if isinstance(word, Path) and word.is_absolute() else str(word) for word in words)
    return redact(shlex.join(["forgetbench", command, *shown]))


def named(info: CheckpointInfo) -> str:
    """Return how ``--model`` names a checkpoint: a system by its components, a hub id with its commit.

    A part of a change has the name of the whole; ``--alpha`` (:func:`alpha_of`) says which part.
    """

    def one(source: str, revision: str | None) -> str:
        source = _ALPHA.sub("", source)
        return f"{source}@{revision}" if revision and "@" not in source else source

    parts = [(part.role, one(part.source, part.revision)) for part in info.components]
    if len(parts) < 2:
        return parts[0][1] if parts else info.name
    return ",".join(f"{role}={source}" for role, source in parts)


def alpha_of(info: CheckpointInfo) -> float | None:
    """Return the part of its change that a checkpoint has; None for the whole."""
    found = [match for part in info.components if (match := _ALPHA.search(part.source))]
    return float(found[0][1]) if found else None


def setting_options(settings: Settings) -> Iterator[str]:
    """Yield the options of what a run key is made of; defaults are left out, but for the seed."""
    limits = [str(settings.limit)] if settings.limit is not None else []
    limits += [f"{task}={n}" for task, n in settings.limits.items()]
    if limits:
        yield from ("--limit", ",".join(limits))
    if settings.num_fewshot is not None:
        yield from ("--num-fewshot", str(settings.num_fewshot))
    if settings.sampling is not None:
        yield from ("--gen-kwargs", sampling_words(settings.sampling))
    if settings.repeats > 1:
        yield from ("--repeats", str(settings.repeats))
    if settings.chat_template != "auto":
        yield from ("--chat-template", settings.chat_template)
    if settings.load.dtype != "float32":
        yield from ("--dtype", settings.load.dtype)
    yield from ("--seed", str(settings.seed))


def _load_options(settings: Settings) -> Iterator[str]:
    """Yield what changes rounding alone: no run key depends on it, equal bits do."""
    defaults = Settings()
    if settings.batch_size != defaults.batch_size:
        yield from ("--batch-size", str(settings.batch_size))
    if settings.load.device != defaults.load.device:
        yield from ("--device", settings.load.device)
    if settings.load.compile:
        yield "--compile"


def _repeated(option: str, values: Iterator[str]) -> Iterator[str]:
    for value in values:
        yield from (option, value)


def sampling_words(sampling: Sampling) -> str:
    """Return how answers are drawn as ``--gen-kwargs`` takes it."""
    drawn = sampling.model_dump(exclude_defaults=True) or {"temperature": 1.0}
    return ",".join(f"{key}={value}" for key, value in drawn.items())


def condition_words(condition: Condition) -> str:
    """Return a condition as ``--condition`` takes it."""
    given = condition.model_dump(mode="json", exclude_defaults=True)
    for key in ("recordings", "hearing_loss"):
        if key in given:
            given[key] = Path(given[key]).name
    return ",".join(f"{key}={value}" for key, value in given.items())
