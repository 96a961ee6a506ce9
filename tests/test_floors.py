"""What ``make test-lowest`` installs are the floors of ``pyproject.toml``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("recipes", "onnx", "gguf", "sentencepiece", "faster-whisper")


def pins(name: str) -> dict[str, Version]:
    lines = (ROOT / name).read_text().splitlines()
    pinned = [line.split("==") for line in lines if "==" in line and not line.startswith("#")]
    return {canonicalize_name(package): Version(version.split(";")[0].strip()) for package, version in pinned}


def test_every_floor_is_installed_as_it_stands() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = list(project["dependencies"])
    for extra in EXTRAS:
        asked += project["optional-dependencies"][extra]
    lowest, newest = pins("constraints-lowest.txt"), pins("constraints.txt")
    for requirement in map(Requirement, asked):
        package = canonicalize_name(requirement.name)
        floors = [Version(s.version) for s in requirement.specifier if s.operator in (">=", "==")]
        floor = newest["torch"] if package == "torch" else max(floors)
        assert lowest[package] == floor, f"{package}: {lowest[package]} is tested, the floor is {floor}"
        assert newest[package] >= floor, package
