"""A condition with everything it needs at hand, and what it makes of speech."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from forgetbench.data.hearing_loss import internal_noise
from forgetbench.data.listener import find_audiogram
from forgetbench.data.noise import active_level, make_noise, mix_at_snr, within_full_scale
from forgetbench.data.noise_recordings import NoiseRecordings
from forgetbench.data.room import Response, make_rooms, reverberate
from forgetbench.metrics.audiogram import STANDARD_AUDIOGRAMS, Audiogram
from forgetbench.metrics.nal_r import amplify
from forgetbench.schema.task import Condition

Waveform = NDArray[np.float32]
Others = Callable[[np.random.Generator], Sequence[Waveform]]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A condition, resolved.

    Attributes:
        rooms: Impulse responses; none without reverberation.
        recordings: Of the noise ``recordings``.
        audiogram: Of the hearing loss.
    """

    condition: Condition
    rooms: tuple[Response, ...] = ()
    recordings: NoiseRecordings | None = None
    audiogram: Audiogram | None = None

    @property
    def content(self) -> str:
        """All that decides what is heard, as text: recordings and listeners by content, not by name."""
        changed = self.condition.model_dump(mode="json", exclude={"recordings", "hearing_loss"})
        changed["recordings"] = self.recordings.digest if self.recordings else None
        changed["hearing_loss"] = (
            [self.audiogram.frequencies_hz, self.audiogram.levels_db_hl] if self.audiogram else None
        )
        return json.dumps(changed, sort_keys=True)

    @property
    def seed_name(self) -> str:
        """The condition's label with the hearing loss itself in place of a listener's name.

        Samples of one content sound alike: those of two listeners who hear alike, or as a standard audiogram.
        """
        if self.audiogram is None:
            return self.condition.label
        standard = (name for name, each in STANDARD_AUDIOGRAMS.items() if each == self.audiogram)
        points = zip(self.audiogram.frequencies_hz, self.audiogram.levels_db_hl, strict=True)
        loss = next(standard, None) or " ".join(f"{hz!r}:{level!r}" for hz, level in points)
        return self.condition.model_copy(update={"hearing_loss": loss}).label

    def hear(
        self, speech: Waveform, sampling_rate: int, *, rng: np.random.Generator, others: Others, unaided: bool
    ) -> Waveform:
        """Return speech in this condition: room, then noise, then amplification, then hearing loss.

        The level of the speech is its active level (:func:`~forgetbench.data.noise.active_level`) in the
        room: the noise is set by it, and it is what reaches the ear at 65 dB SPL.

        Args:
            speech: float32, shape (n,), not silent.
            sampling_rate: In Hz.
            rng: Source of all randomness.
            others: Draws the speech that babble and speech-shaped noise are made of.
            unaided: Stop before the amplification: what a microphone picks up.

        Returns:
            float32, shape (n,); scaled down as a whole where it would exceed ±1.
        """
        if self.rooms:
            speech = reverberate(speech, self.rooms[int(rng.integers(len(self.rooms)))])
        speech_rms = active_level(speech, sampling_rate)
        heard = self._with_noise(speech, sampling_rate, rng, others)
        if self.audiogram is not None and not unaided:
            if self.condition.amplification is not None:
                heard = amplify(heard, self.audiogram, sampling_rate)
            heard = heard + internal_noise(
                len(heard), sampling_rate, self.audiogram, speech_rms=speech_rms, rng=rng
            )
        return within_full_scale(heard)

    def _with_noise(
        self, speech: Waveform, sampling_rate: int, rng: np.random.Generator, others: Others
    ) -> Waveform:
        kind, snr_db = self.condition.noise, self.condition.snr_db
        if kind is None or snr_db is None:
            return speech
        if self.recordings is not None:
            noise = self.recordings.piece(len(speech), sampling_rate, rng=rng)
        else:
            noise = make_noise(kind, len(speech), sampling_rate, rng=rng, others=others(rng))
        return mix_at_snr(speech, noise, snr_db, sampling_rate)


def make_scene(condition: Condition, folder: Path, *, sampling_rate: int, seed: int) -> Scene:
    """Return a condition with its rooms, noise recordings and audiogram.

    Args:
        condition: As the task defines it.
        folder: Where the relative paths of recordings and listeners start.
        sampling_rate: In Hz.
        seed: Of the run: other rooms with another.

    Raises:
        DataError: Recordings or a listener cannot be read, or there is no such room.
        MissingPackageError: A package that the condition needs is not installed.
    """
    rooms: tuple[Response, ...] = ()
    if condition.rt60_s is not None:
        rooms = make_rooms(condition.rt60_s, condition.distance_m, sampling_rate, seed=seed)
    recordings = condition.recordings and NoiseRecordings(folder / condition.recordings)
    audiogram = condition.hearing_loss and find_audiogram(condition.hearing_loss, folder)
    return Scene(condition=condition, rooms=rooms, recordings=recordings or None, audiogram=audiogram or None)
