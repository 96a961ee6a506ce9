"""A full disk, a damaged cache, a clock that jumps, a tracker that dies: said in one line, nothing lost."""

from __future__ import annotations

import json
import random
import resource
import shutil
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import faulty_models
import mutations
from command_line import Ended, Terminal, content
from faulty_models import Fault

pytestmark = pytest.mark.slow

Run = Callable[..., Ended]


@pytest.fixture
def run(terminal: Terminal, tiny_tasks: Path, tmp_path: Path, faults: dict[str, Fault]) -> Run:
    """``run(output)`` runs a pair of stub models, with the cache ``cache`` below ``tmp_path``."""

    def call(output: Path | None = None, *more: object, tasks: str = "choices,short,leaning") -> Ended:
        return terminal(
            "run", "--model", "faulty_models:checkpoint", "--base", "faulty_models:base", "--tasks", tasks,
            "--include-path", tiny_tasks, "--batch-size", "4", "--no-mlflow", "--offline",
            "--output-path", output or tmp_path / "results", *more,
        )  # fmt: skip

    return call


def whole(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what the run says where nothing is wrong."""
    with monkeypatch.context() as patch:
        patch.setenv("FORGETBENCH_CACHE", str(tmp_path / "sound-cache"))
        assert run(tmp_path / "sound").code == 0
    return content(tmp_path / "sound")


@contextmanager
def files_no_larger_than(n_bytes: int) -> Iterator[None]:
    """Let every write beyond this size of a file fail, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("n_bytes", [300, 900, 2_500, 4_000, 7_000])
def test_a_write_that_fails_ends_the_run_in_one_line_and_the_next_goes_on(
    n_bytes: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(run, tmp_path, monkeypatch)
    with files_no_larger_than(n_bytes):
        ended = run()
    assert ended.code == 1
    assert len(ended.errors) == 1 and "cannot be written (File too large). Make room there" in ended.errors[0]
    faulty_models.ASKED.clear()
    assert run().code == 0
    assert content(tmp_path / "results") == expected
    if n_bytes >= 2_500:
        assert len(faulty_models.ASKED) < 2 * 20, "batches that had been written are not computed again"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """``small_disk("64k")``: a file system of that size, mounted below ``tmp_path``."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        place = tmp_path / f"disk-{size}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
        if (
            shutil.which("mount") is None
            or subprocess.run(command, capture_output=True, check=False).returncode
        ):
            pytest.skip("file systems cannot be mounted here")
        mounted.append(place)
        return place

    yield mount
    for place in mounted:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("what", ["cache", "results"])
@pytest.mark.parametrize("size", ["4k", "12k", "20k"])
def test_a_disk_that_is_full_loses_nothing(
    what: str,
    size: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_disk: Callable[[str], Path],
) -> None:
    expected = whole(run, tmp_path, monkeypatch)
    disk = small_disk(size)
    if what == "cache":
        monkeypatch.setenv("FORGETBENCH_CACHE", str(disk))
    output = disk if what == "results" else tmp_path / "results"
    ended = run(output)
    assert ended.code in (1, 2), ended.err
    assert len(ended.errors) == 1 and "No space left on device" in ended.errors[0]
    remount(disk, "size=64m")
    assert run(output).code == 0
    assert content(output) == expected


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


def test_a_read_only_output_ends_before_any_model_is_asked(
    run: Run, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("1m")
    remount(disk, "ro")
    ended = run(disk)
    assert (ended.code, faulty_models.ASKED) == (2, [])
    assert "cannot be written (Read-only file system)" in ended.errors[0]


def test_an_output_that_turns_read_only_in_the_middle_keeps_the_cache(
    run: Run, tmp_path: Path, small_disk: Callable[[str], Path], faults: dict[str, Fault],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    expected = whole(run, tmp_path, monkeypatch)
    disk = small_disk("1m")
    faults["checkpoint"] = once(lambda: remount(disk, "ro"), at=3)
    ended = run(disk)
    assert ended.code == 1 and "cannot be written (Read-only file system)" in ended.errors[0]
    remount(disk, "rw")
    assert run(disk).code == 0
    assert content(disk) == expected


def once(what: Callable[[], object], *, at: int) -> Fault:
    left = [at]

    def fault(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
        left[0] -= 1
        if left[0] == 0:
            what()
        return answers

    return fault


@pytest.mark.parametrize("seed", range(12))
def test_a_damaged_cache_is_noticed_said_and_computed_again(
    seed: int, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(run, tmp_path, monkeypatch)
    assert run().code == 0
    rng = random.Random(seed)
    journals = sorted((tmp_path / "cache" / "predictions").rglob("*.jsonl"))
    assert len(journals) == 6
    lost, broken = set(), 0
    for journal in journals:
        before = journal.read_bytes()
        _, damaged = rng.choice(list(mutations.of_bytes(before, n=20, seed=rng.randrange(10**6))))
        journal.write_bytes(damaged)
        left = set(damaged.split(b"\n"))
        lost |= set(before.split(b"\n")) - left
        broken += bool(left - set(before.split(b"\n")))
    shutil.rmtree(tmp_path / "results")
    faulty_models.ASKED.clear()
    ended = run()
    assert ended.code == 0
    assert content(tmp_path / "results") == expected
    assert bool(faulty_models.ASKED) == bool(lost), "what was lost, and no more, is asked again"
    assert ended.err.count("damaged cache line") == broken


def test_a_cache_line_of_another_version_is_no_answer(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(run, tmp_path, monkeypatch)
    assert run(tasks="choices,short,leaning").code == 0
    journal = next((tmp_path / "cache" / "predictions").rglob("choices-*.jsonl"))
    lines = journal.read_bytes().splitlines()
    record = json.loads(lines[0].partition(b" ")[2])
    record["prediction"] = {"answers_of_a_later_version": [1.0]}
    payload = json.dumps(record).encode()
    lines[0] = f"{zlib.crc32(payload):08x} ".encode() + payload
    journal.write_bytes(b"\n".join(lines) + b"\n")
    shutil.rmtree(tmp_path / "results")
    ended = run()
    assert "choices: 1 damaged cache lines are computed again" in ended.err
    assert content(tmp_path / "results") == expected


def test_another_engine_version_reads_no_answer_of_this_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forgetbench.engine import answers, plan

    assert run(tasks="choices").code == 0
    asked = len(faulty_models.ASKED)
    for module in (answers, plan):
        monkeypatch.setattr(module, "ENGINE_VERSION", 10_000)
    assert run(tasks="choices").code == 0
    assert len(faulty_models.ASKED) == 2 * asked


def test_a_clock_that_jumps_back_changes_no_document(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = whole(run, tmp_path, monkeypatch)
    real, jumps = time.time, iter(range(10**6))
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() - 3600 * next(jumps))
        patch.setattr(time, "time_ns", lambda: int(1e9 * (real() - 3600 * next(jumps))))
        assert run().code == 0
        assert run().code == 0
    assert content(tmp_path / "results") == expected


def test_a_result_that_was_tampered_with_is_made_again(run: Run, tmp_path: Path) -> None:
    assert run().code == 0
    expected = content(tmp_path / "results")
    for name, damage in (("run.json", b"{"), ("comparison.json", b""), ("choices.parquet", b"PAR1")):
        next((tmp_path / "results").rglob(name)).write_bytes(damage)
        faulty_models.ASKED.clear()
        assert run().code == 0
        assert content(tmp_path / "results") == expected
        assert faulty_models.ASKED == [], "the answers came from the cache"


def test_a_tracker_that_dies_after_any_call_loses_nothing_and_logs_nothing_twice(
    run: Run, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    assert run(tasks="choices").code == 0
    calls = ("create_run", "log_batch", "set_terminated", "log_text", "log_inputs", "log_artifacts")
    originals = {name: getattr(MlflowClient, name) for name in calls}
    for n in range(100):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / f'tracker-{n}.db'}")
        left = [n]
        for name, original in originals.items():
            monkeypatch.setattr(MlflowClient, name, dying(original, left))
        first = terminal("mlflow", "sync", tmp_path / "results")
        died = left[0] < 0
        for name, original in originals.items():
            monkeypatch.setattr(MlflowClient, name, original)
        if died:
            assert first.code == 1 and "not logged (the server is gone)" in first.err
            assert terminal("mlflow", "sync", tmp_path / "results").code == 0
        runs = logged_runs(f"sqlite:///{tmp_path / f'tracker-{n}.db'}")
        assert sorted(run.data.tags["forgetbench.member"] for run in runs) == ["base", "checkpoint", "pair"]
        assert {run.info.status for run in runs} == {"FINISHED"}
        if not died:
            assert n > 6
            return
    pytest.fail("the tracker never lived long enough")


def dying(original: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise ConnectionError("the server is gone")
        return original(*arguments, **options)

    return call


def logged_runs(uri: str) -> list[Any]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("forgetbench")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def test_a_home_that_cannot_be_written_is_no_traceback(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "file" / "cache"))
    ended = run()
    assert ended.code == 2 and "FORGETBENCH_CACHE" in ended.errors[0]
    assert faulty_models.ASKED == []
