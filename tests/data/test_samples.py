from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.data.samples import load_samples
from forgetbench.data.tabular import read_rows
from forgetbench.errors import DataError
from forgetbench.schema.task import DEFINITION, Asr, MultipleChoice

COMMON = {"name": "t", "version": 1, "title": "t", "role": "general", "margin": 0.1, "licence": "x"}


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def choice_task(**changes: Any) -> MultipleChoice:
    definition = {
        **COMMON,
        "kind": "multiple_choice",
        "dataset": {"path": "data.jsonl", "fields": {"id": "id"}},
        "prompt": "{question} {",
        "metrics": ["acc"],
        "primary": "acc",
        "chance": 0.5,
        **changes,
    }
    task = DEFINITION.validate_python(definition)
    assert isinstance(task, MultipleChoice)
    return task


def questions(n: int) -> list[dict[str, Any]]:
    return [
        {"id": f"q{i}", "question": f"Is {i} odd?", "choices": ["yes", "no"], "gold": 1 - i % 2}
        for i in range(n)
    ]


def asr_task(**changes: Any) -> Asr:
    definition = {
        **COMMON,
        "kind": "asr",
        "dataset": {"path": "set.jsonl", "fields": {"id": "id", "cluster": "speaker"}},
        "metrics": ["wer"],
        "primary": "wer",
        **changes,
    }
    task = DEFINITION.validate_python(definition)
    assert isinstance(task, Asr)
    return task


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for i in range(10):
        soundfile.write(tmp_path / f"{i}.wav", rng.uniform(-0.3, 0.3, 8000 + 800 * i), 16_000)
        rows.append({"id": f"u{i}", "audio": f"{i}.wav", "text": f"word {i}", "speaker": f"s{i % 3}"})
    write_jsonl(tmp_path / "set.jsonl", rows)
    return tmp_path


def test_a_limit_is_a_seeded_sample_and_a_smaller_one_is_part_of_a_larger(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", questions(50))

    def ids(limit: int, seed: int = 0) -> list[str]:
        found = load_samples(choice_task(), tmp_path, seed=seed, limit=limit)
        return [sample.id for sample in found.samples]

    assert ids(20) == ids(20)
    assert ids(20) != ids(20, seed=1)
    assert set(ids(10)) < set(ids(20))
    assert ids(20) != [f"q{i}" for i in range(20)]


def test_braces_that_name_no_column_stay_in_the_prompt(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", questions(1))
    (sample,) = load_samples(choice_task(), tmp_path, seed=0).samples
    assert sample.input == "Is 0 odd? {"


def test_content_is_not_a_name(tmp_path: Path) -> None:
    rows = questions(2)
    write_jsonl(tmp_path / "data.jsonl", [rows[0], {**rows[0], "id": "again"}])
    first, second = load_samples(choice_task(), tmp_path, seed=0).samples
    assert first.content == second.content
    write_jsonl(tmp_path / "data.jsonl", [{**rows[0], "gold": 0}])
    (changed,) = load_samples(choice_task(), tmp_path, seed=0).samples
    assert changed.content != first.content


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gold": 2}, "not an index of the choices"),
        ({"gold": "1"}, "not an index of the choices"),
        ({"gold": True}, "not an index of the choices"),
        ({"choices": "yes"}, "not a list of two or more texts"),
        ({"choices": ["yes"]}, "not a list of two or more texts"),
        ({"gold": None}, "the field 'gold' is null"),
        ({"question": None}, "needs the column 'question'"),
    ],
)
def test_a_broken_row_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    write_jsonl(tmp_path / "data.jsonl", [{**questions(1)[0], **change}])
    with pytest.raises(DataError, match=message) as caught:
        load_samples(choice_task(), tmp_path, seed=0)
    assert "data.jsonl" in str(caught.value)
    assert "q0" in str(caught.value)


