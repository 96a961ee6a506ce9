"""The sample record: one line of the journal, one row of ``samples/<task>.parquet``."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from pydantic import ConfigDict

from forgetbench.schema.document import Document
from forgetbench.schema.run import MetricType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class AudioFile(Document):
    """Audio that a model returned, kept in the cache under its content."""

    sha256: str
    """Of the float32 WAV file."""
    sampling_rate: int
    """In Hz."""
    n_samples: int
    n_channels: int = 1
    """Channels that the model returned, averaged to one."""
    is_silent: bool | None = None
    """There is nothing to hear; None where that was not noted."""


class DivergenceSums(Document):
    """Distributions of base (p) and checkpoint (q) at the positions of one sample, summed, in nats.

    In the base's own arm q is p.
    """

    n_positions: int
    """Tokens of a text, or frames of a CTC model."""
    entropy: float
    """Σ H(p)."""
    kl: float
    """Σ KL(p‖q)."""
    argmax_nll: float
    """Σ −log q at the token that p holds for likeliest."""
    agreed: int
    """Positions at which p and q have the same likeliest token."""
    token_nll: float | None = None
    """Σ −log q at the text's own token; None for frames, which have none."""


class Embedding(Document):
    """What each layer of an encoder made of one recording, averaged over time."""

    n_layers: int
    width: int
    values: str
    """Float32, little-endian, layer by layer, in base64."""

    @classmethod
    def of(cls, layers: NDArray[np.float32]) -> Embedding:
        """Pack features of shape (layers, width).

        Raises:
            ValueError: They have another shape, or there are none.
        """
        import numpy as np

        if layers.ndim != 2 or not layers.size:
            raise ValueError(f"features of shape {layers.shape}, not (layers, width)")
        n_layers, width = layers.shape
        content = base64.b64encode(np.ascontiguousarray(layers, dtype="<f4").tobytes()).decode()
        return cls(n_layers=n_layers, width=width, values=content)

    @property
    def is_finite(self) -> bool:
        """Whether every number is one; the mean over no frames is none."""
        import numpy as np

        return bool(np.isfinite(self.layers()).all())

    def layers(self) -> NDArray[np.float32]:
        """Return the features, shape (layers, width)."""
        import numpy as np

        values = np.frombuffer(base64.b64decode(self.values), dtype="<f4")
        return values.reshape(self.n_layers, self.width).astype(np.float32)


class RawPrediction(Document):
    """What the model said, before any metric: text, audio, log-likelihoods, or sums over distributions."""

    model_config = ConfigDict(ser_json_inf_nan="strings")
    """An impossible continuation scores −inf, which plain JSON would turn into null."""

    text: str | None = None
    more_texts: tuple[str, ...] = ()
    """The other answers, where several were drawn; ``n_tokens`` has all of them."""
    heard: str | None = None
    """What a recogniser made of speech: a system's of a spoken request, a task's of a spoken answer.

    None for a model that hears a request itself; empty for an answer without a sound.
    """
    as_text: str | None = None
    """The answer to the same request in writing."""
    more_heard: tuple[str | None, ...] = ()
    """What was heard for each of ``more_texts``; empty where nothing was transcribed."""
    more_as_text: tuple[str | None, ...] = ()
    """The answer in writing beside each of ``more_texts``; empty where there is none."""
    phrases: tuple[tuple[float, float], ...] | None = None
    """When each phrase of ``text`` begins and ends, in seconds."""
    audio: AudioFile | None = None
    stems: tuple[AudioFile, ...] = ()
    """What a mixture was taken apart into, in the model's order."""
    loglikelihoods: tuple[float, ...] | None = None
    """Summed natural-log probability of each continuation."""
    n_choices: int | None = None
    """So many of them, from the first, are answers to choose from; None for all."""
    n_tokens: tuple[int, ...] | None = None
    """Tokens of each continuation, or of the output text."""
    is_greedy: tuple[bool, ...] | None = None
    divergence: DivergenceSums | None = None
    embedding: Embedding | None = None
    truncated: bool = False
    """The output ran into its length limit, or the input was cut to fit the window."""

    @property
    def likeliest(self) -> int | None:
        """The position of the most likely answer to choose from; None where there is no choice."""
        scores = (self.loglikelihoods or ())[: self.n_choices]
        return max(range(len(scores)), key=lambda i: scores[i]) if len(scores) > 1 else None

    @property
    def audio_files(self) -> tuple[AudioFile, ...]:
        """All audio that the model returned."""
        return (self.audio, *self.stems) if self.audio else self.stems


class SampleRecord(Document):
    """One sample of one arm.

    In a table, ``groups`` are columns ``group.<name>``, and ``stats`` is spread over columns: ``<metric>``
    for binary and mean scores, ``<metric>.num`` and ``<metric>.den`` for ratios.
    """

    id: str
    content: str
    """Hash of everything the model was given and is compared with."""
    cluster: str = ""
    condition: str = ""
    input: str = ""
    """Prompt or audio file, to show."""
    reference: str = ""
    groups: dict[str, str] = {}
    """Value of each grouping column: ``group.<column>`` in a table."""
    prediction: RawPrediction | None
    error: str | None = None
    """Code of an input or infrastructure error: the pair is dropped."""
    stats: dict[str, float | tuple[float, float]] = {}


def stat_columns(metric: str, metric_type: MetricType) -> tuple[str, ...]:
    """Return the columns of a sample table that hold the sufficient statistics of a metric."""
    return (f"{metric}.num", f"{metric}.den") if metric_type == "ratio" else (metric,)
