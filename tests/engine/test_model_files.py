"""A model's files on a machine that does not have them: checked by content, put in place whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forgetbench.engine.model_files import (
    Lacking,
    files_of,
    manifest_of,
    moved,
    paths_of,
    place_of,
    put_files,
)
from forgetbench.models.checkpoint import resolve_component
from forgetbench.models.interface import ScoreRequest, TextModel
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings


def contents(path: Path) -> Iterator[tuple[str, bytes]]:
    for name, file in files_of(path).items():
        yield name, file.read_bytes()


def test_an_adapter_and_its_base_load_from_where_they_were_put(made: Path, tmp_path: Path) -> None:
    here = resolve_component(str(made / "lora"), offline=True)
    paths = paths_of(here)
    assert paths == [made / "lora", made / "llama"]
    manifests = {path: manifest_of(path) for path in paths}
    hidden = {path: tmp_path / "nowhere" / path.name for path in paths}
    for path in paths:
        with pytest.raises(Lacking):
            place_of(hidden[path], manifests[path])
        put_files(hidden[path], manifests[path], contents(path))
    there = moved(here, lambda path: place_of(hidden[path], manifests[path]))
    assert there.base is not None and here.path != there.path and here.base != there.base
    asked = [ScoreRequest(context="the cat", continuation=" sat")]
    for one, other in zip(*(scores(component, asked) for component in (here, there)), strict=True):
        assert one == other


def scores(component: object, asked: list[ScoreRequest]) -> list[float]:
    model = load(component, LoadSettings())  # type: ignore[arg-type]
    assert isinstance(model, TextModel)
    return [score.logprob for score in model.score_text(asked)]


def test_files_at_the_path_that_are_others_are_not_taken(made: Path, tmp_path: Path) -> None:
    wanted = manifest_of(made / "llama")
    assert place_of(made / "llama", wanted) == made / "llama"
    with pytest.raises(Lacking):
        place_of(made / "other", wanted)


def test_one_file_stays_one_file(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"weights")
    manifest = manifest_of(file)
    gone = tmp_path / "gone" / "model.onnx"
    put_files(gone, manifest, contents(file))
    assert place_of(gone, manifest).read_bytes() == b"weights"


def test_what_a_trainer_leaves_beside_the_weights_is_not_sent(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "optimizer.pt").write_bytes(b"large")
    assert set(manifest_of(tmp_path)) == {"config.json"}


def test_a_file_that_changed_on_the_way_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"weights")
    manifest = manifest_of(file)
    gone = tmp_path / "gone" / "model.onnx"
    with pytest.raises(ValueError, match="changed"):
        put_files(gone, manifest, iter([("model.onnx", b"others")]))
    with pytest.raises(Lacking):
        place_of(gone, manifest)
