"""Any recogniser becomes a checkpoint by a Python factory: here PocketSphinx, with the model in its package.

    pip install pocketsphinx
    cd examples
    forgetbench run --model pocketsphinx_asr:us_english_narrow --base pocketsphinx_asr:us_english \
        --tasks hearing-mini

A factory is a function without arguments that returns an object with ``transcribe`` (or ``enhance``,
``score_text``, ``generate``); ``forgetbench.models.factory`` says what else it can have. It is imported with
the current directory on the path, when ``--model`` or ``--base`` names it. Its ``fingerprint`` says what
decides its answers, beyond this file: predictions are cached under it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from forgetbench.models.interface import Audio, Output

_SHORTEST = 1_600
"""Samples: shorter audio is filled up with silence."""


class PocketSphinx:
    """The bundled US English model (``en-us``), over audio at 16 kHz.

    Args:
        settings: Options of the decoder.
    """

    sampling_rate = 16_000

    def __init__(self, **settings: Any) -> None:
        from pocketsphinx import Decoder

        # Cepstral means over the whole clip: running ones would let each clip depend on those before it.
        self._decoder = Decoder(samprate=self.sampling_rate, cmn="batch", loglevel="FATAL", **settings)

    def transcribe(self, audio: Sequence[Audio], *, language: str) -> list[Output]:
        """Transcribe clips, in order.

        Args:
            audio: float32 at 16 kHz, full scale ±1.
            language: ISO 639-1; the model knows English only.
        """
        if language != "en":
            raise ValueError(f"the en-us model cannot hear {language}")
        return [self._transcribe(clip.samples) for clip in audio]

    def _transcribe(self, samples: np.ndarray[Any, np.dtype[np.float32]]) -> Output:
        heard = np.pad(samples, (0, max(0, _SHORTEST - len(samples))))
        pcm = (np.clip(heard, -1.0, 1.0) * 32_767).astype("<i2").tobytes()
        self._decoder.start_utt()
        self._decoder.process_raw(pcm, full_utt=True)
        self._decoder.end_utt()
        best = self._decoder.hyp()
        text = best.hypstr if best is not None else ""
        return Output(text=text, n_tokens=len(text.split()), truncated=False)


def us_english() -> PocketSphinx:
    """Return the recogniser as it comes."""
    return PocketSphinx()


def us_english_narrow() -> PocketSphinx:
    """Return it with a narrow search: faster, and a change whose cost can be measured."""
    return PocketSphinx(beam=1e-20, wbeam=1e-10, pbeam=1e-20, maxhmmpf=500)


def _fingerprint(settings: str) -> Callable[[], str]:
    return lambda: f"pocketsphinx {version('pocketsphinx')} en-us 16 kHz cmn=batch {settings}"


us_english.fingerprint = _fingerprint("")  # type: ignore[attr-defined]
us_english_narrow.fingerprint = _fingerprint("beam=1e-20 wbeam=1e-10 pbeam=1e-20 maxhmmpf=500")  # type: ignore[attr-defined]
