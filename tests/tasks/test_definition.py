from __future__ import annotations

from pathlib import Path

import pytest

from forgetbench.errors import TaskError
from forgetbench.schema.task import LmEval
from forgetbench.tasks.definition import read_definition

GOOD = """\
name: mine
version: 1
title: Mine
kind: multiple_choice
role: general
dataset:
  path: data.jsonl
prompt: "{question}"
metrics: [acc]
primary: acc
margin: 0.02
chance: 0.5
licence: CC0-1.0
"""


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    return path


def test_a_good_file_is_read(tmp_path: Path) -> None:
    assert read_definition(write(tmp_path, GOOD)).task.name == "mine"


def test_one_line_adopts_an_lm_eval_task(tmp_path: Path) -> None:
    task = read_definition(write(tmp_path, "lm_eval: hellaswag\n")).task
    assert isinstance(task, LmEval)
    assert (task.name, task.lm_eval, task.role) == ("hellaswag", "hellaswag", "general")


@pytest.mark.parametrize(
    ("change", "place", "cause"),
    [
        (("margin: 0.02", "margin: 0.02\nmargen: 1"), "line 12, key `margen`", "unknown key"),
        (("version: 1", "version: one"), "line 2, key `version`", "valid integer"),
        (("  path: data.jsonl", "  path: data.jsonl\n  pth: x"), "line 8, key `dataset.pth`", "unknown key"),
        (("margin: 0.02\n", ""), "key `margin`", "missing key"),
        (("margin: 0.02", "margin: 0"), "line 11, key `margin`", "greater than or equal to 0.000001"),
        (("margin: 0.02", "margin: 1.0e-200"), "line 11, key `margin`", "greater than or equal to 0.000001"),
        (
            ("role: general", "role: generall"),
            "line 5, key `role`",
            "'target', 'general', 'safety', 'cost' or 'distribution'",
        ),
        (("kind: multiple_choice", "kind: quiz"), "line 4, key `kind`", "unknown kind"),
        (("primary: acc", "primary: wer"), "key `primary`", "not among the metrics"),
        (("metrics: [acc]", "metrics: [nonsense]"), "line 9, key `metrics.0`", "'acc' or 'acc_norm'"),
        (("metrics: [acc]", "metrics: [wer]"), "line 9, key `metrics.0`", "'acc' or 'acc_norm'"),
        (("margin: 0.02", "margin: 2"), "key `margin`", "2 is 200 points of acc, and judges nothing"),
        (("margin: 0.02", "margin: .inf"), "line 11, key `margin`", "finite"),
        (("margin: 0.02", "margin: 0.02\nmargin: 0.9"), "line 12", "the key 'margin' comes twice"),
        (("  path: data.jsonl", "  split: test"), "key `dataset`", "either `path` or `hub`"),
        (("  path: data.jsonl", "  path: /etc/data.jsonl"), "key `dataset.path`", "is absolute"),
        (("name: mine", "name: [mine"), "line 2", "expected"),
        (("name: mine", "name: !!python/object:os.system x"), "line 1", "a value has a tag"),
    ],
)
def test_an_error_names_file_line_key_and_cause(
    tmp_path: Path, change: tuple[str, str], place: str, cause: str
) -> None:
    assert change[0] in GOOD
    path = write(tmp_path, GOOD.replace(*change))
    with pytest.raises(TaskError) as caught:
        read_definition(path)
    message = str(caught.value)
    assert str(path) in message
    assert place in message
    assert cause in message
    assert "\n" not in message


HEARD = """\
name: heard
version: 1
title: Heard
kind: asr
role: general
dataset: {path: data.jsonl}
metrics: [wer]
primary: wer
margin: 0.02
licence: CC0-1.0
"""


@pytest.mark.parametrize(
    ("changes", "place", "cause"),
    [
        ("language: de\n", "key `normaliser`", "is for English, and the language is 'de'"),
        (
            "language: de\nnormaliser: whisper_basic@1\nmetrics: [wer, wer_numbers]\n",
            "key `metrics`",
            "'wer_numbers' needs the normaliser 'whisper_en@1'",
        ),
        ("normaliser: none\nmetrics: [wer, cer_names]\n", "key `metrics`", "'cer_names' needs"),
        ("normaliser: whisper_en@2\n", "key `normaliser`", "'whisper_basic@1', 'whisper_basic@2' or 'none'"),
    ],
)
def test_english_spelling_and_classes_of_words_are_for_english(
    tmp_path: Path, changes: str, place: str, cause: str
) -> None:
    text = HEARD.replace("metrics: [wer]\n", "") if "metrics" in changes else HEARD
    with pytest.raises(TaskError) as caught:
        read_definition(write(tmp_path, text + changes))
    assert place in str(caught.value)
    assert cause in str(caught.value)


def test_another_language_has_its_normaliser(tmp_path: Path) -> None:
    read_definition(write(tmp_path, HEARD + "language: de\nnormaliser: whisper_basic@2\n"))


@pytest.mark.parametrize("text", ["", "- a\n", "just text", "\x00"])
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(TaskError):
        read_definition(write(tmp_path, text))


def test_a_yml_file_travels_as_a_yaml_file_does(tmp_path: Path) -> None:
    path = tmp_path / "mine.yml"
    path.write_text(GOOD.replace("data.jsonl", "/etc/data.jsonl"))
    with pytest.raises(TaskError, match="is absolute"):
        read_definition(path)


def test_a_folder_of_lm_evals_files_travels_too(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="key `include_path`: is absolute"):
        read_definition(write(tmp_path, f"lm_eval: mine\ninclude_path: {tmp_path}\n"))


def test_a_chance_of_one_leaves_nothing_to_measure(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="key `chance`"):
        read_definition(write(tmp_path, "lm_eval: hellaswag\nchance: 1.0\n"))
