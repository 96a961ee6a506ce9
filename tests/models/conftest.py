"""No hub and no packaged models: what a name means is decided by the files of the test alone."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No hub, no packaged models, and a cache of its own for each test."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "cache"))
    reference = types.ModuleType("forgetbench.models.reference")
    reference.resolve_reference = lambda name: None  # type: ignore[attr-defined]
    reference.install_command = lambda name: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "forgetbench.models.reference", reference)
