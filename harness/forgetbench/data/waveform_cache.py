"""Decoded audio that was used last, within a bound of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np
from numpy.typing import NDArray

DEFAULT_BYTES = 256 * 2**20


class WaveformCache:
    """Waveforms by key; the ones used longest ago go first.

    Args:
        max_bytes: How much the waveforms may take together; a larger one is not kept at all.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._kept: OrderedDict[Hashable, NDArray[np.float32]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the waveform of a key, made where it is not at hand, and not to be written to."""
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        waveform = make()
        waveform.setflags(write=False)
        if waveform.nbytes <= self._max_bytes:
            self._kept[key] = waveform
            self._bytes += waveform.nbytes
            while self._bytes > self._max_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return waveform
