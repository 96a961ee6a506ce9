"""What a bad model does stays with its sample, task or arm; coverage falls, an error is never a number."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from faulty_models import Fault
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.models.interface import Audio, Output
from forgetbench.schema.comparison import Comparison, Row
from forgetbench.schema.run import Settings, TaskResult
from tiny_tasks import pair_rows, write_task

Ask = Callable[..., Request]
Copy = Callable[..., Path]
TEXT = "choices,answers,short,refusals,leaning"


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def pair(ask: Ask, tasks: str, kind: str = "", **changes: Any) -> Result:
    return run(ask(f"faulty_models:checkpoint{kind}", tasks, base=f"faulty_models:base{kind}", **changes))


def compared(result: Result) -> Comparison:
    assert result.comparison is not None
    return result.comparison


def row_of(result: Result, name: str) -> Row:
    return next(row for row in compared(result).rows if row.name == name)


def task_of(result: Result, name: str) -> TaskResult:
    return next(task for task in result.checkpoint.tasks if task.name == name)


def test_a_model_of_nothing_but_nan_has_no_score_at_all(made: Path, copy: Copy, ask: Ask) -> None:
    result = run(ask(spoiled(copy("llama", "nan"), math.nan), TEXT, base=str(made / "llama")))
    for task in result.checkpoint.tasks:
        assert (task.status, task.n_scored, task.coverage) == ("error", 0, 0)
        assert task.errors == {"nonfinite_score": task.n_planned}
        assert all(metric.value is None for metric in task.metrics.values())
    assert {row.verdict for row in compared(result).rows} == {"error"}
    assert all(row.degradation is None for row in compared(result).rows)
    assert compared(result).decision != "SHIP"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_in_one_weight_costs_the_samples_that_meet_it(
    value: float, made: Path, copy: Copy, ask: Ask, tiny_tasks: Path
) -> None:
    folder = spoiled(copy("llama", "partly"), value, word="Z")
    rows = [
        {**row, "prompt": f"{row['prompt']} Z" if i < 5 else row["prompt"]}
        for i, row in enumerate(pair_rows(24))
    ]
    common = {"kind": "generate", "prompt": "{prompt}", "metrics": ["exact_match"], "primary": "exact_match"}
    write_task(tiny_tasks, "heard_of", rows, max_new_tokens=4, **common)
    result = run(ask(folder, "heard_of", base=str(made / "llama")))
    task = task_of(result, "heard_of")
    assert task.errors == {"nonfinite_score": 5}
    assert (task.n_scored, task.coverage) == (19, pytest.approx(19 / 24))
    row = row_of(result, "heard_of")
    assert row.verdict == "error" and "the checkpoint's arm alone failed on 5 of 24" in row.reason
    samples = read_samples(result.directory, result.checkpoint)["heard_of"]
    assert list(samples["id"][samples["error"].notna()]) == [f"p{i}" for i in range(5)]


def spoiled(folder: Path, value: float, *, word: str | None = None) -> Path:
    """Put a value into one embedding of a saved model, or into its output projection."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoTokenizer

    weights = load_file(folder / "model.safetensors")
    if word is None:
        name = next(name for name in weights if "norm.weight" in name)
        weights[name] = torch.full_like(weights[name], value)
    else:
        token = AutoTokenizer.from_pretrained(folder).encode(word, add_special_tokens=False)[-1]
        weights["model.embed_tokens.weight"][token] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.mark.parametrize("family", ["whisper", "wav2vec2", "speech2text", "moonshine"])
