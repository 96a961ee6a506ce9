"""MLflow's own pages, in a real browser on a real server: the comparison of two runs, a metric by step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from curve_results import STEPS
from forgetbench.engine.trajectories import curve_of, find_results
from forgetbench.tracking.curve_log import log_curve
from forgetbench.tracking.mlflow_log import log_pair

pytestmark = pytest.mark.slow

Serve = Callable[[Path, str], str]
PATIENCE_MS = 60_000


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page that nothing is loaded into from elsewhere than this machine."""
    context = chromium.new_context(viewport={"width": 1600, "height": 1200})
    context.set_default_timeout(PATIENCE_MS)
    context.route(
        lambda url: not url.startswith(("http://127.0.0.1:", "data:", "blob:")), lambda route: route.abort()
    )
    yield context.new_page()
    context.close()


def parents(address: str) -> tuple[str, list[str]]:
    """The experiment, and the runs of it that are pairs."""
    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name("forgetbench")
    runs = client.search_runs([experiment.experiment_id], "tags.`forgetbench.member` = 'pair'")
    return experiment.experiment_id, [run.info.run_id for run in runs]


def test_the_compare_page_of_two_pairs_has_what_each_lost(
    page: Any, tmp_path: Path, uri: str, serve_mlflow: Serve, make_documents: Callable[..., Any]
) -> None:
    address = serve_mlflow(tmp_path, uri)
    for letter in "cd":
        documents = make_documents(run_key=letter * 8)
        assert log_pair(tmp_path / letter, *documents, tracking_uri=address) is None
    experiment, runs = parents(address)
    assert len(runs) == 2
    listed = ",".join(f'"{run}"' for run in runs)
    page.goto(f'{address}/#/compare-runs?runs=[{listed}]&experiments=["{experiment}"]')
    for name in ("delta/arc/acc_none", "degradation/arc/acc_none", "ci_low/arc/acc_none"):
        page.get_by_text(name, exact=True).first.wait_for(state="attached")
    row = page.locator("tr", has_text="degradation/arc/acc_none").first
    assert row.inner_text().split()[-2:] == ["0.1", "0.1"]


def test_a_curve_is_charted_by_step(
    page: Any, sweep: Path, tmp_path: Path, uri: str, serve_mlflow: Serve
) -> None:
    address = serve_mlflow(tmp_path, uri)
    curve = curve_of(find_results(sorted(sweep.glob("32-*"))))
    assert log_curve(curve, [], tracking_uri=address) is None
    client = MlflowClient(tracking_uri=address)
    experiment = client.get_experiment_by_name("forgetbench")
    runs = {run.info.run_name: run.info for run in client.search_runs([experiment.experiment_id])}
    page.goto(
        f"{address}/#/experiments/{experiment.experiment_id}/runs/{runs['r32 s1'].run_id}/model-metrics"
    )
    page.get_by_text("degradation/arc/acc", exact=True).first.wait_for(state="attached")
    chart = page.locator(".js-plotly-plot").first
    chart.wait_for()
    (points,) = chart.evaluate("chart => chart.data.map(trace => Array.from(trace.x))")
    assert tuple(points) == STEPS
