"""A voice by a Python factory: eSpeak NG, which speaks about a hundred languages by rules.

apt-get install espeak-ng
cd examples
forgetbench run --model espeak_tts:fast --base espeak_tts:espeak --tasks synthesis-mini
"""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Sequence

import soundfile

from forgetbench.errors import CheckpointError
from forgetbench.models.interface import Audio


class Espeak:
    """Speaks at a number of words a minute, in the language's own voice or a variant of it.

    Attributes:
        sampling_rate: In Hz, that of eSpeak NG.
        fingerprint: Version and settings: equal ones speak the same samples.
    """

    sampling_rate = 22_050

    def __init__(self, words_per_minute: int, *, variant: str = "") -> None:
        program = shutil.which("espeak-ng")
        if program is None:
            raise CheckpointError("espeak-ng", "is not installed", "Run: apt-get install espeak-ng")
        self._variant = f"+{variant}" if variant else ""
        self._command = [program, "-s", str(words_per_minute), "--stdout"]
        version = subprocess.run([program, "--version"], capture_output=True, check=True).stdout.decode()
        spoken = f"{words_per_minute} words a minute{self._variant}"
        self.fingerprint = f"{version.partition('Data')[0].strip()}, {spoken}"

    def synthesize(self, texts: Sequence[str], *, language: str) -> list[Audio]:
        """Speak each text in the language."""
        return [self._speak(text, language) for text in texts]

    def _speak(self, text: str, language: str) -> Audio:
        # The text goes through stdin: one that begins with a dash is no option.
        command = [*self._command, "-v", f"{language}{self._variant}", "--stdin"]
        wav = subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout
        samples, rate = soundfile.read(io.BytesIO(wav), dtype="float32")
        return Audio(samples=samples, sampling_rate=rate)


def espeak() -> Espeak:
    """Return the voice at its usual speed."""
    return Espeak(175)


def brisk() -> Espeak:
    """Return it a little faster than usual."""
    return Espeak(190)


def woman() -> Espeak:
    """Return another voice, at the usual speed."""
    return Espeak(175, variant="f3")


def fast() -> Espeak:
    """Return it at a speed that few can follow."""
    return Espeak(450)
