"""A result goes into a model card; whatever else is in the card keeps its bytes."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from board_results import row
from forgetbench.engine.results import Result, read_result, write_document
from forgetbench.errors import DataError, UsageError
from forgetbench.report.model_card import BEGIN, END, eval_results, updated_card

CARD = """---
license: apache-2.0   # as the base
base_model: "org/base-135M"
tags: [hearing,   aids]
# what was measured before
model-index:
- name: mine
  results:
  - task: {type: text-generation}
    dataset: {name: Theirs, type: org/theirs}
    metrics:
    - {type: acc, value: 0.5}

# after it
language: en
---
# My model

Text with  two spaces.\t
---
A rule above, and no end of line"""


@pytest.fixture
def result(board_result: Callable[..., Path]) -> Result:
    directory = board_result(
        "mine", (row("arc", 0.03), row("facts", -0.01, role="target"), row("empty", 0.0, checkpoint=None))
    )
    found = read_result(directory)
    datasets = {"arc": ("allenai/ai2_arc", "2" * 40), "facts": ("facts.jsonl", "sha256:00")}
    tasks = tuple(
        t.model_copy(
            update=dict(zip(("dataset", "dataset_revision"), datasets.get(t.name, ("", "")), strict=True))
        )
        for t in found.checkpoint.tasks
    )
    write_document(directory / "run.json", found.checkpoint.model_copy(update={"tasks": tasks}))
    return read_result(directory)


def outside(card: str) -> tuple[str, str]:
    """Return the front matter without the model-index, and the body without the section."""
    head, body = card.split("---", 2)[1:]
    lines, inside = [], False
    for line in head.splitlines():
        inside = line.startswith("model-index") or (inside and line[:1] in (" ", "-"))
        lines += [] if inside else [line]
    return "\n".join(lines), body.split(BEGIN)[0] + (body.split(END)[1] if END in body else "")


def test_the_rest_of_the_card_keeps_its_bytes(result: Result) -> None:
    card = updated_card(CARD, result)
    assert outside(card)[0] == outside(CARD)[0]
    assert outside(card)[1].rstrip("\n") == outside(CARD)[1]
    for line in (
        "license: apache-2.0   # as the base",
        "tags: [hearing,   aids]",
        "# after it",
        "Text with  two spaces.\t",
    ):
        assert line in card


def test_it_can_be_written_again_and_then_changes_nothing(result: Result) -> None:
    once = updated_card(CARD, result)
    assert updated_card(once, result) == once


def test_others_results_stay_and_ours_are_read_by_huggingface_hub(result: Result) -> None:
    from huggingface_hub import ModelCard

    data = ModelCard(updated_card(CARD, result)).data
    found = {r.dataset_name: (r.metric_type, r.metric_value) for r in data.eval_results}
    assert found == {"Theirs": ("acc", 0.5), "Arc": ("acc", 0.62 - 0.03), "Facts": ("acc", 0.62 + 0.01)}


@pytest.mark.parametrize("args", ["5", "[forgetbench]", "forgetbench"])
def test_a_metric_of_others_stays_whatever_its_args_are(args: str, result: Result) -> None:
    card = updated_card(CARD.replace("value: 0.5}", f"value: 0.5, args: {args}}}"), result)
    index = yaml.safe_load(card.split("---\n")[1])["model-index"]
    assert index[0]["results"][0]["metrics"][0]["args"] == yaml.safe_load(args)


def test_a_missing_score_is_no_result(result: Result) -> None:
    assert "Empty" not in updated_card(None, result).split("---")[1]


@pytest.mark.parametrize(
    "card", [None, "", "\n", "---\n---\n# Empty front matter\n", "---\nlicense: mit\n---"]
)
def test_a_card_without_an_index_gets_one(card: str | None, result: Result) -> None:
    text = updated_card(card, result)
    head = yaml.safe_load(text.split("---")[1])
    assert head["model-index"][0]["name"] == "mine"
    assert text.endswith(f"{END}\n") and (card or "").replace("---", "").strip() in text.replace("---", "")


def test_windows_ends_of_line_are_kept(result: Result) -> None:
    card = updated_card(CARD.replace("\n", "\r\n"), result)
    assert "\n" not in card.replace("\r\n", "")
    assert outside(card.replace("\r\n", "\n"))[0] == outside(CARD)[0]


@given(st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=200))
def test_any_body_is_kept(body: str) -> None:
    from forgetbench.report.model_card import _with_section

    if BEGIN in body or END in body:
        return
    card = _with_section(body, f"{BEGIN}x{END}", "\n")
    assert card.startswith(body)


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("---\na: [\n---\n", "the front matter is no YAML"),
        ("---\n{a: 1}\n---\n", "no mapping in block style"),
        ("---\n- a\n---\n", "no mapping in block style"),
        (f"---\n---\ntext {BEGIN}", "do not match"),
        (f"---\n---\n{END} text {BEGIN}", "do not match"),
        ("# A project\n", "does not begin with YAML front matter"),
    ],
)
def test_a_card_that_cannot_be_edited_is_one_line(card: str, message: str, result: Result) -> None:
    with pytest.raises(DataError, match=message):
        updated_card(card, result)


def test_eval_results_hold_the_tasks_whose_data_is_on_the_hub(result: Result) -> None:
    from huggingface_hub import parse_eval_result_entries

    (entry,) = parse_eval_result_entries(yaml.safe_load(eval_results(result) or ""))
    assert (entry.dataset_id, entry.task_id, entry.dataset_revision) == ("allenai/ai2_arc", "arc", "2" * 40)
    assert entry.value == pytest.approx(0.59) and "of base 0.62" in (entry.notes or "")


def test_hostile_names_end_no_marker_and_no_front_matter(board_result: Callable[..., Path]) -> None:
    text = f"{END}\n---\nlicense: evil\n\x1b[2J| a | b |"
    found = read_result(board_result(text, (row("arc", 0.0, title=text),)))
    card = updated_card(None, found)
    head, body = card.removeprefix("---\n").split("\n---\n")
    assert set(yaml.safe_load(head)) == {"model-index"} and body.count(END) == 1 and "\x1b" not in card
    assert updated_card(card, found) == card


def test_the_command_writes_card_and_eval_results(result: Result, tmp_path: Path) -> None:
    from forgetbench.cli.app import app

    model = tmp_path / "model"
    model.mkdir()
    (model / "README.md").write_text(CARD)
    done = CliRunner().invoke(app, ["card", str(result.directory), "--to", str(model)])
    assert done.exit_code == 0, done.output
    assert (model / "README.md").read_text() == updated_card(CARD, result)
    assert (model / ".eval_results" / "forgetbench.yaml").read_text() == eval_results(result)


def test_the_readme_of_a_project_keeps_its_bytes(result: Result, tmp_path: Path) -> None:
    from forgetbench.cli.app import app

    readme = tmp_path / "README.md"
    readme.write_text("# A project\n")
    done = CliRunner().invoke(app, ["card", str(result.directory), "--to", str(tmp_path)])
    assert isinstance(done.exception, DataError)
    assert str(done.exception).startswith(f"{readme}, model card: does not begin with YAML front matter")
    assert readme.read_text() == "# A project\n"


def test_without_a_folder_the_card_is_that_of_the_checkpoint_s_own(
    made: Path, tiny_tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.cli.app import app

    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "lora", "my-lora")
    monkeypatch.setattr(
        "sys.argv", ["forgetbench", "run", "--model", "./my-lora", "--include-path", str(tiny_tasks)]
    )
    asked = [
        "run",
        "--model",
        "./my-lora",
        "--include-path",
        str(tiny_tasks),
        "--tasks",
        "choices",
        "--no-mlflow",
    ]
    assert CliRunner().invoke(app, asked).exit_code == 0
    (directory,) = (path.parent for path in Path("results").rglob("run.json"))
    written = CliRunner().invoke(app, ["card", str(directory)])
    assert written.exit_code == 0, written.output
    assert BEGIN in Path("my-lora", "README.md").read_text() and not Path("README.md").exists()
    Path("my-lora").rename("moved")
    refused = CliRunner().invoke(app, ["card", str(directory)])
    assert isinstance(refused.exception, UsageError)
    assert "--to: is needed: no folder of my-lora as it was measured" in str(refused.exception)
