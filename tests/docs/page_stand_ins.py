"""Tiny stand-ins, on disk, for the names that pages take for granted: ``./my-lora``, ``test.jsonl`` …"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import yaml
from shown_commands import ROOT

from curve_results import _row, write_result
from lm_eval_runs import write_run
from tiny_models import make_llama, make_lora
from tiny_recipe_models import save_ct2, save_tiny_whisper
from tiny_speech_models import ctc_settings, make_qwen2_audio, make_vits, make_wav2vec2
from tiny_unit_models import save_tiny_encodec, write_utterances

TEXT_HUB = ("org/base", "HuggingFaceTB/SmolLM2-135M-Instruct")
SPEECH_HUB = ("openai/whisper-tiny.en", "openai/whisper-base")
HUB_REVISION = "0" * 40
TEXT = (
    "my-lora",
    "chat-lora",
    "ckpt",
    "quantised",
    "stage-1",
    "stage-2",
    "out/checkpoint-5",
    "out/checkpoint-10",
)
SPEECH = ("whisper-lora", "whisper-english", "mine/audio-15", "mine/audio-60")
FACTORY = """
import numpy as np
from forgetbench.models.interface import Loglikelihood, Output

class Model:
    def __init__(self, fingerprint):
        self.fingerprint = fingerprint
    def transcribe(self, audio, *, language):
        return [Output(text="a word", n_tokens=2, truncated=False) for _ in audio]
    def embed(self, audio):
        return [np.array([[clip.samples.mean(), clip.samples.std()]], np.float32) for clip in audio]
    def enhance(self, audio):
        return list(audio)
    def convert(self, audio, **how):
        return list(audio)
    def score_audio(self, audio):
        losses = [float(len(clip.samples)) for clip in audio]
        return [Loglikelihood(logprob=-loss, is_greedy=False, n_tokens=1) for loss in losses]
    def separate(self, audio, *, n_stems):
        return [[clip] * n_stems for clip in audio]

def function():
    return Model("a stand-in")

def other():
    return Model("another")
