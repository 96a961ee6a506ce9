from __future__ import annotations

from forgetbench.forgetting.answers import agreement, shown
from forgetbench.schema.sample import AudioFile, RawPrediction


def audio(sha256: str) -> str:
    file = AudioFile(sha256=sha256, sampling_rate=16_000, n_samples=24_000)
    return RawPrediction(audio=file).model_dump_json(exclude_defaults=True)


def test_audio_is_shown_by_its_length_and_how_its_file_begins() -> None:
    assert shown(audio("ab" * 32), choices=False) == "audio abababababab, 1.50 s"


def stems(*files: AudioFile) -> str:
    return shown(RawPrediction(stems=files).model_dump_json(exclude_defaults=True), choices=False)


def test_stems_are_shown_by_their_number_rate_and_length() -> None:
    voice = AudioFile(sha256="ab" * 32, sampling_rate=16_000, n_samples=51_200, is_silent=False)
    music = AudioFile(sha256="cd" * 32, sampling_rate=16_000, n_samples=51_200, is_silent=False)
    missing = AudioFile(sha256="ef" * 32, sampling_rate=16_000, n_samples=0, is_silent=True)
    assert stems(voice, music) == "2 stems, 16 kHz, 3.20 s"
    assert stems(voice, missing) == "2 stems, 16 kHz, 3.20 s and 0.00 s, 1 silent"


def test_an_answer_of_nothing_has_no_log_likelihood() -> None:
    assert shown(RawPrediction().model_dump_json(exclude_defaults=True), choices=False) == ""


def test_of_audio_there_is_no_agreement_to_count() -> None:
    assert agreement([audio("a" * 64)], [audio("a" * 64)], choices=False) is None


def test_openings_are_shown_by_the_score_they_make_and_choices_by_their_number() -> None:
    openings = RawPrediction(loglikelihoods=(-21.7, -20.1)).model_dump_json(exclude_defaults=True)
    assert shown(openings, choices=False, score="refusal_margin -0.420") == "refusal_margin -0.420"
    assert shown(openings, choices=True, score="acc +1.000") == "choice 2"
    document = RawPrediction(loglikelihoods=(-21.7,)).model_dump_json(exclude_defaults=True)
    assert shown(document, choices=False, score="bits_per_byte +1.379") == "log-likelihood -21.70"


def test_of_choices_that_were_asked_more_than_once_only_the_choices_count() -> None:
    twice = RawPrediction(loglikelihoods=(-9.0, -8.0, -1.0, -2.0), n_choices=2)
    cell = twice.model_dump_json(exclude_defaults=True)
    assert shown(cell, choices=True) == "choice 2"


def test_times_are_shown_with_what_was_said() -> None:
    timed = RawPrediction(text="Sit down. Now", phrases=((0.5, 1.25), (2.0, 3.0)))
    silent = RawPrediction(text="", phrases=())
    cells = [each.model_dump_json(exclude_defaults=True) for each in (timed, silent)]
    assert [shown(cell, choices=False) for cell in cells] == ["0.50–1.25 s, 2.00–3.00 s: Sit down. Now", ""]
