"""Simulated rooms: their impulse responses, and speech in them."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forgetbench.errors import DataError, MissingPackageError

Response = NDArray[np.float64]

N_ROOMS = 8
"""How many rooms a condition has; a sample's own is drawn by its id."""
SPEED_OF_SOUND = 343.0
_HALF_WINDOW = 40
"""By how many samples pyroomacoustics delays everything, to fit half its interpolation window in."""
_TOLERANCE = 0.03
_CALIBRATIONS = 6


def make_rooms(rt60_s: float, distance_m: float, sampling_rate: int, *, seed: int) -> tuple[Response, ...]:
    """Return the impulse responses of the rooms of a condition, as :func:`room_response` describes them.

    Raises:
        MissingPackageError: pyroomacoustics is not installed.
        DataError: No such rooms can be found.
    """
    if find_spec("pyroomacoustics") is None:
        raise MissingPackageError("reverberation", "pyroomacoustics", extra="rooms")
    digests = [hashlib.sha256(f"{seed} room {n}".encode()).digest() for n in range(N_ROOMS)]
    seeds = [int.from_bytes(digest[:8], "little") for digest in digests]
    return tuple(room_response(rt60_s, distance_m, sampling_rate, room_seed) for room_seed in seeds)


@lru_cache(maxsize=8 * N_ROOMS)
def room_response(rt60_s: float, distance_m: float, sampling_rate: int, room_seed: int) -> Response:
    """Return the impulse response of a shoebox room, float64, shape (n,), its direct sound 1 at sample 0.

    Image sources (Allen & Berkley 1979) by pyroomacoustics. Length, width and height, the talker's place and
    the direction to the microphone are drawn from ``room_seed``; the room grows with the reverberation time
    and with the distance. All six walls absorb alike; how much is found by measuring the decay.

    Args:
        rt60_s: Reverberation time in seconds, broadband, by the decay from −5 to −25 dB.
        distance_m: From talker to microphone in metres, moved by up to 1.1 cm to a whole number of samples.
        sampling_rate: In Hz.
        room_seed: Which room.

    Raises:
        DataError: No such room can be found.
    """
    delay = max(1, round(sampling_rate * distance_m / SPEED_OF_SOUND))
    rng = np.random.default_rng(room_seed)
    size, talker, microphone = _lay_out(rt60_s, delay * SPEED_OF_SOUND / sampling_rate, rng)
    # Sabine's formula, as a start; the decay is proportional to log(1 − absorption).
    volume, surface = float(np.prod(size)), 2 * float(size @ np.roll(size, 1))
    exponent = 0.161 * volume / (surface * rt60_s)
    for _ in range(_CALIBRATIONS):
        response = _image_sources(size, talker, microphone, exponent, rt60_s, sampling_rate)
        response = response[delay + _HALF_WINDOW :]
        response = np.asarray(response / response[0], dtype=np.float64)
        measured = decay_time_s(response, sampling_rate)
        if abs(measured / rt60_s - 1) < _TOLERANCE:
            return response
        exponent *= max(measured / rt60_s, 0.1)
    raise DataError(
        f"rt60_s {rt60_s:g}", f"no room for it with the talker {distance_m:g} m away", "Change one of them."
    )


def decay_time_s(response: Response, sampling_rate: int) -> float:
    """Return the reverberation time (T20) of an impulse response in seconds.

    Schroeder 1965: the energy still to come; a straight line through its level from −5 to −25 dB, extended to
    −60 dB (ISO 3382). 0 where next to nothing follows the direct sound.
    """
    to_come = np.cumsum(np.square(response[::-1], dtype=np.float64))[::-1]
    level_db = 10 * np.log10(np.maximum(to_come / to_come[0], 1e-12))
    inside = np.flatnonzero((level_db <= -5) & (level_db >= -25))
    if len(inside) < 2:
        return 0.0
    slope = np.polyfit(inside / sampling_rate, level_db[inside], 1)[0]
    return float(-60 / slope)


def reverberate(speech: NDArray[np.float32], response: Response) -> NDArray[np.float32]:
    """Return speech in a room, float32, shape (n,): same length, the direct sound where it was."""
    from scipy.signal import fftconvolve

    heard = fftconvolve(speech.astype(np.float64), response)[: len(speech)]
    return np.asarray(heard, dtype=np.float32)


def _lay_out(
    rt60_s: float, distance_m: float, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Draw size, talker and microphone in metres, shape (3,) each: at ear height, half a metre from walls."""
    growth = max(0.7, rt60_s / 0.8)
    size = growth * rng.uniform([4.5, 3.5, 2.5], [8.0, 6.0, 3.2])
    size[2] = max(size[2], 2.2)
    angle = rng.uniform(0, 2 * np.pi)
    step = distance_m * np.array([np.cos(angle), np.sin(angle), 0.0])
    size[:2] = np.maximum(size[:2], np.abs(step[:2]) + 1.5)
    low = np.array([0.5, 0.5, 1.2]) + np.maximum(-step, 0)
    high = np.array([size[0] - 0.5, size[1] - 0.5, 1.6]) - np.maximum(step, 0)
    talker = rng.uniform(low, high)
    return size, talker, talker + step


def _image_sources(
    size: NDArray[np.float64],
    talker: NDArray[np.float64],
    microphone: NDArray[np.float64],
    exponent: float,
    rt60_s: float,
    sampling_rate: int,
) -> Response:
    import pyroomacoustics

    pyroomacoustics.constants.set("num_threads", 1)  # Threads would add up in an order of their own.
    # Whole down to −36 dB in the direction of the nearest walls; their number grows with the cube of this.
    order = int(np.ceil(0.6 * SPEED_OF_SOUND * rt60_s / size.min()))
    room: Any = pyroomacoustics.ShoeBox(
        size,
        fs=sampling_rate,
        materials=pyroomacoustics.Material(float(1 - np.exp(-exponent))),
        max_order=order,
        air_absorption=False,
    )
    room.set_sound_speed(SPEED_OF_SOUND)
    room.add_source(talker)
    room.add_microphone(microphone)
    room.compute_rir()
    return np.asarray(room.rir[0][0], dtype=np.float64)
