"""A result in a model's own files: ``model-index``, a section of the card, and ``.eval_results``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from forgetbench import __version__
from forgetbench.engine.results import Result
from forgetbench.errors import DataError, UsageError
from forgetbench.report.escape import plain
from forgetbench.report.formats import to_markdown
from forgetbench.report.markup import markdown
from forgetbench.report.paper_table import paper_table
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import TaskResult

BEGIN, END = "<!-- forgetbench: begin -->", "<!-- forgetbench: end -->"
EVAL_RESULTS_FILE = ".eval_results/forgetbench.yaml"
OURS = "forgetbench"
"""Key among a metric's ``args`` by which our results are known."""
_KEY = "model-index"
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_TASK_TYPES = {"wer": "automatic-speech-recognition", "cer": "automatic-speech-recognition"}
_AUDIO = ("pesq", "stoi", "estoi", "si_sdr", "dnsmos", "haspi", "hasqi")


def updated_card(card: str | None, result: Result) -> str:
    """Return a model card with the result in it; everything that is not ours keeps its bytes.

    Args:
        card: The present card, None for none.
        result: Of a pair.

    Raises:
        UsageError: The result has no base.
        DataError: The card has no front matter, it is no YAML mapping in block style, or our markers do not
            match.
    """
    comparison = _compared(result)
    if card is not None and card.strip() and _front_matter(card) is None:
        raise DataError(
            "model card",
            "does not begin with YAML front matter, and is perhaps no model card",
            "Choose the model's folder, or begin the card with a line `---`, `license: …` and a line `---`.",
        )
    text = f"# {markdown(_name(comparison))}\n" if card is None else card
    end_of_line = "\r\n" if "\r\n" in text else "\n"
    section = f"{BEGIN}\n## What it lost against its base\n\n{to_markdown(paper_table([comparison]))}{END}"
    start = _front_matter_end(text)  # what stands in the front matter is no marker
    body = _with_section(text[start:], section.replace("\n", end_of_line), end_of_line)
    return _with_index(text[:start] + body, result, end_of_line)


def eval_results(result: Result) -> str | None:
    """Return ``.eval_results`` YAML of the tasks whose data set is on the hub; None where none is.

    The format: https://huggingface.co/docs/hub/eval-results
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    comparison = _compared(result)
    entries = [
        EvalResultEntry(
            dataset_id=task.dataset,
            task_id=row.name,
            value=row.checkpoint,
            dataset_revision=task.dataset_revision if _COMMIT.fullmatch(task.dataset_revision) else None,
            notes=_note(row, comparison),
        )
        for row, task in _measured(result)
        if _HUB_ID.fullmatch(task.dataset) and not task.dataset_revision.startswith("sha256:")
    ]
    return _dump(eval_result_entries_to_yaml(entries)) if entries else None


def _compared(result: Result) -> Comparison:
    if result.comparison is None:
        raise UsageError(str(result.directory), "was scored without a base", "Run again with --base.")
    return result.comparison


def _name(comparison: Comparison) -> str:
    return comparison.checkpoint.name.rstrip("/").rpartition("/")[2] or "model"


def _measured(result: Result) -> Iterator[tuple[Row, TaskResult]]:
    """Yield each task's row, those inside a suite row too, with what the run says of its data."""
    tasks = {task.name: task for task in result.checkpoint.tasks}
    comparison = _compared(result)
    for row in (*comparison.rows, *comparison.details):
        if row.kind == "task" and row.checkpoint is not None and row.name in tasks:
            yield row, tasks[row.name]


def _note(row: Row, comparison: Comparison) -> str:
    base = "" if row.base is None else f" of base {row.base:.4g} ({plain(comparison.base.name, limit=80)})"
    delta = "" if row.delta is None else f", delta {row.delta:+.4g}"
    return f"forgetbench {__version__}: {row.metric}{base}{delta}, {row.verdict}, n={row.n}"


def _model_index(result: Result) -> list[dict[str, Any]]:
    from huggingface_hub import EvalResult
    from huggingface_hub.repocard_data import eval_results_to_model_index

    found = [
        EvalResult(
            task_type=_task_type(row.metric),
            dataset_type=plain(task.dataset or task.name, limit=200),
            dataset_name=plain(row.title, limit=200),
            dataset_revision=task.dataset_revision if _COMMIT.fullmatch(task.dataset_revision) else None,
            dataset_args={"task": row.name, "version": task.version},
            metric_type=plain(row.metric, limit=100),
            metric_value=row.checkpoint,
            metric_args={
                OURS: __version__, "base": row.base, "delta": row.delta, "verdict": row.verdict, "n": row.n
            },
        )
        for row, task in _measured(result)
    ]  # fmt: skip
    return eval_results_to_model_index(plain(_name(_compared(result)), limit=96), found)


