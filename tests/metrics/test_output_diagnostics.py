import numpy as np
import pytest

from forgetbench.metrics.diagnostics import looping, rates
from forgetbench.schema.sample import AudioFile, Embedding, RawPrediction


@pytest.mark.parametrize("unit_words", [1, 2, 7, 20])
def test_four_repeats_of_up_to_twenty_words_are_a_loop(unit_words: int) -> None:
    unit = " ".join(f"word{i}" for i in range(unit_words))
    assert looping("It began well. " + " ".join([unit] * 4))


def test_three_repeats_are_emphasis() -> None:
    assert not looping("Never, never, never")
    assert not looping("five five five")


def test_a_loop_cut_off_in_its_last_turn_is_a_loop() -> None:
    assert looping("one two three " * 4 + "one two")


def test_a_run_of_characters_without_words_is_a_loop() -> None:
    assert looping("ha" * 100)


PROSE = """The old mill stood at the bend of the river, where children came to fish in the evenings. Nobody
remembered who had built it, though the parish book spoke of a fire in 1712 and of a widow who
paid for the new roof with the wool of two summers. When the railway arrived the wheel was
stopped, for flour could be had cheaper from the coast, and the miller's son went to sea. What is
left today is a wall, a millstone used as a garden table, and the name of the lane that leads down
to the water."""


def test_prose_is_no_loop_short_or_long() -> None:
    assert not looping("Yes.")
    assert not looping(PROSE)
    assert not looping(PROSE + " " + " ".join(reversed(PROSE.split())))


def test_rates_are_missing_where_no_output_is_text() -> None:
    assert rates([RawPrediction(loglikelihoods=(-1.0, -2.0))]).empty is None


def test_rates_count_text_outputs_only() -> None:
    outputs = [
        RawPrediction(text=""),
        RawPrediction(text="no " * 9, truncated=True),
        RawPrediction(text="fine"),
    ]
    found = rates([*outputs, RawPrediction(loglikelihoods=(-1.0,))])
    assert (found.empty, found.looping, found.truncated) == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def sound(*, is_silent: bool | None) -> AudioFile:
    return AudioFile(sha256="0" * 64, sampling_rate=16_000, n_samples=9, is_silent=is_silent)


def test_sound_is_empty_where_it_is_silent_and_loops_in_what_is_heard() -> None:
    outputs = [
        RawPrediction(audio=sound(is_silent=True), heard=""),
        RawPrediction(audio=sound(is_silent=False), heard="no " * 9),
        RawPrediction(audio=sound(is_silent=False), heard="fine"),
        RawPrediction(audio=sound(is_silent=None)),
    ]
    found = rates(outputs)
    assert (found.empty, found.looping, found.truncated) == pytest.approx((1 / 3, 1 / 3, None))


def test_each_stem_is_an_output() -> None:
    stems = (sound(is_silent=True), sound(is_silent=False))
    assert rates([RawPrediction(stems=stems)]).empty == 0.5


@pytest.mark.parametrize("broken", [np.full((2, 3), np.nan), np.array([[1.0, 2.0], [0.0, np.inf]])])
def test_features_that_are_not_finite_are_counted(broken: np.ndarray) -> None:
    whole = RawPrediction(embedding=Embedding.of(np.ones((2, 3), dtype=np.float32)))
    found = rates([whole, RawPrediction(embedding=Embedding.of(broken.astype(np.float32)))])
    assert (found.nonfinite, found.empty) == (0.5, None)


def test_a_spoken_request_is_no_output() -> None:
    found = rates([RawPrediction(text="fine", heard="no " * 9)])
    assert (found.empty, found.looping) == (0.0, 0.0)
