"""Tiny random recognisers, one for each architecture, saved as a published checkpoint is laid out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.models.interface import Audio
from tiny_models import make_tokenizer

LETTERS = "abcdefghijklmnopqrstuvwxyz'"


def speech_like(seed: int, duration_s: float) -> Audio:
    """Noise, and a tone that comes and goes, so that a random model hears different things at each time."""
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(16_000 * duration_s)) / 16_000
    pitch = 120 * 1.5 ** rng.integers(0, 8, size=1 + int(duration_s * 5))[(time_s * 5).astype(int)]
    tone = np.sin(2 * np.pi * np.cumsum(pitch) / 16_000) * (np.sin(2 * np.pi * 3 * time_s) > 0)
    samples = 0.3 * tone + rng.normal(0, 0.05, len(time_s))
    return Audio(samples=samples.astype(np.float32), sampling_rate=16_000)


def ctc_vocabulary(letters: str) -> dict[str, int]:
    return {token: i for i, token in enumerate(["<pad>", "<s>", "</s>", "<unk>", "|", *letters])}


def spread(model: Any, scale: float) -> None:
    """Make the logits of a random model depend on what it hears: its output layer is larger."""
    import torch

    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(scale)


def save_ctc(folder: Path, model_class: Any, config: Any, *, masks: bool, seed: int = 0) -> Path:
    import torch
    from transformers import Wav2Vec2CTCTokenizer, Wav2Vec2FeatureExtractor, Wav2Vec2Processor

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(ctc_vocabulary(LETTERS)))
    torch.manual_seed(seed)
    model = model_class(config)
    with torch.no_grad():
        model.lm_head.weight.mul_(40)
    model.save_pretrained(folder)
    extractor = Wav2Vec2FeatureExtractor(return_attention_mask=masks)
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder


def ctc_settings(**changes: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "vocab_size": len(ctc_vocabulary(LETTERS)),
        "pad_token_id": 0,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "conv_dim": (16,) * 7,
        "num_conv_pos_embeddings": 8,
        "num_conv_pos_embedding_groups": 2,
    }
    return settings | changes


def make_wav2vec2(folder: Path, *, norm: str = "group", seed: int = 0, **changes: Any) -> Path:
    """With a group norm as wav2vec2-base, or with layer norms as wav2vec2-large-lv60."""
    from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

    is_layer = norm == "layer"
    settings = ctc_settings(
        feat_extract_norm=norm, do_stable_layer_norm=is_layer, conv_bias=is_layer, **changes
    )
    return save_ctc(folder, Wav2Vec2ForCTC, Wav2Vec2Config(**settings), masks=is_layer, seed=seed)


def make_conformer(folder: Path) -> Path:
    from transformers import Wav2Vec2ConformerConfig, Wav2Vec2ConformerForCTC

    config = Wav2Vec2ConformerConfig(**ctc_settings(feat_extract_norm="layer", conv_bias=True))
    return save_ctc(folder, Wav2Vec2ConformerForCTC, config, masks=True)


def make_hubert(folder: Path) -> Path:
    from transformers import HubertConfig, HubertForCTC

    config = HubertConfig(
        **ctc_settings(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True)
    )
    return save_ctc(folder, HubertForCTC, config, masks=True)


def make_wavlm(folder: Path) -> Path:
    from transformers import WavLMConfig, WavLMForCTC

    config = WavLMConfig(**ctc_settings(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True))
    return save_ctc(folder, WavLMForCTC, config, masks=True)


def make_mms(folder: Path) -> Path:
    """Two languages: ``eng`` with Latin letters, ``ell`` with a longer Greek vocabulary."""
    import torch
    from safetensors.torch import save_file
    from transformers import Wav2Vec2Config, Wav2Vec2CTCTokenizer, Wav2Vec2ForCTC

    settings = ctc_settings(
        feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True, adapter_attn_dim=4
    )
    save_ctc(folder, Wav2Vec2ForCTC, Wav2Vec2Config(**settings), masks=True)
    vocabularies = {"eng": ctc_vocabulary(LETTERS), "ell": ctc_vocabulary("αβγδεζηθικλμνξοπρστυφχψωάέήίόύώ")}
    (folder / "vocab.json").write_text(json.dumps(vocabularies))
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"), target_lang="eng")
    tokenizer.save_pretrained(folder)
    for seed, (language, vocabulary) in enumerate(vocabularies.items()):
        torch.manual_seed(20 + seed)
        model = Wav2Vec2ForCTC(Wav2Vec2Config(**(settings | {"vocab_size": len(vocabulary)})))
        with torch.no_grad():
            model.lm_head.weight.mul_(40)
        state = {n: w for n, w in model.state_dict().items() if ".adapter_layer." in n or "lm_head" in n}
        save_file(state, folder / f"adapter.{language}.safetensors")
    return folder


def save_seq2seq(folder: Path, model: Any, extractor: Any, tokenizer: Any) -> Path:
    model.generation_config._from_model_config = False
    model.save_pretrained(folder)
    extractor.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_speech2text(folder: Path, *, tokenizer: Any = None) -> Path:
    import torch
    from transformers import (
        Speech2TextConfig,
        Speech2TextFeatureExtractor,
        Speech2TextForConditionalGeneration,
    )

    torch.manual_seed(0)
    tokenizer = tokenizer or make_tokenizer(bos=False)
    config = Speech2TextConfig(
        vocab_size=len(tokenizer),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        conv_channels=16,
        max_target_positions=24,
        init_std=0.5,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        decoder_start_token_id=1,
    )
    model = Speech2TextForConditionalGeneration(config)
    return save_seq2seq(folder, model, Speech2TextFeatureExtractor(), tokenizer)


def make_moonshine(folder: Path) -> Path:
    import torch
    from transformers import MoonshineConfig, MoonshineForConditionalGeneration, Wav2Vec2FeatureExtractor

    torch.manual_seed(0)
    tokenizer = make_tokenizer(bos=False)
    config = MoonshineConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=24,
        encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2,
        decoder_num_attention_heads=2,
        max_position_embeddings=24,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    return save_seq2seq(folder, MoonshineForConditionalGeneration(config), extractor, tokenizer)


def make_speecht5(folder: Path, *, tokenizer: Any = None) -> Path:
    import torch
    from transformers import SpeechT5Config, SpeechT5FeatureExtractor, SpeechT5ForSpeechToText

    torch.manual_seed(0)
    tokenizer = tokenizer or make_tokenizer(bos=False)
    config = SpeechT5Config(
        vocab_size=len(tokenizer),
        hidden_size=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=8,
        num_conv_pos_embedding_groups=2,
        max_text_positions=24,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=1,
        pad_token_id=2,
        decoder_start_token_id=1,
    )
    return save_seq2seq(folder, SpeechT5ForSpeechToText(config), SpeechT5FeatureExtractor(), tokenizer)


def make_vits(folder: Path, *, seed: int = 0) -> Path:
    import torch
    from transformers import VitsConfig, VitsModel, VitsTokenizer

    torch.manual_seed(seed)
    folder.mkdir(parents=True)
    letters = ["<pad>", *"abcdefghijklmnopqrstuvwxyz '", "<unk>"]
    (folder / "vocab.json").write_text(json.dumps({letter: i for i, letter in enumerate(letters)}))
    tokenizer = VitsTokenizer(
        str(folder / "vocab.json"), pad_token="<pad>", unk_token="<unk>", phonemize=False, is_uroman=False
    )
    config = VitsConfig(
        vocab_size=len(letters), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, ffn_dim=16,
        flow_size=16, spectrogram_bins=9, upsample_initial_channel=32, upsample_rates=[4, 4],
        upsample_kernel_sizes=[8, 8], resblock_kernel_sizes=[3], resblock_dilation_sizes=[[1]],
        prior_encoder_num_flows=2, posterior_encoder_num_wavenet_layers=2, wavenet_dilation_rate=1,
        depth_separable_num_layers=1, duration_predictor_num_flows=2,
    )  # fmt: skip
    VitsModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_qwen2_audio(folder: Path, *, template: bool = True) -> Path:
    """With a chat template as the instruction-tuned model, or without one as the pretrained one."""
    import torch
    from transformers import Qwen2AudioConfig, Qwen2AudioForConditionalGeneration, WhisperFeatureExtractor

    torch.manual_seed(0)
    tokenizer = make_tokenizer(bos=False)
    names = ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>", "<u>", "</u>", "<a>", "<|en|>", "<|de|>"]
    tokenizer.add_tokens(names, special_tokens=True)
    if not template:
        tokenizer.chat_template = None
    config = Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder",
            "num_mel_bins": 20,
            "encoder_layers": 1,
            "encoder_attention_heads": 2,
            "encoder_ffn_dim": 16,
            "d_model": 16,
            "max_source_positions": 100,
            "initializer_range": 0.5,
        },
        text_config={
            "model_type": "qwen2",
            "vocab_size": len(tokenizer),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 512,
            "initializer_range": 0.3,
            "bos_token_id": 0,
            "eos_token_id": 1,
        },
        audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>"),
    )
    model = Qwen2AudioForConditionalGeneration(config)
    model.generation_config.eos_token_id = 1
    extractor = WhisperFeatureExtractor(feature_size=20, chunk_length=2)
    return save_seq2seq(folder, model, extractor, tokenizer)


CTC: dict[str, Callable[[Path], Path]] = {
    "wav2vec2-base": make_wav2vec2,
    "wav2vec2-large": lambda folder: make_wav2vec2(folder, norm="layer"),
    "wav2vec2-adapter": lambda folder: make_wav2vec2(folder, norm="layer", add_adapter=True),
    "conformer": make_conformer,
    "hubert": make_hubert,
    "wavlm": make_wavlm,
}
SEQ2SEQ: dict[str, Callable[[Path], Path]] = {
    "speech2text": make_speech2text,
    "moonshine": make_moonshine,
    "speecht5": make_speecht5,
}


@pytest.fixture(scope="session")
def speech_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``speech_models("hubert")``: its directory, made once."""
    root, makers = (
        tmp_path_factory.mktemp("speech-models"),
        {**CTC, **SEQ2SEQ, "mms": make_mms, "qwen2-audio": make_qwen2_audio},
    )

    def model(name: str) -> Path:
        return root / name if (root / name).is_dir() else makers[name](root / name)

    return model
