"""Each bad input: one line on stderr that names it, the exit code, and nothing half-written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetbench.cli import main
from forgetbench.errors import UsageError
from tiny_models import make_lora

Case = Callable[[Path, Path, Path], list[str]]


def no_checkpoint(made: Path, tasks: Path, work: Path) -> list[str]:
    (work / "empty").mkdir()
    return ["--model", str(work / "empty"), "--tasks", "choices"]


def pickled(made: Path, tasks: Path, work: Path) -> list[str]:
    folder = Path(shutil.copytree(made / "llama", work / "pickled"))
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    return ["--model", str(folder), "--tasks", "choices"]


def no_gguf(made: Path, tasks: Path, work: Path) -> list[str]:
    (work / "model.gguf").write_bytes(b"no such thing")
    return ["--model", str(work / "model.gguf"), "--tasks", "choices"]


def lost_base(made: Path, tasks: Path, work: Path) -> list[str]:
    folder = Path(shutil.copytree(made / "lora", work / "lora"))
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "gone/base"}))
    return ["--model", str(folder), "--tasks", "choices"]


def other_shape(made: Path, tasks: Path, work: Path) -> list[str]:
    folder = make_lora(work / "lora", made / "llama")
    config = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps(config | {"r": 4}))
    return ["--model", str(folder), "--tasks", "choices"]


def truncated_weights(made: Path, tasks: Path, work: Path) -> list[str]:
    folder = Path(shutil.copytree(made / "llama", work / "cut"))
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    return ["--model", str(folder), "--tasks", "choices"]


def unknown_key(made: Path, tasks: Path, work: Path) -> list[str]:
    path = tasks / "choices.yaml"
    path.write_text(path.read_text() + "margen: 1\n")
    return ["--model", str(made / "lora"), "--tasks", "choices"]


def missing_fields(made: Path, tasks: Path, work: Path) -> list[str]:
    (work / "t.jsonl").write_text('{"audio": "a.wav"}\n')
    return ["--model", str(made / "lora"), "--target", str(work / "t.jsonl")]


def unwritable(made: Path, tasks: Path, work: Path) -> list[str]:
    (work / "file").write_text("")
    return ["--model", str(made / "lora"), "--tasks", "choices", "--output-path", str(work / "file" / "out")]


def conditions(made: Path, condition: str) -> list[str]:
    return ["--model", str(made / "lora"), "--tasks", "heard", "--condition", condition]


CASES: dict[str, tuple[Case, str]] = {
    "unknown suite": (
        lambda made, tasks, work: ["--model", str(made / "lora"), "--tasks", "retntion-mini"],
        r"'retntion-mini'.*Did you mean retention-mini",
    ),
    "unknown key in a task file": (unknown_key, r"choices\.yaml, line \d+, key `margen`: unknown key"),
    "nothing asked": (lambda made, tasks, work: ["--model", str(made / "lora")], r"nothing to measure"),
    "directory that is no checkpoint": (no_checkpoint, r"empty: .*no config\.json.*Name the directory"),
    "pickled weights": (pickled, r"pickle.*safetensors"),
    "not a GGUF file": (no_gguf, r"model\.gguf: is not a GGUF file"),
    "adapter without its base": (lost_base, r"gone/base"),
    "adapter of another shape": (other_shape, r"lora.*size mismatch.*base_model_name_or_path"),
    "truncated weights": (truncated_weights, r"cut"),
    "equal pair": (
        lambda made, tasks, work: [
            "--model", str(made / "llama"), "--base", str(made / "llama"), "--tasks", "choices",
        ],
        r"selftest",
    ),
    "no capable task": (
        lambda made, tasks, work: ["--model", str(made / "lora"), "--tasks", "heard"],
        r"every task was skipped.*transcribe",
    ),
    "limit of nothing": (
        lambda made, tasks, work: ["--model", str(made / "lora"), "--tasks", "choices", "--limit", "0"],
        r"--limit.*greater than or equal to 1",
    ),
    "limit of another task": (
        lambda made, tasks, work: ["--model", str(made / "lora"), "--tasks", "choices", "--limit=chices=3"],
        r"--limit chices=3: limits no task of this run.*choices",
    ),
    "limit that is no number": (
        lambda made, tasks, work: ["--model", str(made / "lora"), "--tasks", "choices", "--limit", "few"],
        r"--limit.*few is no number of samples",
    ),
    "target file without its fields": (missing_fields, r"t\.jsonl.*has the fields audio.*needs"),
    "condition with an unknown key": (
        lambda made, tasks, work: conditions(made, "noise=babble,snr=5"),
        r"unknown key 'snr'. Did you mean snr_db",
    ),
    "condition of an unknown noise": (
        lambda made, tasks, work: conditions(made, "noise=bable,snr_db=5"),
        r"noise cannot be 'bable'. Did you mean babble",
    ),
    "condition with a wrong number": (
        lambda made, tasks, work: conditions(made, "noise=babble,snr_db=loud"),
        r"snr_db cannot be 'loud': input should be a valid number",
    ),
    "condition that is incomplete": (
        lambda made, tasks, work: conditions(made, "noise=babble"),
        r"`noise` and `snr_db` belong together",
    ),
    "condition of an unknown listener": (
        lambda made, tasks, work: conditions(made, "hearing_loss=N8"),
        r"'N8' no standard audiogram has this name.*One of N1",
    ),
    "condition without its recordings": (
        lambda made, tasks, work: conditions(made, "noise=recordings,recordings=gone,snr_db=0"),
        r"gone does not exist",
    ),
    "condition whose folder has no recordings": (
        lambda made, tasks, work: (work / "empty").mkdir()
        or conditions(made, "noise=recordings,recordings=empty,snr_db=0"),
        "has no audio files",
    ),
    "condition of an impossible room": (
        lambda made, tasks, work: conditions(made, "rt60_s=0.01"),
        "rt60_s=0.01",
    ),
    "condition given twice": (
        lambda made, tasks, work: [*conditions(made, "hearing_loss=N2"), "--condition", "hearing_loss=N2"],
        r"'N2' is given twice",
    ),
    "condition without a speech task": (
        lambda made, tasks, work: [
            "--model", str(made / "lora"), "--tasks", "choices", "--condition", "hearing_loss=N2",
        ],
        r"no selected task is heard \(choices\)",
    ),
    "output that cannot be written": (unwritable, r"cannot be written"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_bad_input_is_one_clear_line_with_exit_code_2(
    name: str,
    made: Path,
    tiny_tasks: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    build, pattern = CASES[name]
    arguments = build(made, tiny_tasks, tmp_path)
    include = ["--include-path", str(tiny_tasks)]
    with pytest.raises(SystemExit) as left:
        main(["run", *include, "--no-mlflow", "--offline", *arguments])
    said = capfd.readouterr().err
    assert left.value.code == 2, said
    assert "Traceback" not in said
    assert re.search(pattern, said.replace("\n", " ")), said
    assert sum(line.startswith("error: ") for line in said.splitlines()) == 1, said
    assert not list(tmp_path.rglob("run*.json"))


def test_a_target_row_that_lacks_a_field_is_named(tmp_path: Path) -> None:
    from forgetbench.engine.run import Request, select_tasks

    target = tmp_path / "t.jsonl"
    target.write_text('{"prompt": "a", "answer": "b"}\n{"prompt": "a"}\n')
    with pytest.raises(UsageError, match="row 2: lacks 'answer'"):
        select_tasks(Request(model="m", target=target))
    with pytest.raises(UsageError, match="does not exist"):
        select_tasks(Request(model="m", target=tmp_path / "none.jsonl"))
