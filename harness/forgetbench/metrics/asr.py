"""Word and character errors of a transcript, as a whole and by class of word; words that nobody said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from forgetbench.errors import SampleError
from forgetbench.metrics.diagnostics import looping
from forgetbench.metrics.normalise import normalise
from forgetbench.metrics.word_classes import NORMALISER, errors_by_class

if TYPE_CHECKING:
    import jiwer

AsrStats = dict[str, float | tuple[float, float]]

LEAST_HEARD = 0.5
"""A text of which a smaller share of words is heard has not been said, or not reached who heard it."""


@dataclass(frozen=True)
class ErrorCount:
    """Edit errors against a reference.

    Attributes:
        errors: Substitutions, insertions and deletions.
        reference_length: Words or characters of the reference; 0 for silence, where every
            inserted word is an error over no words (jiwer 4).
    """

    errors: int
    reference_length: int

    @property
    def fraction(self) -> tuple[float, float]:
        """Numerator and denominator, as a sample record keeps them."""
        return float(self.errors), float(self.reference_length)


def word_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Count word errors by jiwer.

    Example:
        >>> word_errors("turn it off", "turn off the")
        ErrorCount(errors=2, reference_length=3)
    """
    return _counted(_align_words(reference, hypothesis))


def character_errors(reference: str, hypothesis: str) -> ErrorCount:
    """Count character errors by jiwer; spaces between words count as characters."""
    import jiwer

    return _counted(jiwer.process_characters(reference, hypothesis))


def asr_stats(reference: str, hypothesis: str, *, normaliser: str, by_class: bool = False) -> AsrStats:
    """Return the statistics of one transcript, by name of metric.

    ``wer`` and ``cer`` are counted after normalisation, ``wer_raw`` on the texts as they are. ``looping`` is
    1.0 where the output ends in a loop. Only where the normalised reference is empty (silence, noise,
    "[laughter]") there is ``hallucinated_words``: the words of the output, all of them invented. With
    ``by_class`` there are ``wer_<class>`` and ``cer_<class>`` of each class of words that the reference has.

    Args:
        reference: What was said.
        hypothesis: What the model wrote; empty output is all deletions.
        normaliser: A name that :func:`forgetbench.metrics.normalise.normalise` knows.
        by_class: For English; the classes are written for ``whisper_en@1`` and left out with another.

    Example:
        >>> stats = asr_stats("Say fifteen.", "say fifty", normaliser="whisper_en@1", by_class=True)
        >>> stats["wer"], stats["wer_numbers"]
        ((1.0, 2.0), (1.0, 1.0))
    """
    said, written = normalise(reference, normaliser), normalise(hypothesis, normaliser)
    aligned = _align_words(said, written)
    words = _counted(aligned)
    stats: AsrStats = {
        "wer": words.fraction,
        "wer_raw": word_errors(reference, hypothesis).fraction,
        "cer": character_errors(said, written).fraction,
        "looping": float(looping(hypothesis)),
    }
    if words.reference_length == 0:
        stats["hallucinated_words"] = float(words.errors)
    if by_class and normaliser == NORMALISER:
        for name, found in errors_by_class(reference, aligned).items():
            stats[f"wer_{name}"] = (float(found.word_errors), float(found.words))
            stats[f"cer_{name}"] = (float(found.character_errors), float(found.characters))
    return stats


def share_heard(reference: str, hypothesis: str, *, normaliser: str) -> float:
    """Return the share of the reference's words that a transcript has, whatever it has beside them.

    Raises:
        SampleError: ``unusable_reference``: normalised, it has no words.

    Example:
        >>> share_heard("turn it off", "turn it on, turn it on", normaliser="whisper_en@1").__round__(4)
        0.6667
    """
    aligned = _align_words(normalise(reference, normaliser), normalise(hypothesis, normaliser))
    n_words = aligned.hits + aligned.substitutions + aligned.deletions
    if not n_words:
        raise SampleError("unusable_reference", reference, "has no words")
    return float(aligned.hits / n_words)


def _align_words(reference: str, hypothesis: str) -> jiwer.WordOutput:
    import jiwer

    return cast("jiwer.WordOutput", jiwer.process_words(reference, hypothesis))


def _counted(out: jiwer.WordOutput | jiwer.CharacterOutput) -> ErrorCount:
    return ErrorCount(
        errors=int(out.substitutions + out.insertions + out.deletions),
        reference_length=int(out.hits + out.substitutions + out.deletions),
    )
