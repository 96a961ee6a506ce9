"""SmolLM2-135M-Instruct on real multiple choice: lm-eval's hf backend is the measure."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import yaml

from forgetbench.engine.results import read_samples
from forgetbench.engine.run import Request, prepare_selftest, selftest
from forgetbench.models.reference import install_command, resolve_reference

pytestmark = [pytest.mark.slow, pytest.mark.realdata]

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SMOLLM = "HuggingFaceTB/SmolLM2-135M-Instruct"
PROMPT = "Question: {question}\nAnswer:"


def test_commonsenseqa_equals_lm_eval_item_by_item(test_data: Path, tmp_path: Path) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    model = resolve_reference(SMOLLM)
    assert model is not None, f"run: {install_command(SMOLLM)}"
    lines = (test_data / "text" / "commonsenseqa.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    (tmp_path / "csqa.jsonl").write_text("\n".join(lines))
    task = {
        "name": "csqa", "version": 1, "title": "CommonsenseQA", "kind": "multiple_choice", "role": "general",
        "dataset": {"path": "csqa.jsonl", "fields": {"id": "id"}}, "prompt": PROMPT, "metrics": ["acc"],
        "primary": "acc", "chance": 0.2, "margin": 0.02, "licence": "MIT",
    }  # fmt: skip
    (tmp_path / "csqa.yaml").write_text(yaml.safe_dump(task))
    request = Request(
        model=str(model),
        tasks=("csqa",),
        include_paths=[tmp_path / "csqa.yaml"],
        output=tmp_path / "out",
        offline=True,
    )
    result = selftest(prepare_selftest(request))
    assert result.base is not None and result.comparison is not None
    assert result.comparison.rows[0].degradation == 0

    reference = HFLM(pretrained=str(model), device="cpu", dtype="float32", batch_size=16)
    requests = [
        Instance("loglikelihood", {}, (PROMPT.format(question=row["question"]), f" {choice}"), i)
        for row in rows
        for i, choice in enumerate(row["choices"])
    ]
    scored = iter(reference.loglikelihood(requests, disable_tqdm=True))
    expected = {row["id"]: [next(scored)[0] for _ in row["choices"]] for row in rows}
    table = read_samples(result.directory, result.base)["csqa"].set_index("id")
    for row in rows:
        ours = json.loads(table.loc[row["id"], "prediction"])["loglikelihoods"]
        assert ours == pytest.approx(expected[row["id"]], abs=1e-4)
        best = max(range(len(ours)), key=lambda i: expected[row["id"]][i])
        assert table.loc[row["id"], "acc"] == float(best == row["gold"])
    assert len(table) == 400


@pytest.mark.parametrize(("name", "n_items"), [("boolq", 24), ("mmlu", 10)])
def test_passages_and_shots_equal_lm_eval_request_by_request(
    name: str, n_items: int, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of what ``benchmarks/text_engine.py`` compares whole: long passages, and five shots in front."""
    monkeypatch.setenv("FORGETBENCH_TEST_DATA", str(test_data))
    monkeypatch.syspath_prepend(BENCHMARKS)
    text_engine = importlib.import_module("text_engine")
    items = text_engine.read_items(name)[:n_items]
    scores = {
        label: make(text_engine.model_path(), 8).loglikelihood(
            text_engine.make_requests(items), disable_tqdm=True
        )
        for label, make in text_engine.MAKE.items()
    }
    ours, theirs = ([logprob for logprob, _ in scores[label]] for label in ("forgetbench", "lm-eval"))
    assert ours == pytest.approx(theirs, rel=0, abs=1e-4)
    assert [greedy for _, greedy in scores["forgetbench"]] == [greedy for _, greedy in scores["lm-eval"]]
    assert text_engine.accuracy(items, ours) == text_engine.accuracy(items, theirs)
    assert len(items) == n_items and len(set(map(round, ours))) > 1
