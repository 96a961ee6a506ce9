"""Hundreds of malformed inputs: each is one line and an exit code, and nothing is written.

Every input is a valid one with something wrong. What happens to be valid still may pass; how many of each
kind must be refused is counted, so that a mutation that stops to hurt is seen.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml

import mutations
from command_line import Ended, Terminal
from forgetbench.errors import ForgetbenchError, SampleError
from report_results import write_report_result
from tiny_tasks import choice_rows, pair_rows, write_task

REFUSED = {
    "task files": 40, "policies": 20, "boards": 15, "recipes": 15, "grids": 60, "run documents": 50,
    "sample files": 4, "lm-eval output": 25, "test sets": 25, "audio": 40, "checkpoints": 40, "archives": 25,
    "curves": 10, "training tables": 8, "command lines": 40,
}  # fmt: skip
"""At least so many inputs of each kind are refused."""
pytestmark = pytest.mark.slow

FOUND = ": refused"
MADE = frozenset((".lock", ".forgetbench-probe"))


def test_they_are_hundreds() -> None:
    assert sum(REFUSED.values()) >= 200


@dataclass
class Judge:
    """Runs a command on one bad input after another, and keeps what is wrong with the answers."""

    terminal: Terminal
    root: Path
    wrong: list[str] = field(default_factory=list)
    refused: int = 0
    asked: int = 0

    def ask(self, label: str, *words: object, found: str = "error: ") -> Ended:
        """Run a command that should refuse its input, or take it for good.

        ``found`` begins its output where it takes the input, and finds it wrong.
        """
        before = self._files()
        self.asked += 1
        ended = self.terminal(*words)
        if ended.code in (1, 2):
            self.refused += 1
            if len(ended.errors) != 1 and found not in ended.out:
                self.wrong.append(f"{label}: {ended.err[-600:]!r}")
            elif new := self._files() - before:
                self.wrong.append(f"{label}: was refused and wrote {sorted(new)}")
        elif ended.code not in (0, 3, 100):
            self.wrong.append(f"{label}: exit code {ended.code}")
        if "Traceback" in ended.err or "unexpected" in " ".join(ended.errors):
            self.wrong.append(f"{label}: {ended.err[-600:]!r}")
        return ended

    def _files(self) -> set[str]:
        return {
            str(path.relative_to(self.root)) for path in self.root.rglob("*")
            if path.is_file() and "cache" not in path.parts and not path.name.endswith(tuple(MADE))
        }  # fmt: skip

    def conclude(self, kind: str) -> None:
        """Fail where an answer was wrong, or too few inputs were refused; ``pytest -rP`` shows how many."""
        sys.stdout.write(f"{kind}: {self.refused} of {self.asked} refused\n")
        assert not self.wrong, f"{len(self.wrong)} of them:\n" + "\n".join(self.wrong[:12])
        assert self.refused >= REFUSED[kind], f"{self.refused} refused"


@pytest.fixture
def judge(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    monkeypatch.chdir(tmp_path)
    return Judge(terminal, tmp_path)


def damaged(path: Path, tree: Any, dump: Callable[[Any], str], *, n: int, seed: int = 3) -> Iterator[str]:
    """Write one damaged copy of a document after another to ``path``; yield what is wrong with it."""
    for label, changed in mutations.of_tree(tree, n=n, seed=seed):
        path.write_text(dump(changed), encoding="utf-8", errors="replace")
        yield label
    for label, content in mutations.of_bytes(dump(tree).encode(), n=n // 3, seed=seed):
        path.write_bytes(content)
        yield label


def as_yaml(tree: Any) -> str:
    return yaml.safe_dump(tree, allow_unicode=True)


HAND_MADE_YAML = {
    "a tag": "name: !!python/object/apply:os.system ['touch hacked']\n",
    "another tag": "!!python/object/new:str {}\n",
    "a key twice": "name: a\nname: b\n",
    "a list for a key": "? [a, b]\n: 1\n",
    "a mapping for a key": "? {a: b}\n: 1\n",
    "an alias without an anchor": "name: *gone\n",
    "an alias of itself": "name: &a [*a]\n",
    "a bomb of aliases": "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(20)
    ),
    "a merge of a text": "<<: text\nname: a\n",
    "two documents": "name: a\n---\nname: b\n",
    "a tab": "name:\n\t- a\n",
    "a control character": "name: a\x07b\n",
    "a number without end": "version: " + "9" * 5_000 + "\n",
    "a date": "name: 2001-01-01\n",
    "nothing": "",
    "a list": "- a\n",
    "more than 1 MB": "name: " + "a" * 1_100_000 + "\n",
}  # fmt: skip


def test_task_files(judge: Judge, tiny_tasks: Path) -> None:
    path = judge.root / "bad.yaml"
    for seed, kind in enumerate(("choices", "refusals", "heard", "leaning")):
        tree = yaml.safe_load((tiny_tasks / f"{kind}.yaml").read_text())
        for label in damaged(path, tree, as_yaml, n=40, seed=seed):
            judge.ask(f"{kind}, {label}", "tasks", "validate", path)
    for label, text in HAND_MADE_YAML.items():
        path.write_text(text)
        assert judge.ask(label, "tasks", "validate", path).code == 2, label
    assert not (judge.root / "hacked").exists()
    judge.conclude("task files")


def test_policies(judge: Judge) -> None:
    result = write_report_result(judge.root / "result")
    path = judge.root / "policy.yaml"
    tree = {
        "margins": {"default": {"general": 0.02}, "tasks": {"facts": 0.01}}, "required": ["facts"],
        "target": "ignored", "groups": [],
    }  # fmt: skip
    for label in damaged(path, tree, as_yaml, n=40):
        judge.ask(label, "gate", result, "--policy", path)
    for label, text in HAND_MADE_YAML.items():
        path.write_text(text)
        judge.ask(label, "gate", result, "--policy", path)
    for margin in ("1.0e-320", "5.0e-324", "1.0e+308", "1" + "0" * 400):
        path.write_text(f"margins: {{tasks: {{facts: {margin}}}}}")
        assert (
            "margins.tasks.facts"
            in judge.ask(f"a margin of {margin[:9]}", "gate", result, "--policy", path).errors[0]
        )
    judge.conclude("policies")


def test_boards(judge: Judge) -> None:
    path = judge.root / "board.yaml"
    tree = {"name": "tiny", "title": "Tiny losses", "tasks": ["retention-mini"], "roles": ["general"]}
    (judge.root / "results").mkdir()
    for label in damaged(path, tree, as_yaml, n=30):
        judge.ask(label, "leaderboard", "build", path, "--output", judge.root / "site" / "cache")
    for label, text in HAND_MADE_YAML.items():
        path.write_text(text)
        judge.ask(label, "leaderboard", "build", path, "--output", judge.root / "site" / "cache")
    for margin in ("1.0e-320", "5.0e-324"):
        path.write_text(as_yaml(tree) + f"margins: {{roles: {{general: {margin}}}}}")
        ended = judge.ask(margin, "leaderboard", "build", path, "--output", judge.root / "site" / "cache")
        assert "margins.roles.general" in ended.errors[0]
    judge.conclude("boards")


def test_recipes(judge: Judge, made: Path) -> None:
    path = judge.root / "own.yaml"
    (judge.root / "data.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    tree = {
        "method": "sft", "family": "causal_lm", "model": str(made / "llama"), "data": "data.jsonl",
        "output": "trained", "steps": 0, "peft": {"peft_type": "LORA", "r": -2},
    }  # fmt: skip
    for label in damaged(path, tree, as_yaml, n=30):
        judge.ask(label, "recipe", "run", path, "--offline")
    path.write_text(as_yaml({**tree, "steps": 1, "learning_rate": 0.1, "batch_size": 1, "peft": None}))
    for word in (
        f"steps={10**400}", f"rank={10**400}", "seed=-1", f"seed={2**40}", 'data="\\0"', 'output="\\0"',
        "peft.peft_type=IA3", "dpo_beta=1",
    ):  # fmt: skip
        assert judge.ask(word[:20], "recipe", "run", path, word, "--offline").code == 2, word[:20]
    judge.conclude("recipes")


def test_grids(judge: Judge, made: Path, tiny_tasks: Path) -> None:
    path = judge.root / "grid.yaml"
    (judge.root / "data.jsonl").write_text('{"prompt": "a", "answer": "b"}\n')
    tree = {
        "name": "tiny", "model": str(made / "llama"), "data": "data.jsonl", "tasks": ["choices"],
        "include_paths": [str(tiny_tasks)], "common": {"steps": 2}, "seeds": [0],
        "grid": [{"recipe": "lora", "rank": [1, 2]}, {"recipe": "full", "interpolation": [0.5, 1]}],
    }  # fmt: skip
    words = ("sweep", path, "--dry-run", "--offline", "--output-path", judge.root / "cache")
    path.write_text(as_yaml(tree))
    assert judge.ask("a good one", *words).code == 0
    for key, value in (
        ("interpolation", []), ("rank", []), ("save_steps", []), ("noise", []), ("seeds", [[0]]),
        ("seeds", [{"a": 0}]), ("steps", 10**400), ("batch_size", 10**400), ("rank", 10**400),
        ("ewc_data", "\0"), ("replay", {"data": "\0", "share": 0.5}), ("recipe", "\0.yaml"),
        ("peft", {"peft_type": "IA3"}), ("reward", "answer_words"),
    ):  # fmt: skip
        path.write_text(as_yaml({**tree, "grid": [{"recipe": "lora", "ewc": 1, key: value}]}))
        assert judge.ask(f"{key} {value!r:.20}", *words).code == 2, key
    for key, value in (("data", "\0"), ("target", "\0"), ("seeds", [2**40]), ("seeds", [-1])):
        path.write_text(as_yaml({**tree, key: value}))
        assert judge.ask(f"{key} {value!r}", *words).code == 2, key
    for label in damaged(path, tree, as_yaml, n=40):
        judge.ask(label, *words)
    for label, text in HAND_MADE_YAML.items():
        path.write_text(text)
        assert judge.ask(label, *words).code == 2, label
    judge.conclude("grids")


def documents_of(directory: Path) -> Iterator[Path]:
    for name in ("run.json", "run.base.json", "comparison.json"):
        yield directory / name


def test_run_documents(judge: Judge) -> None:
    whole = write_report_result(judge.root / "whole")
    bad = judge.root / "bad"
    commands: Sequence[Sequence[object]] = (
        ("report", bad, "--format", "markdown"),
        ("gate", bad, "--policy", judge.root / "policy.yaml"),
        ("compare", whole, bad, "--output-path", judge.root / "cache"),
        ("card", bad, "--to", judge.root / "cache"),
        ("rescore", bad, "--normaliser", "none", "--output-path", judge.root / "cache"),
        ("mlflow", "sync", bad),
        ("curves", bad, "--output-path", judge.root / "cache", "--no-mlflow"),
        ("leaderboard", "submit", bad, "--submitter", "me", "--output", judge.root / "cache"),
    )
    (judge.root / "policy.yaml").write_text("target: ignored\n")
    number = 0
    for source in documents_of(whole):
        shutil.rmtree(bad, ignore_errors=True)
        shutil.copytree(whole, bad)
        for label in damaged(bad / source.name, json.loads(source.read_text()), json.dumps, n=40):
            judge.ask(f"{source.name}, {label}", *commands[number % len(commands)])
            number += 1
    shutil.rmtree(bad)
    shutil.copytree(whole, bad)
    for name, change in {
        "run.json": lambda d: d["checkpoint"]["components"][0].update(parameters=10**400),
        "comparison.json": lambda d: d["rows"][0].update(n=10**400),
    }.items():
        tree = json.loads((whole / name).read_text())
        change(tree)
        (bad / name).write_text(json.dumps(tree))
        for words in commands[0], ("leaderboard", "verify", bad):
            judge.ask(f"{name}, a count of 400 digits", *words, found=FOUND)
        (bad / name).write_text((whole / name).read_text())
    for margin in ("1e-320", "1e308", "nan"):
        words = ("compare", whole / "run.base.json", whole / "run.json", "--margin", f"facts={margin}")
        ended = judge.ask(f"--margin {margin}", *words)
        assert "is not between 1e-06 and 1e+09" in ended.errors[0]
    judge.conclude("run documents")


def test_sample_files(judge: Judge) -> None:
    whole = write_report_result(judge.root / "whole")
    bad = judge.root / "bad"
    shutil.copytree(whole, bad)
    file = bad / "samples" / "checkpoint" / "facts.parquet"
    content = file.read_bytes()
    for label, changed in mutations.of_bytes(content, n=6, seed=1):
        file.write_bytes(changed)
        judge.ask(label, "compare", whole, bad, "--output-path", judge.root / "cache")
    import hashlib

    run = json.loads((bad / "run.json").read_text())
    entry = next(task for task in run["tasks"] if task["name"] == "facts")["samples"]
    for label, changed in mutations.of_bytes(content, n=12, seed=2):  # forged: the hash is that of the damage
        file.write_bytes(changed)
        entry["sha256"] = hashlib.sha256(changed).hexdigest()
        (bad / "run.json").write_text(json.dumps(run))
        judge.ask(f"forged, {label}", "compare", whole, bad, "--output-path", judge.root / "cache")
    for label, changed in forged_tables(content):  # tables, but not of this task
        file.write_bytes(changed)
        entry["sha256"] = hashlib.sha256(changed).hexdigest()
        (bad / "run.json").write_text(json.dumps(run))
        for command in ("compare", whole, bad, "--output-path", judge.root / "cache"), ("report", bad):
            assert "facts.parquet" in judge.ask(label, *command).errors[0], label
    for path in ("../whole/samples/checkpoint/facts.parquet", "/etc/passwd"):
        entry["path"] = path
        (bad / "run.json").write_text(json.dumps(run))
        assert "lead out of the result" in judge.ask(path, "compare", whole, bad).errors[0]
    judge.conclude("sample files")


def forged_tables(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield tables that are none of the task's: columns lost or of another type, answers that are none."""
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(content))
    for column in ("id", "prediction", "error", "input", "acc"):
        yield f"no {column}", table.drop(columns=column).to_parquet()
        yield f"{column} as dates", table.assign(**{column: pd.Timestamp("2026-01-01")}).to_parquet()
    for answer in ("{", "[1]", '{"zzz": 1}', '{"loglikelihoods": ["a"]}', "[" * 5000):
        yield f"the answer {answer[:20]}", table.assign(prediction=answer).to_parquet()
    yield "a column more", table.assign(other=1.0).to_parquet()
    yield "infinite scores", table.assign(acc=float("inf")).to_parquet()


