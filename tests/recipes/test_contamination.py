"""Test items in training data are found, exact or nearly; what only sounds alike is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from forgetbench.errors import DataError
from forgetbench.paths import builtin_root
from forgetbench.recipes.contamination import NEAR, check_contamination, similarity
from forgetbench.schema.recipe import Mixed, Recipe
from tiny_tasks import write_task

ITEM = "How many hours does it take to charge both of the hearing aids in their case?"


def recipe(data: Path, family: str = "causal_lm", **changes: Any) -> Recipe:
    fields: dict[str, Any] = {"name": "r", "family": family, "model": "m", "output": "o", "steps": 1}
    return Recipe(**fields, data=str(data), learning_rate=1, batch_size=1, **changes)


def rows(path: Path, *prompts: str) -> Path:
    path.write_text("".join(json.dumps({"prompt": text, "answer": "Two."}) + "\n" for text in prompts))
    return path


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    folder = tmp_path / "tasks"
    folder.mkdir()
    items = [{"id": "1", "prompt": ITEM, "answer": "Two."}]
    write_task(
        folder, "care", items, kind="generate", prompt="{prompt}", metrics=["exact_match"],
        primary="exact_match", max_new_tokens=4,
    )  # fmt: skip
    return folder


@pytest.mark.parametrize(
    ("text", "exact", "near"),
    [
        (ITEM, 1, 0),
        ("how many hours does it take — to charge both of the hearing aids, in their case", 1, 0),
        (ITEM.replace("both", "all"), 0, 1),
        ("Yes. " + ITEM + " Thank you.", 0, 1),
        (
            "Someone who had just bought a pair asked me on the train, as people do: "
            + ITEM
            + " I said two.",
            0,
            1,
        ),
        (ITEM.replace("both of the", "my") + " And may they stay there over the whole night?", 0, 0),
        ("How long must the two aids be in the charger until they are full?", 0, 0),
        ("How many hours does it take to fly from Rome to the north of Norway in winter?", 0, 0),
    ],
)
def test_a_test_item_is_found_also_with_a_word_changed(
    text: str, exact: int, near: int, tasks: Path, tmp_path: Path
) -> None:
    data = rows(tmp_path / "train.jsonl", "Something that is quite another thing.", text)
    found = check_contamination(recipe(data), ["care"], include_paths=[tasks], allow=True)
    assert (found.exact, found.near, found.tasks) == (exact, near, ("care",))
    if exact or near:
        assert found.examples[0].startswith(f"{data}:2 is ")
        with pytest.raises(DataError, match="--allow-contamination"):
            check_contamination(recipe(data), ["care"], include_paths=[tasks])


def test_the_nearest_test_item_is_found_beside_a_longer_one_that_shares_more(
    tasks: Path, tmp_path: Path
) -> None:
    care = "please wipe the hearing aid with a soft dry cloth every single evening"
    longer = (
        f"you should always {care} and then leave the battery door open so that the moisture gets out of it"
    )
    test_set, data = (
        rows(tmp_path / "test.jsonl", longer, care),
        rows(tmp_path / "train.jsonl", f"always {care}"),
    )
    found = check_contamination(recipe(data), ["care"], target=test_set, include_paths=[tasks], allow=True)
    assert found.near == 1 and found.examples == (f"{data}:1 is nearly {test_set}:2",)


@pytest.mark.parametrize(
    ("text", "exact", "near"),
    [
        ("補聴器の音量を二段階下げてください。", 1, 0),
        ("補聴器の音量を三段階下げてください", 0, 1),
        ("今日は公園まで歩いて行きましょう", 0, 0),
    ],
)
def test_a_script_without_spaces_is_compared_by_its_characters(
    text: str, exact: int, near: int, tasks: Path, tmp_path: Path
) -> None:
    test_set = rows(tmp_path / "test.jsonl", "補聴器の音量を二段階下げてください")
    found = check_contamination(
        recipe(rows(tmp_path / "train.jsonl", text)), ["care"], target=test_set, include_paths=[tasks],
        allow=True,
    )  # fmt: skip
    assert (found.exact, found.near) == (exact, near)


def test_the_choices_of_a_question_are_compared(tasks: Path, tmp_path: Path) -> None:
    test_set = tmp_path / "test.jsonl"
    row = {
        "question": "Which?",
        "choices": ["One that nobody has ever heard of, anywhere", "All of the above"],
        "gold": 0,
    }
    test_set.write_text(json.dumps(row) + "\n")
    data = rows(tmp_path / "train.jsonl", "One that nobody has ever heard of, anywhere.", "All of the above")
    with pytest.raises(DataError, match=r"^\S*: 1 training .*train\.jsonl:1 is .*test\.jsonl:1"):
        check_contamination(recipe(data), ["care"], target=test_set, include_paths=[tasks])


def test_training_data_may_have_any_ending(tasks: Path, tmp_path: Path) -> None:
    data = rows(tmp_path / "train.json", ITEM)
    with pytest.raises(DataError, match=r"train\.json:1 is care:1"):
        check_contamination(recipe(data), ["care"], include_paths=[tasks])


def test_what_is_mixed_in_is_looked_at_too(tasks: Path, tmp_path: Path) -> None:
    data, old = rows(tmp_path / "train.jsonl", "Fine."), rows(tmp_path / "old.jsonl", ITEM)
    mixed = recipe(data, replay=Mixed(data=str(old), share=0.5))
    with pytest.raises(DataError, match=r"old\.jsonl:1 is care:1"):
        check_contamination(mixed, ["care"], include_paths=[tasks])


def test_what_ewc_keeps_is_looked_at_where_it_is_used(tasks: Path, tmp_path: Path) -> None:
    data, kept = rows(tmp_path / "train.jsonl", "Fine."), rows(tmp_path / "kept.jsonl", ITEM)
    with pytest.raises(DataError, match=r"kept\.jsonl:1 is care:1"):
        check_contamination(recipe(data, ewc=1.0, ewc_data=str(kept)), ["care"], include_paths=[tasks])
    found = check_contamination(recipe(data, ewc_data=str(kept)), ["care"], include_paths=[tasks])
    assert (found.exact, found.near) == (0, 0)


@pytest.mark.parametrize(
    ("said", "exact", "near"),
    [
        ("How much battery is left on the right side", 1, 0),
        ("How much battery is left on the left side?", 0, 1),
        ("Is the battery on the left going flat?", 0, 0),
        ("Battery?", 0, 0),
    ],
)
def test_what_is_said_in_a_recording_is_compared_where_it_is_learned(
    said: str, exact: int, near: int, manifest: Path, tmp_path: Path
) -> None:
    first, *others = [json.loads(line) for line in manifest.read_text().splitlines()]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in [{**first, "text": said}, *others]))
    found = check_contamination(recipe(data, "whisper"), ["commands_babble_mini"], allow=True)
    assert (found.exact, found.near) == (exact, near)
    if exact or near:
        assert found.examples == (f"{data}:1 is {'' if exact else 'nearly '}commands_babble_mini:41",)
    found = check_contamination(recipe(data, "enhancer"), ["commands_babble_mini"])
    assert (found.exact, found.near) == (0, 0)


def test_a_recording_is_found_in_another_file_format(manifest: Path, tmp_path: Path) -> None:
    import soundfile

    test_set = tmp_path / "test"
    test_set.mkdir()
    samples, rate = soundfile.read(tmp_path / "1.wav", dtype="int16")
    soundfile.write(test_set / "other.flac", samples, rate)
    (test_set / "t.jsonl").write_text(json.dumps({"audio": "other.flac", "text": "else"}) + "\n")
    with pytest.raises(DataError, match=r"manifest\.jsonl:2 is .*t\.jsonl:1"):
        check_contamination(
            recipe(manifest, "whisper"), ["names_numbers_clean_mini"], target=test_set / "t.jsonl"
        )
    shutil.copy(tmp_path / "0.wav", test_set / "other.wav")
    (test_set / "t.jsonl").write_text(json.dumps({"audio": "other.flac", "text": "word 0"}) + "\n")


@pytest.mark.parametrize(
    ("data", "family"),
    [
        ("hearing/mini/data/hearing_care_train.jsonl", "causal_lm"),
        ("safety/mini/data/safety_train.jsonl", "causal_lm"),
        ("retention/mini/data/everyday_train.jsonl", "causal_lm"),
        ("hearing/mini/data/commands_train.jsonl", "whisper"),
    ],
)
def test_the_packaged_training_sets_hold_no_packaged_test_item(data: str, family: str) -> None:
    found = check_contamination(recipe(builtin_root() / data, family))
    assert (found.exact, found.near) == (0, 0) and len(found.tasks) > 3


def test_similarity_is_the_jaccard_index_of_word_trigrams() -> None:
    assert similarity("a b c d", "a b c d") == 1
    assert similarity("a b c d", "a b c e") == pytest.approx(1 / 3)
    eleven, changed = "a b c d e f g h i j k", "a b c d e X g h i j k"
    assert similarity(eleven, changed) == NEAR == 0.5
