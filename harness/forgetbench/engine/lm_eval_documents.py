"""Plain lm-eval output as a run document and sample tables, so that two runs are compared as any pair is."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from forgetbench import __version__
from forgetbench.engine.lm_eval_direction import WAY_OUT, is_higher_better, unstated
from forgetbench.engine.lm_eval_files import (
    LOG,
    LoggedRun,
    LoggedTask,
    as_lm_eval_writes,
    choices_among,
    logged,
    named,
)
from forgetbench.engine.results import sample_table
from forgetbench.forgetting.asked import HASHES
from forgetbench.forgetting.join import NO_RECORD
from forgetbench.metrics.aggregate import aggregate
from forgetbench.metrics.diagnostics import rates
from forgetbench.schema.metric import MetricSpec
from forgetbench.schema.number import LARGEST_COUNT
from forgetbench.schema.run import (
    Arm,
    CheckpointInfo,
    ComponentInfo,
    Environment,
    LoadSettings,
    MetricType,
    RunDocument,
    Settings,
    SuiteRowInfo,
    TaskResult,
)
from forgetbench.schema.sample import RawPrediction, SampleRecord
from forgetbench.schema.task import LmEval

if TYPE_CHECKING:
    import pandas as pd

Known = Mapping[str, LmEval]
"""Our own definitions of lm-eval tasks and groups, by lm-eval's name: title, margin, role, primary metric."""


_LARGEST = 1e100
"""A score beyond it is none: squares and sums of it would leave the numbers that there are."""


def logged_document(run: LoggedRun, arm: Arm, known: Known) -> tuple[RunDocument, dict[str, pd.DataFrame]]:
    """Return the run document of one lm-eval run and its sample tables by task.

    A sample's identity is its ``doc_hash``; the hashes of prompt and target are columns of their own. The
    fingerprint is that of the files, for the weights were not seen; there is no run key.

    Args:
        run: What lm-eval wrote.
        arm: Which arm it is.
        known: Where a task's title, margin and primary metric come from; others get the defaults of an
            adopted task and lm-eval's first metric.

    Raises:
        DataError: The files are not of lm-eval's structure.
    """
    with as_lm_eval_writes(run.source):
        return _document(run, arm, known)


def _document(run: LoggedRun, arm: Arm, known: Known) -> tuple[RunDocument, dict[str, pd.DataFrame]]:
    tables: dict[str, pd.DataFrame] = {}
    tasks = []
    for task in run.tasks.values():
        group = next((name for name, members in run.groups.items() if task.name in members), task.name)
        result, table = _task(task, known.get(task.name) or known.get(group))
        tasks.append(result)
        if table is not None:
            tables[task.name] = table
    document = RunDocument(
        arm=arm,
        run_key="",
        checkpoint=_checkpoint(run),
        settings=_settings(run),
        environment=_environment(run.last),
        tasks=tuple(tasks),
        suite_rows=tuple(_suite_row(name, members, known.get(name)) for name, members in run.groups.items()),
        warnings=run.warnings,
        measured={"read": str(run.source)},
    )
    return document, tables


def _task(task: LoggedTask, known: LmEval | None) -> tuple[TaskResult, pd.DataFrame | None]:
    definition = known or LmEval(name="default", lm_eval=task.name)
    fields: dict[str, Any] = {
        "name": task.name,
        "version": _whole(task.fact("versions")),
        "title": known.title if known and known.lm_eval == task.name else task.name,
        "role": definition.role,
        "suites": definition.suites,
        "definition_sha256": _definition_hash(task),
        "margin": definition.margin,
        "chance": definition.chance,
        "licence": definition.licence,
        "dataset": str(task.config.get("dataset_path") or task.name),
        "dataset_revision": "unpinned",
        "prompting": _prompting(task),
    }
    records = _records(task)
    scored = _scored_metrics(task, records)
    if not scored:
        reason = (
            "no samples were logged" if task.samples is None else "none of its metrics has a score per sample"
        )
        return TaskResult(status="skipped", reason=reason, primary="", **fields), None
    primary = definition.primary if definition.primary in scored else scored[0]
    specs = _metrics(task, scored, records)
    if primary not in {spec.name for spec in specs}:
        reason = f"{unstated(primary)}. {WAY_OUT}, or in the results file."
        return TaskResult(status="skipped", reason=reason, primary=primary, **fields), None
    table = sample_table(list(records.values()), specs)
    for name in HASHES:
        hashes = {str(sample["doc_hash"]): sample.get(name) for sample in reversed(task.samples or ())}
        found = (hashes[content] for content in table["content"])
        table[name] = [None if value is None else str(value) for value in found]
    planned = max(_count(task, "effective") or 0, len(records))
    lost = planned - len(records)
    result = TaskResult(
        status="done",
        primary=primary,
        n_available=_count(task, "original"),
        n_planned=planned,
        n_scored=len(records),
        errors={NO_RECORD: lost} if lost else {},
        metrics={spec.name: aggregate(table, spec) for spec in specs},
        diagnostics=rates(record.prediction for record in records.values() if record.prediction),
        **fields,
    )
    return result, table


