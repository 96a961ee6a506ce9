"""Base and checkpoint together: one set of weights where one is enough, and vocabularies that match."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forgetbench.models import model_pair
from forgetbench.models.checkpoint import resolve_component
from forgetbench.models.component import Component
from forgetbench.models.interface import PredictsText, TokenWindow
from forgetbench.models.model_pair import ModelPair, load_pair, why_incomparable
from forgetbench.schema.run import LoadSettings
from tiny_models import make_lora

WINDOW = TokenWindow(inputs=(5, 6, 7, 8), targets=(6, 7, 8, 9))
Copy = Callable[..., Path]


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    loaded: list[str] = []
    original = model_pair.load

    def counting(component: Component, *rest: Any, **options: Any) -> Any:
        loaded.append(component.source)
        return original(component, *rest, **options)

    monkeypatch.setattr(model_pair, "load", counting)
    return loaded


def resolve(path: Path) -> Component:
    return resolve_component(str(path))


def logprobs(model: Any) -> Any:
    assert isinstance(model, PredictsText)
    found = model.predict_tokens(WINDOW)
    return found.logprobs(0, 4, n_tokens=found.n_tokens)


def both(pair: ModelPair) -> tuple[Any, Any]:
    with pair.as_base() as base:
        before = logprobs(base)
    return before, logprobs(pair.checkpoint)


def test_a_lora_is_its_own_base_when_it_is_switched_off(made: Path, loads: list[str]) -> None:
    adapter, base = resolve(made / "lora"), resolve(made / "llama")
    before, after = both(load_pair(base, adapter, LoadSettings()))
    assert loads == ["lora"]
    apart = ModelPair(model_pair.load(base, LoadSettings()), model_pair.load(adapter, LoadSettings()))
    expected_before, expected_after = both(apart)
    assert np.array_equal(before, expected_before)
    assert np.allclose(after, expected_after, atol=1e-4)  # merged there, beside the weights here
    assert np.abs(after - before).max() > 0.01


def test_an_adapter_that_changes_the_base_itself_is_loaded_beside_it(
    made: Path, tmp_path: Path, loads: list[str]
) -> None:
    adapter = make_lora(tmp_path / "head", made / "llama", modules_to_save=["lm_head"])
    before, _ = both(load_pair(resolve(made / "llama"), resolve(adapter), LoadSettings()))
    assert loads == ["llama", "head"]
    assert np.array_equal(before, logprobs(model_pair.load(resolve(made / "llama"), LoadSettings())))


def test_another_base_than_the_adapters_own_is_loaded(made: Path, loads: list[str]) -> None:
    load_pair(resolve(made / "other"), resolve(made / "lora"), LoadSettings())
    assert loads == ["other", "lora"]


def test_the_same_component_is_loaded_once(made: Path, loads: list[str]) -> None:
    before, after = both(load_pair(resolve(made / "llama"), resolve(made / "llama"), LoadSettings()))
    assert loads == ["llama"]
    assert np.array_equal(before, after)


def change_tokenizer(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_checkpoint_may_have_more_tokens_than_its_base(made: Path, copy: Copy) -> None:
    larger = copy("other")
    extra = {"id": 320, "content": "<new>", "special": True}
    change_tokenizer(larger, lambda content: content["added_tokens"].append(extra))
    assert why_incomparable(resolve(made / "llama"), resolve(larger), "score_text") is None
    assert why_incomparable(resolve(larger), resolve(made / "llama"), "score_text") is None


def test_another_token_under_the_same_id_is_refused_by_name(made: Path, copy: Copy) -> None:
    swapped = copy("other")

    def swap(content: dict[str, Any]) -> None:
        vocabulary = content["model"]["vocab"]
        first, second = list(vocabulary)[10:12]
        vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]

    change_tokenizer(swapped, swap)
    reason = why_incomparable(resolve(made / "llama"), resolve(swapped), "score_text")
    assert reason is not None and "different vocabularies: token" in reason


def test_recognisers_of_different_kinds_are_refused(made: Path, speech_models: Callable[[str], Path]) -> None:
    whisper, ctc = resolve(made / "whisper"), resolve(speech_models("hubert"))
    reason = why_incomparable(whisper, ctc, "transcribe")
    assert reason == "WhisperForConditionalGeneration and HubertForCTC predict different things"


def test_languages_with_adapters_of_their_own_are_refused(speech_models: Callable[[str], Path]) -> None:
    mms = resolve(speech_models("mms"))
    assert "an adapter for each language" in (why_incomparable(mms, mms, "transcribe") or "")
