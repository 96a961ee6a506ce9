"""A gate's line and its exit code come from one source, and what was not measured never passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from forgetbench.forgetting.gate import Gate, gate, with_margins
from forgetbench.schema.comparison import Comparison, GroupFamily, GroupRow, Row
from forgetbench.schema.cost import ClipTime, ComponentCost, Cost, TurnTime
from forgetbench.schema.policy import Margins, Policy
from forgetbench.schema.run import ComponentInfo, RunDocument, SuiteRowInfo, TaskResult


def row(name: str, verdict: str, role: str = "general", **more: Any) -> Row:
    fields: dict[str, Any] = {"degradation": 0.05, "n": 100, "required_n": 300, "reason": "why", **more}
    return Row(
        name=name, title=name, role=role, metric="acc", higher_is_better=True, margin=0.02,
        verdict=verdict, **{"kind": "task", **fields},
    )  # fmt: skip


@pytest.fixture
def judge(make_run: Callable[..., RunDocument], make_task: Callable[..., TaskResult]) -> Callable[..., Gate]:
    """Judge rows by a policy; tasks of the same names were run, unless given."""

    def run(
        *rows: Row,
        tasks: Any = None,
        limit: int | None = None,
        limits: Any = None,
        groups: Any = (),
        policy_groups: Any = (),
        suites: Any = None,
        **policy: Any,
    ) -> Gate:
        results = tasks or [make_task(r.name, role=r.role, n_planned=100) for r in rows]
        base, checkpoint = make_run("base", *results), make_run("checkpoint", *results)
        settings = checkpoint.settings.model_copy(update={"limit": limit, "limits": limits or {}})
        comparison = Comparison(
            run_key="k", base=base.checkpoint, checkpoint=checkpoint.checkpoint, alpha=0.05, family_size=1,
            rows=rows, groups=groups, decision="SHIP", summary="SHIP: as it was.",
        )  # fmt: skip
        checkpoint = checkpoint.model_copy(update={"settings": settings})
        asked = Policy.model_validate({**policy, "groups": policy_groups})
        return gate(comparison, base, checkpoint, asked, suites=suites or {})

    return run


@pytest.mark.parametrize(
    ("verdict", "code", "line"),
    [
        ("retained", 0, "SHIP: the policy is met in 1 row."),
        ("minor", 0, "SHIP: the policy is met in 1 row."),
        ("improved", 0, "SHIP: the policy is met in 1 row."),
        ("identical", 0, "SHIP: the policy is met in 1 row."),
        ("worse", 3, "NEED MORE: quiz needs about 300 samples, has 100."),
        ("inconclusive", 3, "NEED MORE: quiz needs about 300 samples, has 100."),
        ("regressed", 100, "DO NOT SHIP: quiz is worse by 2.5 times its margin."),
        ("error", 100, "DO NOT SHIP: quiz could not be measured (why)."),
    ],
)
def test_each_verdict_has_its_line_and_its_exit_code(
    judge: Callable[..., Gate], verdict: str, code: int, line: str
) -> None:
    found = judge(row("quiz", verdict))
    assert (found.exit_code, found.comparison.summary) == (code, line)


def test_a_failure_outweighs_what_is_inconclusive_and_both_are_named(judge: Callable[..., Gate]) -> None:
    found = judge(row("one", "worse"), row("two", "regressed"), row("three", "retained"))
    assert found.exit_code == 100
    assert [(f.outcome, f.row) for f in found.findings] == [("fails", "two"), ("inconclusive", "one")]
    assert "two is worse by" in found.comparison.summary
    assert "and 1 more finding" in found.comparison.summary


def test_a_skipped_task_that_the_run_planned_is_inconclusive(
    judge: Callable[..., Gate], make_task: Callable[..., TaskResult]
) -> None:
    tasks = [make_task("quiz"), make_task("other", status="skipped", reason="offline.")]
    found = judge(row("quiz", "retained"), tasks=tasks)
    assert (found.exit_code, found.findings[0].reason) == (3, "other was skipped (offline)")
    assert judge(row("quiz", "retained"), tasks=tasks, required=["quiz"]).exit_code == 0


def test_a_limited_task_is_inconclusive_unless_it_had_fewer_samples(judge: Callable[..., Gate]) -> None:
    assert judge(row("quiz", "retained"), limit=100).exit_code == 3
    assert judge(row("quiz", "retained"), limit=101).exit_code == 0
    assert judge(row("quiz", "retained"), limit=100, required=[]).exit_code == 0
    assert judge(row("quiz", "retained"), limits={"other": 20}).exit_code == 0
    cut = judge(row("quiz", "retained"), limits={"quiz": 100})
    assert (cut.exit_code, "(--limit or --budget)" in cut.findings[0].reason) == (3, True)


def test_a_known_size_says_what_was_limited_and_in_which_arm(
    make_run: Callable[..., RunDocument], make_task: Callable[..., TaskResult]
) -> None:
    whole = make_task("quiz", n_available=1000, n_planned=1000)
    part = make_task("quiz", n_available=1000, n_planned=200)
    comparison = Comparison(
        run_key="k", base=make_run("base").checkpoint, checkpoint=make_run("checkpoint").checkpoint,
        alpha=0.05, family_size=1, rows=(row("quiz", "retained"),), decision="SHIP", summary="SHIP.",
    )  # fmt: skip

    def reasons(base: TaskResult, checkpoint: TaskResult, **settings: Any) -> list[str]:
        one, other = (
            document.model_copy(update={"settings": document.settings.model_copy(update=settings)})
            for document in (make_run("base", base), make_run("checkpoint", checkpoint))
        )
        judged = gate(comparison, one, other, Policy(required=("quiz",)), suites={})
        return [finding.reason for finding in judged.findings]

    cut = "quiz was measured on 200 of 1000 samples only (--limit)"
    assert reasons(part, part) == reasons(whole, part) == [cut]
    assert reasons(part, whole) == [f"{cut} in the base's run"]
    assert reasons(whole, whole, limit=50) == []


def test_a_suite_that_the_policy_names_and_nobody_ran_is_inconclusive(judge: Callable[..., Gate]) -> None:
    for policy in ({"required": ["safety"]}, {"margins": {"suites": {"safety": 0.1}}}):
        found = judge(row("quiz", "retained"), **policy)
        assert (found.exit_code, found.findings[0].reason) == (3, "safety was NOT measured")


@pytest.mark.parametrize("policy", [{"required": ["mine"]}, {"margins": {"suites": {"mine": 0.1}}}])
def test_one_task_of_a_suite_is_not_the_suite(
    judge: Callable[..., Gate], make_task: Callable[..., TaskResult], policy: Any
) -> None:
    tasks = [make_task(name, suites=("mine",)) for name in ("quiz", "riddle")]
    rows, suites = [row("quiz", "retained"), row("riddle", "retained")], {"mine": ("quiz", "riddle")}
    part = judge(rows[0], tasks=tasks[:1], suites=suites, **policy)
    said = [finding.reason for finding in part.findings]
    assert (part.exit_code, said) == (3, ["riddle of the suite mine was not run"])
    assert judge(*rows, tasks=tasks, suites=suites, **policy).exit_code == 0
    unknown = judge(*rows, tasks=tasks, **policy)
    assert (unknown.exit_code, len(unknown.findings)) == (3, 1)
    assert "the suite mine is not defined here" in unknown.findings[0].reason


def test_the_standard_names_mean_their_own_tasks_and_no_others_of_the_kind(
    judge: Callable[..., Gate], make_task: Callable[..., TaskResult]
) -> None:
    tasks, suites = [make_task("quiz", suites=("retention-mini",))], {"retention": ("piqa",)}
    found = judge(row("quiz", "retained"), tasks=tasks, suites=suites, required=["retention"])
    assert (found.exit_code, found.findings[0].reason) == (3, "retention was NOT measured")


def test_a_task_of_a_suite_that_is_a_row_of_several_was_run_with_them(
    make_run: Callable[..., RunDocument], make_task: Callable[..., TaskResult]
) -> None:
    info = SuiteRowInfo(name="mmlu", title="MMLU", role="general", margin=0.02, tasks=("history", "physics"))
    runs = [
        make_run(arm, make_task("history"), make_task("physics"), suite_rows=[info])
        for arm in ("base", "checkpoint")
    ]
    comparison = Comparison(
        run_key="k", base=runs[0].checkpoint, checkpoint=runs[1].checkpoint, alpha=0.05, family_size=1,
        rows=(row("mmlu", "retained", kind="suite_row"),), decision="SHIP", summary="SHIP.",
    )  # fmt: skip
    whole = gate(comparison, *runs, Policy(required=("mine",)), suites={"mine": ("mmlu",)})
    assert whole.exit_code == 0


def test_a_required_target_in_error_fails(
    judge: Callable[..., Gate], make_task: Callable[..., TaskResult]
) -> None:
    tasks = [make_task("quiz"), make_task("mine", role="target", status="error", reason="broken")]
    rows = (row("quiz", "retained"), row("mine", "error", role="target"))
    assert judge(*rows, tasks=tasks, required=["quiz"]).exit_code == 0
    assert judge(*rows, tasks=tasks, required=["mine"]).exit_code == 100


@pytest.mark.parametrize(
    ("verdict", "ignored", "retained", "improved"),
    [
        ("improved", 0, 0, 0),
        ("retained", 0, 0, 3),
        ("minor", 0, 0, 100),
        ("inconclusive", 0, 3, 3),
        ("worse", 0, 3, 100),
        ("regressed", 0, 100, 100),
    ],
)
def test_the_target_gates_only_where_the_policy_says_so(
    judge: Callable[..., Gate], verdict: str, ignored: int, retained: int, improved: int
) -> None:
    rows = (row("quiz", "retained"), row("mine", verdict, role="target"))
    assert judge(*rows).exit_code == ignored
    assert judge(*rows, target="retained").exit_code == retained
    assert judge(*rows, target="improved").exit_code == improved


def test_without_a_general_or_safety_row_nothing_ships(judge: Callable[..., Gate]) -> None:
    assert judge(row("mine", "improved", role="target")).exit_code == 3


def test_groups_gate_only_where_the_policy_names_their_column(judge: Callable[..., Gate]) -> None:
    groups = (
        GroupFamily(
            task="quiz", title="quiz", by="speaker", metric="acc", higher_is_better=True, margin=0.02,
            level=0.95, smallest_n=30,
            rows=tuple(
                GroupRow(value=name, n=30, verdict=verdict)  # type: ignore[arg-type]
                for name, verdict in (("ada", "regressed"), ("bo", "worse"))
            ),
        ),
    )  # fmt: skip
    assert judge(row("quiz", "retained"), groups=groups).exit_code == 0
    found = judge(row("quiz", "retained"), groups=groups, policy_groups=["speaker"])
    assert [f.outcome for f in found.findings] == ["fails", "inconclusive"]
    assert "speaker ada" in found.comparison.summary
    nobody = judge(row("quiz", "retained"), groups=groups, policy_groups=["accent"])
    assert (nobody.exit_code, nobody.findings[0].row) == (3, "accent")


def test_groups_of_a_target_alone_and_groups_that_were_left_out_do_not_pass(
    judge: Callable[..., Gate],
) -> None:
    good = GroupRow(value="ada", n=30, verdict="retained")
    family = GroupFamily(
        task="quiz", title="quiz", by="speaker", metric="acc", higher_is_better=True, margin=0.02,
        level=0.95, smallest_n=30, rows=(good, good),
    )  # fmt: skip
    assert judge(row("quiz", "retained"), groups=(family,), policy_groups=["speaker"]).exit_code == 0
    rows = (row("quiz", "retained", role="target"), row("other", "retained"))
    mine = judge(*rows, groups=(family,), policy_groups=["speaker"])
    assert (mine.exit_code, mine.findings[0].row) == (3, "speaker")
    many = family.model_copy(update={"groups_left_out": 7})
    left_out = judge(row("quiz", "retained"), groups=(many,), policy_groups=["speaker"])
    assert left_out.exit_code == 3 and "7 smaller groups by speaker" in left_out.comparison.summary


def test_margins_go_by_task_then_suite_then_role(
    make_run: Callable[..., RunDocument], make_task: Callable[..., TaskResult]
) -> None:
    rows = [
        SuiteRowInfo(name="both", title="both", role="general", margin=0.02, tasks=("a", "b")),
        SuiteRowInfo(name="mixed", title="mixed", role="general", margin=0.02, tasks=("a", "c")),
    ]
    tasks = [make_task(n, suites=("s",)) for n in "ab"] + [make_task("c"), make_task("d", role="target")]
    run = make_run("base", *tasks, suite_rows=rows)
    margins = Margins(tasks={"a": 0.3, "[ab]": 0.4}, suites={"s": 0.2}, roles={"general": 0.1})
    found = with_margins(run, margins)
    assert {t.name: t.margin for t in found.tasks} == {"a": 0.3, "b": 0.4, "c": 0.1, "d": 0.02}
    assert {r.name: r.margin for r in found.suite_rows} == {"both": 0.2, "mixed": 0.1}
    assert with_margins(run, Margins()) == run


def costly(run: RunDocument, parameters: int, seconds: float, memory: int) -> RunDocument:
    info = ComponentInfo(
        role="asr", source="m", format="transformers", architecture="W", fingerprint=f"f{parameters}",
        capabilities=("transcribe",), parameters=parameters, bytes=4 * parameters,
    )  # fmt: skip
    clips = [ClipTime(clip=str(i), audio_s=2, seconds=seconds * (1 + 0.01 * i)) for i in range(10)]
    parts = (
        ComponentCost(role="asr", capability="transcribe", clips=tuple(clips), peak_memory_bytes=memory),
    )
    cost = Cost(measured_at="now", processors=1, components=parts)
    checkpoint = run.checkpoint.model_copy(update={"components": (info,)})
    return run.model_copy(
        update={"checkpoint": checkpoint, "measured": {"cost": cost.model_dump(mode="json")}}
    )


@pytest.mark.parametrize(
    ("limits", "outcome"),
    [
        (None, None),
        ({"parameters": 1.2, "size": 1.2, "latency": 1.6, "peak_memory": 2.5}, None),
        ({"parameters": 1.05}, "fails"),
        ({"size": 1.05}, "fails"),
        ({"latency": 1.4}, "fails"),
        ({"peak_memory": 1.9}, "fails"),
    ],
)
def test_cost_gates_only_where_the_policy_limits_it(
    make_run: Callable[..., RunDocument], limits: Any, outcome: str | None
) -> None:
    from forgetbench.forgetting.gate_cost import cost_findings

    base, checkpoint = costly(make_run("base"), 100, 1.0, 50), costly(make_run("checkpoint"), 110, 1.5, 100)
    policy = Policy.model_validate({"cost": limits})
    assert {f.outcome for f in cost_findings(base, checkpoint, policy.cost)} == (
        {outcome} if outcome else set()
    )


def test_a_cost_that_was_not_measured_is_inconclusive(make_run: Callable[..., RunDocument]) -> None:
    from forgetbench.forgetting.gate_cost import cost_findings

    policy = Policy.model_validate({"cost": {"latency": 1.1}})
    (found,) = cost_findings(make_run("base"), make_run("checkpoint"), policy.cost)
    assert (found.outcome, "--cost" in found.reason) == ("inconclusive", True)


def test_a_component_that_is_the_same_in_both_arms_needs_no_measurement(
    make_run: Callable[..., RunDocument],
) -> None:
    from forgetbench.forgetting.gate_cost import cost_findings

    base, checkpoint = (costly(make_run(arm), 100, 1.0, 50) for arm in ("base", "checkpoint"))
    untimed = Cost(measured_at="now", processors=1, components=(ComponentCost(role="asr"),))
    checkpoint = checkpoint.model_copy(update={"measured": {"cost": untimed.model_dump(mode="json")}})
    limits = Policy.model_validate({"cost": {"latency": 1.1, "peak_memory": 1.1}}).cost
    assert list(cost_findings(base, checkpoint, limits)) == []


@pytest.mark.parametrize(("slower", "outcomes"), [(1.0, []), (2.0, ["fails"])])
def test_a_language_models_latency_is_its_part_of_a_spoken_turn(
    make_run: Callable[..., RunDocument], slower: float, outcomes: list[str]
) -> None:
    from forgetbench.forgetting.gate_cost import cost_findings

    def spoken(arm: str, seconds: float) -> RunDocument:
        info = ComponentInfo(
            role="lm", source="m", format="transformers", architecture="L", fingerprint=arm,
            capabilities=("generate",), parameters=1, bytes=4,
        )  # fmt: skip
        turns = tuple(
            TurnTime(clip=str(i), audio_s=2, seconds={"asr": 9.0, "lm": seconds * (1 + 0.01 * i)})
            for i in range(10)
        )
        parts = (ComponentCost(role="lm", not_measured="only hearing is timed"),)
        cost = Cost(measured_at="now", processors=1, components=parts, turns=turns)
        run = make_run(arm)
        checkpoint = run.checkpoint.model_copy(update={"components": (info,)})
        return run.model_copy(
            update={"checkpoint": checkpoint, "measured": {"cost": cost.model_dump(mode="json")}}
        )

    limits = Policy.model_validate({"cost": {"latency": 1.1}}).cost
    found = list(cost_findings(spoken("base", 1.0), spoken("checkpoint", slower), limits))
    assert [finding.outcome for finding in found] == outcomes
