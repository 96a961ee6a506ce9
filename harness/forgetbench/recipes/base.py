"""The model that a recipe starts from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forgetbench.errors import CheckpointError
from forgetbench.models.fingerprint import read_json
from forgetbench.recipes.enhancer_network import EXPORTED, FRESH, MODEL_TYPE, fresh_network
from forgetbench.schema.recipe import Family

_FAMILIES: dict[str, Family] = {"whisper": "whisper", MODEL_TYPE: "enhancer", "encodec": "unit_lm"}


@dataclass(frozen=True, kw_only=True)
class Base:
    """A whole model on disk.

    Attributes:
        path: Directory in the transformers layout.
        name: As the user wrote it, without a revision: what the adapter says of its base.
        revision: Commit or tag of a hub model.
    """

    path: Path
    name: str
    revision: str | None

    @property
    def family(self) -> Family:
        """From ``model_type`` of config.json, and whether a codec lies beside the model.

        Raises:
            CheckpointError: The file is damaged.
        """
        from forgetbench.models.directory import has_codec

        if has_codec(self.path):
            return "unit_lm"
        config = read_json(self.path / "config.json")
        return _FAMILIES.get(str(config.get("model_type")), "causal_lm")

    @property
    def fingerprint(self) -> str:
        """The one that the base has in run documents.

        Raises:
            CheckpointError: A weight file is damaged, or there are only pickled ones.
        """
        from forgetbench.models.directory import directory_fingerprint, weight_files

        return directory_fingerprint(self.path, weight_files(self.path, "model"))


def checkpoint_name(folder: Path, family: Family) -> str:
    """Return what ``--model`` calls a checkpoint directory of a recipe: an enhancer's is its ONNX file."""
    return str(folder / EXPORTED if family == "enhancer" else folder)


def locate_base(model: str) -> Base:
    """Find a directory, a packaged reference model, or a model of the hub (downloaded if need be).

    Raises:
        CheckpointError: There is no such model, or it is not a whole model.
    """
    from forgetbench.models.hub import locate

    folder = fresh_network() if model == FRESH else Path(model).expanduser()
    if folder.is_dir():
        base = Base(path=folder, name=model, revision=None)
    else:
        found = locate(model)
        base = Base(path=found.path, name=model.partition("@")[0], revision=found.revision)
    if not (base.path / "config.json").is_file():
        raise CheckpointError(model, "has no config.json", "A recipe starts from a whole transformers model.")
    return base
