"""MLflow's own pages in a browser, on real runs of tiny models: what was logged is there to be seen."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import psutil
import pytest
import yaml
from mlflow import MlflowClient

from forgetbench.cli import main
from forgetbench.engine.results import read_result
from forgetbench.schema.comparison import Comparison
from forgetbench.schema.curve import Curve
from forgetbench.tracking.client import runs_page
from forgetbench.tracking.pair_values import measure_name
from tiny_tasks import choice_rows, write_task

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

WAIT_MS = 90_000
PICTURES = Path(where).resolve() if (where := os.environ.get("FORGETBENCH_PICTURES")) else None
PANEL = "self === top && localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
"""MLflow's chat panel stays closed, as after a first visit."""
OF_MLFLOW = re.compile(r"users/current|ResizeObserver loop")
"""What MLflow's pages complain of by themselves."""
SAME_LINE = """name => {
  const cells = [...document.querySelectorAll(".ReactVirtualized__Grid__innerScrollContainer > div")];
  const top = cell => Math.round(cell.getBoundingClientRect().top);
  const label = cells.find(cell => cell.textContent.trim() === name);
  const beside = cells.filter(cell => label && cell !== label && top(cell) === top(label));
  return beside.map(cell => cell.textContent);
}"""


class Tracked(NamedTuple):
    """A server that holds two pairs and a sweep, and where their results lie."""

    address: str
    client: MlflowClient
    experiment_id: str
    pairs: dict[str, Comparison]
    curve: Curve

    def runs(self, **tags: str) -> list[Any]:
        wanted = " and ".join(f"tags.`{key.replace('__', '.')}` = '{value}'" for key, value in tags.items())
        return list(self.client.search_runs([self.experiment_id], filter_string=wanted))

    def page(self, path: str) -> str:
        return f"{self.address}/#/experiments/{self.experiment_id}/{path}"


@pytest.fixture(scope="module")
def tracked(
    made: Path, tiny_causal: Path, tmp_path_factory: pytest.TempPathFactory, serve_mlflow: Callable[..., str]
) -> Iterator[Tracked]:
    folder = tmp_path_factory.mktemp("tracked")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        address = serve_mlflow(folder, f"sqlite:///{folder}/mlflow.db")
        patch.setenv("MLFLOW_TRACKING_URI", address)
        patch.setenv("FORGETBENCH_CACHE", str(folder / "cache"))
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        _write_tasks(folder / "tasks")
        for model in ("other", "lora"):
            words = ["run", "--model", made / model, "--base", made / "llama", "--tasks", "choices"]
            _call(*words, "--include-path", folder / "tasks", "--output-path", folder / "results")
        _call("sweep", _write_grid(folder, tiny_causal), "--output-path", folder / "sweep")
        results = [read_result(path.parent) for path in folder.glob("results/**/comparison.json")]
        client = MlflowClient(tracking_uri=address)
        experiment = client.get_experiment_by_name("forgetbench")
        assert experiment is not None
        yield Tracked(
            address=address,
            client=client,
            experiment_id=experiment.experiment_id,
            pairs={r.comparison.checkpoint.name: r.comparison for r in results if r.comparison},
            curve=Curve.model_validate_json((folder / "sweep" / "curves" / "curve.json").read_text()),
        )


def _call(*words: object) -> None:
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    assert left.value.code in (0, 3, 100, None)


def _write_tasks(folder: Path) -> None:
    folder.mkdir()
    write_task(
        folder, "choices", choice_rows(40), kind="multiple_choice", prompt="{question}", metrics=["acc"],
        primary="acc", chance=1 / 3,
    )  # fmt: skip


