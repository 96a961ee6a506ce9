"""Audio language models: the same checkpoint hears, reads and writes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import CheckpointError
from forgetbench.models import audio_lm
from forgetbench.models.audio_lm import AudioLM
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.clips import join
from forgetbench.models.interface import (
    GenerateRequest,
    ScoreRequest,
    SpeechRecogniser,
    SpokenRequest,
    TextModel,
)
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings
from tiny_speech_models import make_qwen2_audio, speech_like

Models = Callable[[str], Path]

DURATIONS_S = (1.0, 0.5, 2.0, 0.0, 0.01, 1.0)


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_lm, "MAX_NEW_TOKENS", 12)


def loaded(path: Path, dtype: str = "float32") -> AudioLM:
    model = load(resolve(str(path)).components["lm"], LoadSettings(dtype=dtype))
    assert isinstance(model, AudioLM)
    return model


@pytest.fixture
def model(speech_models: Models) -> AudioLM:
    return loaded(speech_models("qwen2-audio"))


def make_audio_lora(folder: Path, base: Path, *, seed: int = 1) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import Qwen2AudioForConditionalGeneration

    torch.manual_seed(seed)
    config = LoraConfig(r=2, lora_alpha=16, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    plain = Qwen2AudioForConditionalGeneration.from_pretrained(base)
    get_peft_model(plain, config).save_pretrained(folder)
    return folder


def test_one_component_can_do_everything(speech_models: Models, model: AudioLM) -> None:
    checkpoint = resolve(str(speech_models("qwen2-audio")))
    assert list(checkpoint.components) == ["lm"]
    component = checkpoint.components["lm"]
    assert component.capabilities == ("score_text", "generate", "transcribe", "answer_audio")
    assert all(checkpoint.component_for(c) is component for c in component.capabilities)
    assert isinstance(model, TextModel) and isinstance(model, SpeechRecogniser)


def test_a_transcript_does_not_depend_on_the_batch(model: AudioLM) -> None:
    clips = [speech_like(seed, duration_s) for seed, duration_s in enumerate(DURATIONS_S)]
    together = model.transcribe(clips, language="en")
    assert together == [model.transcribe([clip], language="en")[0] for clip in clips]
    assert model.transcribe(clips[::-1], language="en") == together[::-1]
    assert len({output.text for output in together}) > 3
    assert model.transcribe([], language="en") == []


def test_the_transcript_is_the_likeliest_token_each_time(speech_models: Models, model: AudioLM) -> None:
    from transformers import Qwen2AudioForConditionalGeneration, Qwen2AudioProcessor

    plain = Qwen2AudioForConditionalGeneration.from_pretrained(speech_models("qwen2-audio")).eval()
    processor = Qwen2AudioProcessor(model._processor.feature_extractor, model.tokenizer)
    clip = speech_like(4, 1.3)
    prompt = model._transcription_prompt("en")
    inputs = processor(text=prompt, audio=clip.samples, sampling_rate=16_000, return_tensors="pt")
    ids, n_prompt = inputs.pop("input_ids"), inputs["attention_mask"].shape[1]
    inputs.pop("attention_mask")
    with torch.inference_mode():
        while ids.shape[1] < n_prompt + 12 and ids[0, -1] != 1:
            logits = plain(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], dim=1)
    expected = model.tokenizer.decode(ids[0, n_prompt:], skip_special_tokens=True).strip()
    assert model.transcribe([clip], language="en")[0].text == expected


def test_the_prompt_is_fixed_and_names_the_language(model: AudioLM, tmp_path: Path) -> None:
    assert model._transcription_prompt("de") == (
        "<u>Audio 1: <|audio_bos|><|AUDIO|><|audio_eos|>\n"
        "Transcribe the speech in German. Write only the words that are said.</u><a>"
    )
    pretrained = loaded(make_qwen2_audio(tmp_path / "pretrained", template=False))
    assert pretrained.chat_template is None
    assert pretrained._transcription_prompt("de") == (
        "<|audio_bos|><|AUDIO|><|audio_eos|>Detect the language and recognize the speech: <|de|>"
    )
    assert pretrained.transcribe([speech_like(0, 0.5)], language="de")[0].n_tokens > 0


def test_its_text_side_is_a_causal_language_model(speech_models: Models, model: AudioLM) -> None:
    from transformers import Qwen2ForCausalLM

    inside = Qwen2ForCausalLM(model.model.config.text_config).eval()
    inside.model.load_state_dict(model.model.model.language_model.state_dict())
    inside.lm_head.load_state_dict(model.model.lm_head.state_dict())
    text = CausalLM(inside, model.tokenizer)
    scores = [
        ScoreRequest(context="the cat sat", continuation=" on the mat"),
        ScoreRequest(context="the cat sat", continuation=" on"),
        ScoreRequest(context="", continuation="a dog"),
    ]
    for ours, theirs in zip(model.score_text(scores), text.score_text(scores), strict=True):
        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-4)
        assert ours.n_tokens == theirs.n_tokens
    prompts = [GenerateRequest(prompt=p, max_new_tokens=6) for p in ("the cat", "what did a model forget")]
    assert model.generate(prompts) == text.generate(prompts)
    assert model.render_chat("hi") == "<u>hi</u><a>"


def test_running_into_the_limit_is_truncation(model: AudioLM) -> None:
    outputs = model.transcribe([speech_like(seed, 1.0) for seed in range(3)], language="en")
    assert all(output.n_tokens <= 12 for output in outputs)
    assert any(output.truncated for output in outputs)


def test_long_audio_is_cut_and_joined(model: AudioLM) -> None:
    import numpy as np

    from forgetbench.models.interface import Audio

    assert model.longest_s == 2.0
    first, second, pause = speech_like(1, 1.8), speech_like(2, 1.5), np.zeros(1600, np.float32)
    whole = Audio(samples=np.concatenate([first.samples, pause, second.samples]), sampling_rate=16_000)
    parts = [np.concatenate([first.samples, pause[:800]]), np.concatenate([pause[800:], second.samples])]
    said = model.transcribe([Audio(samples=p, sampling_rate=16_000) for p in parts], language="en")
    assert model.transcribe([whole, first], language="en")[0] == join(said)


def test_both_arms_are_decoded_the_same_whatever_their_generation_config(
    speech_models: Models, model: AudioLM, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(speech_models("qwen2-audio"), tmp_path / "other"))
    file = path / "generation_config.json"
    changes = {"num_beams": 3, "do_sample": True, "repetition_penalty": 5.0, "temperature": 2.0}
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    clips = [speech_like(seed, 1.0) for seed in range(3)]
    assert loaded(path).transcribe(clips, language="en") == model.transcribe(clips, language="en")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_changes_what_is_heard_and_what_is_written(
    dtype: str, speech_models: Models, tmp_path: Path
) -> None:
    base = speech_models("qwen2-audio")
    adapter = make_audio_lora(tmp_path / "lora", base)
    component = resolve(str(adapter)).components["lm"]
    assert component.format == "peft" and "transcribe" in component.capabilities
    plain, adapted = loaded(base, dtype), loaded(adapter, dtype)
    clips = [speech_like(seed, 1.0) for seed in range(3)]
    assert adapted.transcribe(clips, language="en") != plain.transcribe(clips, language="en")
    prompts = [GenerateRequest(prompt="the cat sat", max_new_tokens=8)]
    assert adapted.generate(prompts) != plain.generate(prompts)
    assert adapted.chat_template == plain.chat_template is not None


def test_a_pair_is_scored_on_speech_and_on_text_in_one_run(
    speech_models: Models, tmp_path: Path, ask: Callable[..., Request]
) -> None:
    adapter = make_audio_lora(tmp_path / "lora", speech_models("qwen2-audio"))
    result = evaluate(prepare(ask(adapter, "heard,choices,short")))
    assert [task.status for task in result.checkpoint.tasks] == ["done"] * 3
    assert result.base is not None and result.comparison is not None
    components = {task.component for task in result.checkpoint.tasks}
    assert len(components) == 1, "one component answers them all"


def test_pickled_weights_are_refused(speech_models: Models, tmp_path: Path) -> None:
    path = Path(shutil.copytree(speech_models("qwen2-audio"), tmp_path / "pickled"))
    (path / "model.safetensors").rename(path / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"only as a pickle \(pytorch_model.bin\)"):
        resolve(str(path))


def test_a_spoken_request_is_answered_under_the_tasks_own_words(model: AudioLM) -> None:
    """The answer to an instruction is what transcription gives under the same words."""
    clips = [speech_like(seed, duration_s) for seed, duration_s in ((1, 0.7), (2, 1.3))]
    instruction = "Transcribe the speech in English. Write only the words that are said."
    requests = [SpokenRequest(audio=clip, instruction=instruction, max_new_tokens=12) for clip in clips]
    answers = model.answer_audio(requests)
    assert [a.text.strip() for a in answers] == [o.text for o in model.transcribe(clips, language="en")]
    (alone,) = model.answer_audio([SpokenRequest(audio=clips[0], instruction="", max_new_tokens=3)])
    assert alone.n_tokens <= 3
    long = SpokenRequest(audio=speech_like(3, 2.5), instruction="", max_new_tokens=3)
    assert model.answer_audio([long])[0].truncated, "2.5 s do not fit into its window of 2 s"


def test_the_whole_spoken_suite_runs_on_one_model(speech_models: Models, ask_spoken: Any) -> None:
    result = evaluate(prepare(ask_spoken(str(speech_models("qwen2-audio")), tasks="questions,requests")))
    assert [task.status for task in result.checkpoint.tasks] == ["done", "done"]
    assert "contains_answer_as_text" in result.checkpoint.tasks[0].metrics
