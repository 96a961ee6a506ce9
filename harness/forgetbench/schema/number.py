"""Numbers that documents hold: bounded, so that whatever is computed of them stays finite."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

LARGEST_COUNT = 2**63 - 1
SMALLEST_MARGIN, LARGEST_MARGIN = 1e-6, 1e9
"""A loss of a millionth takes about 10¹² samples to be seen."""

Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
AtLeastOne = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Margin = Annotated[float, Field(ge=SMALLEST_MARGIN, le=LARGEST_MARGIN, allow_inf_nan=False)]
"""Largest acceptable degradation, in units of a metric."""
