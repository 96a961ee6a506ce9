"""Spoken requests through whole systems, from recordings to scores."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from command_line import Terminal
from forgeries import rewrite
from forgetbench.api.stored import load_results
from forgetbench.engine.answers import MODEL_ERROR
from forgetbench.engine.curve_results import find_results
from forgetbench.engine.journal import Answer
from forgetbench.engine.progress import Progress
from forgetbench.engine.question import Question, Told
from forgetbench.engine.rescore import Rescoring, rescore
from forgetbench.engine.results import Result, read_result, read_samples
from forgetbench.engine.run import Request, evaluate, prepare
from forgetbench.errors import DataError
from forgetbench.leaderboard.verify import Check, verify
from forgetbench.models.checkpoint import resolve
from forgetbench.schema.attribution import TaskAttribution
from forgetbench.schema.run import Sampling, Settings, TaskResult

Parts = Callable[..., str]
AskSpoken = Callable[..., Request]


def run(request: Request) -> Result:
    return evaluate(prepare(request))


def task_of(result: Result, name: str = "questions") -> TaskResult:
    return next(task for task in result.checkpoint.tasks if task.name == name)


def records(result: Result, name: str = "questions") -> pd.DataFrame:
    return read_samples(result.directory, result.checkpoint)[name].set_index("id")


def asked(system: str) -> list[tuple[str, int]]:
    """Which model was asked about how many samples, in order."""
    module = sys.modules[system.split("=")[1].partition(":")[0]]
    return list(module.loads)


def test_a_system_hears_understands_and_answers(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = run(ask_spoken(parts("deafer", "duller", "clean")))
    task = task_of(result)
    assert (task.status, task.n_scored, task.errors) == ("done", 48, {})
    assert task.metrics["contains_answer"].value == 18 / 48
    assert task.metrics["contains_answer_as_text"].value == 30 / 48
    assert task.metrics["wer"].value == 24 / 96
    misheard, forgotten = (json.loads(records(result)["prediction"][key]) for key in ("q3", "q20"))
    assert (misheard["heard"], misheard["text"]) == ("mumble", "I do not know")
    assert misheard["as_text"] == "It is answer 3."
    assert (forgotten["heard"], forgotten["as_text"]) == ("question 20", "I do not know")


def test_spoken_requests_are_judged_by_what_was_meant(parts: Parts, ask_spoken: AskSpoken) -> None:
    task = task_of(run(ask_spoken(parts("ears", "head"), tasks="requests")), "requests")
    assert task.status == "done" and task.judge is not None
    assert set(task.metrics) == {"complied", "partial", "degenerate", "misheard", "complied_as_text", "wer"}


def test_each_model_hears_or_reads_a_sample_once_and_a_finished_run_asks_none(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    system = parts("ears", "head")
    first = run(ask_spoken(system))
    assert sum(n for name, n in asked(system) if name == "ears") == 48
    assert sum(n for name, n in asked(system) if name == "head") == 48, "heard as written: one request"
    before = asked(system)
    (first.directory / "run.json").unlink()
    again = run(ask_spoken(system))
    assert asked(system) == before
    assert again.checkpoint.tasks == first.checkpoint.tasks


def test_systems_that_share_a_recogniser_share_its_work(parts: Parts, ask_spoken: AskSpoken) -> None:
    pair = run(ask_spoken(parts("ears", "duller"), parts("ears", "head")))
    assert pair.comparison is not None
    assert sum(n for name, n in asked(parts("ears", "head")) if name == "ears") == 48
    (row,) = pair.comparison.rows
    assert row.degradation == pytest.approx(18 / 48)


@pytest.mark.parametrize(
    ("enhancer", "right"), [("clean", 48), ("mute", 0), ("no_rate", 0), ("nan", 0), ("endless", 0)]
)
def test_whatever_an_enhancer_returns_is_an_answer(
    enhancer: str, right: int, parts: Parts, ask_spoken: AskSpoken
) -> None:
    task = task_of(run(ask_spoken(parts("ears", "head", enhancer))))
    assert (task.n_scored, task.errors) == (48, {})
    assert task.metrics["contains_answer"].value == right / 48


def test_a_recording_that_is_gone_costs_its_sample_alone(
    parts: Parts, ask_spoken: AskSpoken, spoken_tasks: Path
) -> None:
    (spoken_tasks / "q7.wav").unlink()
    task = task_of(run(ask_spoken(parts("ears", "head", "clean"))))
    assert (task.n_scored, task.errors) == (47, {"missing_audio": 1})
    assert task.metrics["contains_answer"].value == 1.0


def test_one_model_answers_in_one_piece(parts: Parts, ask_spoken: AskSpoken) -> None:
    model, base = (parts("", made).removeprefix("lm=") for made in ("less", "whole"))
    result = run(ask_spoken(model, base))
    assert result.comparison is not None
    assert result.comparison.rows[0].degradation == pytest.approx(12 / 48)
    assert set(task_of(result).metrics) == {"contains_answer"}, "it reads nothing: nothing as text"
    behind = task_of(run(ask_spoken(parts("", "less", "clean"))))
    assert behind.metrics["contains_answer"].value == 36 / 48


def test_without_a_recogniser_the_task_is_skipped(parts: Parts, ask_spoken: AskSpoken) -> None:
    from forgetbench.errors import UsageError

    with pytest.raises(UsageError, match="no component that can answer audio"):
        prepare(ask_spoken(parts("", "head")))


def test_a_chain_is_identical_only_as_a_whole(parts: Parts, ask_spoken: AskSpoken) -> None:
    model, base = parts("ears", "head", "mute"), parts("ears", "head")
    prepared = prepare(ask_spoken(model, base))
    assert {"transcribe", "generate"} <= prepared.identical and "answer_audio" not in prepared.identical
    result = evaluate(prepared)
    assert result.comparison is not None
    assert result.comparison.rows[0].degradation == 1.0
    same = resolve(parts("ears", "head"))
    assert same.assistant is not None and same.assistant.fingerprint == resolve(base).assistant.fingerprint  # type: ignore[union-attr]


def test_scores_can_be_made_again_without_a_model(
    parts: Parts, ask_spoken: AskSpoken, tmp_path: Path
) -> None:
    system = parts("deafer", "head")
    result = run(ask_spoken(system))
    before = asked(system)
    request: dict[str, Any] = {"include_paths": ask_spoken("").include_paths}
    again = rescore(Rescoring(directory=result.directory, output=tmp_path / "again", **request))
    assert asked(system) == before
    assert again.checkpoint.tasks[0].metrics == result.checkpoint.tasks[0].metrics


def drawn_thrice(parts: Parts, ask_spoken: AskSpoken) -> Result:
    settings = Settings(repeats=3, sampling=Sampling(temperature=0.7))
    return run(ask_spoken(parts("deafer", "duller"), parts("ears", "head"), settings=settings))


def test_answers_drawn_several_times_are_scored_again_in_writing_and_as_heard(
    parts: Parts, ask_spoken: AskSpoken, tmp_path: Path
) -> None:
    result, tasks = drawn_thrice(parts, ask_spoken), ask_spoken("").include_paths
    again = rescore(Rescoring(directory=result.directory, output=tmp_path / "again", include_paths=tasks))
    assert set(task_of(again).metrics) == {"contains_answer", "contains_answer_as_text", "wer"}
    assert again.checkpoint.tasks == result.checkpoint.tasks
    assert again.comparison == result.comparison
    assert again.comparison is not None and len(again.comparison.hearing_costs) == 1


def test_a_submission_of_answers_drawn_several_times_is_recomputed(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    result = drawn_thrice(parts, ask_spoken)
    found = verify(result.directory, Check(include_paths=tuple(ask_spoken("").include_paths), is_own=True))
    assert (found.level, found.problems) == ("recomputed", ())


def test_repeats_that_were_kept_without_what_was_heard_are_not_scored_again(
    parts: Parts, ask_spoken: AskSpoken, tmp_path: Path
) -> None:
    result, tasks = drawn_thrice(parts, ask_spoken), ask_spoken("").include_paths
    samples, kept = task_of(result).samples, {"text": "answer 3", "more_texts": ["answer 3", "answer 3"]}
    assert samples is not None
    path, run_document = result.directory / samples.path, result.directory / "run.json"
    digest = rewrite(path, lambda table: table.assign(prediction=json.dumps(kept)))
    run_document.write_text(run_document.read_text().replace(samples.sha256, digest))
    with pytest.raises(DataError, match=r"without what was heard\. Run the pair again with a new"):
        rescore(Rescoring(directory=result.directory, output=tmp_path / "again", include_paths=tasks))


def test_the_cost_of_hearing_is_told_in_both_arms(parts: Parts, ask_spoken: AskSpoken) -> None:
    """The base misses nothing; the checkpoint mishears 12 questions and has forgotten 18 others."""
    result = run(ask_spoken(parts("deafer", "duller"), parts("ears", "head")))
    assert result.comparison is not None
    (cost,) = result.comparison.hearing_costs
    assert (cost.base.as_text, cost.base.heard, cost.base.cost) == (1.0, 1.0, 0.0)
    assert (cost.checkpoint.as_text, cost.checkpoint.heard) == (30 / 48, 18 / 48)
    assert cost.checkpoint.cost == pytest.approx(12 / 48)
    assert cost.change == pytest.approx(12 / 48)
    assert cost.ci_low is not None and 0 < cost.ci_low < 12 / 48


def test_forgetting_in_writing_is_no_cost_of_hearing(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = run(ask_spoken(parts("ears", "duller"), parts("ears", "head")))
    assert result.comparison is not None
    (cost,) = result.comparison.hearing_costs
    assert (cost.checkpoint.cost, cost.change, cost.ci_low) == (0.0, 0.0, None)


def attributed(result: Result) -> TaskAttribution:
    assert result.attribution is not None
    (task,) = result.attribution.tasks
    return task


def test_the_component_that_was_trained_is_named(parts: Parts, ask_spoken: AskSpoken) -> None:
    """One component differs: the loss is its own, and no mixed system is run."""
    result = run(ask_spoken(parts("ears", "duller"), parts("ears", "head"), attribute=True))
    task = attributed(result)
    assert result.attribution is not None
    assert (result.attribution.n_systems, result.attribution.identical) == (0, ("asr",))
    assert task.lost_by == ("lm",)
    assert task.components[0].share.value == pytest.approx(18 / 48)
    assert not (result.directory / "swapped").exists()


def test_two_components_split_the_loss(parts: Parts, ask_spoken: AskSpoken) -> None:
    """The recogniser mishears 12 questions, the language model has forgotten 18 others."""
    base = parts("ears", "head")
    result = run(ask_spoken(parts("deafer", "duller"), base, attribute=True))
    task = attributed(result)
    assert task.total.value == pytest.approx(30 / 48)
    assert {c.role: c.share.value for c in task.components} == pytest.approx({"asr": 12 / 48, "lm": 18 / 48})
    assert task.lost_by == ("lm", "asr") and task.interacting == ()
    assert (task.n, task.n_dropped) == (48, 0)
    assert sum(n for name, n in asked(base) if name in ("ears", "deafer")) == 96, "no recogniser hears twice"
    read = sum(n for name, n in asked(base) if name in ("head", "duller"))
    assert read == 2 * (48 + 12), "of each language model, 48 requests and 12 transcripts that differ"


def test_losses_of_the_same_questions_interact(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = run(ask_spoken(parts("deafer", "same_duller"), parts("ears", "head"), attribute=True))
    task = attributed(result)
    (both,) = task.interacting
    assert (both.roles, both.effect.value) == (("asr", "lm"), pytest.approx(-12 / 48))
    assert {c.role: c.share.value for c in task.components} == pytest.approx({"asr": 6 / 48, "lm": 6 / 48})


def test_a_component_that_the_base_lacks_is_swapped_in(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = run(ask_spoken(parts("deafer", "head", "clean"), parts("ears", "head"), attribute=True))
    task = attributed(result)
    assert {c.role: (c.base == "", c.share.value) for c in task.components} == {
        "enhancer": (True, 0.0), "asr": (False, 12 / 48),
    }  # fmt: skip
    assert task.lost_by == ("asr",)
    assert result.comparison is not None and not any("no base" in w for w in result.comparison.warnings)


def test_rescoring_says_that_it_leaves_the_attribution(
    parts: Parts, ask_spoken: AskSpoken, terminal: Terminal, spoken_tasks: Path, tmp_path: Path
) -> None:
    result = run(ask_spoken(parts("deafer", "duller"), parts("ears", "head"), attribute=True))
    more = ("--include-path", spoken_tasks, "--output-path", tmp_path / "again")
    assert (
        "the attribution to components is not scored again"
        in terminal("rescore", result.directory, *more).err
    )


def test_mixed_systems_are_no_results_of_their_own(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = run(ask_spoken(parts("deafer", "duller"), parts("ears", "head"), attribute=True))
    assert len(list(result.directory.glob("swapped/*/run.json"))) == 2
    (found,) = load_results(result.directory.parent)
    assert found.directory == result.directory
    assert [one.directory for one in find_results([result.directory])] == [result.directory]


def test_a_component_that_only_the_base_has_is_measured_and_swapped_out(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    """The base's enhancer is broken: without it the checkpoint, whose recogniser is worse, gains."""
    result = run(ask_spoken(parts("deafer", "head"), parts("ears", "head", "mute"), attribute=True))
    assert result.base is not None and task_of(result).metrics["contains_answer"].value == 36 / 48
    assert result.base.tasks[0].metrics["contains_answer"].value == 0
    task = attributed(result)
    assert {c.role: c.checkpoint == "" for c in task.components} == {"enhancer": True, "asr": False}
    assert task.total.value == pytest.approx(-36 / 48)
    only_removed = run(ask_spoken(parts("ears", "head"), parts("ears", "head", "mute"), attribute=True))
    (enhancer,) = attributed(only_removed).components
    assert (enhancer.role, enhancer.share.value) == ("enhancer", -1.0)


