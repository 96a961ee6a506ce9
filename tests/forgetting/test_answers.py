from __future__ import annotations

from forgetbench.forgetting.answers import agreement, shown
from forgetbench.schema.sample import AudioFile, RawPrediction


def audio(sha256: str) -> str:
    file = AudioFile(sha256=sha256, sampling_rate=16_000, n_samples=24_000)
    return RawPrediction(audio=file).model_dump_json(exclude_defaults=True)


def test_audio_is_shown_by_its_length_and_how_its_file_begins() -> None:
    assert shown(audio("ab" * 32), choices=False) == "audio abababababab, 1.50 s"


def test_of_audio_there_is_no_agreement_to_count() -> None:
    assert agreement([audio("a" * 64)], [audio("a" * 64)], choices=False) is None


def test_openings_are_shown_by_the_score_they_make_and_choices_by_their_number() -> None:
    openings = RawPrediction(loglikelihoods=(-21.7, -20.1)).model_dump_json(exclude_defaults=True)
    assert shown(openings, choices=False, score="refusal_margin -0.420") == "refusal_margin -0.420"
    assert shown(openings, choices=True, score="acc +1.000") == "choice 2"
    document = RawPrediction(loglikelihoods=(-21.7,)).model_dump_json(exclude_defaults=True)
    assert shown(document, choices=False, score="bits_per_byte +1.379") == "log-likelihood -21.70"
