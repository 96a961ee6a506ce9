"""What a plug-in's metric and judge may say, and what is done where they say something else."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from forgetbench import plugins
from forgetbench.errors import ForgetbenchError, SampleError, TaskError
from forgetbench.metrics.judges import judge
from forgetbench.metrics.plugin import TextMetric, plugin_stats
from forgetbench.metrics.registry import find, lookup
from forgetbench.schema.metric import MetricSpec

BROUGHT = SimpleNamespace(
    answer=TextMetric(
        spec=MetricSpec(name="mine.answer", type="binary", higher_is_better=True),
        score=lambda reference, answer: float(answer) if answer else 0.0,
    ),
    other=TextMetric(
        spec=MetricSpec(name="mine.another", type="mean", higher_is_better=True), score=lambda r, a: 0.0
    ),
    ratio=TextMetric(
        spec=MetricSpec(name="mine.ratio", type="ratio", higher_is_better=False),
        score=lambda reference, answer: (len(answer), len(reference)),
    ),
    echo=lambda prompt, answer: answer,
    upset=lambda prompt, answer: 1 // 0,
    number=3,
)


@pytest.fixture(autouse=True)
def brought(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def entry_points(group: str) -> list[EntryPoint]:
        names = {
            "forgetbench.metrics": {
                "mine.answer": "answer",
                "mine.ratio": "ratio",
                "mine.wrong": "other",
                "mine.number": "number",
                "mine.gone": "gone",
            },
            "forgetbench.judges": {"mine.echo@1": "echo", "mine.number": "number", "mine.upset": "upset"},
        }.get(group, {})
        return [EntryPoint(name, f"{__name__}:BROUGHT.{place}", group) for name, place in names.items()]

    import sys

    monkeypatch.setitem(sys.modules, __name__, SimpleNamespace(BROUGHT=BROUGHT))  # type: ignore[arg-type]
    monkeypatch.setattr(plugins, "entry_points", entry_points)
    plugins.plugins.cache_clear()
    yield
    plugins.plugins.cache_clear()


def test_a_plugins_metric_is_found_by_its_name() -> None:
    assert lookup("mine.answer").type == "binary"
    assert find("mine.unknown") is None and find("wer") is not None
    with pytest.raises(TaskError, match=r"Did you mean mine\.answer"):
        lookup("mine.answr")


def test_its_statistics_stand_beside_ours() -> None:
    stats = plugin_stats(["exact_match", "mine.answer", "mine.ratio"], reference="four", answer="1")
    assert stats == {"mine.answer": 1.0, "mine.ratio": (1.0, 4.0)}


def test_a_score_that_is_not_of_its_type_names_the_plugin() -> None:
    with pytest.raises(ForgetbenchError, match=r"plug-in mine\.answer .* scored 0\.5, which is not binary"):
        plugin_stats(["mine.answer"], reference="", answer="0.5")


def test_a_score_that_is_not_finite_drops_the_sample() -> None:
    endless = TextMetric(
        spec=MetricSpec(name="mine.ratio", type="ratio", higher_is_better=False),
        score=lambda reference, answer: (float("nan"), 1.0),
    )
    original, BROUGHT.ratio = BROUGHT.ratio, endless
    try:
        with pytest.raises(SampleError) as found:
            plugin_stats(["mine.ratio"], reference="", answer="")
    finally:
        BROUGHT.ratio = original
    assert found.value.code == "nonfinite_score"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mine.wrong", "has the spec of 'mine.another'"),
        ("mine.number", "is int, not a TextMetric"),
        ("mine.gone", "cannot be loaded"),
    ],
)
def test_a_plugin_that_breaks_its_contract_is_named(name: str, says: str) -> None:
    with pytest.raises(ForgetbenchError, match=says):
        lookup(name)


def test_a_plugins_judge_gives_classes_and_nothing_else() -> None:
    echo = judge("mine.echo@1")
    assert echo("?", "refused") == "refused"
    with pytest.raises(SampleError) as found:
        echo("?", "I would rather not")
    assert found.value.code == "unparsable_verdict"
    with pytest.raises(ForgetbenchError, match="not a function"):
        judge("mine.number")


def test_what_a_plugins_function_raises_is_one_line_that_names_the_plugin() -> None:
    with pytest.raises(ForgetbenchError, match=r"plug-in mine\.answer .* failed on an answer \(ValueError"):
        plugin_stats(["mine.answer"], reference="", answer="no number")
    with pytest.raises(ForgetbenchError, match=r"plug-in mine\.upset .* failed on an answer \(ZeroDivision"):
        judge("mine.upset")("?", "anything")