def _records(task: LoggedTask) -> dict[tuple[str, int], SampleRecord]:
    """Return one record for each document, with the metrics of every filter."""
    records: dict[tuple[str, int], SampleRecord] = {}
    seen: dict[tuple[str, str], int] = {}
    for sample in sorted(task.samples or (), key=lambda s: str(s.get("doc_id", "")).zfill(12)):
        content, used = str(sample["doc_hash"]), str(sample.get("filter", "none"))
        occurrence = seen[content, used] = seen.get((content, used), -1) + 1
        record = records.get((content, occurrence)) or SampleRecord(
            id=content[:16],
            content=content,
            input=str(_argument(sample, 0, 0)),
            reference=str(sample.get("target", "")),
            prediction=_prediction(sample, str(task.config.get("output_type", ""))),
        )
        stats = dict(_stats(task, sample))
        records[content, occurrence] = record.model_copy(update={"stats": record.stats | stats})
    return records


def _stats(task: LoggedTask, sample: Mapping[str, Any]) -> Iterator[tuple[str, float | tuple[float, float]]]:
    for metric in sample["metrics"]:
        value = sample.get(metric)
        if isinstance(value, bool | int | float) and abs(value) < _LARGEST:
            kept, number = logged(metric, float(value), is_logprob=task.is_logprob(metric))
            yield named(kept, sample), number
        elif metric == "bits_per_byte" and isinstance(value, list) and _are_two(value):
            # natural log-likelihood, bytes
            yield named(metric, sample), (-float(value[0]) / math.log(2), float(value[1]))


def _are_two(values: list[Any]) -> bool:
    return len(values) == 2 and all(isinstance(v, int | float) and abs(v) < _LARGEST for v in values)


def _scored_metrics(task: LoggedTask, records: Mapping[Any, SampleRecord]) -> list[str]:
    return [name for name in task.metrics if any(name in record.stats for record in records.values())]


def _metrics(
    task: LoggedTask, scored: Sequence[str], records: Mapping[Any, SampleRecord]
) -> tuple[MetricSpec, ...]:
    """Return the metrics whose direction is known."""
    specs = []
    for name in scored:
        higher = _is_higher_better(task, name.partition(",")[0])
        if higher is None:
            continue
        values = {record.stats[name] for record in records.values() if name in record.stats}
        kind: MetricType = "mean"
        if any(isinstance(value, tuple) for value in values):
            kind = "ratio"
        elif values <= {0.0, 1.0}:
            kind = "binary"
        specs.append(MetricSpec(name=name, type=kind, higher_is_better=higher))
    return tuple(specs)


def _is_higher_better(task: LoggedTask, metric: str) -> bool | None:
    if task.is_logprob(metric.removeprefix(LOG)):
        return False
    return is_higher_better(metric, task.fact("higher_is_better") or {})


def _prediction(sample: Mapping[str, Any], output_type: str) -> RawPrediction | None:
    """Return the answer; lm-eval writes its numbers as texts."""
    responses = [response[0] for response in sample.get("resps", ()) if response]
    try:
        if output_type == "generate_until":
            return RawPrediction(text=str(responses[0]))
        if output_type == "loglikelihood_rolling":
            return RawPrediction(loglikelihoods=tuple(float(value) for value in responses))
        contexts = [str(_argument(sample, i, 0)) for i in range(len(responses))]
        return RawPrediction(
            n_choices=choices_among(contexts),
            loglikelihoods=tuple(float(value) for value, _ in responses),
            is_greedy=tuple(str(greedy) == "True" for _, greedy in responses),
        )
    except (IndexError, TypeError, ValueError, OverflowError):
        return None