def logged(folder: Path) -> tuple[Path, Path]:
    """Write what lm-eval writes of one task; return its results file and its samples file."""
    folder.mkdir(parents=True)
    results = {
        "results": {"facts": {"acc,none": 0.5}}, "configs": {"facts": {"output_type": "multiple_choice"}},
        "versions": {"facts": 1}, "n-shot": {"facts": 0}, "higher_is_better": {"facts": {"acc": True}},
        "n-samples": {"facts": {"original": 4, "effective": 4}}, "group_subtasks": {"both": ["facts"]},
        "config": {"model": "hf", "batch_size": "4", "random_seed": 0, "limit": 4.0, "model_dtype": "x"},
        "model_name": folder.name, "chat_template_sha": "ab", "fewshot_as_multiturn": False,
    }  # fmt: skip
    samples = [
        {
            "doc_id": i, "doc": {}, "target": "a", "filter": "none", "metrics": ["acc"], "acc": float(i % 2),
            "arguments": {"gen_args_0": {"arg_0": "q", "arg_1": "a"}}, "resps": [[["-1.0", "True"]]],
            "filtered_resps": [["-1.0", "True"]], "doc_hash": f"d{i}", "prompt_hash": "p", "target_hash": "t",
        }
        for i in range(4)
    ]  # fmt: skip
    (folder / "results_2026.json").write_text(json.dumps(results))
    (folder / "samples_facts_2026.jsonl").write_text("".join(json.dumps(s) + "\n" for s in samples))
    return folder / "results_2026.json", folder / "samples_facts_2026.jsonl"


