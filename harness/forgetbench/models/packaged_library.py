"""C libraries that pip installs inside Python packages: found and opened without importing the package."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

from forgetbench.errors import CheckpointError


@dataclass(frozen=True, kw_only=True)
class PackagedLibrary:
    """Where a model's library is.

    Attributes:
        model: Name of the model, for messages.
        package: Import name of the package.
        distribution: Its name for pip.
        extra: Our extra that installs it.
        stem: Of the library's file: ``rnnoise`` for ``librnnoise.so``.
        folder: Of the library, inside the package.
    """

    model: str
    package: str
    distribution: str
    extra: str
    stem: str
    folder: str = ""

    def root(self) -> Path:
        """Return the folder of the package.

        Raises:
            CheckpointError: It is not installed.
        """
        spec = importlib.util.find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            raise CheckpointError(
                self.model,
                f"needs the package {self.distribution}, which is not installed",
                f"Run: pip install 'forgetbench[{self.extra}]'",
            )
        return Path(spec.submodule_search_locations[0])

    def file(self, path: str) -> Path:
        """Return a file of the package.

        Raises:
            CheckpointError: The package is not installed, or lacks the file.
        """
        file = self.root() / path
        if not file.is_file():
            cause = f"the package {self.distribution} has no {file.name} for this platform ({sys.platform})"
            raise CheckpointError(self.model, cause, "Take another model here, or another machine.")
        return file

    @property
    def version(self) -> str:
        """Of the installed package."""
        return importlib.metadata.version(self.distribution)

    def library_file(self) -> Path:
        """Return the library's file.

        Raises:
            CheckpointError: The package is not installed, or lacks a library for this platform.
        """
        names = {"win32": f"{self.stem}.dll", "darwin": f"lib{self.stem}.dylib"}
        name = names.get(sys.platform, f"lib{self.stem}.so")
        return self.file(f"{self.folder}/{name}" if self.folder else name)

    def open(self) -> ctypes.CDLL:
        """Return the library.

        Raises:
            CheckpointError: It is not there or cannot be opened.
        """
        path = self.library_file()
        try:
            return ctypes.CDLL(str(path))
        except OSError as error:
            raise CheckpointError(
                self.model,
                f"{path.name} cannot be opened ({error})",
                f"Install it again: pip install --force-reinstall {self.distribution}",
            ) from error