def _argument(sample: Mapping[str, Any], request: int, position: int) -> Any:
    arguments = sample.get("arguments") or {}
    return arguments.get(f"gen_args_{request}", {}).get(f"arg_{position}", "")


def _prompting(task: LoggedTask) -> str:
    """Say how prompts were made: what may differ between two runs of one task."""
    run, shots = task.run, task.fact("n-shot") or 0
    template, system = run.get("chat_template_sha"), run.get("system_instruction_sha")
    parts = [f"chat template {template[:8]}" if template else "no chat template"]
    parts += [f"system prompt {system[:8]}"] if system else []
    parts += [f"{shots} shots" if shots != 1 else "1 shot"]
    if shots:
        parts += ["as turns"] if run.get("fewshot_as_multiturn") and template else []
        parts += [f"seed {run['config']['fewshot_seed']}"] if "fewshot_seed" in run.get("config", {}) else []
    return ", ".join(parts)


def _definition_hash(task: LoggedTask) -> str:
    config = task.config
    asked = [config.get(key) for key in ("dataset_path", "dataset_name", "output_type", "generation_kwargs")]
    decides = json.dumps([task.name, task.fact("versions"), asked], sort_keys=True, default=str)
    return hashlib.sha256(decides.encode()).hexdigest()


def _count(task: LoggedTask, which: str) -> int | None:
    return _counted((task.fact("n-samples") or {}).get(which))


def _counted(value: Any) -> int | None:
    """Return a count of others; None for what is none."""
    return int(value) if isinstance(value, int | float) and 0 <= value <= LARGEST_COUNT else None


def _whole(version: Any) -> int:
    try:
        found = _counted(float(version))
    except (TypeError, ValueError, OverflowError):
        return 1
    return 1 if found is None else found


def _suite_row(name: str, members: tuple[str, ...], known: LmEval | None) -> SuiteRowInfo:
    definition = known or LmEval(name="default", lm_eval=name)
    return SuiteRowInfo(
        name=name,
        title=definition.title or name,
        role=definition.role,
        margin=definition.margin,
        tasks=members,
    )


def _checkpoint(run: LoggedRun) -> CheckpointInfo:
    config = run.last.get("config") or {}
    source = str(run.last.get("model_name") or config.get("model") or run.source.name)
    name = PurePath(source).name if source.startswith(("/", "~", ".")) else source
    component = ComponentInfo(
        role="lm",
        source=name,
        format="peft"
        if config.get("peft_sha") or "peft=" in str(config.get("model_args"))
        else "transformers",
        architecture=f"lm-eval {config.get('model', 'model')}",
        fingerprint=run.digest,
        capabilities=("score_text", "generate"),
        revision=config.get("model_sha") or None,
        parameters=_counted(config.get("model_num_parameters")),
    )
    return CheckpointInfo(name=name, fingerprint=run.digest, components=(component,))


def _settings(run: LoggedRun) -> Settings:
    config = run.last.get("config") or {}
    size, seed = str(config.get("batch_size")), config.get("random_seed")
    return Settings(
        seed=seed if isinstance(seed, int) else 0,
        limit=_limit(config),
        batch_size=int(size) if re.fullmatch("[1-9][0-9]{0,8}", size) else 1,
        chat_template="auto" if run.last.get("chat_template_sha") else "none",
        load=LoadSettings(
            dtype=str(config.get("model_dtype") or "unknown").removeprefix("torch."),
            device=str(config.get("device") or "unknown"),
        ),
    )


def _limit(config: Mapping[str, Any]) -> int | None:
    """Return the limit of the newest results file; below 1 it is a share, and each task has its own."""
    limit = config.get("limit")
    return _counted(limit) or None


def _environment(last: Mapping[str, Any]) -> Environment:
    versions = {"lm-eval": last.get("lm_eval_version"), "transformers": last.get("transformers_version")}
    return Environment(
        forgetbench=__version__,
        python="unknown",
        platform="unknown",
        packages={name: str(version) for name, version in versions.items() if version},
        git_commit=last.get("git_hash"),
    )