def _task_type(metric: str) -> str:
    if metric.startswith(_AUDIO):
        return "audio-to-audio"
    return _TASK_TYPES.get(metric, "text-generation")


def _with_section(card: str, section: str, end_of_line: str) -> str:
    counts = card.count(BEGIN), card.count(END)
    if counts == (0, 0):
        gap = "" if not card else end_of_line if card.endswith("\n") else 2 * end_of_line
        return f"{card}{gap}{section}{end_of_line}"
    start, end = card.find(BEGIN), card.find(END)
    if counts != (1, 1) or end < start:
        raise DataError("model card", f"the markers {BEGIN} and {END} do not match", "Keep one of each.")
    return card[:start] + section + card[end + len(END) :]


def _with_index(card: str, result: Result, end_of_line: str) -> str:
    """Put the model-index into the front matter, as text: no other key is written anew."""
    found = _front_matter(card)
    if found is None:
        block = _block(_merged(None, result), end_of_line)
        return f"---{end_of_line}{block}---{end_of_line}{card}"
    opened, closed = found
    head = card[opened:closed]
    start, end, present = _present_index(head)
    block = _block(_merged(present, result), end_of_line)
    if start is None:
        gap = "" if not head or head.endswith("\n") else end_of_line
        changed = f"{head}{gap}{block}"
    else:
        changed = head[:start] + block + head[end:]
    return card[:opened] + changed + card[closed:]


def _front_matter(card: str) -> tuple[int, int] | None:
    """Return where the YAML of the front matter begins and ends; None without any."""
    opened = re.match(r"---[ \t]*\r?\n", card)
    closed = re.compile(r"^---[ \t]*\r?$", re.MULTILINE).search(card, opened.end()) if opened else None
    return (opened.end(), closed.start()) if opened and closed else None


def _front_matter_end(card: str) -> int:
    """Return where the text after the front matter begins."""
    found = _front_matter(card)
    return 0 if found is None else card.find("\n", found[1]) + 1 or len(card)


def _present_index(head: str) -> tuple[int | None, int, Any]:
    """Return where the key model-index begins and ends in the front matter, and its value."""
    plain_head = head.replace("\r\n", " \n")  # the same length, so that places are the same
    try:
        node = yaml.compose(plain_head, Loader=yaml.SafeLoader)
        content = yaml.safe_load(plain_head)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 2}" if mark else ""
        raise DataError(f"model card{line}", "the front matter is no YAML", "Mend it.") from None
    if node is None:
        return None, 0, None
    if not isinstance(node, yaml.MappingNode) or node.flow_style:
        raise DataError(
            "model card", "the front matter is no mapping in block style", "Write `key: value` lines."
        )
    for key, value in node.value:
        if key.value == _KEY:
            end = len(_without_trailing_comments(head[: value.end_mark.index]))
            return key.start_mark.index, end, content[_KEY]
    return None, 0, None


def _without_trailing_comments(text: str) -> str:
    """Leave out the comments and empty lines before the next key: they are not of this one."""
    lines = text.splitlines(keepends=True)
    while lines and (not lines[-1].strip() or lines[-1].lstrip().startswith("#")):
        lines.pop()
    return "".join(lines)


def _merged(present: Any, result: Result) -> list[Any]:
    """Return the model-index with our results in place of earlier ones of ours, beside those of others."""
    (ours,) = _model_index(result) or ({"name": plain(_name(_compared(result))), "results": []},)
    if (
        not isinstance(present, list)
        or not all(isinstance(model, Mapping) for model in present)
        or not present
    ):
        return [ours]
    models = [{**model, "results": list(_of_others(model.get("results") or []))} for model in present]
    models[0]["results"] += ours["results"]
    return models


def _of_others(results: Any) -> Iterator[Any]:
    for entry in results if isinstance(results, list) else []:
        metrics = entry.get("metrics") if isinstance(entry, Mapping) else None
        if not isinstance(metrics, list):
            yield entry
            continue
        kept = [metric for metric in metrics if not _is_ours(metric)]
        if kept or not metrics:
            yield {**entry, "metrics": kept}


def _is_ours(metric: Any) -> bool:
    args = metric.get("args") if isinstance(metric, Mapping) else None
    return isinstance(args, Mapping) and OURS in args


def _block(index: list[Any], end_of_line: str) -> str:
    return _dump({_KEY: index}).replace("\n", end_of_line)


def _dump(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)
    return text
