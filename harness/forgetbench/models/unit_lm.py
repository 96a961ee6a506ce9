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
from forgetbench.models.directory import CODEC
from forgetbench.models.finite import check_finite
from forgetbench.models.interface import Audio, Loglikelihood
from forgetbench.models.weights import load_weights, without_adapter
from forgetbench.schema.run import LoadSettings

WINDOW = 2048
"""Units read at a time, where the model can read as many; each is predicted once."""


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
    def load(cls, folder: Path, n_codebooks: int | None = None) -> Units:
        """Load a codec directory.

        Args:
            folder: In the transformers layout.
            n_codebooks: None for those of its lowest bandwidth.

        Raises:
            CheckpointError: It is no EnCodec with one channel and as many codebooks, or cannot be loaded.
        """
        from transformers import EncodecModel

        try:
            codec = EncodecModel.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError) as error:
            cause = f"cannot be loaded ({(str(error).splitlines() or ['unreadable'])[0][:200]})"
            raise CheckpointError(str(folder), cause, "Save an EncodecModel there.") from error
        known = _bandwidths(codec)
        wanted = min(known) if n_codebooks is None else n_codebooks
        if codec.config.audio_channels != 1 or wanted not in known:
            cause = f"is no EnCodec of one channel with a bandwidth of {wanted} codebooks"
            raise CheckpointError(str(folder), cause, "Take the codec that the model was trained on.")
        return cls(codec.eval().requires_grad_(False), wanted)

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
        return cls(model, Units.load(folder / CODEC, n_codebooks(folder, without_adapter(model).config)))

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


def n_codebooks(folder: Path, config: Any) -> int:
    """Return how many codebooks a language model reads, by its vocabulary.

    Raises:
        CheckpointError: The vocabulary is not that of whole codebooks and a start token.
    """
    from transformers import EncodecConfig

    size = int(EncodecConfig.from_pretrained(folder / CODEC, local_files_only=True).codebook_size)
    n, rest = divmod(int(config.vocab_size) - 1, size)
    if n < 1 or rest:
        cause = f"has {config.vocab_size} tokens, which are no codebooks of {size} codes and a start token"
        raise CheckpointError(str(folder), cause, "Keep model and codec of one training together.")
    return n