def _write_grid(folder: Path, model: Path) -> Path:
    for name, numbers in (("pairs", range(7)), ("test", range(50, 60))):
        rows = [{"prompt": f"What is {i}?", "answer": f"It is {i}."} for i in numbers]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    content = {
        "name": "tiny", "model": str(model), "data": "pairs.jsonl", "target": "test.jsonl",
        "tasks": ["choices"], "include_paths": ["tasks"],
        "common": {"steps": 4, "save_steps": [1, 2, 4], "learning_rate": 0.01, "warmup_steps": 0},
        "grid": [{"recipe": "lora", "rank": [1, 2]}, {"recipe": "full"}],
    }  # fmt: skip
    (folder / "grid.yaml").write_text(yaml.safe_dump(content))
    return folder / "grid.yaml"


@pytest.fixture
def look(chromium: Any, tracked: Tracked) -> Iterator[Callable[[str], Any]]:
    """Open a page of the server; nothing may leave it, and no error be another than MLflow's own."""
    complaints: list[str] = []
    contexts = []

    def note(kind: str, text: str) -> None:
        if not OF_MLFLOW.search(text):
            complaints.append(f"{kind}: {text[:300]}")

    def visit(url: str) -> Any:
        context = chromium.new_context(viewport={"width": 1280, "height": 1000})
        contexts.append(context)
        context.add_init_script(PANEL)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on(
            "console",
            lambda said: note("console", f"{said.text} {said.location}") if said.type == "error" else None,
        )
        page.on("pageerror", lambda error: note("error", str(error)))
        page.on("request", lambda request: None if _is_own(request.url) else note("request", request.url))
        page.goto(url)
        return page

    def _is_own(url: str) -> bool:
        return url.startswith((tracked.address, f"blob:{tracked.address}", "data:"))

    yield visit
    for context in contexts:
        context.close()
    assert not complaints, complaints[:5]


@pytest.fixture
def keep_picture() -> Callable[[Any, str], None]:
    """Keep a picture of a page for the documentation, in the folder that FORGETBENCH_PICTURES names."""

    def keep(page: Any, name: str) -> None:
        if PICTURES is not None:
            page.screenshot(path=PICTURES / name, clip={"x": 0, "y": 0, "width": 1280, "height": 820})

    return keep


def test_the_experiment_is_listed_and_leads_to_its_runs(tracked: Tracked, look: Callable[[str], Any]) -> None:
    page = look(f"{tracked.address}/#/experiments")
    page.get_by_role("link", name="forgetbench", exact=True).first.wait_for()
    page = look(f"{tracked.address}/{runs_page(tracked.address, 'forgetbench')}")
    page.get_by_text(re.compile("^other vs")).first.wait_for()
    page.get_by_text(re.compile("^curve of")).first.wait_for()
    assert page.get_by_text(re.compile("^lora vs")).count() >= 1


def test_two_pairs_are_compared_by_the_numbers_of_their_documents(
    tracked: Tracked, look: Callable[[str], Any], keep_picture: Callable[[Any, str], None]
) -> None:
    runs = tracked.runs(forgetbench__member="pair")
    assert len(runs) == len(tracked.pairs) == 2
    page = look(_compare(tracked, runs))
    page.get_by_text("degradation/choices acc").first.wait_for()
    for quantity in ("degradation", "ci_low", "ci_high", "delta"):
        shown = page.evaluate(SAME_LINE, f"{quantity}/choices acc")
        rows = [tracked.pairs[run.data.tags["checkpoint"]].rows[0] for run in runs]
        assert [float(text) for text in shown] == pytest.approx(
            [getattr(row, quantity) for row in rows], abs=6e-4
        )
    for section in ("Visualizations", "Parameters"):
        page.get_by_text(section, exact=True).click()
    keep_picture(page, "mlflow-compare.png")


