"""Answers as they stand in a sample table: the same in both arms, and shown to a reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from forgetbench.schema.sample import AudioFile, RawPrediction


def parse(prediction: object) -> RawPrediction | None:
    """Return the prediction of a sample table's cell, None where there is none."""
    return RawPrediction.model_validate_json(prediction) if isinstance(prediction, str) else None


def text_of(cell: object) -> str:
    """Return the text of a sample table's cell, empty where there is none."""
    return cell if isinstance(cell, str) else ""


def agreement(base: Iterable[object], checkpoint: Iterable[object], *, choices: bool) -> float | None:
    """Return the share of samples with the same answer in both arms, right or wrong.

    The same answer is the same text apart from case and outer spaces, or the same most likely
    choice; of several drawn answers each is compared with the one of the same draw. None where the
    predictions hold neither (Kalajdzievski 2024, arXiv 2401.05605).

    Args:
        base: Cells of the base's column ``prediction``.
        checkpoint: Those of the checkpoint, in the same order.
        choices: Several log-likelihoods are answers to choose from, not openings to weigh.
    """
    pairs = [
        pair
        for b, c in zip(base, checkpoint, strict=True)
        for pair in zip(_answers(parse(b), choices), _answers(parse(c), choices), strict=False)
    ]
    known = [b == c for b, c in pairs if b is not None and c is not None]
    return sum(known) / len(known) if known else None


def _answers(prediction: RawPrediction | None, choices: bool) -> list[int | str | None]:
    """Return every answer that was drawn to a sample, in order."""
    more = prediction.more_texts if prediction is not None else ()
    return [_answer(prediction, choices), *(_same_text(text) for text in more)]


def _same_text(text: str) -> str:
    return text.strip().casefold()


def _answer(prediction: RawPrediction | None, choices: bool) -> int | str | None:
    if prediction is None:
        return None
    if prediction.text is not None:
        return _same_text(prediction.text)
    return prediction.likeliest if choices else None


def shown(prediction: object, *, choices: bool, score: str = "", misheard: bool = False) -> str:
    """Return an answer as a reader sees it: text, choice, log-likelihood, or what else it is.

    Empty where the model was not asked, or has said nothing.

    Args:
        prediction: A cell of a sample table.
        choices: Several log-likelihoods are answers to choose from, not openings to weigh.
        score: What was made of it, in words: it stands for the openings, whose numbers say little.
        misheard: It answers a spoken request that was not heard.
    """
    parsed = parse(prediction)
    if parsed is None:
        return ""
    if parsed.phrases:
        return ", ".join(f"{start:.2f}–{end:.2f} s" for start, end in parsed.phrases) + f": {parsed.text}"
    if parsed.text is not None:
        said = parsed.text if parsed.heard is None else f"heard “{parsed.heard}”: {parsed.text}"
        return f"misheard: {said}" if misheard else said
    if (features := parsed.embedding) is not None:
        return f"features of {features.n_layers} layers, {features.width} wide"
    if (audio := parsed.audio) is not None:
        heard = f", heard “{parsed.heard}”" if parsed.heard is not None else ""
        return f"audio {audio.sha256[:12]}, {audio.n_samples / audio.sampling_rate:.2f} s{heard}"
    if parsed.stems:
        return _stems(parsed.stems)
    if (sums := parsed.divergence) is not None:
        return f"KL from the base {sums.kl / sums.n_positions:.4f} nats/token"
    answer = _answer(parsed, choices)
    if isinstance(answer, int):
        return f"choice {answer + 1}"
    if score and len(parsed.loglikelihoods or ()) > 1:
        return score
    if not parsed.loglikelihoods:
        return ""
    return "log-likelihood " + ", ".join(f"{value:.2f}" for value in parsed.loglikelihoods)


def _stems(files: Sequence[AudioFile]) -> str:
    """Say what a mixture was taken apart into: "2 stems, 16 kHz, 3.20 s, 1 silent"."""
    rates = dict.fromkeys(f"{file.sampling_rate / 1000:g} kHz" for file in files)
    lengths = dict.fromkeys(f"{file.n_samples / file.sampling_rate:.2f} s" for file in files)
    n_silent = sum(file.is_silent or False for file in files)
    silent = [f"{n_silent} silent"] if n_silent else []
    return ", ".join([f"{len(files)} stems", " and ".join(rates), " and ".join(lengths), *silent])
