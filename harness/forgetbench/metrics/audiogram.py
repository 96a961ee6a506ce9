"""Audiograms: hearing thresholds over frequency, and the ten standard ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVELS_DB_HL = (-20.0, 130.0)
"""What audiometers reach (IEC 60645-1: -10 to 120), with room on both sides."""


@dataclass(frozen=True)
class Audiogram:
    """The hearing thresholds of one ear.

    Attributes:
        frequencies_hz: In ascending order.
        levels_db_hl: Threshold at each of them, in dB hearing level; 0 is normal hearing.
    """

    frequencies_hz: tuple[float, ...]
    levels_db_hl: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse what is no audiogram, by ValueError."""
        if len(self.frequencies_hz) != len(self.levels_db_hl) or not self.frequencies_hz:
            raise ValueError("an audiogram has one level for each frequency, and at least one")
        if not np.isfinite([*self.frequencies_hz, *self.levels_db_hl]).all():
            raise ValueError("frequencies and levels of an audiogram are finite numbers")
        if self.frequencies_hz[0] <= 0 or np.any(np.diff(self.frequencies_hz) <= 0):
            raise ValueError("the frequencies of an audiogram are positive and ascend")
        low, high = LEVELS_DB_HL
        if min(self.levels_db_hl) < low or max(self.levels_db_hl) > high:
            raise ValueError(f"the levels of an audiogram lie between {low:g} and {high:g} dB HL")

    def levels_at(self, frequencies_hz: ArrayLike) -> NDArray[np.float64]:
        """Return thresholds in dB HL: linear over log frequency, held below the first and above the last."""
        wanted = np.maximum(np.asarray(frequencies_hz, dtype=np.float64), 1e-6)
        return np.interp(np.log(wanted), np.log(self.frequencies_hz), self.levels_db_hl)


STANDARD_FREQUENCIES_HZ = (250.0, 375.0, 500.0, 750.0, 1000.0, 1500.0, 2000.0, 3000.0, 4000.0, 6000.0)

STANDARD_AUDIOGRAMS = {
    name: Audiogram(STANDARD_FREQUENCIES_HZ, tuple(map(float, levels)))
    for name, levels in {
        "N1": (10, 10, 10, 10, 10, 10, 15, 20, 30, 40),
        "N2": (20, 20, 20, 22.5, 25, 30, 35, 40, 45, 50),
        "N3": (35, 35, 35, 35, 40, 45, 50, 55, 60, 65),
        "N4": (55, 55, 55, 55, 55, 60, 65, 70, 75, 80),
        "N5": (65, 67.5, 70, 72.5, 75, 80, 80, 80, 80, 80),
        "N6": (75, 77.5, 80, 82.5, 85, 90, 90, 95, 100, 100),
        "N7": (90, 92.5, 95, 100, 105, 105, 105, 105, 105, 105),
        "S1": (10, 10, 10, 10, 10, 10, 15, 30, 55, 70),
        "S2": (20, 20, 20, 22.5, 25, 35, 55, 75, 95, 95),
        "S3": (30, 30, 35, 47.5, 60, 70, 75, 80, 80, 85),
    }.items()
}
"""Flat and moderately sloping losses N1 (very mild) to N7 (profound), and steep ones S1 to S3.

Bisgaard, Vlaming & Dahlquist 2010, Standard audiograms for the IEC 60118-15 measurement procedure, Trends in
Amplification 14(2), tables 2 and 4.
"""