def test_a_sweep_is_a_chart_over_the_training_steps(
    tracked: Tracked, look: Callable[[str], Any], keep_picture: Callable[[Any, str], None]
) -> None:
    (parent,) = tracked.runs(forgetbench__member="curve")
    trainings = tracked.runs(mlflow__parentRunId=parent.info.run_id)
    assert len(trainings) == len({point.run for point in tracked.curve.points}) == 3
    measure = next(each for each in tracked.curve.measures if each.metric == "kl")
    metric = f"degradation/{measure_name(measure.name, measure.metric)}"
    link = look(_compare(tracked, trainings)).get_by_role("link", name=metric).get_attribute("href")
    page = look(f"{tracked.address}/{link.replace('show_point=false', 'show_point=true')}")
    points = page.locator(".scatterlayer .points path")
    points.nth(len(tracked.curve.points) - 1).wait_for(state="attached")
    assert points.count() == len(tracked.curve.points) == 9
    assert page.locator(".xtitle").text_content() == "Step"
    keep_picture(page, "mlflow-sweep.png")


def test_the_charts_of_a_training_have_one_section_for_each_quantity(
    tracked: Tracked, look: Callable[[str], Any]
) -> None:
    (training, *_) = tracked.runs(forgetbench__document="curve", method="full")
    page = look(tracked.page(f"runs/{training.info.run_id}/model-metrics"))
    page.locator(".scatterlayer .points path").first.wait_for(state="attached")
    headers = page.get_by_test_id("experiment-view-compare-runs-section-header").all_inner_texts()
    sections = {header.partition("(")[0].strip() for header in headers}
    assert {"degradation", "ci_low", "ci_high", "target"} <= sections
    assert not [section for section in sections if "/" in section]


def test_the_report_and_the_changed_samples_are_read_in_place(
    tracked: Tracked, look: Callable[[str], Any]
) -> None:
    run = next(run for run in tracked.runs(forgetbench__member="pair") if "other" in run.info.run_name)
    comparison = tracked.pairs["other"]
    page = look(tracked.page(f"runs/{run.info.run_id}/artifacts/report.html"))
    report = page.frame_locator("iframe").locator("main")
    report.get_by_text(comparison.summary).first.wait_for()
    assert report.locator("table.forest tbody tr").count() == len(comparison.rows)
    table = look(tracked.page(f"runs/{run.info.run_id}/artifacts/changed_samples.json"))
    table.get_by_text("worse_by").first.wait_for()
    headers = [cell.inner_text().strip() for cell in table.get_by_role("columnheader").all()]
    assert headers[:5] == ["task", "change", "worse_by", "base", "checkpoint"]
    assert table.get_by_text("lost", exact=True).count() + table.get_by_text("won", exact=True).count() > 0


def test_the_page_of_a_pair_begins_with_its_verdict(tracked: Tracked, look: Callable[[str], Any]) -> None:
    run = next(run for run in tracked.runs(forgetbench__member="pair") if "other" in run.info.run_name)
    page = look(tracked.page(f"runs/{run.info.run_id}"))
    page.locator("code", has_text=tracked.pairs["other"].summary).first.wait_for()


def _compare(tracked: Tracked, runs: list[Any]) -> str:
    ids, experiments = (
        quote(json.dumps(each)) for each in ([run.info.run_id for run in runs], [tracked.experiment_id])
    )
    return f"{tracked.address}/#/compare-runs?runs={ids}&experiments={experiments}"


def test_mlflow_ui_serves_the_page_and_leaves_no_process(tmp_path: Path, uri: str) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, "-c", "from forgetbench.cli import main; main()", "mlflow", "ui"]
    experiment_id = MlflowClient(tracking_uri=uri).create_experiment("forgetbench")
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri}
    with subprocess.Popen(
        [*command, "--port", str(port)], cwd=tmp_path, env=environment, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            address = f"http://127.0.0.1:{port}/"
            assert process.stdout.readline().startswith(f"{address}#/experiments/{experiment_id}/runs")
            assert "<title>MLflow</title>" in _read_when_it_is_up(address, process)
            family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
            os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
            _, alive = psutil.wait_procs(family, timeout=60)
            assert not alive, [each.cmdline() for each in alive]
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _read_when_it_is_up(address: str, process: subprocess.Popen[str]) -> str:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server died"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            time.sleep(0.3)
    pytest.fail("the server did not start")
