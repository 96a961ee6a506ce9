"""How the engine says where it is, without knowing what a terminal is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Told of every stretch of work: one task of one arm."""

    def begin(self, label: str, total: int, done: int) -> None:
        """A stretch of ``total`` samples starts; ``done`` of them are cached."""

    def advance(self, n: int) -> None:
        """``n`` more samples are done."""

    def end(self) -> None:
        """The stretch is over."""

    def note(self, state: str) -> None:
        """How the stretch goes, told again and again."""

    def say(self, message: str) -> None:
        """Something worth a line."""


class Silent:
    """Says nothing."""

    def begin(self, label: str, total: int, done: int) -> None:
        """Do nothing."""

    def advance(self, n: int) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def note(self, state: str) -> None:
        """Do nothing."""

    def say(self, message: str) -> None:
        """Do nothing."""
