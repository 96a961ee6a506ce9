"""The Python API on tiny models: what comes out is what the documents say."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import forgetbench
from forgetbench.api.target import target_file
from forgetbench.engine.results import Result
from forgetbench.errors import UsageError
from forgetbench.schema.attribution import Attribution
from forgetbench.schema.comparison import GroupFamily, GroupRow, Row

TEXT = ["choices", "answers", "short", "refusals", "leaning"]


@pytest.fixture
def result(made: Path, tiny_tasks: Path, tmp_path: Path) -> forgetbench.PairResult:
    return forgetbench.evaluate(
        made / "lora", tasks=TEXT, include_paths=[tiny_tasks], output=tmp_path / "results", offline=True
    )


def test_rows_are_the_comparison_as_a_table(result: forgetbench.PairResult) -> None:
    assert result.comparison is not None
    rows = result.rows
    assert list(rows["task"]) == [row.name for row in result.comparison.rows]
    by_task = rows.set_index("task")
    for row in result.comparison.rows:
        assert by_task.loc[row.name, "degradation"] == pytest.approx(row.degradation)
        assert by_task.loc[row.name, "verdict"] == row.verdict
        assert by_task.loc[row.name, "n"] == row.n
    assert result.decision == result.comparison.decision
    assert not rows["detail"].any()


def test_what_is_missing_is_nan_and_never_zero(result: forgetbench.PairResult) -> None:
    rows = result.rows.set_index("task")
    assert rows["p_exact"].dtype == "float64"
    assert math.isnan(rows.loc["answers", "p_exact"])  # bits per byte have no McNemar test


def is_optional_number(schema: dict[str, Any]) -> bool:
    kinds = {option.get("type") for option in schema.get("anyOf", ())}
    return "null" in kinds and bool(kinds & {"integer", "number"})


def test_every_optional_number_of_every_table_is_a_float_column(result: forgetbench.PairResult) -> None:
    assert result.comparison is not None
    some, none = result.comparison, result.comparison.model_copy(update={"rows": (), "groups": ()})
    group = GroupRow(value="a", n=20, verdict="regressed")
    family = GroupFamily(
        task="t", title="T", by="speaker", metric="m", higher_is_better=True, margin=0.1, level=0.9,
        rows=(group,), smallest_n=20,
    )  # fmt: skip
    some = some.model_copy(update={"groups": (family,)})
    for comparison in (some, none):
        tables = replace(result, comparison=comparison)
        for table, kind in ((tables.rows, Row), (tables.groups, GroupRow)):
            fields = kind.model_json_schema()["properties"]
            optional = [name for name in table.columns if is_optional_number(fields.get(name, {}))]
            assert len(optional) >= 7
            assert {name: str(table[name].dtype) for name in optional} == dict.fromkeys(optional, "float64")
    assert result.rows["n"].dtype == "int64", "what is never missing stays whole"


def test_samples_stand_side_by_side_and_give_the_scores(result: forgetbench.PairResult) -> None:
    assert result.comparison is not None
    samples = result.samples("choices")
    assert len(samples) == 30
    row = result.rows.set_index("task").loc["choices"]
    assert samples["acc_base"].mean() == pytest.approx(row["base"])
    assert samples["acc_checkpoint"].mean() == pytest.approx(row["checkpoint"])
    assert samples["answer_base"].isin([0, 1, 2]).all()
    assert (samples["input"] != "").all()
    changed = (samples["answer_base"] != samples["answer_checkpoint"]).mean()
    assert row["agreement"] == pytest.approx(1 - changed)


def test_a_task_that_was_not_run_is_named_with_the_nearest(result: forgetbench.PairResult) -> None:
    with pytest.raises(UsageError, match="Did you mean choices"):
        result.samples("choice")


def test_the_notebook_table_escapes_what_a_model_is_called(
    made: Path, tiny_tasks: Path, tmp_path: Path
) -> None:
    import shutil

    evil = shutil.copytree(made / "other", tmp_path / "<script>alert(1)</script>".replace("/", "∕"))
    result = forgetbench.evaluate(
        evil, base=made / "llama", tasks="choices", include_paths=[tiny_tasks], output=tmp_path / "r"
    )
    html = result._repr_html_()
    assert "<script" not in html and "&lt;script" in html
    assert result.summary.split(":")[0] in html
    assert "Choices" in html


def test_a_checkpoint_alone_has_scores_and_no_verdict(made: Path, tiny_tasks: Path, tmp_path: Path) -> None:
    result = forgetbench.evaluate(
        made / "llama", tasks="choices", include_paths=[tiny_tasks], output=tmp_path / "r"
    )
    assert result.base is None and result.decision is None
    (row,) = result.rows.to_dict("records")
    assert 0 <= row["checkpoint"] <= 1
    fields = Row.model_json_schema()["properties"]
    missing = {"degradation", "base", "n_clusters", "required_n", "unpaired", "noise_floor"}
    assert missing < fields.keys() and all(math.isnan(row[name]) for name in missing)
    assert "No base" in result._repr_html_()
    assert len(result.samples("choices")) == 30


def test_drawn_answers_are_repeated_and_greedy_ones_cannot_be(
    made: Path, tiny_tasks: Path, tmp_path: Path
) -> None:
    asked: dict[str, Any] = {"tasks": "short", "include_paths": [tiny_tasks], "output": tmp_path / "r"}
    drawn = forgetbench.evaluate(
        made / "lora", **asked, gen_kwargs={"temperature": 0.7, "top_p": 0.9}, repeats=3
    )
    settings = drawn.checkpoint.settings
    assert settings.repeats == 3 and settings.sampling is not None
    assert (settings.sampling.temperature, settings.sampling.top_p) == (0.7, 0.9)
    with pytest.raises(UsageError, match="greedy decoding gives the same answer each time"):
        forgetbench.evaluate(made / "lora", **asked, repeats=3)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"limit": -1}, r"evaluate\(limit=-1\): Input should be greater than or equal to 1"),
        ({"limit": 0}, r"evaluate\(limit=0\)"),
        ({"batch_size": 0}, r"evaluate\(batch_size=0\)"),
        ({"repeats": 0}, r"evaluate\(repeats=0\)"),
        ({"num_fewshot": "few"}, r"evaluate\(num_fewshot='few'\)"),
        ({"chat_template": "chekpoint"}, r"evaluate\(chat_template='chekpoint'\).*'checkpoint'"),
        ({"dtype": "fp16"}, "--dtype fp16: is not known. Known are float32, bfloat16, float16"),
        ({"device": "cudda"}, "--device cudda: is not here. Here: cpu"),
    ],
)
def test_a_wrong_value_is_a_usage_error_before_anything_is_looked_for(
    wrong: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        forgetbench.evaluate("./gone", tasks="choices", **wrong)


def test_a_table_is_a_test_set_as_its_file_would_be(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"prompt": ["the cat", "the dog é"], "answer": ["sat", "ran"], "id": ["a", "b"]})
    table.to_json("test.jsonl", orient="records", lines=True)
    of_file = forgetbench.evaluate(made / "lora", target="test.jsonl")
    of_table = forgetbench.evaluate(made / "lora", target=table)
    assert list(of_table.rows["degradation"]) == list(of_file.rows["degradation"])
    assert list(of_table.samples("target")["id"]) == ["a", "b"]
    again = forgetbench.evaluate(made / "lora", target=table.copy())
    assert again.directory == of_table.directory
    assert len(list(Path("results", "targets").iterdir())) == 1


def test_recordings_that_a_table_names_are_found_from_where_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"audio": ["a.wav", str(tmp_path / "b.wav")], "text": ["yes", "no"]})
    file = target_file(table, Path("results"))
    named = [json.loads(line)["audio"] for line in file.read_text().splitlines()]
    assert [(file.parent / name).resolve() for name in named] == [tmp_path / "a.wav", tmp_path / "b.wav"]


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (
            [{"prompt": "a", "answer": "b"}],
            r"target=list\): is neither a path nor a pandas DataFrame.*to_json",
        ),
        (pd.DataFrame([[1, 2]], columns=["prompt", "prompt"]), "DataFrame columns must be unique"),
        (pd.DataFrame({"question": ["a"]}), "has the fields question"),
    ],
)
def test_what_is_no_test_set_is_told_with_the_way_to_make_one(target: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says):
        forgetbench.evaluate("./gone", target=target, output=tmp_path)


def test_the_cost_is_measured_where_it_is_asked_for(made: Path, tiny_tasks: Path, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"tasks": "short", "include_paths": [tiny_tasks]}
    assert (
        "cost"
        in forgetbench.evaluate(made / "lora", **asked, output=tmp_path / "a", cost=True).checkpoint.measured
    )
    assert (
        "cost" not in forgetbench.evaluate(made / "lora", **asked, output=tmp_path / "b").checkpoint.measured
    )


def test_results_are_loaded_once_and_stand_below_each_other(
    result: forgetbench.PairResult, made: Path, tiny_tasks: Path, tmp_path: Path
) -> None:
    forgetbench.evaluate(
        made / "other",
        base=made / "llama",
        tasks="choices",
        include_paths=[tiny_tasks],
        output=tmp_path / "results",
    )
    results = forgetbench.load_results(tmp_path / "results", result.directory)
    assert len(results) == 2
    rows = results.rows
    assert len(rows) == len(TEXT) + 1
    assert set(rows["checkpoint_name"]) == {"lora", "other"}
    assert "lora" in results._repr_html_()
    assert len(results[:1]) == 1


def test_two_runs_are_compared_as_the_command_would(made: Path, tiny_tasks: Path, tmp_path: Path) -> None:
    def alone(name: str) -> Path:
        made_by = forgetbench.evaluate(
            made / name, tasks="choices", include_paths=[tiny_tasks], output=tmp_path / "r"
        )
        return made_by.directory

    there = forgetbench.compare(alone("llama"), alone("other"), output=tmp_path / "c")
    back = forgetbench.compare(alone("other"), alone("llama"), output=tmp_path / "c")
    assert there.rows["degradation"][0] == pytest.approx(-back.rows["degradation"][0])
    assert there.rows["degradation"][0] != 0


def test_the_import_is_light_and_the_api_is_listed() -> None:
    code = (
        "import sys, forgetbench; assert 'evaluate' in dir(forgetbench);"
        "print(sorted({'torch', 'transformers', 'mlflow', 'pydantic', 'pandas', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="evaluat"):
        forgetbench.evaluat  # noqa: B018


def test_the_package_is_typed() -> None:
    assert (Path(forgetbench.__file__).parent / "py.typed").is_file()


def test_a_result_of_the_engine_loses_nothing_on_the_way(result: forgetbench.PairResult) -> None:
    attribution = Attribution(
        run_key="k", base="b", checkpoint="c", identical=("asr",), n_systems=0, tasks=()
    )
    whole = Result(directory=result.directory, checkpoint=result.checkpoint, attribution=attribution)
    assert forgetbench.PairResult.of(whole).attribution is attribution
    assert not {"transitions", "samplewise", "degenerate", "runaway"} & set(result.rows.columns)


@pytest.mark.parametrize("progress", [True, False, None])
def test_how_far_it_is_shows_where_it_is_asked_for(
    progress: bool | None, made: Path, tiny_tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forgetbench.evaluate(
        made / "lora", tasks="choices", include_paths=[tiny_tasks], output=tmp_path / "r", progress=progress
    )
    said = capsys.readouterr()
    assert ("Choices: 30 samples" in said.err) is bool(progress)
    assert said.out == ""


def test_a_progress_of_ones_own_is_told_of_every_sample(made: Path, tiny_tasks: Path, tmp_path: Path) -> None:
    from forgetbench.engine.progress import Silent

    class Counting(Silent):
        n = 0

        def advance(self, n: int) -> None:
            self.n += n

    own: forgetbench.Progress = Counting()
    asked: dict[str, Any] = {"tasks": "choices", "include_paths": [tiny_tasks], "output": tmp_path / "r"}
    forgetbench.evaluate(made / "lora", **asked, progress=own)
    assert vars(own) == {"n": 60}
