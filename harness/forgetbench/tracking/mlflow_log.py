"""Log a pair to MLflow: one parent run, one child per arm. A tracker that is down loses nothing."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from forgetbench.atomic import read_object, write_atomically
from forgetbench.engine.curve_results import training_of_run
from forgetbench.engine.interrupted import is_partial
from forgetbench.engine.results import Result, read_result, results_in
from forgetbench.redact import redact
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.cost import Cost
from forgetbench.schema.document import Document
from forgetbench.schema.run import RunDocument
from forgetbench.tracking import store
from forgetbench.tracking.client import experiment_id_of, mlflow_quietly
from forgetbench.tracking.evidence import log_changed, log_files, log_inputs
from forgetbench.tracking.metric_names import (
    LONGEST_PARAM,
    LONGEST_TAG,
    cut,
    described,
    measured,
    valid_names,
)
from forgetbench.tracking.pair_values import (
    arm_metrics,
    arm_params,
    arm_tags,
    cost_metrics,
    pair_metrics,
    pair_tags,
    step_of,
)

LOGGED = "mlflow.json"
PENDING = "mlflow.pending.json"
Member = Literal["pair", "base", "checkpoint"]
MakeFiles = Callable[[Result], Mapping[str, str]]


@dataclass(frozen=True)
class Pair:
    """What is logged: the documents of one result directory."""

    base: RunDocument | None
    checkpoint: RunDocument
    comparison: Comparison | None

    @property
    def content(self) -> str:
        """Digest of the documents without their ``measured`` blocks: the same result is logged once."""
        digest = hashlib.sha256()
        for document in (self.base, self.checkpoint, self.comparison):
            text = document.model_dump_json(exclude={"measured"}) if document else ""
            digest.update(text.encode() + b"\0")
        return digest.hexdigest()

    @property
    def cost_measured_at(self) -> str | None:
        """When cost was measured last: a later measurement of the same result is logged, too."""
        cost = Cost.of(self.checkpoint.measured)
        return cost.measured_at if cost else None

    def documents(self) -> dict[str, Document]:
        """Return the documents by the name of their file."""
        named = {"run.base.json": self.base, "run.json": self.checkpoint, "comparison.json": self.comparison}
        return {name: document for name, document in named.items() if document is not None}


@dataclass(frozen=True)
class Synced:
    """What ``sync`` did with one result directory."""

    directory: Path
    state: Literal["logged", "already", "pending"]
    warning: str | None = None


def log_pair(
    result_dir: Path,
    base: RunDocument | None,
    checkpoint: RunDocument,
    comparison: Comparison | None,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    files: MakeFiles | None = None,
) -> str | None:
    """Log a result to MLflow, once.

    Args:
        result_dir: Where the documents are. ``mlflow.json`` is written there, or ``mlflow.pending.json``
            if the tracker cannot be reached.
        base: The base's run document.
        checkpoint: The checkpoint's run document.
        comparison: Their comparison.
        tracking_uri: MLflow store; default ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db`` here.
        experiment: Experiment name; default ``MLFLOW_EXPERIMENT_NAME``, else ``forgetbench``.
        files: Makes further artifacts of a result, such as its report: texts by path.

    Returns:
        None if the result is in MLflow, else a warning that says how to log it later.
    """
    pair = Pair(base, checkpoint, comparison)
    address, name = store.tracking_address(tracking_uri), store.experiment_name(experiment)
    if _is_logged(result_dir, address, pair):
        return None
    try:
        with mlflow_quietly():
            result = Result(directory=result_dir, base=base, checkpoint=checkpoint, comparison=comparison)
            made = files(result) if files is not None and comparison is not None else {}
            run_ids = _log(result, pair, address, name, made)
    except Exception as error:
        # Whatever a tracker does wrong, the result on disk is good and must be reported.
        cause = redact(" ".join(str(error).split()))[:300]
        record = {"tracking_uri": store.without_password(address), "experiment": name, "cause": cause}
        _write(result_dir / PENDING, record)
        return (
            f"MLflow at {store.without_password(address)}: not logged ({cause[:120]}). "
            f"The result is safe; when MLflow is back: forgetbench mlflow sync {result_dir}"
        )
    _remember(result_dir, address, name, pair, run_ids)
    (result_dir / PENDING).unlink(missing_ok=True)
    return None


def sync(
    directory: Path,
    *,
    tracking_uri: str | None = None,
    experiment: str | None = None,
    files: MakeFiles | None = None,
) -> list[Synced]:
    """Log every result at or below a directory that is not in MLflow yet; see :func:`log_pair`.

    Self-tests are left out, and what an interrupted run left.
    """
    return [
        _sync_one(result.directory, tracking_uri, experiment, files)
        for result in results_in([directory])
        if not (_is_selftest(result) or is_partial(result))
    ]


def _is_selftest(result: Result) -> bool:
    return (
        result.base is not None
        and result.base.checkpoint.fingerprint == result.checkpoint.checkpoint.fingerprint
    )


def _sync_one(
    result: Path, tracking_uri: str | None, experiment: str | None, files: MakeFiles | None
) -> Synced:
    found = read_result(result)
    pending = read_object(result / PENDING)
    uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or _usable(pending.get("tracking_uri"))
    name = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME") or pending.get("experiment")
    if _is_logged(result, store.tracking_address(uri), Pair(found.base, found.checkpoint, found.comparison)):
        (result / PENDING).unlink(missing_ok=True)
        return Synced(result, "already")
    warning = log_pair(
        result, found.base, found.checkpoint, found.comparison, tracking_uri=uri, experiment=name, files=files
    )
    return Synced(result, "pending" if warning else "logged", warning)


def _usable(uri: str | None) -> str | None:
    """Return the address of a pending file, unless its password was left out."""
    return None if uri is None or "***@" in uri else uri


def _log(
    result: Result, pair: Pair, address: str, experiment: str, files: Mapping[str, str]
) -> dict[Member, str]:
    """Write the runs; what an interrupted attempt left behind is found by its tags and completed."""
    from mlflow import MlflowClient

    if (database := store.sqlite_path(address)) is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=address)
    experiment_id = experiment_id_of(client, experiment, store.artifact_root(address))
    parent = _run(client, experiment_id, "pair", pair, parent_id=None)
    run_ids: dict[Member, str] = {"pair": parent.info.run_id}
    for arm in (pair.base, pair.checkpoint):
        if arm is not None:
            child = _run(client, experiment_id, arm.arm, pair, parent_id=parent.info.run_id)
            run_ids[arm.arm] = child.info.run_id
            step = step_of(arm) if arm.arm == "checkpoint" else 0
            _log_all(client, child, arm_metrics(arm), arm_params(arm), arm_tags(arm), step=step)
            log_inputs(client, child.info.run_id, arm)
            _log_cost(client, child, Cost.of(arm.measured))
            client.set_terminated(child.info.run_id)
    metrics, params = pair_metrics(pair.comparison), arm_params(pair.checkpoint)
    tags = pair_tags(pair.base, pair.checkpoint, pair.comparison)
    if pair.comparison is not None:
        tags["mlflow.note.content"] = described(pair.comparison.summary, pair.checkpoint.reproduce)
    _log_all(client, parent, metrics, params, tags, step=step_of(pair.checkpoint))
    log_inputs(client, parent.info.run_id, pair.checkpoint)
    documents = {name: document.to_json() for name, document in pair.documents().items()}
    log_files(client, parent.info.run_id, {**documents, **files})
    log_changed(client, parent.info.run_id, result)
    client.set_terminated(parent.info.run_id)
    return run_ids


def _run(client: Any, experiment_id: str, member: Member, pair: Pair, *, parent_id: str | None) -> Any:
    """Return the run of this content and member: the one that is there, else a new one."""
    tags = {"forgetbench.content": pair.content, "forgetbench.member": member}
    if parent_id is not None:
        tags["mlflow.parentRunId"] = parent_id
    wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found = client.search_runs([experiment_id], filter_string=wanted, max_results=1)
    if found:
        return found[0]
    return client.create_run(experiment_id, tags=tags, run_name=_run_name(member, pair))


def _run_name(member: Member, pair: Pair) -> str:
    training = training_of_run(pair.checkpoint).run
    checkpoint = " ".join(filter(None, (training, pair.checkpoint.checkpoint.name)))
    base = pair.base.checkpoint.name if pair.base else ""
    name = {"base": base, "checkpoint": checkpoint, "pair": f"{checkpoint} vs {base}" if base else checkpoint}
    return cut(name[member], limit=250)


def _log_all(
    client: Any,
    run: Any,
    metrics: Mapping[str, float | None],
    params: Mapping[str, str],
    tags: Mapping[str, str],
    *,
    step: int,
) -> None:
    """Log, and let the client batch; stamped with the run's start, a second try writes the same."""
    from mlflow.entities import Metric, Param, RunTag

    run_id, start = run.info.run_id, run.info.start_time
    finite = measured(metrics)
    metric_names, param_names, tag_names = valid_names(finite), valid_names(params), valid_names(tags)
    client.log_batch(
        run_id,
        metrics=[Metric(metric_names[name], value, start, step) for name, value in finite.items()],
        params=[Param(param_names[name], cut(text, limit=LONGEST_PARAM)) for name, text in params.items()],
        tags=[RunTag(tag_names[name], cut(text, limit=LONGEST_TAG)) for name, text in tags.items()],
    )


