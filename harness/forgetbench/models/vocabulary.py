"""Whether two models write with the same tokens, as their tokenizer files say: no torch, no transformers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from forgetbench.models.component import Component
from forgetbench.models.directory import tokenizer_path
from forgetbench.models.fingerprint import read_json

_OPAQUE = ("*.model", "*.spm", "*.tiktoken")
"""Vocabularies in formats that are compared as a whole."""


def differing_vocabulary(base: Component, checkpoint: Component) -> str | None:
    """Return how two vocabularies differ, or None where every id that both have is the same token.

    A checkpoint that was given more tokens, behind those of its base, does not differ.

    Args:
        base: With a directory.
        checkpoint: With a directory.
    """
    theirs, ours = tokenizer_path(base), tokenizer_path(checkpoint)
    if theirs == ours:
        return None
    before, after = _vocabulary(theirs), _vocabulary(ours)
    if not before or not after:
        return None if _opaque(theirs) == _opaque(ours) != {} else "no vocabulary was found to compare"
    differing = [token for token, same in before.items() if after.get(token, same) != same]
    if differing:
        token = min(differing)
        return f"token {token} is {before[token]!r} in the base, {after[token]!r} in the checkpoint"
    return None


def _vocabulary(folder: Path) -> dict[int, str]:
    """Return the token of each id; nothing where no file says."""
    found: dict[int, str] = {}
    if (file := folder / "tokenizer.json").is_file():
        content = read_json(file)
        model = content.get("model")
        vocabulary = model.get("vocab") if isinstance(model, dict) else None
        if isinstance(vocabulary, list):  # Unigram: pairs of token and score
            found.update((i, str(entry[0])) for i, entry in enumerate(vocabulary))
        elif isinstance(vocabulary, dict):
            found.update(_by_id(vocabulary))
        added = content.get("added_tokens") or []
        found.update((int(token["id"]), str(token["content"])) for token in added)
        return found
    for name in ("vocab.json", "added_tokens.json"):
        if (file := folder / name).is_file():
            found.update(_by_id(read_json(file)))
    return found


def _by_id(vocabulary: Mapping[str, Any]) -> dict[int, str]:
    return {i: token for token, i in vocabulary.items() if isinstance(i, int)}


def _opaque(folder: Path) -> dict[str, str]:
    files = sorted(file for pattern in _OPAQUE for file in folder.glob(pattern))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
