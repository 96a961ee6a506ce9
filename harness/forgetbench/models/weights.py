"""Loading transformers weights and putting a PEFT adapter on them."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from forgetbench.errors import CheckpointError, UsageError
from forgetbench.models.adapter_config import leaves_base_whole
from forgetbench.models.alpha import interpolate, scale_adapter
from forgetbench.models.component import Component
from forgetbench.models.devices import EVERYWHERE, devices
from forgetbench.models.directory import weight_files
from forgetbench.models.fingerprint import read_json
from forgetbench.models.safetensors_file import read_header
from forgetbench.schema.run import LoadSettings

_MATCH = "import json, re, sys; ps, ns = json.load(sys.stdin); [re.fullmatch(p, n) for p in ps for n in ns]"
_PATIENCE_S = 10.0
_TRAINING_ONLY = ("masked_spec_embed",)
"""Weights that only training uses: published CTC models lack them."""


def load_weights(
    auto_class: Any,
    component: Component,
    settings: LoadSettings,
    *,
    prepare: Callable[[Any], None] = lambda model: None,
    merge: bool = True,
) -> Any:
    """Return the component's model, in eval mode, its adapter applied.

    In float32 a LoRA is merged into its base where that is the same function, without two more products per
    layer. In half precision a merge would round the update away, and the adapter stays beside the weights.

    Args:
        auto_class: The transformers class with ``from_pretrained``.
        component: Transformers or PEFT.
        settings: Type and device.
        prepare: Changes the plain model before the adapter is put on it.
        merge: False keeps a LoRA beside the weights in float32, too, so that it can be switched off.

    Raises:
        CheckpointError: The weights do not fit the architecture, or the adapter its base.
        UsageError: The device is not there.
    """
    plain = component.base or component
    dtype = getattr(torch, settings.dtype)
    model = _plain_weights(auto_class, plain, settings, prepare)
    if component.interpolated_from is not None and component.alpha is not None:
        start = _plain_weights(auto_class, component.interpolated_from, settings, prepare)
        interpolate(model, start, component, component.alpha)
        del start
    if component.base is not None:
        adapted = put_adapter(model, component)
        merges = merge and dtype is torch.float32 and can_merge(adapted)
        model = adapted.merge_and_unload() if merges else adapted
    try:
        device = None if settings.device == EVERYWHERE else settings.device
        return model.to(device=device, dtype=dtype).eval().requires_grad_(False)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(
            f"--device {settings.device}",
            f"cannot be used ({_line(error)})",
            f"Here: {', '.join(devices())}.",
        ) from error


def _plain_weights(
    auto_class: Any, plain: Component, settings: LoadSettings, prepare: Callable[[Any], None]
) -> Any:
    assert plain.path is not None
    with _loading(plain):
        model, report = auto_class.from_pretrained(
            plain.path,
            dtype=getattr(torch, settings.dtype),
            device_map="auto" if settings.device == EVERYWHERE else None,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            output_loading_info=True,
        )
        _check(plain, report)
        prepare(model)
    return model


def without_adapter(model: Any) -> Any:
    """Return the model inside a PEFT wrapper, whose layers carry the adapter."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def can_merge(adapted: Any) -> bool:
    """Say whether merging an adapter into its base gives the same function: a LoRA's products alone.

    A weight that another layer shares (a head tied to its embedding) would change there, too.
    """
    from peft.tuners.tuners_utils import BaseTunerLayer

    config = adapted.peft_config["default"]
    if config.peft_type != "LORA" or config.lora_bias:
        return False
    uses = Counter(id(parameter) for _, parameter in adapted.named_parameters(remove_duplicate=False))
    layers = [m.get_base_layer() for m in adapted.modules() if isinstance(m, BaseTunerLayer)]
    return all(uses[id(p)] == 1 for layer in layers for p in layer.parameters(recurse=False))


def can_switch_off(component: Component) -> bool:
    """Say whether the base is left whole under an adapter: it holds LoRA weights and nothing else.

    Embeddings, heads and biases that were trained along are in the adapter's file, too.
    """
    if component.base is None or component.path is None:
        return False
    is_beside = leaves_base_whole(read_json(component.path / "adapter_config.json"))
    return is_beside and all("lora_" in tensor.name for tensor in _adapter_tensors(component))


@contextmanager
def switched_off(model: Any) -> Iterator[None]:
    """Make a model with an adapter that was not merged the base under it, for a while."""
    with model.disable_adapter():
        yield


def resize_ctc_head(model: Any, n_tokens: int) -> None:
    """Give a CTC model an output layer for another vocabulary; its weights are set by the caller."""
    head = model.lm_head
    if head.out_features != n_tokens:
        model.lm_head = torch.nn.Linear(
            head.in_features, n_tokens, device=head.weight.device, dtype=head.weight.dtype
        )
        model.config.vocab_size = n_tokens


def _check(component: Component, report: dict[str, Any]) -> None:
    """Refuse weights that were not in the file: transformers would have made them up."""
    if missing := sorted(k for k in report.get("missing_keys", ()) if not k.endswith(_TRAINING_ONLY)):
        raise CheckpointError(
            str(component.path),
            f"lacks {len(missing)} weights of {component.architecture}, such as {missing[0]}",
            "Save the checkpoint again, whole.",
        )
    if mismatched := sorted(report.get("mismatched_keys", ())):
        name, found, wanted = mismatched[0]
        raise CheckpointError(
            str(component.path),
            f"has {name} of shape {list(found)} where config.json says {list(wanted)}",
            "Save weights and config.json of one model together.",
        )


