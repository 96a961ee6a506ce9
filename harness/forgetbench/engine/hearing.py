"""One clip through one model that cleans or transcribes speech, alone in its batch: what is timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from forgetbench.models.interface import Audio, Enhancer, Model, SpeechRecogniser, StreamsAudio, StreamsText
from forgetbench.schema.cost import Heard


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A recording as a model hears it.

    Attributes:
        name: Task, sample id and condition.
        capability: What the model does with it.
        audio: At the model's rate.
        language: ISO 639-1 code; empty for an enhancer.
    """

    name: str
    capability: Heard
    audio: Audio
    language: str = ""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.audio.samples) / self.audio.sampling_rate


def hear(model: Model, clip: Clip) -> bool:
    """Clean or transcribe one clip as a whole; always True, for an empty answer takes its time, too."""
    if clip.capability == "enhance":
        assert isinstance(model, Enhancer)
        model.enhance([clip.audio])
    else:
        assert isinstance(model, SpeechRecogniser)
        model.transcribe([clip.audio], language=clip.language)
    return True


def streams(model: Model, capability: Heard) -> bool:
    """Say whether a model gives its output piece by piece."""
    return isinstance(model, StreamsAudio if capability == "enhance" else StreamsText)


def hear_first_output(model: Model, clip: Clip) -> bool:
    """Stream one clip until something comes out, and say whether anything did."""
    return any(_pieces(model, clip))


def _pieces(model: Model, clip: Clip) -> Iterator[bool]:
    """Yield piece by piece whether it holds anything."""
    if clip.capability == "enhance":
        assert isinstance(model, StreamsAudio)
        for audio in model.enhance_stream(clip.audio):
            yield len(audio.samples) > 0
    else:
        assert isinstance(model, StreamsText)
        for text in model.transcribe_stream(clip.audio, language=clip.language):
            yield bool(text.strip())