"""
POLICY = {"roles": {"general": 0.02, "safety": 0.05}}


def make_hub(hub: Path) -> None:
    """Fill a Hugging Face cache with tiny models under the names of large ones."""
    for name in (*TEXT_HUB, *SPEECH_HUB):
        repo = hub / f"models--{name.replace('/', '--')}"
        snapshot = repo / "snapshots" / HUB_REVISION
        snapshot.mkdir(parents=True)
        (repo / "refs").mkdir()
        (repo / "refs" / "main").write_text(HUB_REVISION)
        if name in TEXT_HUB:
            make_llama(snapshot, seed=len(name))
            _change(snapshot / "config.json", max_position_embeddings=4096)
        else:
            several = {"multilingual": True, "languages": ("en", "de", "es", "fr", "it")}
            save_tiny_whisper(snapshot, **({} if name.endswith(".en") else several))


def make_world(world: Path, hub: Path) -> None:
    """Fill a folder with models, test sets, policies and results of lm-eval."""
    world.mkdir()
    for i, name in enumerate(TEXT):
        make_lora(world / name, _snapshot(hub, "org/base"), seed=i + 1)
        _change(world / name / "adapter_config.json", base_model_name_or_path="org/base")
    for i, name in enumerate(SPEECH):
        base = SPEECH_HUB[name == "whisper-english"]
        _whisper_lora(world / name, _snapshot(hub, base), seed=i)
        _change(world / name / "adapter_config.json", base_model_name_or_path=base)
    shutil.copytree(_snapshot(hub, "org/base"), world / "base")
    save_ct2(world / "whisper-tiny.en-int8", quantisation="int8")
    shutil.rmtree(world / "whisper-tiny.en-int8-transformers")
    make_vits(world / "voice")
    make_vits(world / "my-voice", seed=1)
    save_tiny_encodec(world / "encodec")
    _unit_lm(world / "my-speech-lm")
    questions = [{"prompt": f"What is {i} and {i}?", "answer": str(2 * i)} for i in range(24)]
    for name in ("test.jsonl", "train.jsonl", "old.jsonl"):
        _lines(world / name, questions)
    clips = [_clip(world / "clips" / f"{i}.wav", i) for i in range(24)]
    for name in ("commands", "user", "english/train", "english/test"):
        _lines(world / f"{name}.jsonl", clips)
    digits = world / "free-spoken-digit-dataset" / "recordings"
    for name in (ROOT / "examples" / "english-digits" / "recordings.txt").read_text().split():
        _clip(digits / f"{name}.wav", 0)
    _lines(world / "mine.jsonl", [_clip(world / "clips" / "long.wav", 0, duration_s=5)] * 200)
    shutil.copy(world / "clips" / "long.wav", world / "me.wav")
    for name, low in {"speech": True, "others": False}.items():
        utterances = write_utterances(world, low=low, n=8)
        (world / f"{name}.jsonl").write_text(utterances.read_text() * 25)
    recipe = {
        "name": "mine", "model": "org/base", "data": "train.jsonl", "output": "mined", "steps": 2,
        "family": "causal_lm", "method": "sft", "weights": "lora", "learning_rate": 1e-3, "batch_size": 2,
    }  # fmt: skip
    (world / "mine.yaml").write_text(yaml.safe_dump(recipe))
    (world / "policy.yaml").write_text(yaml.safe_dump({"margins": POLICY}))
    (world / "made.csv").write_text("checkpoint,steps\ncheckpoint-5,5\ncheckpoint-10,10\n")
    grid = {
        "name": "tiny", "model": "org/base", "data": "train.jsonl", "tasks": ["facts_mini"], "limit": 4,
        "common": {"steps": 2, "save_steps": [1, 2]}, "grid": [{"recipe": "lora", "rank": [1, 2]}],
    }  # fmt: skip
    (world / "grid.yaml").write_text(yaml.safe_dump(grid))
    for old, new in (("enhancer-v1", "enhancer-v2"), ("v1", "v2"), ("old", "net")):
        _onnx_gain(world / f"{old}.onnx", 1.0)
        _onnx_gain(world / f"{new}.onnx", 0.5)
    same, other = [1.0] * 30, [0.0, 1.0] * 15
    for base, after in (
        ("lm-eval/base", "lm-eval/my-lora"),
        ("out/base", "out/mine"),
        ("BASE", "CHECKPOINT"),
    ):
        for name, scores in ((base, same), (after, other)):
            (world / name).parent.mkdir(exist_ok=True)
            write_run(world / name, {"hellaswag": (scores, 30), "gsm8k": (same, 30)})
    (world / "package").mkdir()
    (world / "package" / "module.py").write_text(FACTORY)


def lay_out(world: Path, folder: Path, lines: Iterable[str]) -> None:
    """Lay a checkout and the stand-ins out, but for what the lines themselves will write."""
    shutil.copytree(world, folder)
    shutil.copytree(ROOT / "examples", folder / "examples")
    for name in ("tasks", "leaderboards", "docs", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    text = "\n".join(lines)
    for name in ("smollm2-135m", "whisper-tiny-en"):
        if f"results/{name}" in text:
            of_real_base = shutil.ignore_patterns("sweep.json")
            shutil.copytree(ROOT / "results" / name, folder / "results" / name, ignore=of_real_base)
    if "results/stage-" in text:
        _stages(folder / "results")
    outputs = [
        str(Path(name).parent / yaml.safe_load((folder / name).read_text())["output"])
        for name in re.findall(r"recipe run (\S+\.yaml)", text)
    ]
    for written in (*re.findall(r"(?:--output|>) (\S+)", text), *outputs):
        path = folder / written.rstrip("/")
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()


def name_newest_result(folder: Path, names: Iterable[str]) -> None:
    """Give the newest result the names that a page has for it: ``RESULT``, ``results/seed-*/…``."""
    found = sorted(folder.rglob("run.json"), key=lambda path: path.stat().st_mtime)
    for name in names if found else ():
        own = [path for path in found if path.is_relative_to(folder / name.partition("/…")[0])]
        for number, made in enumerate(found if "*" in name else [(own or found)[-1]], start=1):
            path = folder / name.replace("*", str(number))
            if path.is_symlink() and (own or name == "RESULT"):
                path.unlink()
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.symlink_to(made.parent)


def _stages(results: Path) -> None:
    for i, (qa, code) in enumerate(((-0.5, 0.0), (-0.3, -0.4), (-0.2, -0.4)), start=1):
        learned = {"qa": qa, "code": code, "dialogue": -0.1}
        rows = [_row(name, "target", 0.2, change) for name, change in learned.items()]
        stage = results / f"stage-{i}"
        write_result(stage / str(i), stage.name, *rows, run_key=f"k{i}").rename(stage / "…")


def left_open(folder: Path, base: Path) -> dict[str, Any]:
    """Return what the Python of a page leaves to its reader: a trainer's model, data and arguments."""
    from transformers import AutoModelForCausalLM, AutoTokenizer, Trainer, TrainingArguments

    tokenizer = AutoTokenizer.from_pretrained(base)
    tokenizer.pad_token = tokenizer.eos_token
    ids = tokenizer(["the cat sat on the mat"] * 16)["input_ids"]
    arguments = TrainingArguments(
        output_dir=str(folder), max_steps=100, per_device_train_batch_size=2, report_to="none", use_cpu=True,
        save_strategy="no", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    return {
        "Trainer": Trainer, "model": AutoModelForCausalLM.from_pretrained(base), "tokenizer": tokenizer,
        "args": arguments, "data": [{"input_ids": row, "labels": row} for row in ids],
    }  # fmt: skip


def _onnx_gain(path: Path, gain: float) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    ends = [helper.make_tensor_value_info(end, TensorProto.FLOAT, ("batch", "samples")) for end in "xy"]
    factor = numpy_helper.from_array(np.full(1, gain, np.float32), "gain")
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "gain"], ["y"])], "e", ends[:1], ends[1:], [factor]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {"sampling_rate": "16000"})
    onnx.save(model, path)


