"""A recipe gives the same adapter each time, interrupted or not, and says what it did."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forgetbench.errors import CheckpointError, DataError, ForgetbenchError, SampleError, UsageError
from forgetbench.recipes.amounts import run_by_amount
from forgetbench.recipes.data import nested_part, read_training_rows
from forgetbench.recipes.make import make_recipe
from forgetbench.recipes.run import run_recipe
from forgetbench.recipes.written import written_once
from forgetbench.schema.recipe import FACTS, Recipe, RecipeNoise
from tiny_recipe_models import Heard, Interrupt, facts_of


def causal_recipe(model: Path, data: Path, output: Path, **changes: Any) -> Recipe:
    fields: dict[str, Any] = {"name": "test", "family": "causal_lm", "steps": 4, "save_steps": (2, 4)}
    fields |= {"learning_rate": 1e-2, "batch_size": 2, "rank": 2, "dropout": 0.1, "seed": 1}
    return Recipe(**{**fields, "model": str(model), "data": str(data), "output": str(output), **changes})


def whisper_recipe(model: Path, data: Path, output: Path, **changes: Any) -> Recipe:
    return causal_recipe(
        model, data, output, **{"family": "whisper", "steps": 2, "save_steps": (1,), **changes}
    )


def adapter_bytes(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "adapter_model.safetensors").read_bytes(), (folder / "adapter_config.json").read_bytes()


Build = Callable[..., Recipe]


@pytest.fixture(params=["causal_lm", "whisper"])
def build(request: pytest.FixtureRequest) -> Build:
    """Make a recipe of either family; Whisper's has babble noise."""
    if request.param == "causal_lm":
        model, data = request.getfixturevalue("tiny_causal"), request.getfixturevalue("pairs")
        return lambda output, **changes: causal_recipe(model, data, output, **changes)
    model, data = request.getfixturevalue("tiny_whisper"), request.getfixturevalue("manifest")
    noise = RecipeNoise(kind="babble", snr_db=(0.0, 10.0))
    return lambda output, **changes: whisper_recipe(
        model, data, output, **{"noise": noise, "steps": 4, "save_steps": (2, 4), **changes}
    )


def test_the_same_recipe_twice_gives_bit_equal_adapters(build: Build, tmp_path: Path) -> None:
    first, second = (run_recipe(build(tmp_path / name)) for name in "ab")
    assert [folder.name for folder in first] == ["checkpoint-2", "checkpoint-4", "a"]
    assert [adapter_bytes(folder) for folder in first] == [adapter_bytes(folder) for folder in second]


def test_another_seed_gives_another_adapter(build: Build, tmp_path: Path) -> None:
    weights = [adapter_bytes(run_recipe(build(tmp_path / str(seed), seed=seed))[-1])[0] for seed in (1, 2)]
    assert weights[0] != weights[1]


