"""Answers and results at a URL: a folder that machines share, and an S3 store on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fsspec.core import url_to_fs

from forgetbench.engine.audio_store import get, put
from forgetbench.engine.journal import Answer, Journal
from forgetbench.engine.ray_worker import audio_of
from forgetbench.engine.remote_files import RemoteFolder
from forgetbench.engine.shared_cache import SharedCache
from forgetbench.engine.shared_results import results_at, url_of
from forgetbench.errors import MissingPackageError, StorageError
from forgetbench.models.interface import Audio
from forgetbench.paths import cache_root, shared_cache_url
from forgetbench.schema.sample import RawPrediction

BUCKET = "forgetbench-test"


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of an empty bucket of moto's server on this machine."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket=BUCKET)
        yield f"s3://{BUCKET}"
    server.stop()


@pytest.fixture(params=["file", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/shared"
    return f"{request.getfixturevalue('s3')}/{tmp_path.name}"


@pytest.fixture
def move(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Go to another machine, so to speak: one with an empty cache."""

    def to_another() -> None:
        monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))

    return to_another


def journal() -> Path:
    return cache_root() / "predictions" / "abc-123" / "task-456.jsonl"


def said(text: str) -> Answer:
    return Answer(prediction=RawPrediction(text=text), first_token_ids=(1, 2))


def test_answers_of_one_machine_are_those_of_the_next(url: str, move: Callable[[], None]) -> None:
    first = SharedCache(url)
    first.put(journal(), {"a": said("one"), "b": said("two")}, {})
    first.put(journal(), {"c": said("three")}, {})
    move()
    with Journal.open(journal()) as known:
        known.write({"a": said("mine")})
    SharedCache(url).take(journal())
    with Journal.open(journal()) as known:
        found = {content: known.answers[content] for content in known.answers}
    assert found == {"a": said("mine"), "b": said("two"), "c": said("three")}


def test_taking_twice_adds_nothing(url: str) -> None:
    SharedCache(url).put(journal(), {"a": said("one")}, {})
    SharedCache(url).take(journal())
    size = journal().stat().st_size
    SharedCache(url).take(journal())
    assert journal().stat().st_size == size


def test_audio_that_answers_name_comes_along(url: str, move: Callable[[], None]) -> None:
    file = put(Audio(samples=np.array([0.1, -0.2], dtype=np.float32), sampling_rate=16_000))
    content = (cache_root() / "audio" / file.sha256[:2] / f"{file.sha256}.wav").read_bytes()
    answer = Answer(prediction=RawPrediction(audio=file))
    SharedCache(url).put(journal(), {"a": answer}, {file.sha256: content})
    move()
    SharedCache(url).take(journal())
    assert get(file).samples.tolist() == pytest.approx([0.1, -0.2])


def test_all_stems_of_an_answer_come_along(url: str, move: Callable[[], None]) -> None:
    stems = [put(Audio(samples=np.full(4, v, dtype=np.float32), sampling_rate=16_000)) for v in (0.1, 0.2)]
    answer = Answer(prediction=RawPrediction(audio=stems[0], stems=(stems[1],)))
    audio = audio_of({"a": answer})
    assert audio.keys() == {file.sha256 for file in stems}
    SharedCache(url).put(journal(), {"a": answer}, audio)
    move()
    SharedCache(url).take(journal())
    assert [get(file).samples[0] for file in stems] == pytest.approx([0.1, 0.2])


def test_what_was_cut_off_there_is_asked_again(tmp_path: Path, move: Callable[[], None]) -> None:
    """A driver on a shared disk was killed while it wrote."""
    SharedCache(f"file://{tmp_path}/shared").put(journal(), {"a": said("one")}, {})
    SharedCache(f"file://{tmp_path}/shared").put(journal(), {"b": said("two")}, {})
    cut = next((tmp_path / "shared" / "predictions").rglob("*.jsonl"))
    cut.write_bytes(cut.read_bytes()[:20])
    move()
    SharedCache(f"file://{tmp_path}/shared").take(journal())
    with Journal.open(journal()) as known:
        assert len(known.answers) == 1


def test_an_answer_whose_audio_is_damaged_there_is_asked_again(
    tmp_path: Path, move: Callable[[], None]
) -> None:
    file = put(Audio(samples=np.array([0.1], dtype=np.float32), sampling_rate=16_000))
    shared = SharedCache(f"file://{tmp_path}/shared")
    shared.put(journal(), {"a": Answer(prediction=RawPrediction(audio=file))}, {file.sha256: b"RIFF"})
    move()
    shared.take(journal())
    with Journal.open(journal()) as known:
        assert len(known.answers) == 0


