"""Enhancers as torch.export and TorchScript files: what they do, and that nothing of them runs untrusted."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio, Enhancer
from forgetbench.models.load import load
from forgetbench.models.pairing import resolve_pair
from forgetbench.schema.run import LoadSettings

RATE = 16_000
NAMES = ("half.pt2", "half.pt")


class Half(torch.nn.Module):
    """Waveform times one half, through a convolution with one weight."""

    def __init__(self, axes: int = 2, gain: float = 0.5) -> None:
        super().__init__()
        self.axes = axes
        self.filter = torch.nn.Conv1d(1, 1, 1, bias=False)
        torch.nn.init.constant_(self.filter.weight, gain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.filter(x.reshape(1, 1, -1)).reshape(x.shape)


def export(path: Path, module: torch.nn.Module, shape: tuple[int, ...], **extra: str) -> Path:
    dynamic = {len(shape) - 1: torch.export.Dim("samples", min=2)} if shape[-1] == 800 else None
    program = torch.export.export(module.eval(), (torch.zeros(shape),), dynamic_shapes=(dynamic,))
    torch.export.save(program, path, extra_files=extra)
    return path


def script(path: Path, module: torch.nn.Module, **extra: str) -> Path:
    torch.jit.save(torch.jit.script(module.eval()), path, _extra_files=extra)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("torch")
    export(folder / "half.pt2", Half(), (1, 800), sampling_rate=str(RATE))
    script(folder / "half.pt", Half(), sampling_rate=str(RATE))
    return folder


def enhancer(path: Path) -> Any:
    component = resolve(str(path), trust_remote_code=True).components["enhancer"]
    model = load(component, LoadSettings())
    assert isinstance(model, Enhancer)
    return model


def clip(n: int = 800) -> Audio:
    return Audio(samples=np.random.default_rng(0).standard_normal(n).astype(np.float32), sampling_rate=RATE)


@pytest.mark.parametrize("name", NAMES)
def test_a_waveform_goes_in_and_a_waveform_comes_out(name: str, files: Path) -> None:
    model = enhancer(files / name)
    assert model.sampling_rate == RATE
    for given, made in zip([clip(), clip(1_234)], model.enhance([clip(), clip(1_234)]), strict=True):
        np.testing.assert_array_equal(np.ravel(made.samples), 0.5 * given.samples)


@pytest.mark.parametrize("shape", [(800,), (1, 1, 800)])
def test_an_exported_network_says_how_many_axes_it_wants(shape: tuple[int, ...], tmp_path: Path) -> None:
    model = enhancer(export(tmp_path / "m.pt2", Half(), shape, sampling_rate=str(RATE)))
    np.testing.assert_array_equal(np.ravel(model.enhance([clip(50)])[0].samples), 0.5 * clip(50).samples)


def test_an_exported_network_of_fixed_length_is_refused(tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", Half(), (1, 700), sampling_rate=str(RATE))
    with pytest.raises(CheckpointError, match=r"takes exactly 700 samples.*dynamic axis"):
        enhancer(path)


def test_what_the_files_tell_is_known_without_running_them(files: Path) -> None:
    exported, scripted = (
        resolve(str(files / name), trust_remote_code=True).components["enhancer"] for name in NAMES
    )
    assert (exported.format, exported.parameters) == ("torch_export", 1)
    assert (scripted.format, scripted.parameters) == ("torchscript", None)
    assert exported.bytes == (files / "half.pt2").stat().st_size


@pytest.mark.parametrize("name", NAMES)
def test_without_trust_it_is_refused_with_the_option_that_says_so(name: str, files: Path) -> None:
    with pytest.raises(CheckpointError, match=r"can run any code when it is loaded.*--trust-remote-code"):
        resolve(str(files / name))
    with pytest.raises(CheckpointError, match="--trust-remote-code"):
        resolve_pair(f"enhancer={files / name}", str(files / name))


@pytest.mark.parametrize("name", NAMES)
def test_trust_reaches_both_arms_and_the_base_of_a_system(name: str, files: Path, tmp_path: Path) -> None:
    script(tmp_path / "base.pt", Half(gain=0.25), sampling_rate=str(RATE))
    shutil.copy(files / name, tmp_path / name)
    (tmp_path / "system.yaml").write_text(f"components: {{enhancer: {name}}}\nbase: {{enhancer: base.pt}}\n")
    named = resolve_pair(str(tmp_path / name), str(tmp_path / "base.pt"), trust_remote_code=True)
    inferred = resolve_pair(str(tmp_path), None, trust_remote_code=True)
    for pair in (named, inferred):
        assert pair.base is not None and pair.base.components["enhancer"].format == "torchscript"


class Writes:
    """Unpickled, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path, str]]:
        return Path.write_text, (self.path, "ran")


