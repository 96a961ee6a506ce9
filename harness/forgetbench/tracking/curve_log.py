"""Log a curve to MLflow: one parent run with the laws, one child per training run with its losses by step.

Each checkpoint is a child of its training run, too: a row of its own in MLflow's table.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from forgetbench.redact import redact
from forgetbench.schema.curve import Curve, CurvePoint
from forgetbench.tracking import store
from forgetbench.tracking.client import experiment_id_of, mlflow_quietly
from forgetbench.tracking.metric_names import (
    LONGEST_PARAM,
    LONGEST_TAG,
    cut,
    described,
    measured,
    valid_names,
)
from forgetbench.tracking.pair_values import measure_name, training_params


def log_curve(
    curve: Curve, files: Sequence[Path], *, tracking_uri: str | None = None, experiment: str | None = None
) -> str | None:
    """Log a curve and its files, once; a curve that is there already is not logged again.

    Args:
        curve: The document.
        files: Attached to the parent run.
        tracking_uri: MLflow store; default ``MLFLOW_TRACKING_URI``, else ``sqlite:///mlflow.db`` here.
        experiment: Experiment name; default ``MLFLOW_EXPERIMENT_NAME``, else ``forgetbench``.

    Returns:
        None if the curve is in MLflow, else a warning: the files are safe.
    """
    address, name = store.tracking_address(tracking_uri), store.experiment_name(experiment)
    try:
        with mlflow_quietly():
            _log(curve, files, address, name)
    except Exception as error:  # whatever a tracker does wrong, the files on disk are good
        cause = redact(" ".join(str(error).split()))[:120]
        shown = store.without_password(address)
        return f"MLflow at {shown}: the curve was not logged ({cause}). When MLflow is back, run this again."
    return None


def _log(curve: Curve, files: Sequence[Path], address: str, experiment: str) -> None:
    from mlflow import MlflowClient

    if (database := store.sqlite_path(address)) is not None:
        database.parent.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=address)
    experiment_id = experiment_id_of(client, experiment, store.artifact_root(address))
    content = hashlib.sha256(curve.to_json().encode()).hexdigest()
    parent = _run(client, experiment_id, content, "curve", f"curve of {curve.base}", None)
    if parent.info.status == "FINISHED":
        return
    _log_metrics(client, parent, [(0, _law_metrics(curve))])
    client.set_tag(parent.info.run_id, "scope", cut("; ".join(curve.scope), limit=LONGEST_TAG))
    client.set_tag(parent.info.run_id, "mlflow.note.content", described(*curve.scope))
    for group, run, points in _by_run(curve):
        child = _run(client, experiment_id, content, f"{group}, {run}", run, parent.info.run_id)
        values = [(round(_exposure(curve, point)), _point_metrics(curve, point)) for point in points]
        _log_metrics(client, child, values)
        _log_params(client, child, points[0], whole=True)
        for point, value in zip(points, values, strict=True):
            name = f"{run}, {curve.exposure} {_exposure(curve, point):.15g}"
            one = _run(client, experiment_id, content, point.fingerprint, name, child.info.run_id)
            _log_metrics(client, one, [value])
            _log_params(client, one, point)
            client.set_tag(one.info.run_id, "checkpoint", cut(point.checkpoint, limit=LONGEST_TAG))
            client.set_tag(one.info.run_id, "fingerprint", point.fingerprint)
            client.set_terminated(one.info.run_id)
        client.set_tag(child.info.run_id, "method", cut(points[0].group, limit=LONGEST_TAG))
        client.set_terminated(child.info.run_id)
    for path in files:
        client.log_artifact(parent.info.run_id, str(path))
    client.set_terminated(parent.info.run_id)


def _by_run(curve: Curve) -> Iterator[tuple[str, str, list[CurvePoint]]]:
    for (group, run), points in groupby(curve.points, key=lambda p: (p.group, p.run)):
        yield group, run, list(points)


def _exposure(curve: Curve, point: CurvePoint) -> float:
    return float(getattr(point.training, curve.exposure))


def _run(client: Any, experiment_id: str, content: str, member: str, name: str, parent_id: str | None) -> Any:
    """Return the run of this curve and member: the one that is there, else a new one."""
    tags = {
        "forgetbench.content": content,
        "forgetbench.member": hashlib.sha256(member.encode()).hexdigest() if parent_id else "curve",
        "forgetbench.document": "curve",
    }
    if parent_id is not None:
        tags["mlflow.parentRunId"] = parent_id
    wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
    found = client.search_runs([experiment_id], filter_string=wanted, max_results=1)
    return found[0] if found else client.create_run(experiment_id, tags=tags, run_name=cut(name, limit=250))


def _point_metrics(curve: Curve, point: CurvePoint) -> dict[str, float | None]:
    metrics = {measure.name: measure.metric for measure in curve.measures}
    values: dict[str, float | None] = {}
    for loss in point.losses:
        name = measure_name(loss.measure, metrics[loss.measure])
        values |= {
            f"degradation/{name}": loss.degradation,
            f"ci_low/{name}": loss.ci_low,
            f"ci_high/{name}": loss.ci_high,
        }
    return values | {
        "target/score": point.target_score,
        "target/gain": point.target_gain,
        "target/loss": point.training.target_loss,
        "trained_parameters": point.training.trained_parameters,
    }


def _log_params(client: Any, run: Any, point: CurvePoint, *, whole: bool = False) -> None:
    """Log what was chosen for a checkpoint, or for its whole training."""
    from mlflow.entities import Param

    training = point.training.model_copy(update={"steps": None}) if whole else point.training
    params = {"training/group": point.group, **training_params(training)}
    client.log_batch(
        run.info.run_id,
        params=[Param(name, cut(text, limit=LONGEST_PARAM)) for name, text in params.items()],
    )


def _law_metrics(curve: Curve) -> dict[str, float | None]:
    values: dict[str, float | None] = {}
    for law in curve.laws:
        name = f"{law.method} {law.measure} {law.law}"
        values |= {f"law/r2/{name}": law.r2, f"law/aicc/{name}": law.aicc}
        values[f"law/held_out_error/{name}"] = law.held_out.error if law.held_out else None
    return values


def _log_metrics(client: Any, run: Any, by_step: Iterable[tuple[int, Mapping[str, float | None]]]) -> None:
    """Log values by whole step, as MLflow counts; several values of one step are points of their own."""
    from mlflow.entities import Metric

    finite = [(step, measured(values)) for step, values in by_step]
    names = valid_names(sorted({name for _, values in finite for name in values}))
    metrics = [
        Metric(names[name], value, run.info.start_time, step)
        for step, values in finite
        for name, value in values.items()
    ]
    for start in range(0, len(metrics), 1000):  # as many as MLflow takes at once
        client.log_batch(run.info.run_id, metrics=metrics[start : start + 1000])
