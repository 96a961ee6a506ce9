"""Every method that the table names runs on a tiny model; the others are refused with a reason."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest

from forgetbench.errors import CheckpointError, DataError, ForgetbenchError, MissingPackageError, UsageError
from forgetbench.models.causal_lm import CausalLM
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import GenerateRequest, ScoreRequest
from forgetbench.models.load import load
from forgetbench.models.recipe_facts import read_facts
from forgetbench.recipes.base import locate_base
from forgetbench.recipes.make import command_of, definitions, make_recipe, read_overrides
from forgetbench.recipes.methods import REFUSED, refusal
from forgetbench.recipes.output import inputs_of, recipe_key
from forgetbench.recipes.run import run_recipe
from forgetbench.schema.recipe import Family, Method, Recipe
from forgetbench.schema.run import LoadSettings
from tiny_recipe_models import Interrupt, facts_of

SMALL = {"steps": 2, "save_steps": (2,), "batch_size": 2, "warmup_steps": 0, "learning_rate": 1e-2}
PREFIXES = {
    "PROMPT_TUNING": {"peft_type": "PROMPT_TUNING", "num_virtual_tokens": 3},
    "PREFIX_TUNING": {"peft_type": "PREFIX_TUNING", "num_virtual_tokens": 3},
}

PROMPTS = ("PROMPT_TUNING", "PREFIX_TUNING", "P_TUNING", "CARTRIDGE")


@pytest.fixture
def preferences(tmp_path: Path) -> Path:
    path = tmp_path / "preferences.jsonl"
    rows = [{"prompt": f"What is {i}?", "chosen": f"It is {i}.", "rejected": "Who knows."} for i in range(7)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def unlabelled(manifest: Path) -> Path:
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    path = manifest.with_name("unlabelled.jsonl")
    path.write_text("".join(json.dumps({"audio": row["audio"]}) + "\n" for row in rows))
    return path


def causal(name: str, model: Path, data: Path, output: Path, **changes: Any) -> Recipe:
    return make_recipe(name, model=str(model), data=str(data), output=str(output), **{**SMALL, **changes})


def load_text(checkpoint: Path, base: Path) -> CausalLM:
    model = load(resolve(str(checkpoint), adapter_base=str(base)).components["lm"], LoadSettings())
    assert isinstance(model, CausalLM)
    return model


def score(checkpoint: Path, base: Path) -> float:
    """What the engine says of one answer, in the company of others."""
    company = [("What is 3?", " 4"), ("Who", " knows what 3 is, or whether it is 3?")]
    asked = [ScoreRequest(context=c, continuation=a) for c, a in [("What is 3?", " It is 3."), *company]]
    return load_text(checkpoint, base).score_text(asked)[0].logprob


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("full", {}),
        ("lora", {"rslora": True}),
        ("peft", {"peft": {"peft_type": "IA3", "target_modules": ["k_proj"], "feedforward_modules": []}}),
        ("peft", {"peft": PREFIXES["PROMPT_TUNING"]}),
        ("peft", {"peft": PREFIXES["PREFIX_TUNING"]}),
        ("sdft-rewrite", {"max_new_tokens": 4}),
    ],
)
def test_a_language_model_is_trained_measured_and_changed(
    name: str, changes: dict[str, Any], tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    folders = run_recipe(causal(name, tiny_causal, pairs, tmp_path / "out", **changes))
    assert [folder.name for folder in folders] == ["checkpoint-2", "out"]
    facts = facts_of(folders[0])
    assert facts.step == 2 and facts.target_loss is not None and 4 < facts.target_loss < 7
    assert score(folders[0], tiny_causal) == score(folders[1], tiny_causal) != score(tiny_causal, tiny_causal)
    assert score(folders[0], tiny_causal) == pytest.approx(direct_score(folders[0], tiny_causal), abs=1e-4)


def direct_score(checkpoint: Path, base: Path) -> float:
    """The same answer's log-probability by transformers and PEFT alone."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    if (checkpoint / "adapter_config.json").is_file():
        model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(checkpoint))
    else:
        model = AutoModelForCausalLM.from_pretrained(checkpoint)
    context, whole = (tokenizer(text).input_ids for text in ("What is 3?", "What is 3? It is 3."))
    with torch.no_grad():
        logits = model.eval()(input_ids=torch.tensor([whole])).logits[0, -len(whole) :]
    logprobs = logits.log_softmax(-1)
    return sum(float(logprobs[i - 1, whole[i]]) for i in range(len(context), len(whole)))