def rewritten(source: Path, target: Path, change: Callable[[str, bytes], bytes]) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def with_pickle(source: Path, target: Path, trace: Path) -> Path:
    pickled = io.BytesIO()
    torch.save((Writes(trace),), pickled)
    return rewritten(source, target, lambda name, old: pickled.getvalue() if "sample_inputs" in name else old)


def with_expression(source: Path, target: Path, trace: Path) -> Path:
    def change(name: str, old: bytes) -> bytes:
        if not name.endswith("models/model.json"):
            return old
        graph = json.loads(old)

        def replace(node: Any) -> None:
            for value in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
                replace(value)
            if isinstance(node, dict) and "expr_str" in node:
                node["expr_str"] = f"__import__('pathlib').Path({str(trace)!r}).write_text('ran')"

        replace(graph)
        return json.dumps(graph).encode()

    return rewritten(source, target, change)


@pytest.mark.parametrize("harm", [with_pickle, with_expression])
def test_code_in_an_exported_file_runs_in_torch_and_never_here(
    harm: Callable[[Path, Path, Path], Path], files: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    path = harm(files / "half.pt2", tmp_path / "evil.pt2", trace)
    with pytest.raises(CheckpointError, match="--trust-remote-code"):
        resolve(str(path))
    resolve(str(path), trust_remote_code=True)
    assert not trace.exists()
    with contextlib.suppress(Exception):  # the changed expression is no number
        torch.export.load(path)
    assert trace.read_text() == "ran", "torch became safe: --trust-remote-code may no longer be needed"


def test_pickled_weights_are_no_network_trusted_or_not(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2)}, tmp_path / "weights.pt")
    (tmp_path / "no_zip.pt").write_bytes(b"\x80\x02}q\x00.")
    for name in ("weights.pt", "no_zip.pt"):
        with pytest.raises(CheckpointError, match="holds no network: it may be a pickle of weights"):
            resolve(str(tmp_path / name), trust_remote_code=True)


def test_a_file_that_does_not_say_its_rate_is_refused_with_the_line_that_would(tmp_path: Path) -> None:
    path = script(tmp_path / "half.pt", Half())
    with pytest.raises(CheckpointError, match=r"to half\.json beside it.*torch\.jit\.save"):
        resolve(str(path), trust_remote_code=True)
    (tmp_path / "half.json").write_text('{"sampling_rate": 48000}')
    assert enhancer(path).sampling_rate == 48_000


def test_a_network_that_returns_no_tensor_is_a_fault_of_the_loader(tmp_path: Path) -> None:
    class Two(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, x

    with pytest.raises(TypeError, match="returned tuple, not a tensor"):
        enhancer(script(tmp_path / "two.pt", Two(), sampling_rate=str(RATE))).enhance([clip()])


def test_a_damaged_network_is_said_in_one_line(files: Path, tmp_path: Path) -> None:
    path = rewritten(
        files / "half.pt", tmp_path / "bad.pt", lambda name, old: b"?" if name.endswith(".pkl") else old
    )
    with pytest.raises(CheckpointError, match="cannot be loaded") as raised:
        enhancer(path)
    assert "\n" not in str(raised.value)
