"""MLflow's client: quiet, impatient, and an experiment that two processes may make at once."""

from __future__ import annotations

import io
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from forgetbench.tracking import store


@contextmanager
def mlflow_quietly() -> Iterator[None]:
    """Use MLflow without its messages on stdout and stderr, and without waiting for a dead server.

    A timeout or a number of retries that the user has set is kept.
    """
    own = {name: value for name, value in store.QUIET_AND_IMPATIENT.items() if name not in os.environ}
    with store.environment(own), warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401 - its import sets the levels of the loggers that are silenced here

        loggers = [logging.getLogger(name) for name in ("mlflow", "alembic", "urllib3", "git")]
        levels = [logger.level for logger in loggers]
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def experiment_id_of(client: Any, name: str, artifact_location: str | None) -> str:
    """Return the id of an experiment, which is made where there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifact_location))
        except MlflowException:  # another process may have been faster
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    return str(found.experiment_id)


def runs_page(address: str, name: str) -> str:
    """Return where MLflow's page lists the runs of an experiment; where there is none, all experiments."""
    try:
        with mlflow_quietly():
            from mlflow import MlflowClient

            found = MlflowClient(tracking_uri=address).get_experiment_by_name(name)
    except Exception:  # a store that cannot be asked is what the page itself will tell of
        found = None
    return (
        f"#/experiments/{found.experiment_id}/runs?workflowType=machine_learning"
        if found
        else "#/experiments"
    )
