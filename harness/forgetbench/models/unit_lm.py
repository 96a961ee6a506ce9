"""A speech language model over the codes of a codec: what it hears becomes units, and these are predicted.

A directory holds a causal language model in the transformers layout, and beside it ``codec/``, an EnCodec.
With Q codebooks of C codes, the code c of codebook q is the token q·C + c; a frame's codes follow each other,
coarse to fine (Borsos et al. 2022, arXiv 2209.03143, §3). The token Q·C starts a recording, and says how many
codebooks there are: the vocabulary has Q·C + 1 tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from forgetbench.errors import CheckpointError
from forgetbench.models.component import Component
from forgetbench.models.directory import CODEC, Origin, read_model
from forgetbench.models.finite import check_finite
from forgetbench.models.interface import Audio, Loglikelihood
from forgetbench.models.weights import load_weights, without_adapter
from forgetbench.schema.run import LoadSettings

WINDOW = 2048
"""Units read at a time, where the model can read as many; each is predicted once."""
_TOGETHER = "Keep model and codec of one training together."


class Units:
    """The codes of an EnCodec as tokens.

    Args:
        codec: ``EncodecModel``, in eval mode.
        n_codebooks: How many of its codebooks are read.

    Attributes:
        sampling_rate: In Hz.
        start: The token before a recording.
    """

    def __init__(self, codec: Any, n_codebooks: int) -> None:
        self.codec, self.n_codebooks = codec, n_codebooks
        self.sampling_rate = int(codec.config.sampling_rate)
        self.codebook_size = int(codec.config.codebook_size)
        self.start = n_codebooks * self.codebook_size
        self._bandwidth = _bandwidths(codec)[n_codebooks]

    @classmethod
    def load(cls, folder: Path, n_tokens: int | None = None) -> Units:
        """Load a codec directory.

        Args:
            folder: In the transformers layout.
            n_tokens: Vocabulary of the language model that reads the units; None for one that is still to be
                made, over the codebooks of the codec's lowest bandwidth.

        Raises:
            CheckpointError: It is no EnCodec with one channel and as many codebooks, is not whole, or cannot
                be loaded.
        """
        from transformers import EncodecModel

        component = read_model(folder, Origin(source=str(folder)))
        if component.architecture != EncodecModel.__name__:
            cause = f"is {component.architecture}, and units are made by an EnCodec"
            raise CheckpointError(str(folder), cause, _TOGETHER)
        codec = load_weights(EncodecModel, component, LoadSettings())
        known = _bandwidths(codec)
        wanted = min(known) if n_tokens is None else _n_codebooks(folder, codec, n_tokens)
        if codec.config.audio_channels != 1 or wanted not in known:
            cause = f"is no EnCodec of one channel with a bandwidth of {wanted} codebooks"
            raise CheckpointError(str(folder), cause, _TOGETHER)
        return cls(codec, wanted)

    @torch.inference_mode()
    def of(self, audio: Audio) -> Tensor:
        """Return the tokens of a clip at ``sampling_rate``, shape (frames · codebooks,); none of no sound."""
        if not len(audio.samples):
            return torch.zeros(0, dtype=torch.long)
        samples = torch.from_numpy(audio.samples)[None, None].to(self.codec.device)
        codes = self.codec.encode(samples, bandwidth=self._bandwidth).audio_codes  # (chunks, 1, Q, frames)
        frames = torch.cat(list(codes[:, 0]), dim=-1).T
        offsets = self.codebook_size * torch.arange(self.n_codebooks, device=frames.device)
        return (frames + offsets).reshape(-1).clone().cpu()


def _bandwidths(codec: Any) -> dict[int, float]:
    """Return the bandwidths in kbit/s that a codec was trained for, by the codebooks that they take."""
    count = codec.quantizer.get_num_quantizers_for_bandwidth
    return {int(count(bandwidth)): float(bandwidth) for bandwidth in codec.config.target_bandwidths}


def _n_codebooks(folder: Path, codec: Any, n_tokens: int) -> int:
    """Return how many codebooks a language model reads, by its vocabulary."""
    size = int(codec.config.codebook_size)
    n, rest = divmod(n_tokens - 1, size)
    if n < 1 or rest:
        cause = (
            f"does not fit the language model: {n_tokens} tokens are no codebooks of {size} codes and a start"
        )
        raise CheckpointError(str(folder), cause, _TOGETHER)
    return n


class UnitLM:
    """``ScoresAudio`` by a causal language model over units.

    Args:
        model: In eval mode, on its device.
        units: What it reads.

    Attributes:
        sampling_rate: In Hz, of the codec.
    """

    def __init__(self, model: Any, units: Units) -> None:
        self.model, self.units = model, units
        self.sampling_rate = units.sampling_rate
        longest = getattr(without_adapter(model).config, "max_position_embeddings", None)
        self._window = min(WINDOW, longest or WINDOW)

    @classmethod
    def load(cls, component: Component, settings: LoadSettings, *, merge: bool = True) -> UnitLM:
        """Load a component whose directory, or whose adapter's base's, holds a codec.

        Raises:
            CheckpointError: Weights or codec cannot be loaded, or the vocabulary is not that of codes.
        """
        from transformers import AutoModelForCausalLM

        model = load_weights(AutoModelForCausalLM, component, settings, merge=merge)
        folder = (component.base or component).path
        assert folder is not None
        return cls(model, Units.load(folder / CODEC, int(without_adapter(model).config.vocab_size)))

    def score_audio(self, audio: Sequence[Audio]) -> list[Loglikelihood]:
        """Score one batch, clip by clip.

        Raises:
            SampleError: ``nonfinite_score``: the model's logits are not finite.
        """
        return [self._score(self.units.of(clip)) for clip in audio]

    @torch.inference_mode()
    def _score(self, tokens: Tensor) -> Loglikelihood:
        row = torch.cat([torch.tensor([self.units.start]), tokens])
        logprob, is_greedy = 0.0, True
        for first in range(0, len(tokens), self._window):
            part = row[first : first + self._window + 1].to(self.model.device)
            logits = self.model(part[None, :-1]).logits[0].float()
            check_finite(logits)
            targets = part[1:, None]
            logprob += float(logits.log_softmax(-1).gather(-1, targets).double().sum())
            is_greedy = is_greedy and bool((logits.argmax(-1, keepdim=True) == targets).all())
        return Loglikelihood(logprob=logprob, is_greedy=is_greedy, n_tokens=len(tokens))
