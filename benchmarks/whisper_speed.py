"""How fast our Whisper transcribes real utterances, against transformers' own pipeline.

Both transcribe the same utterances with the same weights in one run, alternately, in each round the other one
first: a busy machine slows both, and the ratio of medians counts. The pipeline gets greedy decoding, the
prompt and the token limit that ours has, and the batch size that is fastest for it here (tried first); ours
gets the same choice. Times include feature extraction.

    python benchmarks/whisper_speed.py [--utterances 60] [--rounds 3] [--json]

The speech is ``speech/prompts_en.jsonl`` of FORGETBENCH_TEST_DATA, else of ``../shared/data``.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from inputs import data_folder

GOAL = 1.3
MODEL = "openai/whisper-tiny.en"
BATCH_SIZES = (1, 4, 16)
N_TRIAL = 16
SAMPLING_RATE = 16_000

Clip = np.ndarray[Any, np.dtype[np.float32]]
Transcribe = Callable[[list[Clip], int], list[str]]


def read_speech(n_utterances: int) -> list[Clip]:
    """Return utterances at 16 kHz, in the order of the manifest."""
    folder = data_folder() / "speech"
    rows = [json.loads(line) for line in (folder / "prompts_en.jsonl").read_text().splitlines()]
    clips = [soundfile.read(folder / row["audio"], dtype="float32")[0] for row in rows[:n_utterances]]
    return [clip for clip in clips if len(clip) <= 30 * SAMPLING_RATE]


def make_ours(path: Path) -> Transcribe:
    """Return our recogniser, loaded as a run loads it."""
    from forgetbench.models.checkpoint import resolve
    from forgetbench.models.interface import Audio
    from forgetbench.models.load import load
    from forgetbench.schema.run import LoadSettings

    model: Any = load(resolve(str(path)).components["asr"], LoadSettings())

    def transcribe(clips: list[Clip], batch_size: int) -> list[str]:
        audio = [Audio(samples=clip, sampling_rate=SAMPLING_RATE) for clip in clips]
        batches = [audio[i : i + batch_size] for i in range(0, len(audio), batch_size)]
        return [output.text for batch in batches for output in model.transcribe(batch, language="en")]

    return transcribe


def make_pipeline(path: Path) -> Transcribe:
    """Return the pipeline of transformers with greedy decoding."""
    from transformers import pipeline

    logging.getLogger("transformers").setLevel(logging.ERROR)
    recognise = pipeline("automatic-speech-recognition", model=str(path), device="cpu", dtype="float32")
    greedy = {"num_beams": 1, "do_sample": False, "max_new_tokens": 224}

    def transcribe(clips: list[Clip], batch_size: int) -> list[str]:
        # The pipeline takes an input's sampling rate out of it: each call gets its own.
        inputs = [{"raw": clip, "sampling_rate": SAMPLING_RATE} for clip in clips]
        heard = recognise(inputs, batch_size=batch_size, generate_kwargs=dict(greedy))
        return [str(each["text"]).strip() for each in heard]

    return transcribe


def seconds(transcribe: Transcribe, clips: list[Clip], batch_size: int) -> tuple[float, list[str]]:
    """Return the wall-clock time of a pass and its texts."""
    started = time.perf_counter()
    texts = transcribe(clips, batch_size)
    return time.perf_counter() - started, texts


def fastest_batch(transcribe: Transcribe, clips: list[Clip]) -> int:
    """Return the batch size that is fastest on a few utterances spread over all."""
    trial = clips[:: max(1, len(clips) // N_TRIAL)][:N_TRIAL]
    transcribe(trial[:1], 1)  # what is made lazily
    return min(BATCH_SIZES, key=lambda size: seconds(transcribe, trial, size)[0])


def measure(n_utterances: int, rounds: int) -> dict[str, Any]:
    """Transcribe alternately and return medians, their ratio and the number of equal texts."""
    from forgetbench.models.reference import install_command, resolve_reference

    path = resolve_reference(MODEL)
    if path is None:
        sys.exit(f"{MODEL} is not here. Run: {install_command(MODEL)}")
    clips = read_speech(n_utterances)
    contenders = {"pipeline": make_pipeline(path), "forgetbench": make_ours(path)}
    batch = {name: fastest_batch(transcribe, clips) for name, transcribe in contenders.items()}
    times: dict[str, list[float]] = {name: [] for name in contenders}
    texts: dict[str, list[str]] = {}
    for i in range(rounds):
        for name in list(contenders) if i % 2 == 0 else list(reversed(contenders)):
            took, texts[name] = seconds(contenders[name], clips, batch[name])
            times[name].append(took)
            print(f"round {i + 1}: {name} {took:.1f} s, batches of {batch[name]}", file=sys.stderr)
    median = {name: statistics.median(each) for name, each in times.items()}
    return {
        "utterances": len(clips),
        "audio_s": round(sum(map(len, clips)) / SAMPLING_RATE, 1),
        "rounds": rounds,
        "batch_size": batch,
        "seconds": {name: [round(each, 2) for each in own] for name, own in times.items()},
        "ratio": round(median["pipeline"] / median["forgetbench"], 3),
        "goal": GOAL,
        "equal_texts": sum(a == b for a, b in zip(texts["pipeline"], texts["forgetbench"], strict=True)),
        "differences": [
            pair for pair in zip(texts["pipeline"], texts["forgetbench"], strict=True) if pair[0] != pair[1]
        ],
    }


def main() -> None:
    """Measure, print, and exit 1 where the ratio is below the goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--utterances", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = measure(options.utterances, options.rounds)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['utterances']} utterances, {found['audio_s']} s, {found['rounds']} rounds")
        for name, own in found["seconds"].items():
            print(f"{name}: {own} s, batches of {found['batch_size'][name]}")
        print(f"equal texts: {found['equal_texts']} of {found['utterances']}")
        for theirs, ours in found["differences"]:
            print(f"  pipeline:    {theirs}\n  forgetbench: {ours}")
        print(f"ratio: {found['ratio']:.2f} (goal {GOAL})")
    sys.exit(found["ratio"] < GOAL)


if __name__ == "__main__":
    main()