def _snapshot(hub: Path, name: str) -> Path:
    return hub / f"models--{name.replace('/', '--')}" / "snapshots" / HUB_REVISION


def _whisper_lora(folder: Path, base: Path, *, seed: int) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import WhisperForConditionalGeneration

    torch.manual_seed(seed)
    config = LoraConfig(r=2, lora_alpha=8, init_lora_weights=False, target_modules=["q_proj", "v_proj"])
    get_peft_model(WhisperForConditionalGeneration.from_pretrained(base), config).save_pretrained(folder)


def _clip(path: Path, number: int, *, duration_s: int = 1) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(number).normal(0, 0.1, duration_s * 16_000), 16_000)
    return {"audio": str(path), "text": f"turn the left side up by {number}"}


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _change(path: Path, **fields: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def _encoder(folder: Path) -> Path:
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    Wav2Vec2Model(Wav2Vec2Config(**ctc_settings())).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def _unit_lm(folder: Path) -> Path:
    from forgetbench.recipes.make import make_recipe
    from forgetbench.recipes.run import run_recipe

    made = folder.parent / "unit-lm-of"
    made.mkdir(exist_ok=True)
    codec, data = save_tiny_encodec(made / "codec"), write_utterances(made, low=True, n=8)
    run_recipe(make_recipe("full", model=str(codec), data=str(data), output=str(folder), steps=2))
    return folder


DIRECTORIES = {
    "hearing-mini": make_wav2vec2,
    "probes-mini": _encoder,
    "spoken-mini": make_qwen2_audio,
    "retention-mini,safety-mini": make_llama,
    "clean_speech_resynthesis_mini": save_tiny_encodec,
    "synthesis-mini": make_vits,
    "speech-lm-mini": _unit_lm,
    "": save_tiny_whisper,
}
"""What ``DIR`` stands for, by the tasks that it is asked; by none, where it is trained."""


def make_directory(folder: Path, tasks: str) -> None:
    """Put the model that these tasks are asked of in the place of what ``DIR`` was before."""
    shutil.rmtree(folder, ignore_errors=True)
    DIRECTORIES[tasks](folder)
