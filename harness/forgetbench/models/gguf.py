"""A GGUF language model becomes a transformers one.

The weights are saved in float32: dequantised values are exact there, while half precision rounds them once
more (bfloat16 by up to half a Q8_0 step), and that would be counted as the checkpoint's forgetting.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
from pathlib import Path
from typing import Any

from forgetbench.errors import CheckpointError, first_line
from forgetbench.models.save import quiet_transformers, save_clean

_MAGIC = b"GGUF"


def convert_gguf(path: Path, out_dir: Path) -> Path:
    """Write a GGUF causal language model as a plain transformers directory with float32 weights.

    Args:
        path: The ``.gguf`` file.
        out_dir: Where to write; made if it does not exist.

    Returns:
        ``out_dir``, with config.json, model.safetensors, tokenizer, chat template and generation_config.json.
        The same input gives the same bytes.

    Raises:
        CheckpointError: The file is not GGUF, is damaged or of an unknown architecture, or the ``gguf``
            package is missing.
    """
    if not is_gguf(path):
        raise CheckpointError(
            str(path), "is not a GGUF file: its first bytes are not GGUF", "Download it again."
        )
    if importlib.util.find_spec("gguf") is None:
        raise CheckpointError(
            str(path), "reading GGUF files needs the gguf package", "Run: pip install 'forgetbench[gguf]'"
        )
    try:
        with quiet_transformers(), contextlib.redirect_stderr(io.StringIO()):  # a bar that no setting hides
            tokenizer, model = _load(path)
    except Exception as error:  # the readers raise whatever the damaged bytes lead them to
        raise CheckpointError(
            str(path),
            f"cannot be read as a GGUF language model ({first_line(error)})",
            "If the file is whole (compare its checksum), name the model that it was converted from.",
        ) from error
    save_clean(out_dir, model, tokenizer)
    return out_dir


def is_gguf(path: Path) -> bool:
    """Say whether a file starts as GGUF files do."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == _MAGIC


def _load(path: Path) -> tuple[Any, Any]:
    """Return the tokenizer and the dequantised model.

    transformers marks what it loaded as "quantized with gguf and is not serializable", though the weights are
    plain floats by then: the same weights in a model made from the config without that mark can be saved.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    folder, name = str(path.parent), path.name
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    marked = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    config = marked.config
    for trace in ("quantization_config", "_model_name_or_path"):
        if hasattr(config, trace):
            delattr(config, trace)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(marked.state_dict(), assign=True)
    model.tie_weights()
    model.generation_config = GenerationConfig(
        **{name: getattr(config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    )
    return tokenizer, model
