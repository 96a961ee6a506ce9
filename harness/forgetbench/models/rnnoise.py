"""RNNoise (Valin 2018, arXiv 1709.08243) by the library that ``pyrnnoise`` installs: ``--model rnnoise``.

The library is called directly: the package's own path rounds the output to 16 bits and lets it wrap around.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from forgetbench.models.fingerprint import combine, fingerprint_file, text_digest
from forgetbench.models.interface import Audio
from forgetbench.models.packaged_library import PackagedLibrary
from forgetbench.models.waveform import Waveform, enhance_each, in_frames

_LIBRARY = PackagedLibrary(
    model="rnnoise", package="pyrnnoise", distribution="pyrnnoise", extra="rnnoise", stem="rnnoise"
)
_FRAME = 480
_DELAY = 960
"""Samples at 48 kHz by which the output lags: 20 ms."""
_FULL_SCALE = 32_768.0
"""The network was trained on samples of 16-bit range."""
_MOST_ARRAYS = 1_000
_ONCE = ("_weights_float", "_diag", "_bias")
"""Arrays whose names end so hold each parameter once; the others are 8-bit copies and indices."""


class _WeightArray(ctypes.Structure):
    """An entry of the library's table of weights, which a nameless one ends."""

    _fields_: ClassVar = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("n_bytes", ctypes.c_int),
        ("data", ctypes.c_void_p),
    ]


class RNNoise:
    """An ``Enhancer``; every clip starts from a fresh state.

    Attributes:
        sampling_rate: In Hz.
        fingerprint: Of the library, which holds the weights, and of the package's version.
        parameters: Weights that are kept (they are pruned), and biases.
        bytes: Of all arrays of weights in the library, 8-bit copies included.
    """

    sampling_rate = 48_000

    def __init__(self) -> None:
        path = _LIBRARY.library_file()
        self.fingerprint = combine(
            {"version": text_digest(_LIBRARY.version), "library": fingerprint_file(path)}
        )
        self._library = _LIBRARY.open()
        sizes = _array_sizes(self._library)
        self.parameters = sum(size // 4 for name, size in sizes.items() if name.endswith(_ONCE))
        self.bytes = sum(sizes.values())
        frame = np.ctypeslib.ndpointer(np.float32, ndim=1, flags="C")
        self._library.rnnoise_create.argtypes = [ctypes.c_void_p]
        self._library.rnnoise_create.restype = ctypes.c_void_p
        self._library.rnnoise_destroy.argtypes = [ctypes.c_void_p]
        self._library.rnnoise_destroy.restype = None
        self._library.rnnoise_process_frame.argtypes = [ctypes.c_void_p, frame, frame]
        self._library.rnnoise_process_frame.restype = ctypes.c_float

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order; the output lags by 960 samples and is longer by as many."""
        return enhance_each(audio, self._process, sampling_rate=self.sampling_rate)

    def _process(self, samples: Waveform) -> Waveform:
        state = self._library.rnnoise_create(None)
        try:
            made = in_frames(
                samples * np.float32(_FULL_SCALE),
                lambda heard, out: self._library.rnnoise_process_frame(state, out, heard),
                frame=_FRAME,
                delay=_DELAY,
            )
        finally:
            self._library.rnnoise_destroy(state)
        return made / np.float32(_FULL_SCALE)


def _array_sizes(library: ctypes.CDLL) -> dict[str, int]:
    """Return the size in bytes of each array of weights in the library, by name."""
    sizes: dict[str, int] = {}
    for array in (_WeightArray * _MOST_ARRAYS).in_dll(library, "rnnoise_arrays"):
        if not array.name:
            break
        sizes[array.name.decode()] = array.n_bytes
    return sizes


def rnnoise() -> RNNoise:
    """Return RNNoise, ready to enhance.

    Raises:
        CheckpointError: ``pyrnnoise`` is not installed.
    """
    return RNNoise()
