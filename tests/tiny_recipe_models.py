"""Tiny random models and data: a recipe runs in seconds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.engine.progress import Silent
from forgetbench.schema.recipe import FACTS, RecipeFacts

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


class Heard(Silent):
    """Keeps what a recipe or a sweep says."""

    def __init__(self) -> None:
        self.steps = 0
        self.said: list[str] = []

    def advance(self, n: int) -> None:
        self.steps += n

    def say(self, message: str) -> None:
        self.said.append(message)


class Interrupt(Silent):
    """Ends the process, so to speak, after some steps."""

    def __init__(self, after: int) -> None:
        self.left = after

    def advance(self, n: int) -> None:
        self.left -= n
        if self.left < 0:
            raise KeyboardInterrupt


def facts_of(folder: Path) -> RecipeFacts:
    return RecipeFacts.model_validate_json((folder / FACTS).read_bytes())


def length(completions: list[Any], **_: Any) -> list[float]:
    """A reward for GRPO: the longer, the better."""
    return [float(len(completion[0]["content"])) for completion in completions]


def raising(completions: list[Any], **columns: Any) -> list[float]:
    """A reward that reads a column that the data lack."""
    return [float(score) for score in columns["score"]]


def single(completions: list[Any], **_: Any) -> float:
    """A reward for all completions together."""
    return 1.0


def save_tiny_causal(folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|end|>", "<|user|>", "<|assistant|>"]
    vocabulary = {token: i for i, token in enumerate([*special, *alphabet])}
    engine = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    engine.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    engine.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=engine,
        eos_token="<|end|>",
        pad_token="<|end|>",
        additional_special_tokens=special[1:],
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        eos_token_id=0,
        bos_token_id=0,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_tiny_whisper(
    folder: Path,
    *,
    multilingual: bool = False,
    languages: Sequence[str] = ("en", "zh", "de"),
    n_unused: int = 0,
) -> Path:
    """``n_unused`` rows of the embedding have no token, as where timestamps are left out of the tokenizer."""
    import torch
    from tokenizers import pre_tokenizers
    from transformers import (
        AddedToken,
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = WhisperTokenizer(vocab={c: i for i, c in enumerate(alphabet)}, merges=[])
    names = ["endoftext", "startoftranscript", *languages, "translate", "transcribe", "startoflm"]
    names += ["startofprev", "nospeech", "notimestamps"]
    tokenizer.add_tokens([AddedToken(f"<|{name}|>", special=True) for name in names], special_tokens=True)
    start, end = tokenizer.convert_tokens_to_ids(["<|startoftranscript|>", "<|endoftext|>"])
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(tokenizer) + n_unused,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        decoder_start_token_id=start,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        is_multilingual=multilingual, decoder_start_token_id=start, eos_token_id=end, pad_token_id=end
    )
    model.save_pretrained(folder)
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


def save_ct2(folder: Path, *, quantisation: str) -> Path:
    """The transformers model is kept beside, in ``<folder>-transformers``."""
    from ctranslate2.converters import TransformersConverter
    from safetensors.numpy import load_file, save_file

    source = save_tiny_whisper(folder.with_name(f"{folder.name}-transformers"), n_unused=1501)
    rng, weights = np.random.default_rng(0), load_file(source / "model.safetensors")
    # Arrays that happen to be equal, such as fresh norms, would be stored once.
    noisy = {name: w + rng.normal(0, 0.1, w.shape).astype(np.float32) for name, w in weights.items()}
    save_file(noisy, source / "model.safetensors", metadata={"format": "pt"})
    settings = json.loads((source / "generation_config.json").read_text())
    blank, end = 220, settings["eos_token_id"]
    settings |= {"begin_suppress_tokens": [blank, end], "suppress_tokens": []}
    (source / "generation_config.json").write_text(json.dumps(settings))
    TransformersConverter(str(source), copy_files=["tokenizer.json"]).convert(
        str(folder), quantization=quantisation
    )
    return folder


@pytest.fixture(scope="session")
def tiny_causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_causal(tmp_path_factory.mktemp("causal"))


@pytest.fixture(scope="session")
def tiny_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"What is {i}?", "answer": f"It is {i}."} for i in range(7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    rows = []
    for i, rate in enumerate((16_000, 16_000, 8_000)):
        samples = (0.1 * rng.standard_normal(rate // 2)).astype(np.float32)
        soundfile.write(tmp_path / f"{i}.wav", samples, rate)
        rows.append({"id": str(i), "audio": f"{i}.wav", "text": f"word {i}"})
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
