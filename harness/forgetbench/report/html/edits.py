"""What separates a transcript from its reference, word by word."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from forgetbench.metrics.normalise import normalise

if TYPE_CHECKING:
    from jiwer import AlignmentChunk

Operation = Literal["=", "-", "+"]


class Edit(NamedTuple):
    """Words in a row that were heard (``=``), left out (``-``) or put in (``+``); a substitution is two."""

    operation: Operation
    words: str


def edits(references: Sequence[str], hypotheses: Sequence[str], *, normaliser: str) -> list[tuple[Edit, ...]]:
    """Align transcripts with their references as word errors are counted: by jiwer, normalised.

    Args:
        references: What was said.
        hypotheses: What the model wrote, in the same order.
        normaliser: A name that :func:`forgetbench.metrics.normalise.normalise` knows.

    Example:
        >>> for edit in edits(["turn it off"], ["turn off the"], normaliser="none")[0]:
        ...     print(*edit)
        = turn
        - it
        = off
        + the
    """
    import jiwer

    if not references:
        return []
    said = [normalise(text, normaliser) for text in references]
    written = [normalise(text, normaliser) for text in hypotheses]
    aligned = jiwer.process_words(said, written)
    return [
        tuple(_edits(chunks, reference, hypothesis))
        for chunks, reference, hypothesis in zip(
            aligned.alignments, aligned.references, aligned.hypotheses, strict=True
        )
    ]


def _edits(
    chunks: Sequence[AlignmentChunk], reference: Sequence[str], hypothesis: Sequence[str]
) -> Iterator[Edit]:
    for chunk in chunks:
        said = " ".join(reference[chunk.ref_start_idx : chunk.ref_end_idx])
        written = " ".join(hypothesis[chunk.hyp_start_idx : chunk.hyp_end_idx])
        if chunk.type == "equal":
            yield Edit("=", said)
            continue
        if said:
            yield Edit("-", said)
        if written:
            yield Edit("+", written)
