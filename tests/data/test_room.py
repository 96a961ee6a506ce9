from __future__ import annotations

import numpy as np
import pytest

from forgetbench.data import room
from forgetbench.data.room import decay_time_s, make_rooms, reverberate, room_response
from forgetbench.errors import DataError, MissingPackageError

RATE = 16_000


def test_decay_time_is_that_of_an_exponential_decay() -> None:
    time = np.arange(2 * RATE) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    assert decay_time_s(noise * 10 ** (-3 * time / 0.5), RATE) == pytest.approx(0.5, rel=0.03)


@pytest.mark.parametrize(("rt60_s", "distance_m"), [(0.2, 1.0), (0.6, 1.5), (0.6, 5.0), (1.2, 2.0)])
def test_a_room_has_the_reverberation_time_that_was_asked_for(rt60_s: float, distance_m: float) -> None:
    for seed in range(2):
        response = room_response(rt60_s, distance_m, RATE, seed)
        assert decay_time_s(response, RATE) == pytest.approx(rt60_s, rel=0.05)


def test_the_direct_sound_is_neither_late_nor_louder_and_farther_off_there_is_less_of_it() -> None:
    for seed in range(2):
        near, far = (room_response(0.5, distance, RATE, seed) for distance in (0.5, 4.0))
        assert near[0] == far[0] == 1
        assert np.abs(near[1:]).max() < 1
        assert np.sum(far[1:] ** 2) > 5 * np.sum(near[1:] ** 2)


def test_speech_keeps_its_length_and_place() -> None:
    speech = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    heard = reverberate(speech, room_response(0.3, 0.5, RATE, 0))
    assert len(heard) == len(speech)
    lags = np.correlate(heard[2000:-2000], speech[1900:-1900], mode="valid")
    assert np.argmax(np.abs(lags)) == 100


def test_rooms_are_the_seeds_and_differ_from_each_other() -> None:
    rooms = make_rooms(0.3, 1.5, RATE, seed=4)
    room_response.cache_clear()
    again = make_rooms(0.3, 1.5, RATE, seed=4)
    assert all(np.array_equal(one, other) for one, other in zip(rooms, again, strict=True))
    assert len({response.tobytes() for response in rooms}) == len(rooms)


def test_a_room_that_cannot_be_is_named() -> None:
    with pytest.raises(DataError, match="no room for it with the talker 15 m away"):
        make_rooms(0.05, 15.0, RATE, seed=0)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'forgetbench\[rooms\]'"):
        make_rooms(0.5, 1.5, RATE, seed=0)
