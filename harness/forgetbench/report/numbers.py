"""Numbers as a person reads them: percentages, points, p-values, times. Missing is ``-``, never 0."""

from __future__ import annotations

import math
from typing import TypeGuard

from forgetbench.metrics.registry import find

MISSING = "-"


def is_percent(metric: str) -> bool:
    """Say whether a metric is shown as a percentage; a mean of several is, where each of them is.

    lm-eval's ``exact_match,strict-match`` is ``exact_match``.
    """
    if metric.startswith("mean of "):
        return all(is_percent(name) for name in metric.removeprefix("mean of ").split(", "))
    found = find(metric.partition(",")[0])
    return found is not None and found.percent


def value(number: float | None, *, metric: str) -> str:
    """Return a score: ``12.3%`` or ``0.912``."""
    if not _known(number):
        return MISSING
    return f"{_round(100 * number, 1):.1f}%" if is_percent(metric) else f"{_round(number, 3):.3f}"


def difference(number: float | None, *, metric: str, unit: bool = False) -> str:
    """Return a signed difference: ``+2.1`` points or ``+0.012``."""
    if not _known(number):
        return MISSING
    if not is_percent(metric):
        return f"{_round(number, 3):+.3f}"
    return f"{_round(100 * number, 1):+.1f}" + (" points" if unit else "")


def interval(low: float | None, high: float | None, *, metric: str) -> str:
    """Return ``[+0.4, +3.8]``; one open end is shown as missing, two as nothing at all."""
    if not _known(low) and not _known(high):
        return ""
    return f"[{difference(low, metric=metric)}, {difference(high, metric=metric)}]"


def p_value(p: float | None) -> str:
    """Return ``<.001``, ``.023`` or ``1``."""
    if not _known(p):
        return MISSING
    if p < 0.0005:
        return "<.001"
    return "1" if p >= 0.9995 else f"{p:.3f}".removeprefix("0")


def share(number: float | None) -> str:
    """Return a share as a whole percentage that says 100 % only of all."""
    if not _known(number):
        return MISSING
    return f"{math.floor(100 * number + 1e-9)}%"


def rate(number: float | None) -> str:
    """Return a rate of something bad as a rounded percentage that says 0 % only of none."""
    if not _known(number):
        return MISSING
    return "<1%" if 0 < number < 0.005 else f"{100 * number:.0f}%"


def seconds(number: float | None) -> str:
    """Return ``45 s``, ``3 min`` or ``1 h 20 min``."""
    if not _known(number):
        return MISSING
    if number < 0.95:
        return "<1 s"
    if number < 90:
        return f"{number:.0f} s"
    minutes = round(number / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(number: float | None) -> str:
    """Return a number of parameters: ``820``, ``37.8 M`` or ``1.24 B``."""
    return _prefixed(number, ((1e9, " B"), (1e6, " M"), (1e3, " k")))


def size(n_bytes: float | None) -> str:
    """Return a size in decimal units: ``151 MB`` or ``1.24 GB``."""
    shown = _prefixed(n_bytes, ((1e9, " GB"), (1e6, " MB"), (1e3, " kB")))
    return f"{shown} B" if shown.isdigit() else shown


def latency(number: float | None) -> str:
    """Return a short time: ``9.5 ms``, ``310 ms`` or ``1.24 s``."""
    if not _known(number):
        return MISSING
    return f"{_digits(1000 * number)} ms" if number < 0.9995 else f"{_digits(number)} s"


def rtfx(number: float | None) -> str:
    """Return seconds of audio per second of work: ``12.3``."""
    if not _known(number):
        return MISSING
    return _digits(number)


def ratio(number: float | None) -> str:
    """Return a factor: ``x1.05``."""
    if not _known(number):
        return MISSING
    return f"x{number:.3f}" if number < 0.095 else f"x{_digits(number)}"


def _prefixed(number: float | None, units: tuple[tuple[float, str], ...]) -> str:
    if not _known(number):
        return MISSING
    for unit, name in units:
        if number >= 0.9995 * unit:
            return _digits(number / unit) + name
    return f"{number:.0f}"


def _digits(number: float) -> str:
    """Return three significant digits, never as a power of ten."""
    if number >= 99.95:
        return f"{number:.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"


def _known(number: float | None) -> TypeGuard[float]:
    return number is not None and math.isfinite(number)


def _round(number: float, digits: int) -> float:
    """Round, and never to minus zero."""
    return round(number, digits) + 0.0
