"""Whatever a parser is given, it returns or raises an error of ours, soon, and writes nothing."""

from __future__ import annotations

import io
import json
import string
import tempfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forgetbench.errors import DataError, ForgetbenchError, SampleError, UsageError

FUZZ = settings(max_examples=150, suppress_health_check=list(HealthCheck))

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(string.ascii_lowercase + "._/\x00", max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
yaml_like = st.lists(
    st.sampled_from(
        ["name: ", "- ", "? ", ": ", "[", "]", "{", "}", "&a ", "*a", "!!str ", "!x ", "<<: ", "|\n", ">\n",
         "\n", "  ", "#", "'", '"', "1e9999", "0x", "~", "%YAML 1.2\n", "---\n", "...\n", "\t", "\\x", ",",
         "2001-01-01", "12:30:45", "=", "\x85", "\u2028"]
    ) | st.text(max_size=3),
    max_size=40,
).map("".join)  # fmt: skip


def only_ours(parse: Callable[[], Any]) -> None:
    """Call a parser; anything that it raises must be ours."""
    with suppress(ForgetbenchError):
        parse()


def in_file(content: bytes, name: str, parse: Callable[[Path], Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        only_ours(lambda: parse(path))
        assert [each.name for each in Path(folder).iterdir()] == [name]


@FUZZ
@given(st.binary(max_size=200) | yaml_like.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_yaml_files(content: bytes) -> None:
    from forgetbench.engine.policy import read_policy
    from forgetbench.leaderboard.definition import read_board
    from forgetbench.models.system import read_system
    from forgetbench.tasks.definition import read_definition

    in_file(content, "x.yaml", read_definition)
    in_file(content, "x.yaml", read_policy)
    in_file(content, "x.yaml", lambda path: read_board(str(path)))
    in_file(content, "system.yaml", read_system)


TASK = {
    "name": "t", "version": 1, "title": "T", "role": "general", "margin": 0.1, "licence": "x", "kind": "asr",
    "metrics": ["wer"], "primary": "wer", "dataset": {"path": "d.jsonl", "fields": {"id": "id"}},
    "conditions": [{"noise": "babble", "snr_db": 5}],
}  # fmt: skip


@FUZZ
@given(st.sampled_from(sorted(TASK)), json_values)
def test_any_value_in_a_task_file(key: str, value: Any) -> None:
    import yaml

    from forgetbench.tasks.definition import read_definition

    text = yaml.safe_dump({**TASK, key: value}, allow_unicode=True)
    in_file(text.encode("utf-8", "surrogatepass"), "x.yaml", read_definition)


@FUZZ
@given(json_values | st.lists(json_values, max_size=3))
def test_rows_of_jsonl(value: Any) -> None:
    from forgetbench.data.tabular import read_rows

    lines = value if isinstance(value, list) else [value]
    in_file("\n".join(map(json.dumps, lines)).encode(), "x.jsonl", read_rows)


@FUZZ
@given(st.binary(max_size=300), st.sampled_from([".jsonl", ".csv", ".parquet", ".txt"]))
def test_tables_of_any_bytes(content: bytes, ending: str) -> None:
    from forgetbench.data.tabular import read_rows
    from forgetbench.data.training_table import read_training_table

    in_file(content, f"x{ending}", read_rows)
    in_file(content, f"x{ending}", read_training_table)


@FUZZ
@given(st.sampled_from([b"RIFF", b"OggS", b"fLaC", b"ID3", b""]), st.binary(max_size=400))
def test_audio_of_any_bytes(magic: bytes, content: bytes) -> None:
    from forgetbench.data.audio import read_audio

    try:
        samples, rate = read_audio(magic + content, "clip")
    except SampleError:
        return
    assert rate > 0 and samples.ndim == 1


@FUZZ
@given(st.binary(max_size=200), json_values)
def test_weights_of_any_bytes(data: bytes, header: Any) -> None:
    from forgetbench.models.safetensors_file import read_header

    in_file(data, "x.safetensors", read_header)
    text = json.dumps(header).encode()
    in_file(len(text).to_bytes(8, "little") + text + data, "x.safetensors", read_header)
    tensor = json.dumps({"a": header}).encode()
    in_file(len(tensor).to_bytes(8, "little") + tensor + data, "x.safetensors", read_header)


@FUZZ
@given(json_values, json_values, st.text(max_size=6))
def test_lm_eval_output(results: Any, sample: Any, name: str) -> None:
    from forgetbench.engine.lm_eval_documents import logged_document
    from forgetbench.engine.lm_eval_files import read_logged_run

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        whole = results if isinstance(results, dict) else {}
        content = {"configs": {"t": results, name: {}}, "results": {}, **whole}
        (place / "results_1.json").write_text(json.dumps(content))
        given_sample = {
            "doc_hash": "d",
            "metrics": ["acc"],
            "acc": sample,
            "resps": sample,
            "arguments": sample,
        }
        (place / "samples_t_1.jsonl").write_text(json.dumps(given_sample) + "\n" + json.dumps(sample))
        only_ours(lambda: logged_document(read_logged_run(place), "base", {}))
        (place / "samples_t_1.jsonl").write_text(json.dumps(given_sample))
        only_ours(lambda: logged_document(read_logged_run(place), "base", {}))


@FUZZ
@given(json_values)
def test_result_documents(value: Any) -> None:
    from forgetbench.engine.results import read_result
    from forgetbench.leaderboard.strict_json import read_json
    from forgetbench.schema.board import Submission
    from forgetbench.schema.run import RunDocument

    text = json.dumps(value).encode()
    in_file(text, "run.json", lambda path: read_result(path.parent))
    in_file(text, "x.json", lambda path: read_json(RunDocument, path))
    in_file(text, "x.json", lambda path: read_json(Submission, path))


@FUZZ
@given(st.binary(max_size=300), json_values)
def test_journals(content: bytes, value: Any) -> None:
    from forgetbench.engine.journal import Answer, Journal

    payload = json.dumps(value).encode()
    line = f"{zlib.crc32(payload):08x} ".encode() + payload + b"\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "j.jsonl"
        path.write_bytes(line + content)
        with Journal.open(path) as journal:
            journal.write({"own": Answer(prediction=None, error="x")})
        with Journal.open(path) as journal:
            assert journal.answers["own"].error == "x"


@FUZZ
@given(st.sampled_from([b"PK\x03\x04", b"\x1f\x8b", b"ustar", b""]), st.binary(max_size=600))
def test_archives_of_any_bytes(magic: bytes, content: bytes) -> None:
    from forgetbench.leaderboard.unpack import opened

    def unpack(path: Path) -> None:
        with opened(path):
            pass

    in_file(magic + content, "x.tar.gz", unpack)
    in_file(magic + content, "x.zip", unpack)


@FUZZ
@given(st.text(max_size=30))
def test_words_of_the_command_line(text: str) -> None:
    from forgetbench.cli import options
    from forgetbench.cli.budget import read_budget
    from forgetbench.cli.checkpoints import expand
    from forgetbench.models.system import is_inline, parse_inline
    from forgetbench.recipes.make import read_overrides

    readers: Sequence[Callable[[], Any]] = (
        lambda: read_budget(text),
        lambda: options.alphas(text),
        lambda: options.conditions([text]),
        lambda: options.conditions([f"noise=white,snr_db={text}"]),
        lambda: options.assignments("--role", [text]),
        lambda: options.make_settings(gen_kwargs=[text]),
        lambda: options.make_settings(gen_kwargs=[f"temperature={text}"]),
        lambda: expand([text]),
        lambda: parse_inline(text) if is_inline(text) else None,
        lambda: read_overrides([text]),
        lambda: read_overrides([f"rank={text}"]),
    )
    for read in readers:
        only_ours(read)


@FUZZ
@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
def test_what_a_terminal_is_shown_is_one_harmless_line(text: str) -> None:
    from forgetbench.redact import redact
    from forgetbench.report.escape import plain

    shown = plain(redact(text))
    assert not set(shown) & {chr(i) for i in (*range(32), *range(127, 160))}
    assert plain(shown) == shown


def test_a_bomb_of_nested_brackets_is_refused_by_every_reader_of_json(tmp_path: Path) -> None:
    from forgetbench.data.tabular import read_rows
    from forgetbench.engine.lm_eval_files import read_logged_run
    from forgetbench.leaderboard.strict_json import read_json
    from forgetbench.models.fingerprint import read_json as read_config
    from forgetbench.schema.run import RunDocument

    bomb = b"[" * 200_000
    for name, read in {
        "x.jsonl": read_rows, "x.json": lambda path: read_json(RunDocument, path), "config.json": read_config,
        "results_1.json": read_logged_run,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(bomb)
        with pytest.raises((DataError, UsageError)):
            read(tmp_path / name)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import zipfile

    from forgetbench.leaderboard import unpack

    monkeypatch.setattr(unpack, "MAX_FILE_BYTES", 1_000_000)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("result/run.json", io.BytesIO(bytes(50_000_000)).getvalue())
    assert (tmp_path / "bomb.zip").stat().st_size < 100_000
    with pytest.raises(DataError, match="larger than 1 MB"), unpack.opened(tmp_path / "bomb.zip"):
        pass