def test_a_recogniser_of_nothing_but_nan_has_no_word_error_rate(
    family: str, ask: Ask, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    import tiny_speech_models
    from tiny_models import make_whisper

    make = make_whisper if family == "whisper" else getattr(tiny_speech_models, f"make_{family}")
    base = make(tmp_path / "base")
    bad = Path(shutil.copytree(base, tmp_path / "bad"))
    weights = load_file(bad / "model.safetensors")
    nothing = {name: tensor * math.nan for name, tensor in weights.items()}
    save_file(nothing, bad / "model.safetensors", metadata={"format": "pt"})
    result = run(ask(bad, "heard", base=str(base)))
    task = task_of(result, "heard")
    assert (task.status, task.errors) == ("error", {"nonfinite_score": 24})
    assert row_of(result, "heard").verdict == "error"


def test_resized_embeddings_are_measured(made: Path, copy: Copy, ask: Ask) -> None:
    from transformers import AutoModelForCausalLM

    folder = copy("llama", "resized")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.resize_token_embeddings(model.config.vocab_size + 8)
    model.save_pretrained(folder)
    result = run(ask(folder, TEXT, base=str(made / "llama")))
    assert all(task.coverage == 1 for task in result.checkpoint.tasks)


def test_a_tokenizer_that_knows_more_tokens_than_the_model_costs_the_samples_that_have_them(
    made: Path, copy: Copy, ask: Ask, tiny_tasks: Path
) -> None:
    from transformers import AutoTokenizer

    folder = copy("llama", "longer-tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["wombat"])
    tokenizer.save_pretrained(folder)
    path = tiny_tasks / "answers.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[4]["prompt"] += " wombat"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(ask(folder, "answers", base=str(made / "llama")))
    task = task_of(result, "answers")
    assert (task.errors, task.n_scored) == ({"model_error": 1}, 23)


@pytest.mark.parametrize("missing", [("pad_token",), ("bos_token",), ("eos_token", "pad_token", "bos_token")])
def test_missing_special_tokens_are_no_obstacle(
    missing: tuple[str, ...], made: Path, copy: Copy, ask: Ask
) -> None:
    folder = copy("nobos", "bare")
    for name in ("tokenizer_config.json", "generation_config.json", "config.json", "special_tokens_map.json"):
        if (folder / name).exists():
            config = json.loads((folder / name).read_text())
            kept = {k: v for k, v in config.items() if k.removesuffix("_id") not in missing}
            (folder / name).write_text(json.dumps(kept))
    result = run(ask(folder, TEXT, base=str(made / "nobos")))
    assert all(task.coverage == 1 for task in result.checkpoint.tasks)


def test_an_exception_at_sample_137_costs_sample_137(
    ask: Ask, tiny_tasks: Path, faults: dict[str, Fault]
) -> None:
    many(tiny_tasks, 150)
    faults["checkpoint"] = failing_on("sample 137 ")
    result = pair(ask, "many")
    task = task_of(result, "many")
    assert (task.errors, task.n_scored) == ({"model_error": 1}, 149)
    row = row_of(result, "many")
    assert row.verdict != "error", "one of 150 is within the 1 % that may fail"
    assert (row.n, row.coverage) == (149, pytest.approx(149 / 150))


def test_more_than_one_per_cent_in_the_checkpoint_s_arm_alone_is_an_error_with_its_worst_case(
    ask: Ask, tiny_tasks: Path, faults: dict[str, Fault]
) -> None:
    many(tiny_tasks, 150)
    faults["checkpoint"] = failing_on("sample 13")  # 13 and 130 to 139
    row = row_of(pair(ask, "many"), "many")
    assert row.verdict == "error"
    assert "failed on 11 of 150 samples (model_error); worse by" in row.reason


def test_the_same_failures_in_both_arms_only_lower_the_coverage(
    ask: Ask, tiny_tasks: Path, faults: dict[str, Fault]
) -> None:
    many(tiny_tasks, 150)
    faults["base"] = faults["checkpoint"] = failing_on("sample 13")
    row = row_of(pair(ask, "many"), "many")
    assert row.verdict != "error" and row.coverage == pytest.approx(139 / 150)


def many(folder: Path, n: int) -> None:
    rows = [{"id": f"m{i}", "prompt": f"sample {i} ", "answer": "a cat"} for i in range(n)]
    common = {"kind": "generate", "prompt": "{prompt}", "metrics": ["exact_match"], "primary": "exact_match"}
    write_task(folder, "many", rows, max_new_tokens=4, **common)


def failing_on(text: str) -> Fault:
    def fault(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
        if any(request.prompt.startswith(text) for request in asked):
            raise MemoryError("no memory for it")
        return answers

    return fault


def out_of_memory_in_a_batch(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
    if len(asked) > 8:
        raise RuntimeError("CUDA out of memory")
    return answers


def test_a_batch_that_does_not_fit_into_memory_is_asked_sample_by_sample(
    ask: Ask, faults: dict[str, Fault]
) -> None:
    faults["checkpoint"] = out_of_memory_in_a_batch
    result = pair(ask, "choices,short")
    assert all(task.coverage == 1 for task in result.checkpoint.tasks)


WRONG: dict[str, Fault] = {
    "one answer too few": lambda asked, answers: answers[:-1],
    "one answer too many": lambda asked, answers: [*answers, answers[0]],
    "no answers": lambda asked, answers: [],
    "none in place of answers": lambda asked, answers: [None for _ in answers],
    "texts in place of answers": lambda asked, answers: ["text" for _ in answers],
    "NaN": lambda asked, answers: [replaced(answer, math.nan) for answer in answers],
    "infinite": lambda asked, answers: [replaced(answer, math.inf) for answer in answers],
}


def replaced(answer: Any, value: object) -> Any:
    if isinstance(answer, Output):
        return replace(answer, text=value)  # type: ignore[arg-type]
    return replace(answer, logprob=value)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("task", ["choices", "answers", "leaning", "short"])
def test_answers_of_the_wrong_number_or_type_are_errors(
    wrong: str, task: str, ask: Ask, faults: dict[str, Fault]
) -> None:
    faults["checkpoint"] = WRONG[wrong]
    result = pair(ask, task)
    (found,) = result.checkpoint.tasks
    assert (found.status, found.n_scored) == ("error", 0), found
    assert set(found.errors) <= {"model_error", "nonfinite_score"}
    assert row_of(result, task).verdict == "error"


@pytest.mark.parametrize("text", ["", "no " * 5_000, "\x00\x1b[2J\ud800", "a" * 100_000])
def test_an_empty_endless_looping_or_garbled_output_is_an_answer_and_is_scored(
    text: str, ask: Ask, faults: dict[str, Fault]
) -> None:
    def fault(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
        return [Output(text=text, n_tokens=len(text), truncated=True) for _ in answers]

    faults["checkpoint"] = fault
    result = pair(ask, "short,refusals")
    for task in result.checkpoint.tasks:
        assert (task.status, task.coverage, task.errors) == ("done", 1, {})
    assert task_of(result, "short").metrics["exact_match"].value == 0


def test_a_dead_component_of_a_system_is_the_loss_of_its_own_tasks(
    ask: Ask, faults: dict[str, Fault], made: Path, tmp_path: Path
) -> None:
    from tiny_models import make_whisper

    other = make_whisper(tmp_path / "other-whisper", seed=3)

    def dead(asked: Sequence[Any], answers: list[Any]) -> list[Any]:
        raise RuntimeError("the server of the language model is gone")

    faults["checkpoint"] = dead
    system, base = (f"asr={ears},lm=faulty_models:{arm}" for ears, arm in (
        (other, "checkpoint"), (made / "whisper", "base"),
    ))  # fmt: skip
    result = run(ask(system, "choices,heard", base=base))
    assert task_of(result, "heard").coverage == 1
    assert row_of(result, "heard").verdict != "error"
    assert task_of(result, "choices").errors == {"model_error": 30}
    assert row_of(result, "choices").verdict == "error"


def enhancement(folder: Path) -> None:
    rows = [{"id": f"u{i}", "audio": f"u{i}.wav", "clean": f"u{i}.wav"} for i in range(4)]
    write_task(
        folder, "clearer", rows, kind="enhancement", fields={"clean": "clean"}, metrics=["si_sdr"],
        primary="si_sdr", sampling_rate=16_000,
    )  # fmt: skip


RETURNED: dict[str, tuple[Callable[[Audio], Any], str]] = {
    "half as long": (lambda audio: replace(audio, samples=audio.samples[::2]), "done"),
    "empty": (lambda audio: replace(audio, samples=audio.samples[:0]), "done"),
    "NaN": (lambda audio: replace(audio, samples=audio.samples * math.nan), "done"),
    "another rate": (lambda audio: replace(audio, sampling_rate=8_000), "done"),
    "no rate": (lambda audio: replace(audio, sampling_rate=0), "done"),
    "no audio": (lambda audio: None, "done"),
    "no rate at all": (lambda audio: replace(audio, sampling_rate=None), "done"),
    "integers": (lambda audio: replace(audio, samples=(audio.samples * 32767).astype(int)), "error"),
}


@pytest.mark.parametrize("returned", RETURNED)
def test_an_enhancer_that_returns_sound_of_any_kind_is_scored_and_what_is_no_sound_is_an_error(
    returned: str, ask: Ask, faults: dict[str, Fault], tiny_tasks: Path
) -> None:
    enhancement(tiny_tasks)
    change, status = RETURNED[returned]
    faults["checkpoint"] = lambda asked, answers: [change(answer) for answer in answers]
    (task,) = pair(ask, "clearer", "_enhancer").checkpoint.tasks
    assert task.status == status
    assert task.errors == ({"model_error": 4} if status == "error" else {})
    assert all(metric.value is None or math.isfinite(metric.value) for metric in task.metrics.values())


def test_half_precision_that_overflows_is_an_error_and_not_a_loss(made: Path, copy: Copy, ask: Ask) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy("llama", "large")
    weights = load_file(folder / "model.safetensors")
    large = {name: tensor * 1e4 if "mlp" in name else tensor for name, tensor in weights.items()}
    save_file(large, folder / "model.safetensors", metadata={"format": "pt"})
    settings = Settings(load=Settings().load.model_copy(update={"dtype": "float16"}))
    result = run(ask(folder, "choices,short", base=str(made / "llama"), settings=settings))
    assert {row.verdict for row in compared(result).rows} == {"error"}
    assert {code for task in result.checkpoint.tasks for code in task.errors} == {"nonfinite_score"}
