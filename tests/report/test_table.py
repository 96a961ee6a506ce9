from __future__ import annotations

import io
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from forgetbench.report import numbers
from forgetbench.report.escape import plain
from forgetbench.report.plan_table import PlanLine, plan_table
from forgetbench.report.signs import SIGNS
from forgetbench.report.single import single_table
from forgetbench.report.table import verdict_table
from forgetbench.report.task_table import task_table
from forgetbench.schema.comparison import GroupFamily, GroupRow, OutputHealth, WordClassLoss
from forgetbench.schema.run import (
    CheckpointInfo,
    Diagnostics,
    Environment,
    MetricValue,
    RunDocument,
    Settings,
    SuiteRowInfo,
    TaskResult,
)
from forgetbench.schema.task import DEFINITION


def shown(
    renderable: RenderableType, width: int = 120, *, colour: bool = False, encoding: str = "utf-8"
) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", newline="")
    console = Console(
        file=stream, width=width, force_terminal=colour, color_system="standard" if colour else None
    )
    console.print(renderable)
    stream.flush()
    return stream.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_console(make_comparison, width):
    assert max(len(line) for line in shown(verdict_table(make_comparison()), width).splitlines()) <= width


@pytest.mark.parametrize("width", [80, 120])
def test_the_last_line_is_the_decision(make_comparison, width):
    assert shown(verdict_table(make_comparison()), width).splitlines()[-1].startswith("✗ DO NOT SHIP: Clean")


def test_a_row_of_the_wide_table_says_everything_on_one_line(make_comparison):
    (line,) = [
        line
        for line in shown(verdict_table(make_comparison())).splitlines()
        if "Clean read speech  wer" in line
    ]
    for part in ("4.8%", "9.3%", "+4.5", "[+3.1, +5.8]", "2.0", "<.001", "✗ regressed", "400 (98%)"):
        assert part in line


def test_each_grouping_names_who_lost_most_and_who_is_served_worst(make_comparison):
    rows = [
        GroupRow(
            value="awb", n=18, verdict="worse", base=0.1, checkpoint=0.142, degradation=0.042,
            ci_low=0.01, ci_high=0.079,
        ),
        GroupRow(
            value="s[bold]lt\x1b[2J", n=12, verdict="retained", base=0.31, checkpoint=0.31, degradation=0.0
        ),
    ]  # fmt: skip
    family = GroupFamily(
        task="a", title="Commands", by="speaker", metric="wer", higher_is_better=False, margin=0.02,
        level=0.975, rows=rows, smallest_n=12, worst_served=rows[1].value, lost_most="awb",
        groups_left_out=3, n_ungrouped=1,
    )  # fmt: skip
    drawn = " ".join(shown(verdict_table(make_comparison(groups=[family])), 80).split())
    for part in (
        "Commands, by speaker: lost most: awb +4.2 [+1.0, +7.9] ▼ worse (n 18);",
        "worst served: s[bold]lt 31.0% (n 12);",
        "smallest of 2 groups: n 12; 3 smaller groups left out; in no group: 1",
    ):
        assert part in drawn
    nobody = family.model_copy(update={"lost_most": None})
    assert "by speaker: no group lost; worst served:" in " ".join(
        shown(verdict_table(make_comparison(groups=[nobody]))).split()
    )


def test_classes_of_words_are_shown_where_there_are_twenty_words(make_comparison):
    losses = [
        WordClassLoss(
            task="a", title="Commands", word_class="numbers", n_words=20, base=0.05, checkpoint=0.15
        ),
        WordClassLoss(task="a", title="Commands", word_class="names", n_words=19, base=0.0, checkpoint=1.0),
    ]
    drawn = shown(verdict_table(make_comparison(lost_words=losses)), 80)
    (line,) = [line for line in drawn.splitlines() if line.strip().startswith("Commands")]
    assert line.split() == ["Commands", "numbers", "5.0%", "15.0%", "+10.0", "20"]
    assert "names" not in drawn.partition("What was lost")[2].partition("Worst losses")[0]
    assert "What was lost" not in shown(verdict_table(make_comparison(lost_words=losses[1:])))


