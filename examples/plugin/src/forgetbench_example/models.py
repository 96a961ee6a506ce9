"""Two models without weights: one repeats what it is asked, the other forgets every second word of it."""

from __future__ import annotations

from collections.abc import Sequence

from forgetbench.models.interface import GenerateRequest, Output


class Parrot:
    """Repeats the last line of its prompt.

    Args:
        keep: Repeat the first of so many words.
    """

    def __init__(self, keep: int = 1) -> None:
        self._keep = keep

    def generate(self, requests: Sequence[GenerateRequest]) -> list[Output]:
        """Return one answer per request, in order."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: GenerateRequest) -> Output:
        words = request.prompt.splitlines()[-1].split()[:: self._keep]
        said = words[: request.max_new_tokens]
        return Output(text=" ".join(said), n_tokens=len(said), truncated=len(said) < len(words))


def parrot() -> Parrot:
    """Return the model that repeats everything."""
    return Parrot()


def mumbler() -> Parrot:
    """Return the model that leaves out every second word."""
    return Parrot(keep=2)