def test_lm_eval_output(judge: Judge) -> None:
    logged(judge.root / "base")
    results, samples = logged(judge.root / "checkpoint")
    ask = ("compare", "base", "checkpoint", "--output-path", judge.root / "cache")
    assert judge.terminal(*ask).code in (0, 1)
    good = results.read_text()
    for label in damaged(results, json.loads(good), json.dumps, n=60):
        judge.ask(label, *ask)
    for name in ("../facts", "a/b", "", "x" * 400, "\x00"):
        results.write_text(json.dumps({**json.loads(good), "configs": {name: {}}}))
        judge.ask(f"a task named {name[:9]!r}", *ask)
    cycle = {"group_subtasks": {"a": ["b"], "b": ["a"], "c": ["a", "facts"]}}
    results.write_text(json.dumps({**json.loads(good), **cycle}))
    judge.ask("groups in a circle", *ask)
    results.write_text(good)
    config = json.loads(good)["config"]
    for label, changed in {
        "a limit without end": {"config": config | {"limit": float("inf")}},
        "too many parameters": {"config": config | {"model_num_parameters": 10**400}},
        "too many samples": {"n-samples": {"facts": {"original": 10**400, "effective": -5}}},
    }.items():
        results.write_text(json.dumps({**json.loads(good), **changed}))
        judge.ask(label, *ask)
    results.write_text(good)
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    for label in damaged(samples, lines, lambda rows: "\n".join(map(json.dumps, rows)), n=60):
        judge.ask(label, *ask)
    for score in ("1" + "0" * 400, "1e308", "-1e308", "NaN"):
        line = json.dumps(lines[0]).replace('"acc": 0.0', f'"acc": {score}')
        samples.write_text("\n".join([line, *map(json.dumps, lines[1:])]))
        judge.ask(f"a score of {score[:6]}", *ask)
    samples.write_text(rows_as_text(lines))
    results.write_text(good.replace('"model_name": "checkpoint"', '"model_name": "\\ud800"'))
    assert "surrogates" in judge.ask("half a character", *ask).errors[0]
    judge.conclude("lm-eval output")


