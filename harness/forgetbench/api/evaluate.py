"""``forgetbench.evaluate``: one checkpoint against its base, from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import ValidationError

from forgetbench.api.pair_result import PairResult
from forgetbench.api.target import target_file
from forgetbench.engine import run as engine
from forgetbench.engine.conditions import make_condition
from forgetbench.engine.progress import Progress
from forgetbench.engine.sampling_options import read_sampling
from forgetbench.errors import UsageError
from forgetbench.models.devices import check_device, check_dtype
from forgetbench.report.progress import Bars
from forgetbench.schema.invalid import first_invalid
from forgetbench.schema.run import LoadSettings, Settings

if TYPE_CHECKING:
    import pandas as pd

Name = str | PathLike[str]


def evaluate(
    model: Name,
    *,
    base: Name | None = None,
    tasks: str | Sequence[str] = (),
    target: Name | pd.DataFrame | None = None,
    roles: Mapping[str, str] | None = None,
    include_paths: Name | Sequence[Name] = (),
    conditions: Sequence[Mapping[str, object]] = (),
    limit: int | None = None,
    num_fewshot: int | None = None,
    batch_size: int = 16,
    device: str = "cpu",
    dtype: str = "float32",
    chat_template: Literal["auto", "base", "checkpoint", "none"] = "auto",
    gen_kwargs: Mapping[str, object] | None = None,
    repeats: int = 1,
    cost: bool = False,
    attribute: bool = False,
    seed: int = 0,
    output: Name = "results",
    offline: bool = False,
    strict: bool = False,
    trust_remote_code: bool = False,
    progress: bool | Progress | None = None,
) -> PairResult:
    """Measure a checkpoint against its base; what was measured before is read, not computed again.

    Args:
        model: Hub id (``org/name@revision``), directory, PEFT adapter, GGUF, ONNX, factory or system.
        base: What it was before post-training; without it, as the checkpoint's own files say.
        tasks: Suites, task names or globs: ``"retention-mini,safety-mini"`` or a list of them.
        target: Your own test set: JSONL, CSV or Parquet, a folder of audio with transcripts, or a DataFrame,
            which is kept as a file below ``output``.
        roles: Role by suite, name or glob, in place of the one in the task file.
        include_paths: Task files, or folders of them.
        conditions: Heard in place of those of every speech task: ``[{"noise": "babble", "snr_db": 5}]``.
        limit: At most this many samples of each task, a seeded part.
        num_fewshot: Worked examples before each question, for lm-eval tasks.
        batch_size: Samples that go through the model together.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps`` or ``auto``.
        dtype: ``float32``, ``bfloat16`` or ``float16``, the same in both arms.
        chat_template: Whose chat template both arms get; ``auto`` is each arm's own.
        gen_kwargs: How answers are drawn: ``{"temperature": 0.7, "top_p": 0.9}``; None for greedily.
        repeats: Answers to each sample, which are drawn and averaged.
        cost: Measure times and memory of what hears, after the scores.
        attribute: Swap the components of a system one by one, and say which of them a loss comes from.
        seed: Of sampling and noise.
        output: Folder of the results.
        offline: Open no socket.
        strict: A skipped task is an error.
        trust_remote_code: Load files that can run code: torch.export, TorchScript, lm-eval's files of a task.
        progress: True shows bars, in a notebook with ipywidgets too, else lines on stderr; a
            :class:`forgetbench.Progress` is told of every stretch of work; without either it is silent.

    Returns:
        The pair: documents, and tidy tables of rows and samples.

    Raises:
        UsageError: A value is wrong, something that was named does not exist, the pair is equal, or nothing
            can be run.
        DataError: Local data is broken.

    Example:
        >>> result = forgetbench.evaluate("./my-lora", tasks="retention-mini")  # doctest: +SKIP
        >>> result.rows[["task", "degradation", "verdict"]]  # doctest: +SKIP
    """
    request = make_request(
        model=model,
        base=base,
        tasks=tasks,
        target=target,
        roles=roles,
        include_paths=include_paths,
        conditions=conditions,
        limit=limit,
        num_fewshot=num_fewshot,
        batch_size=batch_size,
        device=device,
        dtype=dtype,
        chat_template=chat_template,
        gen_kwargs=gen_kwargs,
        repeats=repeats,
        cost=cost,
        attribute=attribute,
        seed=seed,
        output=output,
        offline=offline,
        strict=strict,
        trust_remote_code=trust_remote_code,
    )
    prepared = engine.prepare(request)
    with Bars() if progress is True else nullcontext(progress or None) as shown:
        return PairResult.of(engine.evaluate(prepared, progress=shown))


def make_request(
    *,
    model: Name,
    base: Name | None,
    tasks: str | Sequence[str],
    target: Name | pd.DataFrame | None,
    roles: Mapping[str, str] | None,
    include_paths: Name | Sequence[Name],
    conditions: Sequence[Mapping[str, object]],
    device: str,
    dtype: str,
    gen_kwargs: Mapping[str, object] | None,
    repeats: int,
    cost: bool,
    attribute: bool,
    output: Name,
    offline: bool,
    strict: bool,
    trust_remote_code: bool,
    **settings: object,
) -> engine.Request:
    """Return what the arguments of :func:`evaluate` ask for; ``settings`` are those of the schema.

    Raises:
        UsageError: A value is wrong, or the device is not here.
    """
    check_dtype(dtype)
    check_device(device)
    sampling = read_sampling({k: str(v) for k, v in (gen_kwargs or {}).items()}, repeats=repeats)
    load = LoadSettings(device=device, dtype=dtype)
    return engine.Request(
        model=str(model),
        base=None if base is None else str(base),
        tasks=task_names(tasks),
        target=None if target is None else target_file(target, Path(output)),
        roles=roles,
        include_paths=[
            Path(path)
            for path in ([include_paths] if isinstance(include_paths, str | PathLike) else include_paths)
        ],
        conditions=[make_condition({k: str(v) for k, v in one.items()}) for one in conditions],
        settings=_settings(**settings, repeats=repeats, sampling=sampling, load=load),
        output=Path(output),
        offline=offline,
        strict=strict,
        trust_remote_code=trust_remote_code,
        cost=cost,
        attribute=attribute,
    )


def _settings(**values: object) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = first_invalid(error)
        thing = f"evaluate({first.key}={first.given!r})"
        raise UsageError(thing, first.cause, "See help(forgetbench.evaluate).") from None


def task_names(tasks: str | Sequence[str]) -> list[str]:
    """Return the names of a comma-separated text or of a list."""
    return [name.strip() for name in tasks.split(",") if name.strip()] if isinstance(tasks, str) else [*tasks]
