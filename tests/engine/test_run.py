"""A pair through the whole pipeline, on tiny models."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile

from forgetbench.engine import lazy_model
from forgetbench.engine.results import Result, compare_result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare, prepare_selftest, selftest
from forgetbench.errors import UsageError
from forgetbench.schema.run import RunDocument, Settings

Ask = Callable[..., Request]
TEXT = "choices,answers,short,refusals,leaning"


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def outside_measured(document: RunDocument | None) -> dict[str, Any]:
    assert document is not None
    return document.model_dump(exclude={"measured"})


def same(first: Result, second: Result) -> bool:
    return (
        outside_measured(first.checkpoint) == outside_measured(second.checkpoint)
        and outside_measured(first.base) == outside_measured(second.base)
        and first.comparison == second.comparison
    )


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every component that was loaded, in order."""
    loaded: list[str] = []
    original = lazy_model.load

    def counting(component: Any, settings: Any, **options: Any) -> Any:
        loaded.append(component.source)
        return original(component, settings, **options)

    monkeypatch.setattr(lazy_model, "load", counting)
    return loaded


def test_every_kind_of_text_task_is_measured_in_both_arms(made: Path, ask: Ask) -> None:
    result = run(ask(made / "lora", TEXT))
    assert result.base is not None and result.comparison is not None
    assert [task.status for task in result.checkpoint.tasks] == ["done"] * 5
    assert all(task.coverage == 1 for task in (*result.base.tasks, *result.checkpoint.tasks))
    rows = {row.name: row for row in result.comparison.rows}
    assert set(rows) == set(TEXT.split(","))
    assert rows["answers"].degradation != 0
    assert all(row.n in (24, 30) for row in rows.values())


def test_the_command_is_noted_without_the_place_of_the_program(
    made: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["/home/someone/.venv/bin/forgetbench", "run", "--model", "mine"])
    result = run(ask(made / "lora", "choices"))
    assert result.checkpoint.measured["command"] == ["forgetbench", "run", "--model", "mine"]


def test_the_same_pair_again_computes_nothing_and_says_the_same(
    made: Path, ask: Ask, loads: list[str]
) -> None:
    first = run(ask(made / "lora", TEXT))
    assert len(loads) == 2
    again = run(ask(made / "lora", TEXT))
    assert len(loads) == 2
    assert same(first, again)


def test_a_result_that_was_deleted_comes_back_from_the_cache_without_a_model(
    made: Path, ask: Ask, loads: list[str]
) -> None:
    first = run(ask(made / "lora", TEXT))
    shutil.rmtree(first.directory)
    assert same(first, run(ask(made / "lora", TEXT)))
    assert len(loads) == 2


