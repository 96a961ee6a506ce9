"""Log to the MLflow run that is active in this process, such as that of a training."""

from __future__ import annotations

import logging
import sys

from forgetbench.redact import redact
from forgetbench.schema.comparison import Comparison
from forgetbench.tracking.client import mlflow_quietly
from forgetbench.tracking.metric_names import measured, valid_names
from forgetbench.tracking.pair_values import pair_metrics

log = logging.getLogger(__name__)


def log_to_active_run(comparison: Comparison | None, *, step: int) -> None:
    """Log delta, degradation and interval of each row; nothing where no run is active.

    A tracker that is down is a warning.

    Args:
        comparison: What was found.
        step: Of the training.
    """
    if "mlflow" not in sys.modules:  # then none can be active
        return
    import mlflow

    run = mlflow.active_run()
    if run is None:
        return
    values = measured(pair_metrics(comparison))
    names = valid_names(values)
    try:
        with mlflow_quietly():
            mlflow.log_metrics({names[name]: value for name, value in values.items()}, step=step)
    except Exception as error:  # whatever a tracker does wrong, the training goes on
        log.warning("MLflow: step %d was not logged (%s)", step, redact(" ".join(str(error).split()))[:120])
