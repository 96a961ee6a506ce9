"""What a multilingual Whisper does beside transcribing: it translates, and tells languages apart."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetbench.errors import UsageError
from forgetbench.metrics.translation import translation_stats
from forgetbench.models.checkpoint import resolve
from forgetbench.models.load import load
from forgetbench.models.whisper import WhisperRecogniser
from forgetbench.schema.run import LoadSettings
from tiny_models import make_whisper
from tiny_speech_models import speech_like

Copy = Callable[..., Path]


def whisper(path: Path) -> WhisperRecogniser:
    model = load(resolve(str(path)).components["asr"], LoadSettings())
    assert isinstance(model, WhisperRecogniser)
    return model


def test_only_a_multilingual_model_can(made: Path, tmp_path: Path) -> None:
    both = {"translate", "identify_language"}
    assert both <= resolve(str(made / "whisper")).capabilities
    english = make_whisper(tmp_path / "english", multilingual=False)
    assert not both & resolve(str(english)).capabilities
    with pytest.raises(UsageError, match="English-only"):
        whisper(english).identify_language([speech_like(0, 0.5)])


def test_the_task_token_decides_between_transcript_and_translation(made: Path) -> None:
    model = whisper(made / "whisper")
    vocabulary = model.processor.tokenizer.get_vocab()
    prompts = []
    decode = model._decode

    def watching(features: Any, prompt: list[int]) -> Any:
        prompts.append(prompt)
        return decode(features, prompt)

    model._decode = watching  # type: ignore[method-assign]
    clips = [speech_like(seed, 0.5) for seed in range(3)]
    model.transcribe(clips, language="de")
    assert len(model.translate(clips, language="de")) == 3
    tasks = [vocabulary["<|transcribe|>"], vocabulary["<|translate|>"]]
    assert [p[1:3] for p in prompts] == [[vocabulary["<|de|>"], task] for task in tasks]


def test_the_likeliest_language_token_is_told(made: Path) -> None:
    """By hand: logits behind the start token, of the model's two languages."""
    model = whisper(made / "whisper")
    clips = [speech_like(seed, 0.5) for seed in range(8)]
    vocabulary = model.processor.tokenizer.get_vocab()
    expected = []
    for clip in clips:
        features = model.processor.feature_extractor(
            clip.samples, sampling_rate=16_000, return_tensors="pt"
        ).input_features
        with torch.no_grad():
            ids = torch.tensor([[vocabulary["<|startoftranscript|>"]]])
            logits = model.model(input_features=features, decoder_input_ids=ids).logits[0, -1]
        expected.append(max(("en", "de"), key=lambda code: float(logits[vocabulary[f"<|{code}|>"]])))
    assert model.identify_language(clips) == expected


def test_translations_are_scored_as_sacrebleu_does() -> None:
    import sacrebleu

    reference, hypothesis = "The children play in the garden.", "Children are playing in a garden."
    assert translation_stats(reference, hypothesis) == {
        "sentence_chrf": sacrebleu.CHRF().sentence_score(hypothesis, [reference]).score,
        "sentence_bleu": sacrebleu.BLEU(effective_order=True).sentence_score(hypothesis, [reference]).score,
    }
    assert translation_stats(reference, "") == {"sentence_chrf": 0.0, "sentence_bleu": 0.0}


def test_both_tasks_run_through_the_engine(made: Path, tmp_path: Path) -> None:
    import soundfile

    from forgetbench.engine.run import Request, evaluate, prepare
    from tiny_tasks import write_task

    rows = []
    for i in range(4):
        soundfile.write(tmp_path / f"{i}.wav", speech_like(i, 0.5).samples, 16_000, subtype="FLOAT")
        rows.append(
            {"id": f"s{i}", "audio": f"{i}.wav", "english": "the cat", "language": ["de", "en"][i % 2]}
        )
    write_task(
        tmp_path, "translated", rows, kind="speech_translation", fields={"text": "english"}, language="de",
        metrics=["sentence_chrf"], primary="sentence_chrf",
    )  # fmt: skip
    write_task(
        tmp_path, "told", rows, kind="language_id", fields={"answer": "language"}, metrics=["acc"],
        primary="acc",
    )  # fmt: skip
    request = Request(
        model=str(made / "whisper"),
        tasks=["tiny"],
        include_paths=[tmp_path],
        output=tmp_path / "r",
        offline=True,
    )
    result = evaluate(prepare(request))
    tasks = {task.name: task for task in result.checkpoint.tasks}
    assert {task.status for task in tasks.values()} == {"done"}
    assert set(tasks["translated"].metrics) == {"sentence_chrf", "sentence_bleu"}
    heard = whisper(made / "whisper").identify_language([speech_like(i, 0.5) for i in range(4)])
    right = sum(code == row["language"] for code, row in zip(heard, rows, strict=True))
    assert tasks["told"].metrics["acc"].value == right / 4
    assert json.loads(result.checkpoint.to_json())["tasks"]
