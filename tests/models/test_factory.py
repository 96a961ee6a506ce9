from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.factory import MOST_PHRASES, FactoryEnhancer, FactorySpeech
from forgetbench.models.interface import Audio, Enhancer, SpeechRecogniser, TextModel
from forgetbench.models.load import load
from forgetbench.schema.run import LoadSettings
from forgetbench.schema.task import Capability

SOURCE = """
from forgetbench.models.interface import Loglikelihood, Output
calls = []
class Ears:
    def transcribe(self, audio, *, language):
        return [Output(text="x", n_tokens=1, truncated=False) for _ in audio]
class Sized(Ears):
    parameters, bytes = 12, 48
class Module(Ears):
    bytes = True
    def parameters(self): yield from ()
class Reader:
    def score_text(self, requests):
        return [Loglikelihood(logprob=-1.0, is_greedy=False, n_tokens=1) for _ in requests]
class Cleaner:
    sampling_rate, parameters, bytes = 48_000, 12, 48
    def enhance(self, audio): return [*audio]
class CleanerWithEars(Cleaner, Ears): pass
def cleaner(): return Cleaner()
def cleaner_with_ears(): return CleanerWithEars()
def ears():
    calls.append(1)
    return Ears()
def sized(): return Sized()
def torch_module(): return Module()
def reader(): return Reader()
def printed(): return Ears()
printed.fingerprint = "weights-v1"
def nothing(): return object()
def broken(): raise ValueError("no weights\\nhere")
def late(): import no_such_package
number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of its own in the working directory."""
    name = f"made_by_user_{abs(hash(str(tmp_path)))}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    (tmp_path / f"{name}_bad.py").write_text("import no_such_package\n")
    monkeypatch.chdir(tmp_path)
    return name


def test_capabilities_are_the_methods_that_exist(module: str) -> None:
    ears, reader = resolve(f"{module}:ears"), resolve(f"{module}:reader")
    assert ears.components["asr"].capabilities == ("transcribe",)
    assert reader.components["lm"].capabilities == ("score_text",)


def test_a_factory_is_called_once_and_loaded_as_the_protocol(module: str) -> None:
    import importlib

    component = resolve(f"{module}:ears").components["asr"]
    model = load(component, LoadSettings())
    assert isinstance(model, SpeechRecogniser) and model.sampling_rate == 16_000
    clip = Audio(samples=np.zeros(10, np.float32), sampling_rate=16_000)
    assert [o.text for o in model.transcribe([clip], language="en")] == ["x"]
    assert len(importlib.import_module(module).calls) == 1


def test_an_object_that_enhances_is_an_enhancer_at_its_own_rate_and_size(module: str) -> None:
    component = resolve(f"{module}:cleaner").components["enhancer"]
    assert component.capabilities == ("enhance",)
    assert (component.parameters, component.bytes) == (12, 48)
    model = load(component, LoadSettings())
    assert isinstance(model, Enhancer) and model.sampling_rate == 48_000
    clip = Audio(samples=np.zeros(10, np.float32), sampling_rate=48_000)
    assert model.enhance([clip]) == [clip]


def test_one_that_also_hears_is_a_recogniser_that_can_do_both(module: str) -> None:
    component = resolve(f"{module}:cleaner_with_ears").components["asr"]
    assert component.capabilities == ("transcribe", "enhance")
    model = load(component, LoadSettings())
    assert isinstance(model, SpeechRecogniser) and isinstance(model, Enhancer)


def test_its_size_is_what_it_says_and_unknown_where_it_says_nothing(module: str) -> None:
    def size(name: str) -> tuple[int | None, int | None]:
        component = resolve(f"{module}:{name}").components["asr"]
        return component.parameters, component.bytes

    assert [size(name) for name in ("sized", "ears", "torch_module")] == [
        (12, 48),
        (None, None),
        (None, None),
    ]


def test_what_a_text_factory_leaves_out_is_filled_in(module: str) -> None:
    model = load(resolve(f"{module}:reader").components["lm"], LoadSettings())
    assert isinstance(model, TextModel)
    assert model.render_chat("hi") is None and model.first_token_ids("hi", rendered=False) == ()


def test_its_own_fingerprint_is_used_else_that_of_its_source(module: str, tmp_path: Path) -> None:
    own, source = resolve(f"{module}:printed").fingerprint, resolve(f"{module}:ears").fingerprint
    (tmp_path / f"{module}.py").write_text(SOURCE + "# changed\n")
    assert resolve(f"{module}:printed").fingerprint == own
    assert resolve(f"{module}:ears").fingerprint != source


EACH_CAPABILITY: dict[str, dict[str, Any]] = {
    "score_text": {}, "generate": {}, "score_audio": {}, "answer_audio": {}, "embed": {}, "enhance": {},
    "transcribe": {"language": "en"}, "translate": {"language": "en"}, "identify_language": {},
    "time_speech": {"language": "en"}, "convert": {"language": "en", "voices": None},
    "separate": {"n_stems": 2}, "synthesize": {"language": "en"},
    "clone_voice": {"voices": [], "language": "en"},
}  # fmt: skip


@pytest.mark.parametrize("beside", ["", "generate"])
@pytest.mark.parametrize("n", [2, 4, None], ids=["too few", "too many", "endless"])
@pytest.mark.parametrize("capability", EACH_CAPABILITY)
def test_a_batch_has_one_answer_for_each(
    capability: str, n: int | None, beside: str, module: str, tmp_path: Path
) -> None:
    assert set(EACH_CAPABILITY) == set(get_args(Capability))
    name = f"{module}_{capability}_{n}_{beside}"
    (tmp_path / f"{name}.py").write_text(
        "from itertools import repeat\n"
        "class Made:\n"
        f"    def {capability}(self, batch, **settings): return repeat([], *{[n] if n else []})\n"
        + (f"    def {beside}(self, batch): return []\n" if beside not in ("", capability) else "")
        + "made = Made\n"
    )
    (component,) = resolve(f"{name}:made").components.values()
    model = load(component, LoadSettings())
    with pytest.raises(ValueError, match="answers to 3 requests"):
        getattr(model, capability)([1, 2, 3], **EACH_CAPABILITY[capability])


def test_endless_phrases_and_stems_are_cut_off() -> None:
    class Endless:
        def time_speech(self, audio: Any, *, language: str) -> Any:
            return [repeat(0) for _ in audio]

        def separate(self, audio: Any, *, n_stems: int) -> Any:
            return [repeat(0) for _ in audio]

    clips: Any = [1]
    assert len(FactorySpeech(Endless()).time_speech(clips, language="en")[0]) == MOST_PHRASES
    assert len(FactoryEnhancer(Endless()).separate(clips, n_stems=2)[0]) == 3


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("no_such_module:f", "no module 'no_such_module'"),
        ("{}:missing", "has no attribute 'missing'"),
        ("{}:number", "is not a function"),
        ("{}:nothing", "has none of the methods score_text, generate, transcribe, enhance"),
        ("{}:broken", r"failed \(ValueError: no weights\)"),
        ("{}:late", "needs the module 'no_such_package', which is missing. Install what brings it."),
        ("{}_bad:f", "needs the module 'no_such_package'"),
    ],
)
def test_a_bad_factory_is_refused_in_one_line(name: str, told: str, module: str) -> None:
    with pytest.raises(CheckpointError, match=told):
        resolve(name.format(module))