def _log_cost(client: Any, run: Any, cost: Cost | None) -> None:
    """Log times and memory, stamped with their measurement: a later one follows, and is the one shown."""
    from mlflow.entities import Metric

    if cost is None:
        return
    finite = measured(cost_metrics(cost))
    names = valid_names(finite)
    stamp = int(1000 * datetime.fromisoformat(cost.measured_at).timestamp())
    client.log_batch(run.info.run_id, metrics=[Metric(names[n], v, stamp, 0) for n, v in finite.items()])


def _is_logged(result_dir: Path, address: str, pair: Pair) -> bool:
    """Say whether this content with this cost is in this store, by what ``mlflow.json`` remembers."""
    entries = read_object(result_dir / LOGGED).get("logged", [])
    shown = store.without_password(address)
    return any(
        entry.get("content") == pair.content
        and entry.get("tracking_uri") == shown
        and pair.cost_measured_at in (None, entry.get("cost_measured_at"))
        for entry in entries
    )


def _remember(
    result_dir: Path, address: str, experiment: str, pair: Pair, run_ids: Mapping[Member, str]
) -> None:
    entry = {
        "tracking_uri": store.without_password(address),
        "experiment": experiment,
        "content": pair.content,
        "cost_measured_at": pair.cost_measured_at,
        "runs": dict(run_ids),
    }
    entries = read_object(result_dir / LOGGED).get("logged", [])
    _write(result_dir / LOGGED, {"logged": [*entries, entry]})


def _write(path: Path, content: Mapping[str, Any]) -> None:
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