def test_an_interrupted_recipe_goes_on_to_the_same_adapter(build: Build, tmp_path: Path) -> None:
    whole = run_recipe(build(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run_recipe(build(tmp_path / "cut"), progress=Interrupt(after=3))
    assert facts_of(tmp_path / "cut").status == "running"
    heard = Heard()
    resumed = run_recipe(build(tmp_path / "cut"), progress=heard)
    assert heard.steps == 2
    assert [adapter_bytes(folder) for folder in resumed] == [adapter_bytes(folder) for folder in whole]


def test_a_half_written_checkpoint_is_not_gone_on_from(build: Build, tmp_path: Path) -> None:
    whole = run_recipe(build(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        run_recipe(build(tmp_path / "cut"), progress=Interrupt(after=3))
    (tmp_path / "cut" / "checkpoint-2" / FACTS).unlink()
    heard = Heard()
    resumed = run_recipe(build(tmp_path / "cut"), progress=heard)
    assert heard.steps == 4
    assert adapter_bytes(resumed[-1]) == adapter_bytes(whole[-1])


def test_a_finished_recipe_is_not_trained_again(build: Build, tmp_path: Path) -> None:
    folders = run_recipe(build(tmp_path / "out"))
    before = [(path, path.stat().st_mtime_ns) for path in sorted((tmp_path / "out").rglob("*"))]
    heard = Heard()
    assert run_recipe(build(tmp_path / "out"), progress=heard) == folders
    assert heard.steps == 0
    assert "finished already" in heard.said[0]
    assert [(path, path.stat().st_mtime_ns) for path in sorted((tmp_path / "out").rglob("*"))] == before


def test_another_recipe_in_the_same_directory_is_refused(build: Build, tmp_path: Path) -> None:
    run_recipe(build(tmp_path / "out"))
    with pytest.raises(UsageError, match=r"holds another recipe's work \(learning_rate 0.01, not 0.5\)"):
        run_recipe(build(tmp_path / "out", learning_rate=0.5))


def test_the_same_recipe_on_other_data_is_refused(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    recipe = causal_recipe(tiny_causal, pairs, tmp_path / "out")
    run_recipe(recipe)
    pairs.write_text(json.dumps({"prompt": "a", "answer": "b"}) + "\n")
    with pytest.raises(UsageError, match="other training data"):
        run_recipe(recipe)


def test_the_same_recipe_on_other_recordings_is_refused(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    import numpy as np
    import soundfile

    recipe = whisper_recipe(tiny_whisper, manifest, tmp_path / "out")
    run_recipe(recipe)
    soundfile.write(tmp_path / "2.wav", np.full(4000, 0.1, np.float32), 8000)
    with pytest.raises(UsageError, match="other recordings"):
        run_recipe(recipe)


def test_the_same_recipe_on_another_base_of_that_name_is_refused(build: Build, tmp_path: Path) -> None:
    base = shutil.copytree(build(tmp_path / "out").model, tmp_path / "base")
    recipe = build(tmp_path / "out").model_copy(update={"model": str(base)})
    run_recipe(recipe)
    config = Path(recipe.model) / "generation_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"max_length": 7}))
    with pytest.raises(UsageError, match=f"other content of {recipe.model}"):
        run_recipe(recipe)


def test_work_on_an_unknown_base_is_refused(build: Build, tmp_path: Path) -> None:
    recipe = build(tmp_path / "out")
    run_recipe(recipe)
    facts = facts_of(tmp_path / "out").model_copy(update={"base_fingerprint": None})
    (tmp_path / "out" / FACTS).write_text(facts.to_json())
    with pytest.raises(UsageError, match="before the base's fingerprint was noted"):
        run_recipe(recipe)


def test_facts_have_the_bases_fingerprint_as_runs_have_it(build: Build, tmp_path: Path) -> None:
    from forgetbench.models.checkpoint import resolve

    recipe = build(tmp_path / "out")
    expected = resolve(recipe.model).fingerprint
    assert [facts_of(folder).base_fingerprint for folder in run_recipe(recipe)] == [expected] * 3


def test_an_adapter_on_other_weights_of_the_same_name_is_warned_about(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load_file, save_file

    from forgetbench.models.pairing import resolve_pair

    base = shutil.copytree(tiny_causal, tmp_path / "base")
    adapter = run_recipe(causal_recipe(base, pairs, tmp_path / "out"))[-1]
    assert not [w for w in resolve_pair(str(adapter), None).warnings if "was trained on" in w]
    before = facts_of(adapter).base_fingerprint or ""
    weights = load_file(base / "model.safetensors")
    save_file({name: tensor * 0.5 for name, tensor in weights.items()}, base / "model.safetensors")
    pair = resolve_pair(str(adapter), None)
    assert pair.base is not None
    warning = next(w for w in pair.warnings if "was trained on" in w)
    assert before[:12] in warning and pair.base.fingerprint[:12] in warning


def test_a_directory_of_something_else_is_left_alone(build: Build, tmp_path: Path) -> None:
    precious = tmp_path / "out" / "precious.txt"
    precious.parent.mkdir()
    precious.write_text("keep me")
    with pytest.raises(UsageError, match="is not empty"):
        run_recipe(build(tmp_path / "out"))
    assert precious.read_text() == "keep me"


def test_what_a_killed_write_of_the_first_facts_left_is_nobodys_content(
    tiny_causal: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = causal_recipe(tiny_causal, pairs, tmp_path / "out"), tmp_path / "out"
    with monkeypatch.context() as killed:  # between the temporary file and its name, cleaning up nothing
        killed.setattr(Path, "replace", killed_before_the_facts)
        killed.setattr(Path, "unlink", lambda path, missing_ok=False: None)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(recipe)
    (left,) = out.iterdir()
    assert left.name.startswith(f".{FACTS}.")
    assert run_recipe(recipe)[-1] == out
    assert not left.exists() and facts_of(out).status == "finished"


def killed_before_the_facts(path: Path, target: Path) -> None:
    if target.name == FACTS:
        raise KeyboardInterrupt
    path.rename(target)


@pytest.mark.parametrize("name", [f".{FACTS}.mine", f"{FACTS}.abcd1234", ".notes.json.abcd1234"])
def test_a_file_whose_name_is_nearly_a_temporary_one_is_somebodys(
    name: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("keep me")
    with pytest.raises(UsageError, match="is not empty"):
        run_recipe(causal_recipe(tiny_causal, pairs, tmp_path / "out"))


def test_what_is_left_is_adapters_and_nothing_else(build: Build, tmp_path: Path) -> None:
    for folder in run_recipe(build(tmp_path / "out")):
        files = {path.name for path in folder.iterdir() if path.is_file()}
        assert files == {"adapter_config.json", "adapter_model.safetensors", "trainer_state.json", FACTS}


def test_an_adapter_names_its_base_as_the_user_did(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tiny_causal.parent)
        folders = run_recipe(causal_recipe(Path(tiny_causal.name), pairs, tmp_path / "out"))
    for folder in folders:
        config = json.loads((folder / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == tiny_causal.name


def test_the_adapter_loads_on_its_base_and_changes_it(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = run_recipe(causal_recipe(tiny_causal, pairs, tmp_path / "out"))[-1]
    base = AutoModelForCausalLM.from_pretrained(tiny_causal)
    tokens = torch.arange(8)[None]
    before = base(tokens).logits
    after = PeftModel.from_pretrained(base, str(folder))(tokens).logits
    assert not torch.equal(before, after)


def test_facts_say_how_much_was_seen(tiny_whisper: Path, manifest: Path, tmp_path: Path) -> None:
    first, final = run_recipe(whisper_recipe(tiny_whisper, manifest, tmp_path / "out"))
    facts = facts_of(first)
    assert (facts.step, facts.examples_seen, facts.audio_s_seen, facts.tokens_seen) == (1, 2, 1.0, None)
    facts = facts_of(final)
    assert (facts.step, facts.examples_seen, facts.audio_s_seen) == (2, 4, 2.0)
    # one encoder layer and one decoder layer with two attentions: q and v, rank 2, width 16
    assert facts.trained_parameters == 3 * 2 * (2 * 16 + 16 * 2)
    assert facts.target_loss is not None
    assert math.isfinite(facts.target_loss)


def test_facts_say_how_much_audio_there_was(tiny_whisper: Path, manifest: Path, tmp_path: Path) -> None:
    run_recipe(whisper_recipe(tiny_whisper, manifest, tmp_path / "all", save_steps=()))
    assert facts_of(tmp_path / "all").audio_s_available == 1.5
    run_recipe(whisper_recipe(tiny_whisper, manifest, tmp_path / "part", save_steps=(), audio_s=1.2))
    facts = facts_of(tmp_path / "part")
    assert (facts.audio_s_available, facts.audio_s_seen, facts.examples_seen) == (1.0, 2.0, 4)


@given(
    durations=st.lists(st.floats(0.1, 9), min_size=1, max_size=30),
    amounts=st.tuples(st.floats(9, 60), st.floats(9, 60)),
    seed=st.integers(0, 5),
)
def test_parts_are_nested_and_last_as_long_as_they_may(
    durations: list[float], amounts: tuple[float, float], seed: int
) -> None:
    small, large = (nested_part(durations, amount, seed) for amount in sorted(amounts))
    assert set(small) <= set(large)
    for part, amount in zip((small, large), sorted(amounts), strict=True):
        lasts = sum(durations[i] for i in part)
        assert lasts <= amount + 1e-5
        assert len(part) == len(durations) or lasts > amount - max(durations) - 1e-5


def test_another_seed_chooses_another_part() -> None:
    parts = {tuple(nested_part([1.0] * 20, 5, seed)) for seed in range(5)}
    assert len(parts) == 5
    assert parts == {tuple(nested_part([1.0] * 20, 5, seed)) for seed in range(5)}


def test_an_amount_that_no_recording_fits_in_is_refused() -> None:
    with pytest.raises(DataError, match=r"the first recording lasts 9\.0 s, and 5 s were asked for"):
        nested_part([9.0], 5, 0)


def test_each_amount_gets_an_adapter_with_the_same_steps_and_the_last_all_there_is(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    recipe = whisper_recipe(tiny_whisper, manifest, tmp_path / "out", save_steps=())
    heard = Heard()
    folders = run_by_amount(recipe, [60, 0.6, 1.0, 300], progress=heard)
    assert [folder.name for folder in folders] == ["audio-0.6s", "audio-1s", "audio-60s"]
    facts = [facts_of(folder) for folder in folders]
    assert [f.audio_s_available for f in facts] == [0.5, 1.0, 1.5]
    assert {f.step for f in facts} == {2}
    assert len({adapter_bytes(folder)[0] for folder in folders}) == 3
    (said,) = heard.said
    assert "holds 1.5 s: audio-60s trains on all of it; 300 s would be the same and is left out" in said
    again = Heard()
    assert run_by_amount(recipe, [0.6, 1.0, 60], progress=again) == folders
    assert again.steps == 0


def test_amounts_of_audio_are_refused_for_a_language_model(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="--audio-seconds: is for speech"):
        run_by_amount(causal_recipe(tiny_causal, pairs, tmp_path / "out"), [15])
    with pytest.raises(UsageError, match="audio_s is for speech"):
        run_recipe(causal_recipe(tiny_causal, pairs, tmp_path / "out", audio_s=15))


def test_the_loss_is_on_the_answer_only(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    from forgetbench.recipes.base import locate_base
    from forgetbench.recipes.causal_lm import prepare_causal

    recipe = causal_recipe(tiny_causal, pairs, tmp_path / "out")
    trainer = prepare_causal(recipe, locate_base(recipe.model)).trainer
    batch = next(iter(trainer.get_train_dataloader()))
    for labels in batch["labels"]:
        answer = trainer.processing_class.decode(labels[labels != -100])
        assert answer.startswith("It is ")
        assert answer.endswith(".<|end|>")


def test_the_target_loss_falls(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    everywhere = ("q_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    changes = {
        "steps": 40,
        "save_steps": (5,),
        "learning_rate": 5e-2,
        "alpha": 64,
        "target_modules": everywhere,
    }
    early, late = run_recipe(causal_recipe(tiny_causal, pairs, tmp_path / "out", **changes))
    # 259 tokens by chance are 5.56 nats; frozen random output weights leave little to gain
    assert (facts_of(late).target_loss or math.inf) < (facts_of(early).target_loss or 0) - 0.05


@pytest.mark.parametrize("multilingual", [False, True])
def test_whisper_labels_start_after_the_start_token_and_end_with_the_end(
    multilingual: bool, manifest: Path, tmp_path: Path
) -> None:
    from forgetbench.recipes.base import locate_base
    from forgetbench.recipes.whisper import prepare_whisper
    from tiny_recipe_models import save_tiny_whisper

    model = save_tiny_whisper(tmp_path / "model", multilingual=multilingual)
    recipe = whisper_recipe(model, manifest, tmp_path / "out", language="de")
    trainer = prepare_whisper(recipe, locate_base(recipe.model)).trainer
    from transformers import WhisperProcessor

    tokenizer = WhisperProcessor.from_pretrained(model).tokenizer
    prefix = "<|de|><|transcribe|><|notimestamps|>" if multilingual else "<|notimestamps|>"
    texts = {tokenizer.decode(trainer.train_dataset[i]["labels"]) for i in range(len(trainer.train_dataset))}
    assert texts == {f"{prefix} word {i}<|endoftext|>" for i in range(3)}


def test_noise_changes_with_the_position_and_not_with_the_run(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    import torch

    from forgetbench.recipes.base import locate_base
    from forgetbench.recipes.whisper import prepare_whisper

    def features(*, again: bool = False, **changes: Any) -> torch.Tensor:
        """What is heard at the first position, or where the same recording comes again."""
        recipe = whisper_recipe(tiny_whisper, manifest, tmp_path / "out", steps=3, **changes)
        examples = prepare_whisper(recipe, locate_base(recipe.model)).trainer.train_dataset
        position = examples.places.index(examples.places[0], 1) if again else 0
        return torch.as_tensor(examples[position]["input_features"])

    noise = RecipeNoise(kind="babble", snr_db=(0.0,))
    assert torch.equal(features(), features(again=True))
    assert torch.equal(features(noise=noise), features(noise=noise))
    assert not torch.equal(features(noise=noise), features(noise=noise, again=True))
    assert not torch.equal(features(noise=noise), features())


def bad_data(tmp_path: Path, content: str) -> Path:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no rows"),
        ("{", r"bad.jsonl:1: is not JSON"),
        ("[]", r"bad.jsonl:1: is not a JSON object"),
        ('{"prompt": "a", "answer": "b"}\n{"prompt": "a"}', r"bad.jsonl:2: has no 'answer'"),
        ('{"prompt": "a", "answer": " "}', "'answer' is not a text, or is empty"),
        ('{"prompt": "a", "answer": 3}', "'answer' is not a text, or is empty"),
    ],
)
def test_bad_rows_are_named(tiny_causal: Path, tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        run_recipe(causal_recipe(tiny_causal, bad_data(tmp_path, content), tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_text_may_have_any_line_separator_of_unicode_in_it(tmp_path: Path) -> None:
    row = {"prompt": "One\u2028two", "answer": "three\x85four"}
    data = tmp_path / "rows.jsonl"
    data.write_text(json.dumps(row, ensure_ascii=False) + "\r\n", encoding="utf-8")
    assert read_training_rows(data, ("prompt", "answer")) == [row]
    for _ in ("written", "read"):
        assert written_once("kind", {"data": str(data)}, lambda: [row]) == [row]


def test_a_missing_data_file_is_named(tiny_causal: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.jsonl: cannot be read"):
        run_recipe(causal_recipe(tiny_causal, tmp_path / "nowhere.jsonl", tmp_path / "out"))


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_base_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        make_recipe("lora", model=str(tmp_path), data="rows.jsonl", output="out")


def test_missing_audio_is_named_before_training(tiny_whisper: Path, manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "2.wav").unlink()
    with pytest.raises(SampleError, match=r"2.wav"):
        run_recipe(whisper_recipe(tiny_whisper, manifest, tmp_path / "out"))


def test_audio_beyond_thirty_seconds_is_refused(tiny_whisper: Path, tmp_path: Path) -> None:
    import numpy as np
    import soundfile

    soundfile.write(tmp_path / "long.wav", np.full(31 * 8000, 0.1, np.float32), 8000)
    data = bad_data(tmp_path, json.dumps({"audio": "long.wav", "text": "hello"}))
    with pytest.raises(DataError, match=r"long.wav: lasts 31.0 s"):
        run_recipe(whisper_recipe(tiny_whisper, data, tmp_path / "out"))


def test_a_loss_that_is_not_finite_stops_training(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny_causal, broken)
    weights = load_file(broken / "model.safetensors")
    weights["model.norm.weight"] = torch.full_like(weights["model.norm.weight"], math.nan)
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ForgetbenchError, match=r"the loss is nan at step \d+"):
        run_recipe(causal_recipe(broken, pairs, tmp_path / "out", steps=20, save_steps=()))


def test_weights_that_broke_after_a_good_loss_are_no_checkpoint(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    """The loss of a step is from before its update: the last good checkpoint is an earlier one."""
    recipe = causal_recipe(tiny_causal, pairs, tmp_path / "out", steps=6, save_steps=(1, 2, 3, 4, 5, 6))
    broken = recipe.model_copy(update={"learning_rate": 1e38, "warmup_steps": 0, "schedule": "constant"})
    with pytest.raises(ForgetbenchError, match=r"no longer finite|the loss is nan"):
        run_recipe(broken)
    import torch
    from safetensors.torch import load_file

    for folder in (tmp_path / "out").glob("checkpoint-*"):
        weights = load_file(folder / "adapter_model.safetensors").values()
        assert all(torch.isfinite(weight).all() for weight in weights)


def test_final_weights_that_are_not_finite_are_not_finished(build: Build, tmp_path: Path) -> None:
    changes = {"steps": 1, "learning_rate": 1e39, "warmup_steps": 0, "save_steps": ()}
    recipe = build(tmp_path / "out", **changes)
    with pytest.raises(ForgetbenchError, match="no longer finite at step 1; no checkpoint was saved before"):
        run_recipe(recipe)
    assert facts_of(tmp_path / "out").status == "running"
    assert not list((tmp_path / "out").glob("*.safetensors"))


def test_each_amount_of_audio_ends_with_finite_weights(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    changes = {"steps": 1, "learning_rate": 1e39, "warmup_steps": 0, "save_steps": ()}
    with pytest.raises(ForgetbenchError, match="no longer finite at step 1"):
        run_by_amount(whisper_recipe(tiny_whisper, manifest, tmp_path / "out", **changes), [1.0])


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory"
        ),
        RuntimeError("CUDA out of memory. Tried to allocate"),
        RuntimeError("unable to mmap 4096 bytes from file <model.safetensors>: Cannot allocate memory (12)"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        OSError("Cannot allocate memory (os error 12)"),
    ],
    ids=repr,
)
def test_a_lack_of_memory_is_one_line_with_a_way_out(
    error: Exception, build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise error

    recipe = build(tmp_path / "out")
    lower = "lower batch_size or max_length" if recipe.family == "causal_lm" else "lower batch_size"
    with monkeypatch.context() as small:
        small.setattr("torch.optim.AdamW.step", full)
        with pytest.raises(
            ForgetbenchError,
            match=rf"not fit into memory with batch_size 2.* command goes on; {lower}, .*another --output",
        ):
            run_recipe(recipe)
    less = {"batch_size": 1}
    with pytest.raises(UsageError, match="batch_size 2, not 1"):
        run_recipe(recipe.model_copy(update=less))
    run_recipe(recipe.model_copy(update=less | {"output": str(tmp_path / "other")}))
    run_recipe(recipe)


def test_another_failure_is_no_lack_of_memory(tiny_causal: Path, tmp_path: Path) -> None:
    from forgetbench.recipes.training import memory_errors

    recipe = causal_recipe(tiny_causal, tmp_path / "d", tmp_path / "o")
    for error in (RuntimeError("something else"), OSError(errno.ENOSPC, "No space left on device")):
        with pytest.raises(type(error), match=r"something else|No space left"), memory_errors(recipe):
            raise error


def test_unknown_target_modules_are_answered_with_the_known_ones(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"no query.*Choose among .*k_proj.*q_proj"):
        run_recipe(causal_recipe(tiny_causal, pairs, tmp_path / "out", target_modules=("query",)))


def test_noise_for_a_language_model_is_refused(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="noise is for speech"):
        run_recipe(causal_recipe(tiny_causal, pairs, tmp_path / "out", noise=RecipeNoise(snr_db=(5.0,))))


def test_the_models_family_chooses_the_defaults(tiny_causal: Path, tiny_whisper: Path, pairs: Path) -> None:
    made = make_recipe("lora", model=str(tiny_whisper), data=str(pairs), output="out", steps=10)
    assert (made.family, made.steps, made.save_steps) == ("whisper", 10, None)
    assert make_recipe("lora", model=str(tiny_causal), data=str(pairs), output="out").family == "causal_lm"
    with pytest.raises(UsageError, match="recipe magic"):
        make_recipe("magic", model=str(tiny_causal), data="d", output="o")
    with pytest.raises(UsageError, match="rank: "):
        make_recipe("lora", model=str(tiny_causal), data="d", output="o", rank=0)