def rows_as_text(rows: list[Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_test_sets(judge: Judge, tiny_tasks: Path) -> None:
    common = ["run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--dry-run"]
    path = judge.root / "own.jsonl"
    for label in damaged(path, pair_rows(4), rows_as_text, n=40):
        judge.ask(f"target, {label}", *common, "--target", path, "--offline")
    data = tiny_tasks / "choices.jsonl"
    for label in damaged(data, choice_rows(4), rows_as_text, n=40, seed=4):
        judge.ask(
            f"choices, {label}", *common, "--tasks", "choices", "--include-path", tiny_tasks, "--offline"
        )
    for name, content in {
        "wide.csv": b"prompt,answer\na,b,c\n", "null.csv": b"prompt,answer\na\x00,b\n", "own.txt": b"a",
        "cut.parquet": b"PAR1", "latin.csv": "prompt,answer\nä,ö\n".encode("latin-1"), "none.jsonl": b"",
        "quotes.csv": b'prompt,answer\n"a,b\n', "twice.csv": b"id,prompt,answer\n1,a,b\n1,a,b\n",
    }.items():  # fmt: skip
        (judge.root / name).write_bytes(content)
        judge.ask(name, *common, "--target", judge.root / name, "--offline")
    judge.conclude("test sets")


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_audio(ending: str, tmp_path: Path) -> None:
    from forgetbench.data.audio import read_audio

    file = io.BytesIO()
    tone = 0.3 * np.sin(np.arange(16_000) / 20)
    soundfile.write(file, tone, 16_000, format=ending.upper())
    refused, codes = 0, set()
    for label, content in mutations.of_bytes(file.getvalue(), n=120, seed=5):
        try:
            samples, rate = read_audio(content, "clip")
        except SampleError as error:
            refused, codes = refused + 1, codes | {error.code}
            assert str(error).count("\n") == 0 and "clip" in str(error), label
        else:
            assert rate > 0 and samples.dtype == np.float32 and np.isfinite(samples).all(), label
    assert refused >= REFUSED["audio"]
    assert codes <= {"corrupt_audio", "truncated_audio", "empty_audio", "nonfinite_audio"}


def test_checkpoints(judge: Judge, made: Path) -> None:
    write_task(
        judge.root, "tiny", choice_rows(2), kind="multiple_choice", prompt="{question}", metrics=["acc"],
        primary="acc", chance=0.3,
    )  # fmt: skip
    common = ["run", "--dry-run", "--offline", "--tasks", "tiny", "--include-path", judge.root / "tiny.yaml"]
    for name, files in {
        "llama": ("config.json", "tokenizer_config.json", "tokenizer.json"), "lora": ("adapter_config.json",),
    }.items():  # fmt: skip
        for seed, file in enumerate(files):
            folder = judge.root / "cache" / f"{name}-{seed}"
            shutil.copytree(made / name, folder)
            tree = json.loads((folder / file).read_text())
            for label in damaged(folder / file, tree, json.dumps, n=15 if name == "llama" else 40, seed=seed):
                judge.ask(f"{file}, {label}", *common, "--model", folder, "--base", made / "other")
    folder = judge.root / "cache" / "weights"
    shutil.copytree(made / "llama", folder)
    weights = (folder / "model.safetensors").read_bytes()
    length = int.from_bytes(weights[:8], "little")
    headers = [
        b"{}", b"[" * 50_000, b"\xff", b'{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}',
        b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [9, 4]}}',
    ]  # fmt: skip
    bad = [(f"header {h[:40]!r}", len(h).to_bytes(8, "little") + h + weights[8 + length :]) for h in headers]
    for label, content in [*mutations.of_bytes(weights[: 8 + length], n=20, seed=6), *bad]:
        (folder / "model.safetensors").write_bytes(content)
        judge.ask(f"weights, {label}", *common, "--model", folder, "--base", made / "other")
    for name in ("model.gguf", "model.onnx", "model.pt2", "model.pt", "system.yaml"):
        for label, content in mutations.of_bytes(b"GGUF" + bytes(range(256)), n=6, seed=7):
            (judge.root / "cache" / name).write_bytes(content)
            judge.ask(f"{name}, {label}", *common, "--model", judge.root / "cache" / name)
    judge.conclude("checkpoints")