def test_without_cache_and_result_the_documents_are_equal_all_the_same(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run(ask(made / "lora", TEXT))
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    assert same(first, run(ask(made / "lora", TEXT, output=tmp_path / "another")))


def test_a_second_checkpoint_scores_the_base_no_more(
    made: Path, ask: Ask, loads: list[str], tmp_path: Path
) -> None:
    run(ask(made / "lora", "choices"))
    run(ask(made / "other", "choices", base=str(made / "llama")))
    assert loads == ["lora", "llama", "other"]


def test_the_comparison_is_rebuilt_byte_for_byte(made: Path, ask: Ask) -> None:
    result = run(ask(made / "lora", TEXT))
    stored = (result.directory / "comparison.json").read_text()
    assert compare_result(result.directory).to_json() == stored


def test_a_self_test_finds_neither_loss_nor_gain(made: Path, ask: Ask) -> None:
    result = selftest(prepare_selftest(ask(made / "llama", TEXT)))
    assert result.comparison is not None
    assert [row.degradation for row in result.comparison.rows] == [pytest.approx(0.0, abs=1e-5)] * 5
    assert {task.noise_floor for task in result.checkpoint.tasks} <= {
        abs(r.degradation or 0) for r in result.comparison.rows
    }
    assert not {row.verdict for row in result.comparison.rows} & {"improved", "regressed", "minor", "worse"}


def test_swapped_arms_turn_every_sign(made: Path, ask: Ask) -> None:
    there = run(ask(made / "other", TEXT, base=str(made / "llama"))).comparison
    back = run(ask(made / "llama", TEXT, base=str(made / "other"))).comparison
    assert there is not None and back is not None
    for one, other in zip(there.rows, back.rows, strict=True):
        assert one.degradation == pytest.approx(-(other.degradation or 0), abs=1e-12)


def test_an_equal_pair_is_refused_and_points_to_selftest(made: Path, ask: Ask) -> None:
    with pytest.raises(UsageError, match="selftest"):
        run(ask(made / "llama", "choices", base=str(made / "llama")))


def test_a_checkpoint_without_a_base_is_measured_alone(made: Path, ask: Ask) -> None:
    result = run(ask(made / "llama", "choices"))
    assert result.base is None and result.comparison is None
    assert result.checkpoint.tasks[0].status == "done"
    assert "none" in result.directory.parts


def test_a_component_that_is_the_same_in_both_arms_is_not_run(made: Path, ask: Ask, loads: list[str]) -> None:
    system = f"asr={made / 'whisper'},lm={made / 'lora'}"
    base = f"asr={made / 'whisper'},lm={made / 'llama'}"
    result = run(ask(system, "choices,heard", base=base))
    assert result.comparison is not None
    verdicts = {row.name: row.verdict for row in result.comparison.rows}
    assert verdicts["heard"] == "identical"
    assert verdicts["choices"] != "identical"
    assert "whisper" not in loads


def test_speech_is_transcribed_in_noise_by_both_arms(made: Path, ask: Ask, tmp_path: Path) -> None:
    from tiny_models import make_whisper

    other = make_whisper(tmp_path / "other-whisper", seed=3)
    result = run(ask(other, "heard", base=str(made / "whisper")))
    (task,) = result.checkpoint.tasks
    assert task.metrics["wer"].n == 24
    assert set(task.metrics) == {"wer", "wer_raw", "wer_function_words", "looping"}
    assert task.metrics["wer_function_words"].n < 24
    samples = read_samples(result.directory, result.checkpoint)["heard"]
    assert set(samples["condition"]) == {"babble 5 dB"}


def test_speech_is_compared_by_speaker_and_by_condition(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    from tiny_models import make_whisper

    path = tiny_tasks / "heard.yaml"
    path.write_text(path.read_text().replace("conditions:", "conditions:\n- {noise: white, snr_db: 0}"))
    other = make_whisper(tmp_path / "other-whisper", seed=3)
    result = run(ask(other, "heard", base=str(made / "whisper")))
    assert result.comparison is not None
    by = {family.by: family for family in result.comparison.groups}
    assert [row.value for row in by["condition"].rows] == ["babble 5 dB", "white 0 dB"]
    assert [(row.value, row.n) for row in by["speaker"].rows] == [("s0", 16), ("s1", 16), ("s2", 16)]
    assert compare_result(result.directory).to_json() == result.comparison.to_json()


def test_words_on_non_speech_are_reported_beside_the_word_errors(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    from tiny_models import make_whisper

    rows = [json.loads(line) for line in (tiny_tasks / "heard.jsonl").read_text().splitlines()]
    for row in rows[:5]:
        row["text"] = "[noise]" if row["id"] != "u0" else ""
    (tiny_tasks / "heard.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    other = make_whisper(tmp_path / "other-whisper", seed=3)
    result = run(ask(other, "heard", base=str(made / "whisper")))
    (task,) = result.checkpoint.tasks
    assert task.metrics["hallucinated_words"].n == 5
    assert task.metrics["hallucinated_words"].type == "mean"
    assert task.metrics["wer"].n == 24


def test_a_class_of_words_can_be_what_the_verdict_is_about(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    from tiny_models import make_whisper

    path = tiny_tasks / "heard.yaml"
    path.write_text(path.read_text().replace("primary: wer", "primary: wer_function_words"))
    path.write_text(path.read_text().replace("- wer\n", "- wer\n- wer_function_words\n"))
    other = make_whisper(tmp_path / "other-whisper", seed=3)
    result = run(ask(other, "heard", base=str(made / "whisper")))
    assert result.comparison is not None
    (row,) = result.comparison.rows
    assert row.metric == "wer_function_words"
    assert 0 < row.n < 24
    assert (row.coverage, row.unpaired) == (1.0, 0)  # a sentence without such a word is no failure
    (loss,) = result.comparison.lost_words
    assert (loss.word_class, loss.n_words) == ("function_words", row.n)


def test_broken_recordings_drop_their_pairs_and_coverage_says_so(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    from tiny_models import make_whisper

    (tiny_tasks / "u3.wav").write_bytes(b"no audio")
    (tiny_tasks / "u4.wav").unlink()
    soundfile.write(tiny_tasks / "u5.wav", [0.0] * 8000, 16_000)
    other = make_whisper(tmp_path / "other-whisper", seed=3)
    result = run(ask(other, "heard", base=str(made / "whisper")))
    (task,) = result.checkpoint.tasks
    assert task.errors == {"corrupt_audio": 1, "missing_audio": 1, "silent_audio": 1}
    assert (task.n_planned, task.n_scored) == (24, 21)
    assert result.comparison is not None
    assert result.comparison.rows[0].n == 21
    assert "heard: missing_audio in 1 of 24: u4.wav" in result.comparison.warnings


def test_a_task_that_cannot_be_done_is_listed_and_strict_refuses_it(made: Path, ask: Ask) -> None:
    result = run(ask(made / "lora", "choices,heard"))
    assert result.comparison is not None
    assert any("heard" in line for line in result.comparison.not_measured)
    with pytest.raises(UsageError, match="a task was skipped"):
        prepare(ask(made / "lora", "choices,heard", strict=True))
    told = (
        r"every task was skipped \(heard: the checkpoint has no component that can transcribe\)\. .*tasks ls"
    )
    with pytest.raises(UsageError, match=told):
        prepare(ask(made / "lora", "heard"))


def test_a_target_that_the_model_cannot_do_is_named_by_its_option(
    made: Path, tiny_tasks: Path, tmp_path: Path
) -> None:
    request = Request(
        model=str(made / "lora"), target=tiny_tasks / "heard.jsonl", output=tmp_path / "r", offline=True
    )
    with pytest.raises(UsageError, match=r"^--target .*heard\.jsonl: every task was skipped"):
        prepare(request)


def test_a_user_s_own_test_set_is_the_target(made: Path, ask: Ask, tiny_tasks: Path) -> None:
    result = run(ask(made / "lora", "choices", target=tiny_tasks / "answers.jsonl"))
    assert result.comparison is not None
    roles = {row.name: row.role for row in result.comparison.rows}
    assert roles == {
        "target": "target",
        "target_likelihood": "target",
        "target_divergence": "distribution",
        "choices": "general",
    }


def test_results_do_not_depend_on_the_batch_size(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: Any
) -> None:
    one = run(ask(made / "lora", TEXT, settings=Settings(batch_size=1))).comparison
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "another-cache"))
    many = run(
        ask(made / "lora", TEXT, settings=Settings(batch_size=7), output=tmp_path / "another")
    ).comparison
    assert one is not None and many is not None
    for a, b in zip(one.rows, many.rows, strict=True):
        assert a.degradation == pytest.approx(b.degradation, abs=1e-4)


def test_the_chat_template_of_one_arm_can_serve_both(made: Path, ask: Ask, copy: Callable[..., Path]) -> None:
    changed = copy("other")
    config = json.loads((changed / "tokenizer_config.json").read_text())
    template = "{% for m in messages %}ask: {{ m['content'] }} say:{% endfor %}"
    (changed / "chat_template.jinja").write_text(template)
    (changed / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": template}))
    base = str(made / "llama")

    def first_tokens(mode: str) -> list[tuple[int, ...]]:
        settings = Settings.model_validate({"chat_template": mode})
        result = run(ask(changed, "answers", base=base, settings=settings))
        assert result.base is not None
        return [result.base.tasks[0].first_token_ids, result.checkpoint.tasks[0].first_token_ids]

    own, of_base, of_checkpoint, none = map(first_tokens, ("auto", "base", "checkpoint", "none"))
    assert own[0] != own[1]
    assert of_base == [own[0], own[0]]
    assert of_checkpoint == [own[1], own[1]]
    assert none[0] == none[1] != own[0]


def test_one_bad_sample_costs_one_sample(made: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    from forgetbench.models.causal_lm import CausalLM

    original = CausalLM.score_text

    def fail_on_one(self: CausalLM, requests: Any) -> Any:
        if any(request.context == broken_context for request in requests):
            raise RuntimeError("out of luck")
        return original(self, requests)

    prepared = prepare(ask(made / "lora", "choices"))
    broken_context = prepared.plan.tasks[0].samples[7].input
    monkeypatch.setattr(CausalLM, "score_text", fail_on_one)
    result = evaluate(prepared)
    assert result.checkpoint.tasks[0].errors == {"model_error": 1}
    monkeypatch.setattr(CausalLM, "score_text", original)
    again = run(ask(made / "lora", "choices"))
    assert again.checkpoint.tasks[0].errors == {}


def test_an_output_path_that_cannot_be_written_fails_before_any_work(
    made: Path, ask: Ask, tmp_path: Path, loads: list[str]
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        run(ask(made / "lora", "choices", output=tmp_path / "file" / "results"))
    assert loads == []


def test_a_damaged_sample_file_is_noticed_and_made_again(made: Path, ask: Ask) -> None:
    first = run(ask(made / "lora", "choices"))
    samples = first.checkpoint.tasks[0].samples
    assert samples is not None
    path = first.directory / samples.path
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(Exception, match="differs from its run document"):
        compare_result(first.directory)
    assert same(first, run(ask(made / "lora", "choices")))
    assert path.read_bytes() == whole


def test_audio_at_another_rate_is_resampled_and_said_from_the_cache_too(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    from tiny_models import make_whisper

    for i in range(24):
        samples, _ = soundfile.read(tiny_tasks / f"u{i}.wav")
        soundfile.write(tiny_tasks / f"u{i}.wav", samples, 8_000)
    request = ask(make_whisper(tmp_path / "other-whisper", seed=3), "heard", base=str(made / "whisper"))
    first = run(request)
    assert first.comparison is not None
    assert any("8000 Hz was resampled" in warning for warning in first.checkpoint.warnings)
    shutil.rmtree(first.directory)
    assert same(first, run(request))


def test_the_first_tokens_are_those_of_the_same_sample_in_both_arms(made: Path, ask: Ask) -> None:
    run(ask(made / "lora", "choices", settings=Settings(limit=3)))
    result = run(ask(made / "other", "choices", base=str(made / "llama")))
    assert result.base is not None
    assert result.base.tasks[0].first_token_ids == result.checkpoint.tasks[0].first_token_ids
    assert not [warning for warning in result.checkpoint.warnings if "prompt" in warning]


def test_a_language_that_a_model_lacks_fails_its_task_and_no_other(
    made: Path, ask: Ask, tiny_tasks: Path, tmp_path: Path
) -> None:
    from tiny_models import make_whisper

    heard = (tiny_tasks / "heard.yaml").read_text()
    welsh = heard.replace("name: heard", "name: welsh") + "language: cy\nnormaliser: whisper_basic@1\n"
    (tiny_tasks / "welsh.yaml").write_text(welsh)
    other = make_whisper(tmp_path / "other-whisper", seed=3)
    result = run(ask(other, "heard,welsh", base=str(made / "whisper")))
    assert result.comparison is not None
    rows = {row.name: row for row in result.comparison.rows}
    assert rows["welsh"].verdict == "error"
    assert "language cy" in rows["welsh"].reason
    assert rows["heard"].verdict != "error"


def test_scores_that_are_no_numbers_are_errors_of_their_samples(
    made: Path, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from forgetbench.models.causal_lm import CausalLM

    original = CausalLM.score_text

    def overflow(self: CausalLM, requests: Any) -> Any:
        return [replace(score, logprob=float("nan")) for score in original(self, requests)]

    monkeypatch.setattr(CausalLM, "score_text", overflow)
    result = run(ask(made / "lora", "choices"))
    assert result.checkpoint.tasks[0].errors == {"nonfinite_score": 30}
    assert result.checkpoint.tasks[0].metrics["acc"].value is None


def test_a_task_with_the_name_of_the_target_is_refused(made: Path, ask: Ask, tiny_tasks: Path) -> None:
    path = tiny_tasks / "choices.yaml"
    path.write_text(path.read_text().replace("name: choices", "name: target"))
    with pytest.raises(UsageError, match="has the name of the --target task"):
        prepare(ask(made / "lora", "tiny", target=tiny_tasks / "answers.jsonl"))


def test_a_cache_that_cannot_be_written_fails_before_any_work(
    made: Path, ask: Ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: list[str]
) -> None:
    prepared = prepare(ask(made / "lora", "choices"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FORGETBENCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(UsageError, match=r"FORGETBENCH_CACHE.*cannot be written"):
        evaluate(prepared)
    assert loads == []