def test_roles_come_in_the_order_target_general_safety_cost(make_comparison):
    lines = [line.strip() for line in shown(verdict_table(make_comparison())).splitlines()]
    places = [lines.index(role) for role in ("Target", "General", "Safety", "Cost")]
    assert places == sorted(places)


def test_verdicts_are_told_apart_without_colour_in_unicode_and_in_ascii():
    assert len({sign.unicode for sign in SIGNS.values()}) == len(SIGNS)
    assert len({sign.ascii for sign in SIGNS.values()}) == len(SIGNS)
    assert all(sign.ascii.isascii() for sign in SIGNS.values())


def test_colour_never_tells_green_from_red(make_comparison):
    drawn = shown(verdict_table(make_comparison()), colour=True)
    assert "\x1b[1;31m✗ regressed" in drawn
    assert not re.search(r"\x1b\[(?:\d+;)*32m", drawn)


def test_no_color_leaves_no_colour(make_comparison, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    console.print(verdict_table(make_comparison()))
    assert not re.search(r"\x1b\[(?:\d+;)*3[0-7]m", console.file.getvalue())  # type: ignore[attr-defined]


def test_a_pipe_gets_no_escape_sequence(make_comparison):
    assert "\x1b" not in shown(verdict_table(make_comparison()))


def test_an_ascii_terminal_gets_ascii_of_our_own(make_comparison):
    drawn = shown(
        verdict_table(make_comparison(worst_losses=(), rows=make_comparison().rows[:3])), encoding="ascii"
    )
    assert "X regressed" in drawn


def test_what_a_model_wrote_cannot_act_on_the_terminal_or_as_markup(make_comparison):
    drawn = shown(verdict_table(make_comparison()))
    assert "\x1b" not in drawn
    assert "owned" not in drawn
    assert "[red]the[/red]" in drawn
    assert "[bold]turnips[/bold]" in drawn


def test_five_losses_are_shown_and_an_empty_answer_says_so(make_comparison):
    drawn = shown(verdict_table(make_comparison()))
    assert "a sixth one" not in drawn
    assert drawn.count("+40.0 points") == 5
    assert "(nothing)" in drawn


def test_words_that_changed_are_marked(make_comparison):
    drawn = shown(verdict_table(make_comparison()), colour=True)
    assert (
        "he hoped \x1b[1;4mthey\x1b[0m would be \x1b[1;4mtwo\x1b[0m for \x1b[1;4mwinner\x1b[0m turnips"
        in drawn
    )


def test_details_stand_indented_below_the_suite_row_they_belong_to(make_comparison, make_row):
    both = [
        make_row("a", "Suite A", "general", "acc", "retained", kind="suite_row"),
        make_row("b", "Suite B", "general", "acc", "retained", kind="suite_row"),
    ]
    details = [
        make_row(f"{s}{i}", f"part {s}{i}", "general", "acc", "retained") for i in (1, 2) for s in "ba"
    ]
    suites = [
        SuiteRowInfo(name=s, title=s, role="general", margin=0.1, tasks=(f"{s}1", f"{s}2"))
        for s in ("a", "b")
    ]
    drawn = shown(verdict_table(make_comparison(rows=both, details=details, worst_losses=()), suites))
    found = re.findall(r"^( *)(Suite .|part ..)", drawn, flags=re.MULTILINE)
    assert [name for _, name in found] == ["Suite A", "part a1", "part a2", "Suite B", "part b1", "part b2"]
    assert all(indent == ("  " if name.startswith("part") else "") for indent, name in found)


def test_a_missing_number_is_never_shown_as_zero(make_comparison, make_row):
    rows = [make_row("t", "T", "general", "acc", "error", n=0)]
    drawn = shown(
        verdict_table(make_comparison(rows=rows, details=(), worst_losses=(), summary="NEED MORE."))
    )
    (line,) = [line for line in drawn.splitlines() if line.startswith("T  acc")]
    assert line.split() == ["T", "acc", "-", "-", "-", "2.0", "-", "!", "error", "-"]


def test_an_inconclusive_row_says_how_many_samples_would_do(make_comparison):
    assert "Harmful requests refused: needs about 640 samples" in shown(verdict_table(make_comparison()))


def test_a_note_of_several_rows_is_said_once(make_comparison, make_row):
    few = "only 4 clusters: holds for these clusters only"
    rows = [
        make_row("a", "Clean", "general", "wer", "retained", notes=(few,)),
        make_row("b", "Babble", "general", "wer", "inconclusive", notes=(few,), required_n=99),
        make_row("c", "Music", "general", "wer", "retained", notes=("noise floor 0.01",)),
    ]
    drawn = shown(verdict_table(make_comparison(rows=rows, details=(), worst_losses=())))
    assert drawn.count(few) == 1
    assert f"\nClean, Babble: {few}\n" in drawn
    assert "\nBabble: needs about 99 samples\n" in drawn
    assert "\nMusic: noise floor 0.01\n" in drawn


@pytest.mark.parametrize("width", [80, 120])
def test_broken_outputs_are_shown_for_each_arm_where_there_are_any(make_comparison, width):
    health = [
        OutputHealth(task=t, title=t.title(), base=Diagnostics(**b), checkpoint=Diagnostics(**c))
        for t, b, c in [
            ("advice", {"empty": 0, "looping": 0.001, "truncated": 0}, {"empty": 0.625, "looping": 0}),
            ("sound", {"empty": 0, "looping": 0, "truncated": 0}, {"empty": 0, "looping": 0, "truncated": 0}),
            ("layers", {"nonfinite": 0.0}, {"nonfinite": 0.25}),
        ]
    ]
    drawn = shown(verdict_table(make_comparison(output_health=health, warnings=())), width)
    assert "\n  Advice: empty 0% -> 62%, looping <1% -> 0%\n" in drawn
    assert "\n  Layers: not finite 0% -> 25%\n" in drawn
    assert "Sound" not in drawn
    assert "Broken outputs" not in shown(verdict_table(make_comparison(output_health=health[1:2])), width)


def run_document(**changes):
    metric = {"type": "ratio", "higher_is_better": False, "n": 49}
    task = TaskResult(
        name="clean", version=1, title="Clean speech", role="general", definition_sha256="0", status="done",
        primary="wer", margin=0.02, n_planned=50, n_scored=49,
        metrics={"cer": MetricValue(value=0.01, **metric), "wer": MetricValue(value=0.048, **metric)},
    )  # fmt: skip
    skipped = TaskResult(
        name="x", version=1, title="XSTest", role="safety", definition_sha256="0", status="skipped",
        reason="gated [data]", primary="refused", margin=0.02,
    )  # fmt: skip
    fields = {
        "arm": "checkpoint", "run_key": "k", "settings": Settings(), "tasks": (task, skipped),
        "checkpoint": CheckpointInfo(name="ckpt", fingerprint="c" * 64, components=()),
        "environment": Environment(forgetbench="0", python="3", platform="x", packages={}),
    }  # fmt: skip
    return RunDocument(**(fields | changes))


@pytest.mark.parametrize("width", [80, 120])
def test_a_checkpoint_alone_says_that_there_is_no_base(width):
    drawn = shown(single_table(run_document()), width)
    assert "No base: this is the checkpoint alone." in drawn
    assert drawn.index("wer") < drawn.index("cer"), "the primary metric comes first"
    assert "4.8%" in drawn
    assert "49 (98%)" in drawn
    assert "skipped (gated [data])" in drawn


def test_what_is_downloaded_is_not_called_embedded_and_each_set_of_suites_is_one_heading():
    common = {
        "version": 1, "title": "T", "kind": "asr", "role": "general", "metrics": ["wer"], "primary": "wer",
        "margin": 0.01, "licence": "CC0-1.0",
    }  # fmt: skip
    here, hub = {"path": "a.jsonl"}, {"hub": "org/set"}
    row = {"version": 1, "title": "R", "kind": "suite_row", "role": "general", "margin": 0.01, "licence": "?"}
    tasks = [
        DEFINITION.validate_python(task)
        for task in (
            {**common, "name": "a", "suites": ["s"], "dataset": here},
            {**common, "name": "b", "suites": ["s", "t"], "dataset": hub, "size": "9 MB"},
            {**common, "name": "c", "suites": ["s"], "dataset": hub},
            {"kind": "lm_eval", "name": "d", "lm_eval": "d", "suites": ["s"]},
            {**row, "name": "e", "suites": ["s"], "tasks": ["b", "c"]},
        )
    ]
    lines = [line.split() for line in shown(task_table(tasks, {})).splitlines()]
    sizes = {line[0]: " ".join(line[4:-2]) for line in lines if line and len(line[0]) == 1 and len(line) > 2}
    assert sizes["a"] == "embedded" and sizes["b"] == "9 MB" and sizes["c"] == "unknown"
    assert "unknown" in " ".join(next(line for line in lines if line[:1] == ["d"]))
    assert " ".join(next(line for line in lines if line[:1] == ["e"])).count("its tasks") == 2
    assert lines.count(["s"]) == 1


def test_the_plan_adds_up_and_does_not_invent_times():
    lines = [
        PlanLine("a", "general", 400, "1.2 points", 95.0, "", ""),
        PlanLine("b", "safety", 100, "", None, "72 MB", ""),
    ]
    drawn = shown(plan_table(lines), 80)
    assert "2 tasks, 500 samples, about 2 min or more" in drawn
    assert "Download" in drawn and "72 MB" in drawn
    assert max(len(line) for line in drawn.splitlines()) <= 80


def test_the_plan_names_what_it_leaves_out_below_once_for_each_reason():
    deaf, absent = "the checkpoint has no component that can transcribe", "its data is not here"
    lines = [
        PlanLine("everyday_hearing_loss_mini", "general", 0, "", None, "", deaf),
        PlanLine("facts_mini", "general", 60, "9.1 points", 20.0, "", ""),
        PlanLine("commands_babble_mini", "target", 0, "", None, "", deaf),
        PlanLine("hellaswag", "general", 0, "", None, "", absent),
    ]
    drawn = shown(plan_table(lines), 80).splitlines()
    below = drawn.index("Not measured")
    assert [line.split()[0] for line in drawn[:below] if line.strip(" ─")] == ["Task", "facts_mini"]
    assert " ".join(" ".join(drawn[below + 1 :]).split()).startswith(
        f"everyday_hearing_loss_mini, commands_babble_mini: {deaf} hellaswag: {absent} "
        "1 task, 60 samples, about 20 s."
    )


@given(st.text())
def test_plain_text_holds_no_control_character(text):
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", plain(text))


@given(st.text(alphabet=st.characters(categories=["L", "N", "P"]), min_size=1))
def test_plain_text_leaves_ordinary_text_alone(text):
    assert plain(text) == text


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x07", "link"),
        ("\x9b2Jgone", "gone"),
        ("\x1b(0line", "line"),
        ("a\r\n\tb", "a b"),
        ("bell\x07", "bell\ufffd"),
        ("\u202eevil", "\ufffdevil"),
        ("\udc80", "\ufffd"),
        ("\x1b\x1b[2J[0mx", "\ufffd[0mx"),
    ],
)
def test_escape_sequences_are_dropped_whole(raw, safe):
    assert plain(raw) == safe


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (numbers.value(0.1234, metric="acc,none"), "12.3%"),
        (numbers.value(0.91234, metric="stoi"), "0.912"),
        (numbers.value(math.nan, metric="acc"), "-"),
        (numbers.difference(-0.00001, metric="acc"), "+0.0"),
        (numbers.difference(0.021, metric="acc", unit=True), "+2.1 points"),
        (numbers.p_value(0.0), "<.001"),
        (numbers.p_value(0.0231), ".023"),
        (numbers.p_value(1.0), "1"),
        (numbers.share(0.9999), "99%"),
        (numbers.seconds(4830), "1 h 20 min"),
    ],
)
def test_numbers_as_a_person_reads_them(said, meant):
    assert said == meant


def test_a_self_test_says_whether_a_checkpoint_equals_itself(make_comparison):
    same, rows = make_comparison().base, make_comparison().rows
    quiet = tuple(row.model_copy(update={"degradation": 0.0, "verdict": "retained"}) for row in rows)
    noisy = (quiet[0].model_copy(update={"degradation": 0.1}), *quiet[1:])
    assert "self-test: no difference in" in shown(verdict_table(make_comparison(checkpoint=same, rows=quiet)))
    said = shown(verdict_table(make_comparison(checkpoint=same, rows=noisy)))
    assert "the same checkpoint differs from itself" in said
    assert "SHIP:" not in said