def test_a_missing_column_and_a_repeated_id_are_named(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data.jsonl", questions(1))
    with pytest.raises(DataError, match="needs the column 'query'"):
        load_samples(choice_task(prompt="{query}"), tmp_path, seed=0)
    write_jsonl(tmp_path / "data.jsonl", questions(1) * 2)
    with pytest.raises(DataError, match="row 2: repeats the id 'q0'"):
        load_samples(choice_task(), tmp_path, seed=0)


def test_groups_are_the_columns_that_a_task_names_and_who_speaks(recordings: Path) -> None:
    rows = [json.loads(line) for line in (recordings / "set.jsonl").read_text().splitlines()]
    severities = [0, 1, None, "mild "]
    write_jsonl(
        recordings / "set.jsonl", [row | {"severity": severities[i % 4]} for i, row in enumerate(rows)]
    )
    fields = {"id": "id", "cluster": "speaker", "groups": ["severity"]}
    found = load_samples(asr_task(dataset={"path": "set.jsonl", "fields": fields}), recordings, seed=0)
    assert [sample.groups for sample in found.samples[:4]] == [
        {"severity": "0", "speaker": "s0"},
        {"severity": "1", "speaker": "s1"},
        {"severity": "", "speaker": "s2"},
        {"severity": "mild", "speaker": "s0"},
    ]


def test_one_speaker_is_no_grouping_and_passages_of_text_are_none(recordings: Path) -> None:
    fields = {"id": "id", "cluster": "title"}
    task = asr_task(dataset={"path": "set.jsonl", "fields": fields})
    assert load_samples(task, recordings, seed=0).samples[0].groups == {}
    write_jsonl(recordings / "data.jsonl", [row | {"passage": row["id"]} for row in questions(4)])
    text = choice_task(dataset={"path": "data.jsonl", "fields": {"id": "id", "cluster": "passage"}})
    assert load_samples(text, recordings, seed=0).samples[0].groups == {}


def test_a_grouping_column_that_no_row_has_is_named(recordings: Path) -> None:
    fields = {"id": "id", "groups": ["acent"]}
    with pytest.raises(DataError, match="no row has the field 'acent'"):
        load_samples(asr_task(dataset={"path": "set.jsonl", "fields": fields}), recordings, seed=0)


def test_every_recording_is_heard_in_every_condition(recordings: Path) -> None:
    conditions = [{"noise": "babble", "snr_db": 5}, {"noise": "white", "snr_db": 0}]
    found = load_samples(asr_task(conditions=conditions), recordings, seed=0)
    assert len(found.samples) == 20
    assert len({(s.id, s.condition_label) for s in found.samples}) == 20
    assert len({s.content for s in found.samples}) == 20


def test_what_is_heard_depends_neither_on_the_order_nor_on_the_limit(recordings: Path) -> None:
    task = asr_task(conditions=[{"noise": "babble", "snr_db": 5}])
    whole = load_samples(task, recordings, seed=0)
    part = load_samples(task, recordings, seed=0, limit=3)
    assert whole.speech is not None and part.speech is not None
    by_id = {s.id: s for s in whole.samples}
    for sample in reversed(part.samples):
        assert sample.content == by_id[sample.id].content
        heard = part.speech.waveform(sample.id, sample.condition, 16_000)
        assert np.array_equal(heard, whole.speech.waveform(sample.id, sample.condition, 16_000))


def test_another_recording_in_the_babble_is_another_content(recordings: Path) -> None:
    task = asr_task(conditions=[{"noise": "babble", "snr_db": 5}])
    before = {s.id: s.content for s in load_samples(task, recordings, seed=0).samples}
    soundfile.write(recordings / "9.wav", np.full(8000, 0.1), 16_000)
    after = {s.id: s.content for s in load_samples(task, recordings, seed=0).samples}
    assert before["u0"] != after["u0"]


def test_neither_the_order_of_the_manifest_nor_a_name_changes_what_is_heard(recordings: Path) -> None:
    task = asr_task(conditions=[{"noise": "babble", "snr_db": 5}])

    def heard() -> tuple[str, bytes]:
        found = load_samples(task, recordings, seed=0)
        sample = next(s for s in found.samples if s.id == "u0")
        assert found.speech is not None
        return sample.content, found.speech.waveform("u0", sample.condition, 16_000).tobytes()

    before = heard()
    rows = read_rows(recordings / "set.jsonl")
    write_jsonl(recordings / "set.jsonl", rows[::-1])
    assert heard() == before


def test_another_speaker_in_the_set_is_another_content_where_it_changes_the_babble(recordings: Path) -> None:
    task = asr_task(conditions=[{"noise": "babble", "snr_db": 5}])
    before = {s.id: s.content for s in load_samples(task, recordings, seed=0).samples}
    rows = read_rows(recordings / "set.jsonl")
    write_jsonl(
        recordings / "set.jsonl", [{**row, "speaker": "s0"} if row["id"] == "u7" else row for row in rows]
    )
    after = {s.id: s.content for s in load_samples(task, recordings, seed=0).samples}
    assert before["u0"] != after["u0"]


def test_few_of_many_recordings_are_decoded_for_one_babble(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.data import speech

    decoded: list[str] = []
    original = speech.read_audio
    monkeypatch.setattr(
        speech, "read_audio", lambda b, name, **k: decoded.append(name) or original(b, name, **k)
    )
    rows = read_rows(recordings / "set.jsonl")
    write_jsonl(
        recordings / "set.jsonl", [{**row, "id": f"{row['id']}-{i}"} for i in range(20) for row in rows]
    )
    found = load_samples(asr_task(conditions=[{"noise": "babble", "snr_db": 5}]), recordings, seed=0)
    assert found.speech is not None
    found.speech.waveform("u0-0", found.samples[0].condition, 16_000)
    assert len(decoded) <= 7


def test_a_missing_recording_is_an_error_of_its_sample_alone(recordings: Path) -> None:
    (recordings / "4.wav").unlink()
    found = load_samples(asr_task(), recordings, seed=0)
    assert {s.id: s.error for s in found.samples if s.error} == {"u4": "missing_audio"}


def test_an_empty_reference_is_said(recordings: Path) -> None:
    rows = read_rows(recordings / "set.jsonl")
    rows[2]["text"] = " "
    write_jsonl(recordings / "set.jsonl", rows)
    assert "1 samples have an empty reference" in load_samples(asr_task(), recordings, seed=0).warnings[0]


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n', encoding="utf-8-sig")
    assert read_rows(tmp_path / "a.jsonl") == [{"a": 1}]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "has no rows"),
        ("a.jsonl", '{"a": 1}\n{"a": ', r"line 2: is not JSON \(Expecting value, column 7\)"),
        ("a.jsonl", "[1]\n", "line 1: is not a JSON object"),
        ("a.csv", "a,b\n1,2\n3\n", "line 3: has another number of fields"),
        ("a.parquet", "no parquet", "is not Parquet"),
        ("a.txt", "x", "unknown ending"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_rows(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.jsonl: No such file"):
        read_rows(tmp_path / "none.jsonl")


def test_a_missing_file_of_a_task_names_the_task_that_may_say_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"set\.jsonl: does not exist; the task \w+ reads it\. Make it as"):
        load_samples(asr_task(), tmp_path, seed=0)


def test_who_is_not_known_is_no_speaker(recordings: Path) -> None:
    rows = [json.loads(line) for line in (recordings / "set.jsonl").read_text().splitlines()]
    write_jsonl(recordings / "set.jsonl", [row | {"speaker": None} for row in rows])
    found = load_samples(asr_task(), recordings, seed=0)
    assert {sample.cluster for sample in found.samples} == {""}
    write_jsonl(
        recordings / "set.jsonl", [row | {"speaker": "ann" if i else None} for i, row in enumerate(rows)]
    )
    assert load_samples(asr_task(), recordings, seed=0).samples[0].groups == {}  # one speaker is no grouping


@pytest.mark.parametrize("promised", [float("nan"), float("inf"), -1.0, 0, "nan", "", None])
def test_a_duration_that_no_recording_lasts_promises_nothing(tmp_path: Path, promised: Any) -> None:
    soundfile.write(tmp_path / "a.wav", np.full(8000, 0.1), 16_000)
    write_jsonl(
        tmp_path / "set.jsonl",
        [{"id": "a", "audio": "a.wav", "text": "word", "speaker": "s", "duration_s": promised}],
    )
    found = load_samples(asr_task(), tmp_path, seed=0)
    assert found.speech is not None
    assert [sample.size for sample in found.samples] == [0.5]
    assert len(found.speech.waveform("a", None, 16_000)) == 8000