def test_a_question_that_nobody_asked_has_no_answers(url: str) -> None:
    SharedCache(url).take(journal())
    assert not journal().exists()


def test_results_come_back_on_another_machine(url: str, move: Callable[[], None]) -> None:
    output = Path(f"{url}/results")
    with results_at(output) as folder:
        (folder / "a").mkdir()
        (folder / "a" / "run.json").write_text("{}")
    move()
    with results_at(output) as folder:
        assert (folder / "a" / "run.json").read_text() == "{}"
        (folder / "a" / "run.json").write_text("[]")
        (folder / "b.json").write_text("1")
    shutil.rmtree(cache_root())
    with results_at(output) as folder:
        assert [(folder / name).read_text() for name in ("a/run.json", "b.json")] == ["[]", "1"]


def test_what_could_not_be_copied_is_copied_the_next_time(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    output = Path(f"{url}/late")

    def gone(*_: object) -> None:
        raise StorageError("the store", "cannot be used")

    with monkeypatch.context() as patch, pytest.raises(StorageError), results_at(output) as folder:
        patch.setattr(RemoteFolder, "send", gone)
        (folder / "run.json").write_text("{}")
    with results_at(output) as folder:
        assert (folder / "run.json").read_text() == "{}"
    shutil.rmtree(cache_root())
    with results_at(output) as folder:
        assert (folder / "run.json").exists()


def test_what_another_machine_changed_is_read_even_at_the_same_size(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output, caches = Path(f"{url}/changed"), [str(tmp_path / name) for name in ("one", "two", "one")]
    for cache, seen, text in zip(caches, (None, "1", "2"), ("1", "2", "3"), strict=True):
        monkeypatch.setenv("FORGETBENCH_CACHE", cache)
        with results_at(output) as folder:
            file = folder / "run.json"
            assert (file.read_text() if file.exists() else None) == seen
            file.write_text(text)


def test_what_was_taken_away_there_is_no_result_here(url: str, tmp_path: Path) -> None:
    output = Path(f"{url}/taken")
    with results_at(output) as folder:
        (folder / "run.json").write_text("{}")
    files, root = url_to_fs(f"{url}/taken")
    files.rm(root, recursive=True)
    with results_at(output) as folder:
        assert not (folder / "run.json").exists()


def test_results_are_copied_when_the_work_fails(url: str, move: Callable[[], None]) -> None:
    output = Path(f"{url}/failed")
    with pytest.raises(ZeroDivisionError), results_at(output) as folder:
        (folder / "run.json").write_text("{}")
        1 / 0  # noqa: B018
    move()
    with results_at(output) as folder:
        assert (folder / "run.json").exists()


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (Path("results"), None),
        (Path("/mnt/nfs/results"), None),
        (Path("s3://bucket/a b"), "s3://bucket/a b"),
        (Path("file:///mnt/nfs"), "file:///mnt/nfs"),
    ],
)
def test_an_output_path_is_a_url_where_it_has_a_scheme(output: Path, expected: str | None) -> None:
    assert url_of(output) == expected


def test_a_folder_is_used_as_it_is(tmp_path: Path) -> None:
    with results_at(tmp_path) as folder:
        assert folder == tmp_path


def test_a_url_is_no_folder_for_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGETBENCH_CACHE", "s3://bucket/cache")
    assert shared_cache_url() == "s3://bucket/cache"
    assert "s3:" not in str(cache_root())


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """S3 does not answer."""
    from s3fs import S3FileSystem

    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


@pytest.mark.usefixtures("nowhere")
def test_a_store_that_does_not_answer_is_one_line() -> None:
    """Botocore has errors of its own for credentials and connections, which are no OSError."""
    shared = SharedCache(f"s3://{BUCKET}-nowhere/x")
    with pytest.raises(StorageError, match=r"FORGETBENCH_CACHE s3://.*cannot be used"):
        shared.take(journal())
    with pytest.raises(StorageError, match="--output-path s3://"), results_at(Path("s3://nowhere/x")):
        pass


def test_a_scheme_that_nothing_knows_and_a_bucket_that_is_not_there_are_named(s3: str) -> None:
    with pytest.raises((MissingPackageError, StorageError), match="nowhere://bucket"):
        SharedCache("nowhere://bucket")
    with pytest.raises(StorageError, match="no-such-bucket"):
        SharedCache("s3://no-such-bucket/x").put(journal(), {"a": said("one")}, {})
