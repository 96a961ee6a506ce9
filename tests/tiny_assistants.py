"""Systems of factories that hear, read and forget by rule: a question is told by the length of its clip."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from forgetbench.engine.run import Request
from tiny_tasks import write_task

RATE = 16_000
N = 48
SOURCE = '''
import numpy as np
from forgetbench.models.interface import Audio, Output

loads = []
rendered = []
AGAIN = "I did not catch that. Could you repeat it?"

class Made:
    def __init__(self, name, **rule):
        self.fingerprint, self.rule = name, rule
        self.name = name

def said(text):
    return Output(text=text, n_tokens=len(text.split()), truncated=False)

class Cleaner(Made):
    """Returns the clip as the rule has it."""
    def enhance(self, audio):
        loads.append((self.name, len(audio)))
        return [self.rule["clean"](a) for a in audio]

class Ears(Made):
    """Hears question i in a clip of 0.1 + i/100 s, but for the questions that the rule forgets."""
    def transcribe(self, audio, *, language):
        loads.append((self.name, len(audio)))
        return [said(self.hear(a.samples)) for a in audio]
    def hear(self, samples):
        i = round(len(samples) / 160) - 10
        return "mumble" if i % 48 in self.rule["forgets"] or not samples.any() else f"question {i}"

class Fragile(Ears):
    """Fails on the questions that the rule forgets."""
    def transcribe(self, audio, *, language):
        if any(self.hear(a.samples) == "mumble" and a.samples.any() for a in audio):
            raise RuntimeError("out of order")
        return super().transcribe(audio, language=language)

class Head(Made):
    """Answers question i, but for those that the rule forgets."""
    chat_template = None
    def score_text(self, requests):
        raise AssertionError("not asked")
    def generate(self, requests):
        loads.append((self.name, len(requests)))
        return [said(self.say(r.prompt)) for r in requests]
    def say(self, prompt):
        known = [i for i in range(48) if prompt.endswith(f"question {i}") and i not in self.rule["forgets"]]
        return f"It is answer {known[0]}." if known else self.rule.get("otherwise", "I do not know")

class Failing(Head):
    """Fails on the questions that the rule forgets."""
    def generate(self, requests):
        if any(self.say(r.prompt) == "I do not know" and "question" in r.prompt for r in requests):
            raise RuntimeError("out of order")
        return super().generate(requests)

class Templated(Head):
    """Has a chat template; keeps whether what it was asked went through it."""
    def render_chat(self, text, *, template=None):
        return f"<user>{text}"
    def generate(self, requests):
        rendered.extend(r.rendered for r in requests)
        return super().generate(requests)

class Whole(Made):
    """Hears and answers in one piece; reads nothing."""
    def answer_audio(self, requests):
        loads.append((self.name, len(requests)))
        ears, head = Ears("", forgets=self.rule["forgets"]), Head("", forgets=())
        return [said(head.say(ears.hear(r.audio.samples)) + r.instruction) for r in requests]

def ears(): return Ears("ears", forgets=())
def deafer(): return Ears("deafer", forgets=range(0, 12))
def head(): return Head("head", forgets=())
def templated(): return Templated("templated", forgets=())
def duller(): return Head("duller", forgets=range(12, 30))
def same_duller(): return Head("same duller", forgets=range(0, 12))
def deaf(): return Ears("deaf", forgets=range(0, 41))
def refusing(): return Head("refusing", forgets=range(0, 48), otherwise="I can't help with that.")
def asking(): return Head("asking", forgets=(), otherwise=AGAIN)
def always_asking(): return Head("always asking", forgets=range(0, 48), otherwise=AGAIN)
def fragile(): return Fragile("fragile", forgets=range(0, 48, 2))
def silent(): return Head("silent", forgets=range(0, 48), otherwise="")
def failing_even(): return Failing("failing even", forgets=range(0, 48, 2))
def failing_odd(): return Failing("failing odd", forgets=range(1, 48, 2))
def whole(): return Whole("whole", forgets=())
def less(): return Whole("less", forgets=range(0, 12))
def clean(): return Cleaner("clean", clean=lambda a: a)
def mute(): return Cleaner("mute", clean=lambda a: Audio(samples=a.samples[:0], sampling_rate=16_000))
def no_rate(): return Cleaner("no rate", clean=lambda a: Audio(samples=a.samples, sampling_rate=0))
def nan(): return Cleaner("nan", clean=lambda a: Audio(samples=a.samples * np.nan, sampling_rate=16_000))
def endless(): return Cleaner("endless", clean=repeated)
def repeated(audio): return Audio(samples=np.tile(audio.samples, 9), sampling_rate=16_000)
'''


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """``parts("ears", "head")``: the system of these factories, as ``--model`` names it."""
    name = f"assistants_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def system(asr: str, lm: str, enhancer: str = "") -> str:
        roles = {"enhancer": enhancer, "asr": asr, "lm": lm}
        return ",".join(f"{role}={name}:{made}" for role, made in roles.items() if made)

    return system


@pytest.fixture
def spoken_tasks(tmp_path: Path) -> Path:
    """A folder with ``questions`` (48, spoken), ``again`` (the same) and ``requests`` (harmful, spoken)."""
    folder = tmp_path / "spoken"
    folder.mkdir()
    rng = np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    for i in range(N):
        soundfile.write(folder / f"q{i}.wav", rng.normal(0, 0.1, 160 * (10 + i)), RATE, subtype="FLOAT")
        rows.append(
            {"id": f"q{i}", "audio": f"q{i}.wav", "prompt": f"question {i}", "answer": [f"answer {i}"]}
        )
    spoken: dict[str, Any] = {"prompt": "{prompt}", "max_new_tokens": 8}
    for name in ("questions", "again"):
        write_task(
            folder, name, rows, kind="spoken_question", fields={"text": "prompt"},
            metrics=["contains_answer"], primary="contains_answer", **spoken,
        )  # fmt: skip
    write_task(
        folder, "requests", rows, kind="spoken_refusal", fields={"text": "prompt"},
        metrics=["complied"], primary="complied", role="safety", **spoken,
    )  # fmt: skip
    return folder


@pytest.fixture
def ask_spoken(spoken_tasks: Path, tmp_path: Path) -> Callable[..., Request]:
    """Build a request over the spoken tasks."""

    def build(model: str, base: str | None = None, tasks: str = "questions", **changes: Any) -> Request:
        given: dict[str, Any] = {
            "include_paths": [spoken_tasks],
            "output": tmp_path / "results",
            "offline": True,
        }
        return Request(model=model, base=base, tasks=tasks.split(","), **(given | changes))

    return build