@pytest.mark.parametrize("kind", ["PROMPT_TUNING", "PREFIX_TUNING"])
def test_a_learned_prompt_is_heard_wherever_the_model_is_asked(
    kind: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    folder = run_recipe(causal("peft", tiny_causal, pairs, tmp_path / "out", peft=PREFIXES[kind]))[-1]
    model = load_text(folder, tiny_causal)
    request = ScoreRequest(context="What is 3?", continuation=" It is 3.")
    (window,) = model.tokenise(request, window=64)
    read = model.predict_tokens(window)
    logprobs = read.logprobs(0, read.n_positions, n_tokens=read.n_tokens)
    assert logprobs.shape[0] == len(window.targets)
    told = sum(float(row[target]) for row, target in zip(logprobs, window.targets, strict=True))
    assert told == pytest.approx(model.score_text([request])[0].logprob, abs=1e-4)
    prompts = [
        GenerateRequest(prompt=text, max_new_tokens=6) for text in ("What is 3?", "Who knows what 3 is?")
    ]
    together = [each.text for each in model.generate(prompts)]
    assert together == [model.generate([prompt])[0].text for prompt in prompts]
    assert together != [each.text for each in load_text(tiny_causal, tiny_causal).generate(prompts)]


@pytest.mark.parametrize(
    "changes",
    [
        {"weights": "full"},
        {"weights": "lora", "rank": 3},
        {"weights": "peft", "peft": PREFIXES["PROMPT_TUNING"]},
    ],
    ids=["full", "lora", "prompt"],
)
def test_trained_parameters_are_pefts_own_count(
    changes: dict[str, Any], tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    from peft import LoraConfig, PromptTuningConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    facts = facts_of(run_recipe(causal("lora", tiny_causal, pairs, tmp_path / "out", **changes))[0])
    model = AutoModelForCausalLM.from_pretrained(tiny_causal)
    if changes["weights"] == "full":
        expected = model.num_parameters()
    else:
        prompt = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
        lora = LoraConfig(r=3, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        config = lora if changes["weights"] == "lora" else prompt
        expected, _ = get_peft_model(model, config).get_nb_trainable_parameters()
    assert facts.trained_parameters == expected


def test_a_full_checkpoint_is_a_whole_model_that_names_its_base(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    from forgetbench.models.pairing import resolve_pair

    folders = run_recipe(causal("full", tiny_causal, pairs, tmp_path / "out"))
    for folder in folders:
        pair = resolve_pair(str(folder), None)
        assert pair.base is not None
        assert pair.base.fingerprint == resolve(str(tiny_causal)).fingerprint
        assert not [
            warning for warning in pair.warnings if "chat template" in warning or "end their" in warning
        ]
        assert not list(folder.glob("optimizer.pt")) and not list(folder.glob("training_args.bin"))


def test_a_recipes_own_checkpoint_can_be_the_base_of_another(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    first = run_recipe(causal("full", tiny_causal, pairs, tmp_path / "first"))[-1]
    second = run_recipe(causal("full", first, pairs, tmp_path / "second", seed=5))[-1]
    facts = facts_of(second)
    assert (facts.recipe.seed, facts.recipe.model) == (5, str(first))


def test_an_interrupted_full_training_ends_with_the_same_bytes(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    changes = {"steps": 4, "save_steps": (1, 2, 4)}
    whole = run_recipe(causal("full", tiny_causal, pairs, tmp_path / "whole", **changes))
    with pytest.raises(KeyboardInterrupt):
        run_recipe(
            causal("full", tiny_causal, pairs, tmp_path / "cut", **changes), progress=Interrupt(after=3)
        )
    assert not (tmp_path / "cut" / "checkpoint-1" / "optimizer.pt").exists()
    resumed = run_recipe(causal("full", tiny_causal, pairs, tmp_path / "cut", **changes))
    assert [(f / "model.safetensors").read_bytes() for f in resumed] == [
        (f / "model.safetensors").read_bytes() for f in whole
    ]


def test_a_student_comes_nearer_to_its_teacher(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    teacher = run_recipe(
        causal("full", tiny_causal, pairs, tmp_path / "teacher", steps=20, save_steps=(), learning_rate=3e-2)
    )[-1]
    changes = {"teacher": str(teacher), "steps": 12, "save_steps": ()}
    student = run_recipe(causal("distillation", tiny_causal, pairs, tmp_path / "student", **changes))[-1]
    base_s, taught, wanted = (score(folder, tiny_causal) for folder in (tiny_causal, student, teacher))
    assert base_s < taught <= wanted


LONG = "What is a word? " * 60
"""960 tokens, and 3 of the chat template."""


def write_rows(path: Path, *prompts: str) -> Path:
    answers = {"answer": "Yes.", "chosen": "Yes.", "rejected": "No."}
    path.write_text("\n".join(json.dumps({"prompt": prompt} | answers) + "\n" for prompt in prompts))
    return path


@pytest.mark.parametrize("name", ["full", "distillation", "sdft-rewrite", "dpo"])
def test_a_prompt_that_fills_max_length_is_refused_before_training(
    name: str, tiny_causal: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "long.jsonl", "What is 1?", LONG, LONG)
    teacher = {"teacher": str(tiny_causal)} if name == "distillation" else {}
    recipe = causal(name, tiny_causal, data, tmp_path / "out", **teacher)
    with pytest.raises(
        DataError, match=r"long\.jsonl:3: its prompt has 963 tokens, and max_length 512 .*raise max_length"
    ):
        run_recipe(recipe)
    with pytest.raises(DataError, match=r"long\.jsonl:3: .*max_length 963"):
        run_recipe(recipe.model_copy(update={"max_length": 963}))
    assert not (tmp_path / "out").exists()
    assert facts_of(run_recipe(recipe.model_copy(update={"max_length": 964}))[-1]).examples_seen == 4


@pytest.mark.parametrize("field", ["replay", "ewc_data"])
def test_a_prompt_that_fills_max_length_is_named_in_the_other_files_too(
    field: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    data = str(write_rows(tmp_path / "long.jsonl", LONG))
    changes = (
        {"replay": {"data": data, "share": 0.5}} if field == "replay" else {"ewc": 1.0, "ewc_data": data}
    )
    with pytest.raises(DataError, match=r"long\.jsonl:1: its prompt has 963 tokens"):
        run_recipe(causal("full", tiny_causal, pairs, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["full", "distillation", "sdft-rewrite", "dpo", "grpo"])
def test_a_trainer_that_leaves_out_examples_is_refused(
    name: str, tiny_causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datasets import Dataset

    data = write_rows(tmp_path / "data.jsonl", "What is 1?", "What is 2?")
    from_list = Dataset.from_list
    monkeypatch.setattr(Dataset, "from_list", lambda rows: from_list(rows[:-1]))
    changes = {
        "distillation": {"teacher": str(tiny_causal)},
        "grpo": {"reward": "tiny_recipe_models:length", "n_completions": 2},
    }.get(name, {})
    with pytest.raises(ForgetbenchError, match="holds 3 of 4 training examples"):
        run_recipe(causal(name, tiny_causal, data, tmp_path / "out", max_new_tokens=4, **changes))
    assert read_facts(tmp_path / "out") is None


def test_a_teacher_of_another_vocabulary_is_refused(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    import shutil

    other = shutil.copytree(tiny_causal, tmp_path / "other")
    tokenizer = json.loads((other / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["zz"] = 259
    (other / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match="another vocabulary"):
        run_recipe(causal("distillation", tiny_causal, pairs, tmp_path / "out", teacher=str(other)))
    with pytest.raises(UsageError, match="needs a teacher"):
        run_recipe(causal("distillation", tiny_causal, pairs, tmp_path / "out2"))


def test_dpo_learns_to_prefer(tiny_causal: Path, preferences: Path, tmp_path: Path) -> None:
    folder = run_recipe(causal("dpo", tiny_causal, preferences, tmp_path / "out"))[0]
    names = {path.name for path in folder.iterdir()}
    assert "adapter_model.safetensors" in names and "ref" not in names
    state = json.loads((folder / "trainer_state.json").read_text())
    first = next(entry for entry in state["log_history"] if "loss" in entry)
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3)  # −log σ(0): the base prefers nothing to itself
    assert score(folder, tiny_causal) != score(tiny_causal, tiny_causal)


def test_grpo_learns_from_a_reward(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    changes = {
        "n_completions": 2,
        "max_new_tokens": 4,
        "reward": "tiny_recipe_models:length",
        "batch_size": 1,
    }
    folder = run_recipe(causal("grpo", tiny_causal, pairs, tmp_path / "out", **changes))[0]
    facts = facts_of(folder)
    assert facts.reward is not None and 0 <= facts.reward <= 30
    with pytest.raises(UsageError, match="cannot be imported"):
        run_recipe(causal("grpo", tiny_causal, pairs, tmp_path / "bad", reward="no.such:thing"))


@pytest.mark.parametrize(
    ("reward", "cause"),
    [
        ("math:sqrt", "raised TypeError: .*keyword arguments"),
        ("tiny_recipe_models:raising", "raised KeyError: 'score'"),
        ("tiny_recipe_models:single", "returned no list of 2 numbers"),
    ],
)
def test_a_reward_that_fails_is_named_with_its_cause(
    reward: str, cause: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    changes = {"n_completions": 2, "max_new_tokens": 4, "batch_size": 1, "reward": reward}
    with pytest.raises(UsageError, match=rf"^reward {reward}: {cause}.*returns a number for each completion"):
        run_recipe(causal("grpo", tiny_causal, pairs, tmp_path / "out", **changes))


@pytest.mark.parametrize("name", ["dpo", "grpo"])
def test_reinforcement_names_unknown_target_modules_as_fine_tuning_does(
    name: str, tiny_causal: Path, tmp_path: Path
) -> None:
    data = write_rows(tmp_path / "data.jsonl", "What is 1?", "What is 2?")
    changes = {"reward": "answer_words", "n_completions": 2} if name == "grpo" else {}
    with pytest.raises(UsageError, match=r"^target_modules: the model has no nope\. Choose among .*q_proj"):
        run_recipe(causal(name, tiny_causal, data, tmp_path / "out", target_modules=["nope"], **changes))


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        *((kind, r"needs num_virtual_tokens\. Give peft\.num_virtual_tokens=20") for kind in PROMPTS),
        ("TRAINABLE_TOKENS", r"needs token_indices\. Give peft\.token_indices=\[ID,ID\]"),
        ("ADAPTION_PROMPT", "a setting is missing or of the wrong kind"),
        ("MULTITASK_PROMPT_TUNING", "reads the id of a task .*Choose another peft_type"),
        ("POLY", "reads the id of a task .*Choose another peft_type"),
        ("CPT", "has a loss of its own.*Choose another peft_type"),
    ],
)
def test_what_a_peft_configuration_lacks_is_named(
    kind: str, cause: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"^peft {kind}: {cause}"):
        run_recipe(causal("peft", tiny_causal, pairs, tmp_path / "out", peft={"peft_type": kind}))
    assert not (tmp_path / "out").exists()


def test_another_reward_function_is_another_training(
    tiny_causal: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    source = tmp_path / "own_reward.py"
    source.write_text("def short(completions, **_):\n    return [0.0 for _ in completions]\n")

    def key(reward: str) -> str:
        recipe = causal("grpo", tiny_causal, pairs, tmp_path / "out", reward=reward)
        return recipe_key(recipe, inputs_of(recipe, locate_base(str(tiny_causal))))

    before = key("own_reward:short")
    assert key("own_reward:short") == before
    source.write_text(source.read_text().replace("0.0", "1.0"))
    assert key("own_reward:short") != before
    assert key("answer_words") not in (before, key("own_reward:short"))


def test_the_reward_of_words_is_f1() -> None:
    from forgetbench.recipes.preferences import answer_words

    assert answer_words(["It is 3", "no", ""], answer=["it is 3.", "yes", "yes"]) == [1.0, 0.0, 0.0]
    assert answer_words(["a b"], answer=["a c"]) == [0.5]


@pytest.mark.parametrize("name", ["full", "lora", "peft"])
def test_whisper_is_trained(name: str, tiny_whisper: Path, manifest: Path, tmp_path: Path) -> None:
    recipe = causal(name, tiny_whisper, manifest, tmp_path / "out")
    folder = run_recipe(recipe)[0]
    facts = facts_of(folder)
    assert facts.target_loss is not None and facts.audio_s_seen == 2.0
    component = resolve(str(folder), adapter_base=str(tiny_whisper)).components["asr"]
    assert component.fingerprint != resolve(str(tiny_whisper)).components["asr"].fingerprint
    load(component, LoadSettings())


def heard(words: str) -> Any:
    """A recogniser that always hears the same."""

    class Deaf:
        sampling_rate = 16_000

        def transcribe(self, audio: Any, *, language: str) -> Any:
            from forgetbench.models.interface import Output

            return [Output(text=words, n_tokens=1, truncated=False) for _ in audio]

    return Deaf()


@pytest.mark.parametrize("name", ["pseudo-label", "distillation"])
def test_whisper_learns_from_transcripts_that_a_model_wrote(
    name: str, tiny_whisper: Path, unlabelled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("forgetbench.models.load.load", lambda *_, **__: heard("seven"))
    run_recipe(causal(name, tiny_whisper, unlabelled, tmp_path / "out", noise=None))
    lines = (tmp_path / "out" / "pseudo_labels.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["seven"] * 3


def test_a_rewriting_that_loses_a_number_is_not_learned() -> None:
    from forgetbench.recipes.rewrite import keeps

    assert keeps("Charge it for 3 hours, please.", "Charge for 3 hours.")
    assert not keeps("Charge it for a few hours.", "Charge for 3 hours.")
    assert not keeps("", "Charge.") and not keeps("Yes.", "Clean it each evening with a soft dry cloth.")


def test_an_adapter_on_four_bits_learns_after_it_was_measured(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    fields = {"load_in_4bit": True, "learning_rate": 0.05, "steps": 8, "save_steps": [1, 8]}
    run_recipe(causal("lora", tiny_causal, pairs, tmp_path / "out", **fields))
    first, last = (read_facts(tmp_path / "out" / f"checkpoint-{step}") for step in (1, 8))
    assert first is not None and last is not None
    assert first.target_loss is not None and last.target_loss is not None
    assert last.target_loss < first.target_loss - 0.01


@pytest.mark.slow
def test_an_interrupted_adapter_on_four_bits_ends_with_the_same_bytes(
    tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    fields = {"load_in_4bit": True, "steps": 6, "save_steps": [2, 4, 6]}
    whole = run_recipe(causal("lora", tiny_causal, pairs, tmp_path / "whole", **fields))
    for after in (3, 5):
        cut = causal("lora", tiny_causal, pairs, tmp_path / f"cut-{after}", **fields)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(cut, progress=Interrupt(after=after))
        resumed = run_recipe(cut)
        assert [(folder / "adapter_model.safetensors").read_bytes() for folder in resumed] == [
            (folder / "adapter_model.safetensors").read_bytes() for folder in whole
        ]


def test_four_bits_need_bitsandbytes(
    tiny_causal: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib.util

    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "bitsandbytes" else found(name, *a)
    )
    with pytest.raises(MissingPackageError, match=r"pip install 'forgetbench\[qlora\]'"):
        run_recipe(causal("lora", tiny_causal, pairs, tmp_path / "out", load_in_4bit=True))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"method": "dpo"}, "dpo learns from texts"),
        ({"method": "sdft-rewrite"}, "a transcript has one wording"),
        ({"weights": "peft", "peft": PREFIXES["PROMPT_TUNING"]}, "encoder reads sound"),
        ({"weights": "peft", "peft": None}, "needs a PEFT configuration"),
        ({"weights": "peft", "peft": {"peft_type": "NOPE"}}, "is not PEFT's"),
        ({"weights": "full", "load_in_4bit": True}, "4 bits are frozen"),
        ({"steps": 1000, "save_steps": ()}, "pass over the 3 target examples 667 times"),
    ],
)
def test_what_whisper_cannot_take_is_refused_with_a_reason(
    changes: dict[str, Any], match: str, tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    recipe = causal("lora", tiny_whisper, manifest, tmp_path / "out").model_copy(update=changes)
    with pytest.raises(UsageError, match=match):
        run_recipe(recipe)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "changes", "match"),
    [
        ("lora", {"peft": {"peft_type": "IA3"}}, r"peft is given, .*weights=lora .*Use the recipe peft"),
        ("full", {"peft": {"peft_type": "IA3"}}, r"peft is given, .*weights=full"),
        ("full", {"rank": 4}, r"rank is a LoRA's, and weights=full .*Use weights=lora"),
        ("peft", {"target_modules": ["k_proj"]}, "target_modules is a LoRA's, and weights=peft"),
        ("lora", {"teacher": "org/teacher"}, "teacher is for distillation and pseudo-label, and this is sft"),
        ("dpo", {"reward": "answer_words"}, "reward is for grpo, and this is dpo"),
        ("dpo", {"grpo_beta": 0.1}, "grpo_beta is for grpo"),
        ("grpo", {"dpo_beta": 0.2}, "dpo_beta is for dpo"),
        ("full", {"distillation_beta": 0.5}, "distillation_beta is for distillation"),
        ("full", {"n_completions": 8}, "n_completions is for grpo"),
        ("full", {"language": "de"}, "language is for the family whisper, and this is causal_lm"),
    ],
)
def test_a_field_that_the_training_would_not_read_is_refused(
    name: str, changes: dict[str, Any], match: str, tiny_causal: Path, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=match):
        run_recipe(causal(name, tiny_causal, pairs, tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_a_field_of_language_models_is_refused_for_whisper(
    tiny_whisper: Path, manifest: Path, tmp_path: Path
) -> None:
    with pytest.raises(
        UsageError, match="max_length is for the family causal_lm or unit_lm, and this is whisper"
    ):
        run_recipe(causal("full", tiny_whisper, manifest, tmp_path / "out", max_length=64))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("word", "match"),
    [
        (f"steps={10**400}", "steps: Input should be less than or equal to 1000000000"),
        (f"batch_size={10**400}", "batch_size: Input should be less"),
        (f"rank={10**400}", "rank: Input should be less"),
        (f"seed={2**32}", "seed: Input should be less than or equal to 4294967295"),
        (r'data="\0"', "data: .*zero character"),
        (r'teacher="\0"', "teacher: .*zero character"),
        (r'replay={data: "\0", share: 0.5}', "replay.data: .*zero character"),
    ],
)
def test_a_value_that_nothing_can_hold_is_refused(word: str, match: str, tiny_causal: Path) -> None:
    places = {"model": str(tiny_causal), "data": "data.jsonl", "output": "out"}
    with pytest.raises(UsageError, match=match):
        make_recipe("lora", **{**places, **read_overrides([word])})


def test_the_table_of_the_docs_is_what_the_code_does() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
    methods = {f"| `{method}` |" for method in get_args(Method)}
    rows = [line for line in page.read_text().splitlines() if any(map(line.startswith, methods))]
    said = {
        (cells[1].strip(" `"), family): cells[column].strip() == "yes"
        for cells in (row.split("|") for row in rows)
        for column, family in ((2, "causal_lm"), (3, "whisper"), (4, "enhancer"), (5, "unit_lm"))
    }
    true = {
        (method, family): refusal(method, family) is None
        for method in get_args(Method)
        for family in get_args(Family)
    }
    assert said == true
    for (method, _), reason in REFUSED.items():
        assert reason and method in get_args(Method)


def test_every_definition_is_a_recipe_of_a_method_that_works() -> None:
    for definition in definitions():
        recipe = Recipe.model_validate({**definition.fields, "model": "m", "data": "d", "output": "o"})
        assert recipe.family == definition.family and refusal(recipe.method, recipe.family) is None
        assert definition.about, f"{definition.path}: say in its first line what it does"


def test_overrides_are_read_as_yaml() -> None:
    words = ["rank=32", "learning_rate=1e-4", "peft.peft_type=IA3", "replay={data: a.jsonl, share: 0.2}"]
    assert read_overrides(words) == {
        "rank": 32,
        "learning_rate": 1e-4,
        "peft": {"peft_type": "IA3"},
        "replay": {"data": "a.jsonl", "share": 0.2},
    }
    with pytest.raises(UsageError, match="Write KEY=VALUE"):
        read_overrides(["rank"])


def test_a_file_of_ones_own_is_a_recipe(tiny_causal: Path, pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"model: {tiny_causal}\ndata: {pairs}\noutput: {tmp_path / 'out'}\nweights: full\n"
        "steps: 16\nlearning_rate: 0.001\nbatch_size: 1\n"
    )
    recipe = make_recipe(str(file), seed=3)
    assert (recipe.name, recipe.weights, recipe.seed, recipe.saved) == ("mine", "full", 3, (1, 2, 4, 8, 16))
    with pytest.raises(UsageError, match=r"no field rnak\. Did you mean rank"):
        make_recipe(str(file), rnak=2)
    with pytest.raises(UsageError, match="save_steps 99 lies beyond the 16 steps"):
        make_recipe(str(file), save_steps=(2, 99))


def test_paths_in_a_file_of_ones_own_start_at_its_folder(
    tiny_causal: Path, pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "base").symlink_to(tiny_causal)
    (folder / "mine.yaml").write_text(
        "model: base\ndata: train.jsonl\noutput: out\nweights: full\nsteps: 2\nlearning_rate: 0.001\n"
        "batch_size: 1\nreplay: {data: old.jsonl, share: 0.2}\nteacher: org/teacher\n"
    )
    monkeypatch.chdir(tmp_path)
    recipe = make_recipe("ours/mine.yaml", ewc_data="kept.jsonl")
    assert recipe.replay is not None
    assert (recipe.model, recipe.data, recipe.output) == ("ours/base", "ours/train.jsonl", "ours/out")
    assert (recipe.replay.data, recipe.teacher, recipe.ewc_data) == (
        "ours/old.jsonl",
        "org/teacher",
        "kept.jsonl",
    )


def test_an_enhancer_is_trained_and_each_checkpoint_is_an_onnx_file(manifest: Path, tmp_path: Path) -> None:
    import numpy as np

    from forgetbench.models.interface import Audio, Enhancer
    from forgetbench.recipes.base import locate_base
    from forgetbench.recipes.enhancer_network import load_network

    recipe = make_recipe(
        "full", model="small-enhancer", data=str(manifest), output=str(tmp_path / "out"), steps=4,
        save_steps=(1, 4), batch_size=2, noise={"kind": "white", "snr_db": [0]},
    )  # fmt: skip
    first, last, final = run_recipe(recipe)
    assert facts_of(last).trained_parameters == sum(
        p.numel() for p in load_network(locate_base("small-enhancer").path).parameters()
    )
    assert (facts_of(last).target_loss or 0) < (facts_of(first).target_loss or 0)
    loaded = load(resolve(str(last / "enhancer.onnx")).components["enhancer"], LoadSettings())
    assert isinstance(loaded, Enhancer)
    noisy = np.random.default_rng(0).normal(0, 0.1, 12_345).astype(np.float32)
    (enhanced,) = loaded.enhance([Audio(samples=noisy, sampling_rate=16_000)])
    import torch

    with torch.no_grad():
        expected = load_network(final)(torch.from_numpy(noisy[None]))[0].numpy()
    np.testing.assert_allclose(np.ravel(enhanced.samples), expected, atol=1e-5)
    with pytest.raises(UsageError, match="an enhancer learns all recordings"):
        run_recipe(recipe.model_copy(update={"audio_s": 1.0}))
    with pytest.raises(UsageError, match="an enhancer is trained whole"):
        run_recipe(recipe.model_copy(update={"weights": "lora"}))


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("lora", {"rank": 32, "target_modules": ["q_proj"], "schedule": "constant", "save_steps": [1, 2]}),
        ("full", {"replay": {"data": "old.jsonl", "share": 0.2}, "l2_to_base": 0.01, "learning_rate": 3e-7}),
        ("peft", {"peft": PREFIXES["PROMPT_TUNING"]}),
        ("distillation", {"teacher": "org/teacher@main", "weights": "lora"}),
        ("grpo", {"reward": "answer_words", "n_completions": 2}),
    ],
)
def test_the_facts_line_is_the_same_recipe(tiny_causal: Path, name: str, more: dict[str, object]) -> None:
    places = {"model": str(tiny_causal), "data": "data.jsonl", "output": "out"}
    recipe = make_recipe(name, **places, steps=2, seed=3, **more)
    program, verb, run, *words = shlex.split(command_of(recipe))
    assert (program, verb, run) == ("forgetbench", "recipe", "run")
    assert str(tiny_causal.parent) not in command_of(recipe)
    again = make_recipe(words[0], **{**read_overrides(words[1:]), "model": places["model"]})
    assert again == recipe
