"""Several answers drawn to each sample."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from forgetbench.engine.journal import Answer
from forgetbench.engine.repeats import averaged_scores, joined_answers, nth_answer
from forgetbench.engine.results import Result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.engine.score import Scored
from forgetbench.models.causal_lm import CausalLM
from forgetbench.schema.run import Sampling, Settings
from forgetbench.schema.sample import RawPrediction

Ask = Callable[..., Request]
WARM = Sampling(temperature=0.9, top_p=0.95)


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def texts(result: Result, task: str = "short") -> dict[str, list[str]]:
    """All answers of the checkpoint by sample."""
    table = read_samples(result.directory, result.checkpoint)[task].set_index("id")
    parsed = {key: RawPrediction.model_validate_json(p) for key, p in table["prediction"].items()}
    return {str(key): [p.text or "", *p.more_texts] for key, p in parsed.items()}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many prompts each call of generate had."""
    calls: list[int] = []
    original = CausalLM.generate

    def counting(self: CausalLM, requests: list[object]) -> object:
        calls.append(len(requests))
        return original(self, requests)  # type: ignore[arg-type]

    monkeypatch.setattr(CausalLM, "generate", counting)
    return calls


def test_repeated_answers_differ_are_kept_and_make_a_mean_of_a_binary_score(made: Path, ask: Ask) -> None:
    result = run(ask(made / "lora", "short,choices", settings=Settings(sampling=WARM, repeats=3)))
    answers = texts(result)
    assert {len(each) for each in answers.values()} == {3}
    assert any(len(set(each)) > 1 for each in answers.values())
    types = {task.name: task.metrics[task.primary].type for task in result.checkpoint.tasks}
    assert types == {"short": "mean", "choices": "binary"}
    assert result.comparison is not None
    methods = {row.name: row.method.split(",")[0] for row in result.comparison.rows}
    assert methods == {"short": "paired t", "choices": "McNemar mid-p"}


def test_more_repeats_go_on_from_those_that_were_drawn(made: Path, ask: Ask, asked: list[int]) -> None:
    two = texts(run(ask(made / "lora", "short", settings=Settings(sampling=WARM, repeats=2))))
    assert sum(asked) == 2 * 2 * 24
    three = texts(run(ask(made / "lora", "short", settings=Settings(sampling=WARM, repeats=3))))
    assert sum(asked) == 3 * 2 * 24
    assert {key: each[:2] for key, each in three.items()} == two


def test_drawn_answers_depend_on_seed_and_arguments_and_not_on_batches(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, settings in enumerate(
        (
            Settings(sampling=WARM),
            Settings(sampling=WARM, batch_size=3),
            Settings(sampling=WARM, seed=1),
            Settings(sampling=Sampling(temperature=0.3)),
            Settings(),
        )
    ):
        monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / f"cache{number}"))
        found.append(texts(run(ask(made / "lora", "short", settings=settings))))
    assert found[0] == found[1]
    assert all(found[0] != other for other in found[2:])


def test_the_arguments_are_part_of_the_cache_and_of_the_run_key(
    made: Path, ask: Ask, asked: list[int]
) -> None:
    greedy = run(ask(made / "lora", "short,choices"))
    n_greedy = sum(asked)
    drawn = run(ask(made / "lora", "short,choices", settings=Settings(sampling=WARM)))
    assert sum(asked) == 2 * n_greedy
    assert greedy.directory != drawn.directory
    assert texts(greedy) != texts(drawn)


def test_settings_at_their_defaults_leave_the_run_key_as_it_was(made: Path, ask: Ask) -> None:
    plain = prepare(ask(made / "lora", "choices")).plan
    fields = json.loads(plain.settings.model_dump_json())
    assert {"limits", "sampling", "repeats"} <= set(fields)
    whole = {"choices": 10_000}
    assert (
        prepare(ask(made / "lora", "choices", settings=Settings(limits=whole))).plan.run_key != plain.run_key
    )


def test_equal_answers_are_not_repeated() -> None:
    with pytest.raises(ValueError, match="greedy answers are equal"):
        Settings(repeats=2)


def test_scores_are_averaged_and_ratios_pooled() -> None:
    repeats = [
        [Scored(stats={"acc": 1.0, "wer": (1.0, 4.0)})],
        [Scored(stats={"acc": 0.0, "wer": (2.0, 4.0), "odd": 3.0})],
    ]
    (scored,) = averaged_scores(repeats)
    assert scored.stats == {"acc": 0.5, "wer": (3.0, 8.0), "odd": 3.0}


def test_one_failed_repeat_drops_the_sample() -> None:
    good, bad = Answer(prediction=RawPrediction(text="yes")), Answer(prediction=None, error="model_error")
    assert joined_answers([[good], [bad]]) == [bad]
    assert averaged_scores([[Scored(stats={"acc": 1.0})], [Scored(error="x")]])[0].error == "x"


def test_each_of_several_answers_keeps_what_was_heard_and_answered_in_writing() -> None:
    repeats = [
        Answer(
            prediction=RawPrediction(text=f"a{i}", heard=f"h{i}", as_text=written, n_tokens=(i,)),
            resampled_from_hz=8000,
        )
        for i, written in enumerate(("w0", None, "w2"))
    ]
    (joined,) = joined_answers([[answer] for answer in repeats])
    assert [nth_answer(joined, i) for i in range(3)] == repeats


def test_answers_in_writing_alone_are_kept_as_before() -> None:
    (joined,) = joined_answers([[Answer(prediction=RawPrediction(text=text))] for text in ("a", "b")])
    assert joined.prediction is not None
    assert joined.prediction.model_dump(exclude_defaults=True) == {
        "text": "a", "more_texts": ("b",), "n_tokens": ()
    }  # fmt: skip
