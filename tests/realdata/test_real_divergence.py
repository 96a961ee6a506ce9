"""SmolLM2-135M-Instruct: itself is itself, an adapter moves away with its steps, and both fit into 3 GB."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from forgetbench.data.samples import Sample
from forgetbench.engine.divergence import compare_text
from forgetbench.engine.run import Request, prepare_selftest, selftest
from forgetbench.models.checkpoint import resolve_component
from forgetbench.models.load import load
from forgetbench.models.model_pair import ModelPair
from forgetbench.models.reference import install_command, resolve_reference
from forgetbench.paths import builtin_root
from forgetbench.schema.run import LoadSettings, Settings
from forgetbench.schema.task import Divergence
from forgetbench.tasks.registry import load_registry

pytestmark = [pytest.mark.slow, pytest.mark.realdata]

SMOLLM = "HuggingFaceTB/SmolLM2-135M-Instruct"
SAVED = (4, 12, 24)
TASKS = ("divergence_mini", "hearing_care_divergence_mini")
PEAK = """
import sys
from dataclasses import replace
from pathlib import Path
from forgetbench.data.samples import Sample
from forgetbench.engine.divergence import compare_text
from forgetbench.engine.peak_memory import process_peak_bytes
from forgetbench.models.checkpoint import resolve_component
from forgetbench.models.model_pair import load_pair
from forgetbench.schema.run import LoadSettings
from forgetbench.tasks.registry import load_registry

base, checkpoint = (resolve_component(name, offline=True) for name in sys.argv[1:3])
text = Path(sys.argv[3]).read_text()
task = load_registry().get("divergence_mini").task
sample = Sample(id="long", content="", row={}, input="", reference=text, size=0.0)
pair = load_pair(base, checkpoint, LoadSettings())
sums = compare_text(task, sample, pair, lambda sample, model: ("", False)).prediction.divergence
print(sums.n_positions, sums.kl / sums.n_positions, process_peak_bytes())
"""


def forgetbench(*arguments: str) -> Result:
    from forgetbench.cli.app import app

    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def smollm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORGETBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        found = resolve_reference(SMOLLM)
    assert found is not None, f"run: {install_command(SMOLLM)}"
    return found


@pytest.fixture(scope="module")
def adapters(smollm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``forgetbench recipe run lora`` makes of it, saved along the way."""
    data = builtin_root() / "hearing" / "mini" / "data" / "hearing_care_train.jsonl"
    output = tmp_path_factory.mktemp("recipe") / "out"
    done = forgetbench(
        "recipe", "run", "lora", "--model", str(smollm), "--data", str(data), "--output", str(output),
        "--steps", str(SAVED[-1]), "--save-steps", ",".join(map(str, SAVED)),
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    return output


def test_the_base_against_itself_diverges_by_less_than_a_millionth(smollm: Path, tmp_path: Path) -> None:
    """As ``forgetbench selftest`` asks, and as two models that were loaded one after the other."""
    request = Request(
        model=str(smollm),
        tasks=("divergence_mini",),
        settings=Settings(limit=6),
        output=tmp_path / "results",
        offline=True,
    )
    comparison = selftest(prepare_selftest(request)).comparison
    assert comparison is not None
    (row,) = comparison.rows
    assert row.n == 6
    assert row.degradation is not None and 0 <= row.degradation < 1e-6

    component, task = resolve_component(str(smollm)), load_registry().get("divergence_mini").task
    assert isinstance(task, Divergence)
    twice = ModelPair(load(component, LoadSettings()), load(component, LoadSettings()))
    sample = Sample(id="one", content="", row={}, input="", reference="The tide went out.", size=0.0)
    found = compare_text(task, sample, twice, lambda sample, model: ("", False)).prediction
    assert found is not None and found.divergence is not None
    assert found.divergence.kl < 1e-6 * found.divergence.n_positions


def test_divergence_grows_with_the_steps_and_stands_in_each_table(adapters: Path, tmp_path: Path) -> None:
    done = forgetbench(
        "run", "--model", str(adapters / "checkpoint-*"), "--tasks", ",".join(TASKS), "--output-path",
        str(tmp_path / "results"), "--limit", "6", "--offline", "--no-mlflow", "--json",
    )  # fmt: skip
    assert done.exit_code in (0, 3), done.output
    results = json.loads(done.stdout)
    assert [result["checkpoint"]["checkpoint"]["name"] for result in results] == [
        f"checkpoint-{step}" for step in SAVED
    ]
    for task in TASKS:
        found = [
            next(row for row in result["comparison"]["rows"] if row["name"] == task) for result in results
        ]
        kl = [row["degradation"] for row in found]
        assert 0 < kl[0] < kl[1] < kl[2], (task, kl)
        assert found[-1]["ci_low"] > found[0]["ci_high"]


@pytest.mark.parametrize("apart", [False, True], ids=["adapter", "two models"])
def test_windows_of_2048_tokens_fit_into_3_gb(
    adapters: Path, smollm: Path, tmp_path: Path, *, apart: bool
) -> None:
    texts = builtin_root() / "retention" / "mini" / "data" / "everyday_text.jsonl"
    long = tmp_path / "long.txt"
    long.write_text("\n\n".join(json.loads(line)["text"] for line in texts.read_text().splitlines()))
    checkpoint = merged(smollm, adapters, tmp_path / "merged") if apart else adapters
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(smollm), str(checkpoint), str(long)],
        capture_output=True, text=True, check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    n_positions, kl, peak = re.findall(r"[\d.e-]+", done.stdout.splitlines()[-1])
    assert int(n_positions) > 2 * 2048
    assert float(kl) > 0
    assert int(peak) <= 3e9, f"peak of {int(peak) / 1e9:.2f} GB"


def merged(base: Path, adapter: Path, folder: Path) -> Path:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    model.merge_and_unload().save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)
    return folder
