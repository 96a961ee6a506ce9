"""Networks in one file of torch: what the file is, read as a zip archive without torch.

Both formats run code of their author's choice when they are loaded, and neither has a mode that does not.
TorchScript is a program. ``torch.export.load`` (read in torch 2.13, and tried) unpickles constants and
example inputs without restriction, hands the text of symbolic sizes to ``sympy.sympify``, which evaluates it
as Python, and looks the functions of the graph up by name in the whole of ``torch``. So both are loaded only
with ``--trust-remote-code``; ONNX needs no trust.
"""

from __future__ import annotations

import json
import math
import zipfile
from pathlib import Path
from typing import Literal

from forgetbench.errors import CheckpointError
from forgetbench.models.component import Component
from forgetbench.models.directory import Origin
from forgetbench.models.fingerprint import combine, fingerprint_file, text_digest
from forgetbench.models.sampling_rate import KEY, read_sampling_rate

SUFFIXES = (".pt2", ".pt", ".pth", ".ts")
Kind = Literal["torch_export", "torchscript"]
_NAMES: dict[Kind, str] = {"torch_export": "torch.export archive", "torchscript": "TorchScript program"}
_HOW: dict[Kind, str] = {
    "torch_export": "torch.export.save(program, FILE, extra_files={'sampling_rate': '16000'})",
    "torchscript": "torch.jit.save(module, FILE, _extra_files={'sampling_rate': '16000'})",
}


def read_torch_file(path: Path, origin: Origin, *, trust_remote_code: bool) -> Component:
    """Return the enhancer in a torch.export or TorchScript file; nothing in it is run.

    Args:
        path: The file.
        origin: Where it came from.
        trust_remote_code: The user trusts its author.

    Raises:
        CheckpointError: It is neither, is not trusted, or does not say its sampling rate.
    """
    kind = _kind(path)
    if not trust_remote_code:
        raise CheckpointError(
            str(path),
            f"is a {_NAMES[kind]}, which can run any code when it is loaded",
            "If you trust its author, add --trust-remote-code; an ONNX file needs no trust.",
        )
    rate = torch_sampling_rate(path)
    return Component(
        role="enhancer",
        source=origin.source,
        format=kind,
        path=path,
        architecture="TorchExport" if kind == "torch_export" else "TorchScript",
        fingerprint=combine({"file": fingerprint_file(path), KEY: text_digest(str(rate))}),
        capabilities=("enhance",),
        parameters=_n_parameters(path) if kind == "torch_export" else None,
        bytes=path.stat().st_size,
    )


def torch_sampling_rate(path: Path) -> int:
    """Return the sampling rate that a network works at, in Hz.

    Raises:
        CheckpointError: Nothing says it.
    """
    own = _member(path, f"extra/{KEY}")
    return read_sampling_rate(path, own.decode(errors="replace") if own else None, how=_HOW[_kind(path)])


def _kind(path: Path) -> Kind:
    names = _names(path)
    if any(name.startswith("models/") for name in names):
        return "torch_export"
    if any(name.startswith("code/") for name in names):
        return "torchscript"
    if any(name.startswith("data/aotinductor/") for name in names):
        cause, way_out = "is a compiled AOTInductor package", "Save it with torch.export.save."
    else:
        cause = "holds no network: it may be a pickle of weights alone"
        way_out = "Export the network to ONNX, or wrap it by a Python factory, package.module:function."
    raise CheckpointError(str(path), cause, way_out)


def _names(path: Path) -> list[str]:
    """Return the members of an archive, without the folder that all of them lie in."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.partition("/")[2] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError):
        return []


def _member(path: Path, name: str) -> bytes | None:
    with zipfile.ZipFile(path) as archive:
        full = next((n for n in archive.namelist() if n.partition("/")[2] == name), None)
        return archive.read(full) if full is not None else None


def _n_parameters(path: Path) -> int | None:
    """Return the number of parameters that a torch.export archive lists, None where it lists none."""
    content = _member(path, "data/weights/model_weights_config.json")
    if content is None:
        return None
    try:
        weights = json.loads(content)["config"].values()
        sizes = [[n["as_int"] for n in w["tensor_meta"]["sizes"]] for w in weights if w["is_param"]]
        return sum(map(math.prod, sizes))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
