"""Tokenizer and feature extractor of a speech model: an adapter's own where it has them, else its base's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forgetbench.errors import CheckpointError
from forgetbench.models.component import Component
from forgetbench.models.directory import tokenizer_path

_EXTRACTOR_FILES = ("preprocessor_config.json", "processor_config.json")


def extractor_path(component: Component) -> Path:
    """Return the directory whose feature extractor a component hears through."""
    assert component.path is not None
    own = any((component.path / name).is_file() for name in _EXTRACTOR_FILES)
    return component.path if own or component.base is None else extractor_path(component.base)


def load_extractor(component: Component) -> Any:
    """Load the feature extractor.

    Raises:
        CheckpointError: There is none that can be loaded.
    """
    from transformers import AutoFeatureExtractor

    return _load(AutoFeatureExtractor, extractor_path(component), "feature extractor")


def load_speech_tokenizer(component: Component, **options: Any) -> Any:
    """Load the tokenizer.

    Args:
        component: Of role ``asr`` or ``lm``.
        options: For its ``from_pretrained``.

    Raises:
        CheckpointError: There is none that can be loaded, or it needs a package that is missing.
    """
    from transformers import AutoTokenizer

    return _load(AutoTokenizer, tokenizer_path(component), "tokenizer", **options)


def _load(auto_class: Any, path: Path, what: str, **options: Any) -> Any:
    try:
        return auto_class.from_pretrained(path, local_files_only=True, trust_remote_code=False, **options)
    except Exception as error:  # transformers raises anything for a file that it does not expect
        if "sentencepiece" in str(error).lower():
            raise CheckpointError(
                str(path), "has a tokenizer that needs sentencepiece", "Run: pip install sentencepiece"
            ) from error
        raise CheckpointError(
            str(path),
            f"has no {what} that can be loaded",
            "Save it there with processor.save_pretrained(DIRECTORY).",
        ) from error