def put_adapter(model: Any, component: Component) -> Any:
    """Return the PEFT model of an adapter on its base, which it changes in place; nothing is merged.

    Raises:
        CheckpointError: The adapter does not fit its base.
    """
    from peft import PeftModel

    with _loading(component):
        _check_patterns(model, component)
        _fit_vocabulary(model, component)
        adapted = PeftModel.from_pretrained(model, str(component.path), is_trainable=False)
        _check_adapter(adapted, component)
        if component.alpha is not None:
            scale_adapter(adapted, component.alpha)
        return adapted


def _check_patterns(model: Any, component: Component) -> None:
    """Match an adapter's patterns against the names of modules, as PEFT will, where that can be stopped.

    Raises:
        CheckpointError: A pattern is none, or takes for ever.
    """
    assert component.path is not None
    config = read_json(component.path / "adapter_config.json")
    patterns = [config.get(key) for key in ("target_modules", "exclude_modules")]
    patterns += [pattern for key in ("rank_pattern", "alpha_pattern") for pattern in config.get(key) or ()]
    risky = [p for p in patterns if isinstance(p, str) and set(p) & set("*+{")]
    if not risky:
        return
    names = [name for name, _ in model.named_modules()]
    try:
        subprocess.run(
            [sys.executable, "-I", "-c", _MATCH],
            input=json.dumps([risky, names]).encode(),
            timeout=_PATIENCE_S,
            check=True,
            capture_output=True,
        )
    except subprocess.SubprocessError:
        cause = f"names its modules by a pattern that cannot be used: {risky[0][:80]}"
        way_out = "List the modules in adapter_config.json."
        raise CheckpointError(str(component.path), cause, way_out) from None


def _fit_vocabulary(model: Any, component: Component) -> None:
    """Resize embeddings or CTC head to those that an adapter for another vocabulary has saved whole."""
    try:
        layer, resize = model.get_input_embeddings(), partial(_resize_embeddings, model)
    except NotImplementedError:  # a CTC model reads no tokens
        layer, resize = model.lm_head, partial(resize_ctc_head, model)
    name = next(name for name, module in model.named_modules() if module is layer).rpartition(".")[2]
    rows, width = layer.weight.shape
    for tensor in _adapter_tensors(component):
        is_vocabulary = tensor.name.endswith(f".{name}.weight") and tensor.shape[1:] == (width,)
        if is_vocabulary and tensor.shape[0] != rows:
            resize(tensor.shape[0])
            return


def _resize_embeddings(model: Any, n_tokens: int) -> None:
    model.resize_token_embeddings(n_tokens, mean_resizing=False)


def _check_adapter(adapted: Any, component: Component) -> None:
    """Refuse an adapter of which only a part was loaded: PEFT warns of some, and is silent on the rest."""
    from peft import get_peft_model_state_dict

    state = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    saved = {tensor.name for tensor in _adapter_tensors(component)}
    wanted = {name for name in state if "lora_" in name}
    given = {name for name in saved if "lora_" in name}
    if unfit := sorted(wanted ^ given):
        what = "has no place for" if unfit[0] in given else "wants"
        raise CheckpointError(
            str(component.path),
            f"does not fit its base {component.base.source if component.base else ''}: "
            f"its adapter_config.json {what} {unfit[0]}",
            f"{_OTHER_BASE} Else adapter_config.json was changed: save it again.",
        )


def _adapter_tensors(component: Component) -> list[Any]:
    assert component.path is not None
    files = weight_files(component.path, "adapter_model")
    return [tensor for file in files for tensor in read_header(file)]


_OTHER_BASE = (
    "If it was trained on another model, name that as base_model_name_or_path in its adapter_config.json."
)


@contextmanager
def _loading(component: Component) -> Iterator[None]:
    """Turn what the libraries raise into one line that names the checkpoint, and keep them quiet."""
    from transformers.utils import logging as progress

    noisy = [logging.getLogger(name) for name in ("transformers", "peft")]
    levels = [logger.level for logger in noisy]
    shows_progress = progress.is_progress_bar_enabled()
    for logger in noisy:
        logger.setLevel(logging.ERROR)
    progress.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except CheckpointError:
        raise
    except Exception as error:
        of, way_out = "", "Save it again, or update transformers."
        if component.base:
            of = f" on its base {component.base.source}"
            way_out = f"{_OTHER_BASE} Else save it again, or update peft."
        raise CheckpointError(
            str(component.path), f"cannot be loaded{of} ({_line(error)})", way_out
        ) from error
    finally:
        for logger, level in zip(noisy, levels, strict=True):
            logger.setLevel(level)
        if shows_progress:
            progress.enable_progress_bar()


def _line(error: BaseException) -> str:
    """Return the line of an exception that says what is wrong: torch's first line is only a heading."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    told = next(
        (line for line in lines if line.startswith(("size mismatch", "Missing", "Unexpected"))), lines[0]
    )
    return told[:300]


def learned_prompt(model: Any) -> int | None:
    """Return how many positions of a learned prompt stand before the logits of an input; None without one.

    PEFT puts the vectors of prompt tuning before the input, so that their logits come first; a prefix of
    keys and values has no logits.
    """
    config = getattr(model, "active_peft_config", None)
    if config is None or not config.is_prompt_learning:
        return None
    return 0 if config.peft_type == "PREFIX_TUNING" else int(config.num_virtual_tokens)