def test_archives(judge: Judge) -> None:
    result = write_report_result(judge.root / "whole")
    packed = judge.root / "good.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(result, arcname="result")
    zipped = judge.root / "good.zip"
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in result.rglob("*.*"):
            archive.write(file, f"result/{file.relative_to(result)}")
    for good in (packed, zipped):
        bad = judge.root / f"bad{good.suffix}"
        for label, content in mutations.of_bytes(good.read_bytes(), n=25, seed=8):
            bad.write_bytes(content)
            judge.ask(f"{good.name}, {label}", "leaderboard", "verify", bad, found=FOUND)
    for label, member in hostile_members().items():
        bad = judge.root / "hostile.tar"
        with tarfile.open(bad, "w") as archive:
            archive.addfile(member, io.BytesIO(bytes(member.size)))
        assert judge.ask(label, "leaderboard", "verify", bad).code == 1, label
    bomb = judge.root / "bomb.tar.gz"
    with tarfile.open(bomb, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        member = tarfile.TarInfo("result/run.json")
        member.pax_headers = {"comment": "x" * 30_000_000}
        archive.addfile(member)
    assert "too large" in judge.ask("a header of 30 MB", "leaderboard", "verify", bomb).errors[0]
    with zipfile.ZipFile(judge.root / "up.zip", "w") as archive:
        archive.writestr("../escaped.txt", "x")
    assert judge.ask("a path out of a zip file", "leaderboard", "verify", judge.root / "up.zip").code == 1
    assert not list(judge.root.parent.rglob("escaped*"))
    judge.conclude("archives")


def hostile_members() -> dict[str, tarfile.TarInfo]:
    def member(name: str, **fields: Any) -> tarfile.TarInfo:
        made = tarfile.TarInfo(name)
        for key, value in fields.items():
            setattr(made, key, value)
        return made

    return {
        "a path upwards": member("../escaped.txt", size=4),
        "an absolute path": member("/tmp/escaped.txt", size=4),
        "a symbolic link": member("result/run.json", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "a hard link": member("result/run.json", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        "a device": member("result/null", type=tarfile.CHRTYPE),
        "a pipe": member("result/pipe", type=tarfile.FIFOTYPE),
        "a hidden file": member("result/.bashrc", size=4),
        "a backslash": member("result\\..\\escaped.txt", size=4),
    }


def test_curves(judge: Judge) -> None:
    result = write_report_result(judge.root / "result")
    path = judge.root / "curve.json"
    for label, content in mutations.of_bytes(b'{"schema_version": 1, "points": []}', n=20, seed=9):
        path.write_bytes(content)
        judge.ask(label, "report", result, "--curve", path, "--output", judge.root / "cache" / "page.html")
    judge.conclude("curves")


def test_training_tables(judge: Judge) -> None:
    result = write_report_result(judge.root / "result")
    path = judge.root / "training.csv"
    good = b"checkpoint,method,steps\nwhisper-tiny-lora,lora,24\n"
    for label, content in mutations.of_bytes(good, n=30, seed=10):
        path.write_bytes(content)
        judge.ask(label, "report", result, "--format", "csv", "--training", path)
    judge.conclude("training tables")


COMMAND_LINES = (
    "nothing", "run", "run --model", "run --model x", "run --model '' --tasks choices",
    "run --model no/such-model --tasks retention-mini --offline", "run --model ./gone --tasks retention-mini",
    "run --model x --tasks choices --limit -1", "run --model x --tasks choices --limit many",
    "run --model x --tasks choices --batch-size 0", "run --model x --tasks choices --repeats 0",
    "run --model x --tasks choices --dtype int3", "run --model x --tasks choices --chat-template mine",
    "run --model x --tasks choices --budget 30", "run --model x --tasks choices --budget -3h",
    "run --model x --tasks choices --alpha 2", "run --model x --tasks choices --alpha a,b",
    "run --model x --tasks choices --gen-kwargs temperature", "run --model x --tasks choices --role a",
    "run --model x --tasks choices --gen-kwargs temperature=hot", "run --model x --tasks choices --role a=b",
    "run --model x --tasks choices --repeats 3", "run --model x --target gone.jsonl", "run --unknown",
    "run --model x --tasks choices --include-path gone", "run --model x --tasks choices --gate gone.yaml",
    "run --model x --tasks choices --condition noise", "run --model x --tasks choices --power 2",
    "run --model 'x*' --tasks choices", "run --model asr=,lm=x --tasks choices", "run --model os:abort",
    "run --model asr=x,asr=y --tasks choices", "run --model nose=x --tasks choices", "compare gone",
    "compare gone gone", "compare . .", "compare gone gone --margin a", "compare gone gone --margin a=-1",
    "run --model x --tasks choices --power-analysis --effect-size 1e-200",
    "report gone", "report . --format pdf", "gate gone --policy gone.yaml", "gate . --policy .",
    "tasks show gone", "tasks validate gone.yaml", "tasks validate .", "tasks unknown", "fetch --tasks gone",
    "rescore gone --normaliser none", "selftest --model gone --tasks retention-mini --offline", "card gone",
    "curves gone", "sequence gone", "sweep gone", "recipe show gone", "recipe run gone", "schema gone",
    "mlflow sync gone", "mlflow ui --port 0", "leaderboard build gone", "leaderboard verify gone",
    "sweep gone --seed -1", "curves gone --seed -1",
    "leaderboard submit gone --submitter me", "leaderboard publish gone --to gone", "sequence . --stages x",
)  # fmt: skip


def test_command_lines(judge: Judge) -> None:
    import shlex

    for line in COMMAND_LINES:
        ended = judge.ask(line, *shlex.split(line))
        assert ended.code in (1, 2), f"{line}: exit code {ended.code}"
    judge.conclude("command lines")


def test_values_that_no_file_can_hold(judge: Judge, tiny_tasks: Path, made: Path) -> None:
    """Half a character, a number of five thousand digits, a name that is longer than any."""
    common = ["run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--no-mlflow"]
    own, task = judge.root / "own.jsonl", judge.root / "own.yaml"
    for label, row in {
        "half a character": '{"prompt": "a", "answer": "\\ud800"}',
        "a long number": '{"prompt": "a", "answer": "b", "n": %s}' % ("9" * 5000),
    }.items():
        own.write_text(row)
        assert "line 1: is not JSON" in judge.ask(label, *common, "--target", own).errors[0]
        words = ("recipe", "run", "lora", "--model", made / "llama", "--data", own, "--output", "out")
        assert "own.jsonl:1: is not JSON" in judge.ask(label, *words).errors[0]
    good = (tiny_tasks / "choices.yaml").read_text()
    for label, line in {
        "half a character": 'title: "\\uD800"',
        "a tag": "title: !!str Choices",
        "a tag of its own": "title: ! Choices",
        "a merge": "<<: {title: Choices}",
    }.items():
        task.write_text(re.sub("(?m)^title: .*$", lambda _, line=line: line, good))
        ended = judge.ask(label, "tasks", "validate", task, found="✗")
        assert f"{task}, line" in ended.out.replace("\n", "") and ended.code == 2, label
    long = "x" * 5000
    for words in (
        ["--limit", "9" * 5000], ["--target", long], ["--include-path", long], ["--base", f"./{long}"],
        ["--output-path", long], ["--model", f"./{long}"],
    ):  # fmt: skip
        ended = judge.ask(words[0], *common, "--tasks", "choices", *words)
        assert ended.code in (1, 2) and len(ended.errors[0]) < 6000
    assert not judge.wrong, judge.wrong[:5]
    assert judge.refused == judge.asked


def test_an_adapter_s_pattern_that_never_ends_is_refused(
    judge: Judge, made: Path, tiny_tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetbench.models.weights._PATIENCE_S", 1.0)
    folder = Path(shutil.copytree(made / "lora", judge.root / "lora"))
    config = json.loads((folder / "adapter_config.json").read_text())
    words = ("--tasks", "choices", "--include-path", tiny_tasks, "--no-mlflow", "--output-path", "results")
    for pattern in ("(.*.*.*.*.*.*.*.*.*.*)*x$", "(((.*"):
        (folder / "adapter_config.json").write_text(json.dumps(config | {"target_modules": pattern}))
        ended = judge.ask(pattern, "run", "--model", folder, *words)
        assert "by a pattern that cannot be used" in ended.err


def test_every_class_of_error_is_met(judge: Judge, made: Path, tmp_path: Path, faults: Any) -> None:
    """One command for each class of error that the program has; a new class must come with one."""
    met: set[str] = set()
    original = ForgetbenchError.__init__

    def noted(self: ForgetbenchError, *arguments: Any, **options: Any) -> None:
        met.add(type(self).__name__)
        original(self, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ForgetbenchError, "__init__", noted)
        judge.terminal("tasks", "show", "gone")
        judge.terminal("compare", "gone", "gone")
        judge.terminal("run", "--model", "./gone", "--tasks", "retention-mini")
        logged(judge.root / "a")[0].write_text("{")
        judge.terminal("compare", "a", "a")
        folder = judge.root / "heard"
        folder.mkdir()
        (folder / "own.jsonl").write_text('{"audio": "gone.wav", "text": "a"}\n')
        ears = ["--model", "faulty_models:checkpoint_ears", "--base", "faulty_models:base_ears"]
        judge.terminal("run", *ears, "--target", folder / "own.jsonl", "--no-mlflow", "--offline")
        from forgetbench.engine.storage import storing
        from forgetbench.errors import MissingPackageError, StorageError

        with pytest.raises(StorageError), storing(folder):
            folder.write_bytes(b"")
        assert MissingPackageError("x", "y", extra="z").exit_code == 2
    everything = {ForgetbenchError, *subclasses(ForgetbenchError)}
    assert met == {kind.__name__ for kind in everything}


def subclasses(kind: type) -> set[type]:
    return {kind for own in kind.__subclasses__() for kind in (own, *subclasses(own))}


def test_every_code_of_a_sample_is_met_by_a_test() -> None:
    """The codes that stand in the program's source, against those that a test asserts."""
    import ast

    root = Path(__file__).resolve().parents[2]
    files = (root / "harness" / "forgetbench").rglob("*.py")
    nodes = [node for path in files for node in ast.walk(ast.parse(path.read_text()))]
    constants = dict(found for node in nodes if (found := _constant_in(node)))
    codes = {constants[name] for name in ("LOST_AUDIO", "INTERRUPTED", "NO_RECORD")}
    for node in nodes:
        codes |= _codes_in(node, constants)
    assert len(codes) >= 15 and {"unequal_features", "model_error", "unparsable_verdict"} <= codes
    others = [path for path in (root / "tests").rglob("*.py") if path.name != Path(__file__).name]
    tests = "\n".join(path.read_text() for path in others)
    assert not {code for code in codes if not re.search(rf"[\"'( {{]{code}[\"') ,:]", tests)}


def _constant_in(node: Any) -> tuple[str, str] | None:
    import ast

    if isinstance(node, ast.Assign) and isinstance(getattr(node.value, "value", None), str):
        return getattr(node.targets[0], "id", ""), node.value.value
    return None


def _codes_in(node: Any, constants: dict[str, str]) -> set[str]:
    """Return the codes that a call names, as a literal or by a constant."""
    import ast

    called = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
    named = node.args[:1] if called == "SampleError" else []
    if called in ("Answer", "Scored"):
        named = [keyword.value for keyword in node.keywords if keyword.arg == "error"]
    inside = [p for value in named if not isinstance(value, ast.Subscript) for p in ast.walk(value)]
    literals = {part.value for part in inside if isinstance(part, ast.Constant) and part.value}
    return literals | {
        constants[part.id] for part in inside if isinstance(part, ast.Name) and part.id in constants
    }
