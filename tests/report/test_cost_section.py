"""What the models cost, as a person reads it."""

from __future__ import annotations

import io
import math
from typing import Any

import pytest
from rich.console import Console, Group

from forgetbench.report import numbers
from forgetbench.report.cost import cost_section
from forgetbench.report.table import verdict_table
from forgetbench.schema.cost import ClipTime, ComponentCost, Cost
from forgetbench.schema.run import CheckpointInfo, ComponentInfo


def ears(**changes: Any) -> CheckpointInfo:
    fields: dict[str, Any] = {
        "role": "asr", "source": "ears", "format": "transformers", "architecture": "Ears", "fingerprint": "0",
        "capabilities": ("transcribe",), "parameters": 37_760_640, "bytes": 151_061_672,
    }  # fmt: skip
    return CheckpointInfo(name="ears", fingerprint="0" * 64, components=(ComponentInfo(**fields | changes),))


BASE = ears()
LORA = ears(format="peft", parameters=39_010_000, bytes=154_600_000, adapter_parameters=1_249_360)


def timed(seconds: float, measured_at: str = "2026-11-25T22:23:01.500+00:00", **changes: Any) -> Cost:
    clips = tuple(
        ClipTime(clip=str(i), audio_s=3.0, seconds=seconds * (1 + 0.01 * (i % 3))) for i in range(20)
    )
    fields = {"role": "asr", "capability": "transcribe", "clips": clips, "peak_memory_bytes": 697_000_000}
    return Cost(
        measured_at=measured_at,
        processors=2,
        components=(ComponentCost(**fields | changes),),  # type: ignore[arg-type]
    )


def shown(*arguments: Any, width: int = 110, **more: Any) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(Group(*cost_section(*arguments, **more)))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]  # type: ignore[attr-defined]


def line_of(lines: list[str], name: str) -> str:
    (line,) = [line for line in lines if f" {name} " in f"{line} "]
    return " ".join(line.split())


def test_parameters_and_size_of_both_arms_are_always_there() -> None:
    lines = shown(LORA, BASE)
    assert lines[1] == "Cost"
    assert line_of(lines, "parameters") == "asr parameters 37.8 M 39.0 M x1.03, 1.25 M of them the adapter's"
    assert line_of(lines, "size") == "size 151 MB 155 MB x1.02"
    assert not [line for line in lines if "latency" in line or "Times" in line]


def test_what_is_unknown_is_missing_and_never_zero() -> None:
    unknown = ears(parameters=None, bytes=None)
    assert line_of(shown(unknown, BASE), "size") == "size 151 MB -"
    assert shown(unknown, unknown) == []


def test_times_come_with_their_interval_and_the_number_of_clips() -> None:
    lines = shown(LORA, BASE, measured=timed(0.2), base_measured=timed(0.1))
    latency = "mean latency 101 ms 202 ms x2.00 clip by clip, 95% [x2.00, x2.00], 20 clips"
    assert line_of(lines, "mean latency") == latency
    assert line_of(lines, "RTFx") == "RTFx 29.7 14.9 x0.50"
    assert line_of(lines, "first output") == "first output - -"
    assert line_of(lines, "peak memory") == "peak memory 697 MB 697 MB x1.00"
    assert "2026-11-25 22:23 UTC, 2 processors" in lines[-1] and "no verdict" in lines[-1]


def test_times_of_two_measurements_are_never_set_side_by_side() -> None:
    lines = shown(LORA, BASE, measured=timed(0.2), base_measured=timed(0.1, "2026-11-24T08:00:00+00:00"))
    assert line_of(lines, "mean latency") == "mean latency - 202 ms 20 clips"


def test_why_there_are_no_times_is_said() -> None:
    untimed = timed(0.1, clips=(), not_measured="identical in both arms")
    lines = shown(BASE, BASE, measured=untimed, base_measured=untimed)
    assert line_of(lines, "time") == "time - not measured: identical in both arms"


def test_a_checkpoint_alone_has_one_column() -> None:
    lines = shown(LORA, measured=timed(0.2))
    assert "Base" not in lines[2]
    assert line_of(lines, "mean latency") == "mean latency 202 ms 20 clips"


@pytest.mark.parametrize("width", [80, 110])
def test_no_line_is_wider_than_the_console(make_comparison: Any, width: int) -> None:
    comparison = make_comparison(base=BASE, checkpoint=LORA.model_copy(update={"fingerprint": "1" * 64}))
    console = Console(file=io.StringIO(), width=width)
    console.print(verdict_table(comparison, measured=timed(0.2), base_measured=timed(0.1)))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    assert any(line.split()[:2] == ["mean", "latency"] for line in lines)
    assert "DO NOT SHIP" in lines[-1] or "DO NOT SHIP" in lines[-2]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (numbers.count(820), "820"),
        (numbers.count(999_600), "1.00 M"),
        (numbers.count(1_240_000_000), "1.24 B"),
        (numbers.size(512), "512 B"),
        (numbers.size(151_061_672), "151 MB"),
        (numbers.latency(0.0095), "9.50 ms"),
        (numbers.latency(0.9999), "1.00 s"),
        (numbers.latency(12.34), "12.3 s"),
        (numbers.rtfx(123.4), "123"),
        (numbers.ratio(0.002), "x0.002"),
        (numbers.ratio(31.6), "x31.6"),
        (numbers.ratio(None), "-"),
        (numbers.size(math.nan), "-"),
    ],
)
def test_numbers_keep_three_digits_and_their_unit(found: str, expected: str) -> None:
    assert found == expected
