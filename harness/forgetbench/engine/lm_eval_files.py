"""Finding and reading what ``lm-eval run --log_samples --output_path DIR`` wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forgetbench.errors import DataError, UsageError

RESULTS = "results_*.json"
LOG = "log_"
"""Begins the name of a perplexity that is kept as its logarithm."""
LOG_SAMPLES = "Run lm-eval with --log_samples --output_path DIR."


@dataclass(frozen=True, kw_only=True)
class LoggedTask:
    """One task of one lm-eval run.

    Attributes:
        run: The content of the results file that it is in.
        samples: One record for each document and filter; None where they were not logged.
    """

    name: str
    run: Mapping[str, Any]
    samples: tuple[Mapping[str, Any], ...] | None

    @property
    def config(self) -> Mapping[str, Any]:
        """lm-eval's own definition of the task."""
        return _mapping(self.run["configs"].get(self.name))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics of its samples, in lm-eval's order, with their filter where it is not ``none``."""
        return tuple(
            dict.fromkeys(
                named(f"{LOG}{metric}" if self.is_logprob(metric) else metric, s)
                for s in self.samples or ()
                for metric in s.get("metrics", ())
            )
        )

    def is_logprob(self, metric: str) -> bool:
        """Tell whether lm-eval makes the metric of log-likelihoods; without a word of it, by its name."""
        listed = self.config.get("metric_list") or ()
        stated = (each.get("aggregation") for each in listed if each.get("metric") == metric)
        return (next(stated, None) or metric) == "perplexity"

    def fact(self, kind: str) -> Any:
        """Return what the results file says of this task under ``versions``, ``n-shot`` and so on."""
        return _mapping(self.run.get(kind)).get(self.name)


@dataclass(frozen=True, kw_only=True)
class LoggedRun:
    """Everything that lm-eval wrote for one model.

    Attributes:
        last: The content of the newest results file.
        groups: Tasks of each outermost group.
        digest: sha256 over the files that were read.
    """

    source: Path
    last: Mapping[str, Any]
    tasks: Mapping[str, LoggedTask]
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    digest: str
    warnings: tuple[str, ...] = ()


def named(metric: str, sample: Mapping[str, Any]) -> str:
    """Return the name of a metric: a filter other than ``none`` is appended."""
    used = sample.get("filter", "none")
    return metric if used == "none" else f"{metric},{used}"


def logged(metric: str, value: float, *, is_logprob: bool) -> tuple[str, float]:
    """Return name and value of one sample's metric as they are kept.

    Of a perplexity lm-eval's samples hold the log-likelihood: more is better of it, and less of the
    perplexity. It is kept with the other sign, whose mean is the perplexity's logarithm.

    Example:
        >>> logged("perplexity", -3.0, is_logprob=True)
        ('log_perplexity', 3.0)
    """
    return (f"{LOG}{metric}", -value) if is_logprob else (metric, value)


def choices_among(contexts: Sequence[str]) -> int | None:
    """Return how many of a document's requests are its choices, None where all are.

    For ``acc_mutual_info`` lm-eval asks every choice once more, behind an empty context.
    """
    half = len(contexts) // 2
    is_twice = any(contexts[:half]) and not any(contexts[half:])
    return half if is_twice and len(contexts) == 2 * half else None


def is_lm_eval_output(path: Path) -> bool:
    """Tell whether a folder holds results files of lm-eval, or a file is one."""
    return path.match(RESULTS) if path.is_file() else any(path.rglob(RESULTS))


@contextmanager
def as_lm_eval_writes(path: Path) -> Iterator[None]:
    """Read into the structure of files that another program wrote.

    Raises:
        DataError: They have another structure.
    """
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError, RecursionError, OSError) as error:
        said = (str(error).splitlines() or [""])[0][:200]
        cause = f"is not what lm-eval writes ({type(error).__name__}: {said})"
        raise DataError(str(path), cause, LOG_SAMPLES) from error


def read_logged_run(path: Path) -> LoggedRun:
    """Read a folder of lm-eval output, or one results file; of a task that was run twice, the newest.

    Raises:
        UsageError: The folder holds the output of several models, or no samples were logged.
        DataError: A file is damaged.
    """
    files = _results_files(path)
    with as_lm_eval_writes(path):
        return _read(path, files)


def _read(path: Path, files: Sequence[Path]) -> LoggedRun:
    digest = hashlib.sha256()
    tasks: dict[str, LoggedTask] = {}
    groups: dict[str, tuple[str, ...]] = {}
    repeated: list[str] = []
    last: Mapping[str, Any] = {}
    for file in files:
        content = file.read_bytes()
        digest.update(content)
        last = _results(file, content)
        groups |= {name: tuple(children) for name, children in _mapping(last.get("group_subtasks")).items()}
        for name in last["configs"]:
            samples = file.with_name(f"samples_{name}_{file.stem.rpartition('_')[2]}.jsonl")
            repeated += [name] if name in tasks else []
            tasks[name] = LoggedTask(name=name, run=last, samples=_samples(samples, digest))
    if all(task.samples is None for task in tasks.values()):
        raise UsageError(str(path), "has results and no samples_*.jsonl beside them", LOG_SAMPLES)
    return LoggedRun(
        source=path,
        last=last,
        tasks=tasks,
        groups=_outermost(groups, tasks),
        digest=digest.hexdigest(),
        warnings=tuple(
            f"{path.name}: {name} was run more than once; this is the newest"
            for name in dict.fromkeys(repeated)
        ),
    )


def _results_files(path: Path) -> list[Path]:
    files = [path] if path.is_file() else sorted(path.rglob(RESULTS), key=lambda file: file.name)
    folders = sorted({file.parent for file in files})
    if len(folders) > 1:
        cause = f"holds the output of several models: {folders[0].name}, {folders[1].name}"
        raise UsageError(str(path), cause, "Give the folder of one.")
    return files


def _results(file: Path, content: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(content)
        json.dumps(found, ensure_ascii=False).encode()  # half a character is none
    except (ValueError, RecursionError) as error:
        raise DataError(str(file), f"is not JSON ({error})", "Run lm-eval again.") from None
    if not isinstance(found, dict) or not _mapping(found.get("configs")):
        raise DataError(str(file), "is no results file of lm-eval: it has no `configs`", LOG_SAMPLES)
    return found


def _samples(file: Path, digest: Any) -> tuple[Mapping[str, Any], ...] | None:
    if not file.is_file():
        return None
    content = file.read_bytes()
    digest.update(content)
    samples = []
    for number, line in enumerate(content.decode(errors="replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            sample = json.loads(line)
            if "\\u" in line:
                json.dumps(sample, ensure_ascii=False).encode()  # half a character is none
            sample["doc_hash"], sample["metrics"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            cause = (
                f"no sample of lm-eval: no {error}" if isinstance(error, KeyError) else f"not JSON ({error})"
            )
            raise DataError(f"{file}, line {number}", cause, LOG_SAMPLES) from None
        samples.append(sample)
    return tuple(samples)


def _outermost(groups: Mapping[str, tuple[str, ...]], tasks: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    inner = {child for children in groups.values() for child in children}

    def leaves(name: str) -> list[str]:
        return [leaf for c in groups[name] for leaf in (leaves(c) if c in groups else [c]) if leaf in tasks]

    found = {name: tuple(dict.fromkeys(leaves(name))) for name in groups if name not in inner}
    return {name: members for name, members in found.items() if len(members) > 1}


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