def test_an_enhancer_in_front_of_a_model_in_one_piece_is_compared(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    whole = parts("", "whole").removeprefix("lm=")
    for model, base, degradation in (
        (parts("", "whole", "mute"), whole, 1.0),
        (whole, parts("", "whole", "mute"), -1.0),
    ):
        result = run(ask_spoken(model, base, attribute=True))
        assert result.comparison is not None
        assert result.comparison.rows[0].degradation == degradation
        assert attributed(result).total.value == degradation


def test_a_component_that_has_fallen_silent_is_named_though_it_complies_with_less(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    model, base = parts("deafer", "silent"), parts("ears", "head")
    result = run(ask_spoken(model, base, tasks="requests", attribute=True))
    assert result.comparison is not None and result.comparison.rows[0].verdict == "regressed"
    assert result.attribution is not None
    primary, degenerate = result.attribution.tasks
    assert (primary.metric, primary.lost_by) == ("complied", ())
    assert (degenerate.metric, degenerate.lost_by) == ("degenerate", ("lm", "asr")), "asr mishears 12 of 48"
    assert degenerate.total.value == pytest.approx(1.0)


def test_the_attribution_is_made_again_from_the_cache(parts: Parts, ask_spoken: AskSpoken) -> None:
    request = ask_spoken(parts("deafer", "duller"), parts("ears", "head"), attribute=True)
    first = run(request)
    before = asked(request.model)
    assert run(request).attribution == first.attribution
    assert asked(request.model) == before


def test_without_a_base_there_is_nothing_to_swap(parts: Parts, ask_spoken: AskSpoken) -> None:
    from forgetbench.errors import UsageError

    with pytest.raises(UsageError, match="no spoken task is run on two systems"):
        prepare(ask_spoken(parts("ears", "head"), attribute=True))


def test_a_system_in_one_piece_and_one_in_stages_are_refused_before_anything_is_loaded(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    from forgetbench.errors import UsageError

    whole, staged = parts("", "whole").removeprefix("lm="), parts("ears", "head")
    with pytest.raises(UsageError, match=r"could not answer speech\. Give --model and --base in the same"):
        prepare(ask_spoken(staged, whole, attribute=True))
    assert asked(staged) == []
    assert run(ask_spoken(staged, whole)).attribution is None


def why_not(result: Result) -> str:
    assert result.attribution is not None and result.attribution.tasks == ()
    assert result.comparison is not None
    assert read_result(result.directory).attribution == result.attribution
    (reason,) = result.attribution.not_attributed
    return reason


def test_without_a_sample_in_common_there_is_no_attribution_and_the_document_is_read(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    request = ask_spoken(parts("ears", "failing_even"), parts("ears", "failing_odd"), attribute=True)
    result = run(request)
    assert {task_of(result).status, task_of(result).n_scored} == {"done", 24}
    assert "not attributed" in why_not(result)
    assert why_not(run(request)) == why_not(result), "the result is not locked out"


def test_no_component_is_named_where_the_verdict_is_error(parts: Parts, ask_spoken: AskSpoken) -> None:
    result = run(ask_spoken(parts("ears", "failing_odd"), parts("ears", "head"), attribute=True))
    assert result.comparison is not None and result.comparison.rows[0].verdict == "error"
    assert "its verdict is error: " in why_not(result)


def test_no_component_is_named_where_a_mixed_system_fails(parts: Parts, ask_spoken: AskSpoken) -> None:
    """The checkpoint's recogniser fails on speech, and the checkpoint's enhancer leaves it none."""
    model, base = parts("fragile", "head", "mute"), parts("ears", "head")
    result = run(ask_spoken(model, base, attribute=True))
    assert task_of(result).n_scored == 48
    assert "the system with the checkpoint's asr failed on 24 of 48 samples" in why_not(result)


def test_samples_that_the_base_alone_failed_on_are_counted(parts: Parts, ask_spoken: AskSpoken) -> None:
    task = attributed(run(ask_spoken(parts("ears", "duller"), parts("ears", "failing_odd"), attribute=True)))
    assert (task.n, task.n_dropped) == (24, 24)


class DeadWorkers:
    """Workers on a node that is gone, each time that they are asked."""

    def ask(self, questions: Sequence[Question], progress: Progress) -> None:
        """Answer nothing."""

    def told(self, question: Question) -> Told:
        """Say why."""
        failed = {
            sample.content: Answer(prediction=None, error=MODEL_ERROR) for sample in question.planned.samples
        }
        reason = (
            f"{len(failed)} samples failed 3 times, the last time: the {question.component.role}'s node died"
        )
        return Told(computed=0, seconds=0.0, failed=failed, reasons=(reason,))


def test_why_the_stages_of_a_system_have_no_answers_stands_in_the_document(
    parts: Parts, ask_spoken: AskSpoken
) -> None:
    result = evaluate(prepare(ask_spoken(parts("ears", "head"))), workers=DeadWorkers())
    assert task_of(result).errors == {"model_error": 48}
    for role in ("asr", "lm"):
        line = f"questions: 48 samples failed 3 times, the last time: the {role}'s node died"
        assert result.checkpoint.warnings.count(line) == 1
