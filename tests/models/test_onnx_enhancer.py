"""Enhancers as ONNX files, from small graphs that this test writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from forgetbench.errors import CheckpointError
from forgetbench.models.checkpoint import resolve
from forgetbench.models.interface import Audio, Enhancer
from forgetbench.models.load import load
from forgetbench.models.onnx_file import read_onnx
from forgetbench.schema.run import LoadSettings

RATE = 16_000


def gain(value: float = 0.5, n: int = 1) -> Any:
    return numpy_helper.from_array(np.full(n, value, np.float32), "gain")


def graph(
    *,
    nodes: Any = None,
    shape: Any = ("batch", "samples"),
    out: Any = None,
    inputs: int = 1,
    outputs: int = 1,
    dtype: int = TensorProto.FLOAT,
    weights: Any = None,
) -> Any:
    """A graph whose first output is its first input times a gain, unless ``nodes`` say otherwise."""
    nodes = nodes or [
        helper.make_node("Mul", ["x0", "gain"], ["y0"]),
        *(helper.make_node("Identity", ["y0"], [f"y{i}"]) for i in range(1, outputs)),
    ]
    return helper.make_graph(
        nodes,
        "enhancer",
        [helper.make_tensor_value_info(f"x{i}", dtype, shape) for i in range(inputs)],
        [helper.make_tensor_value_info(f"y{i}", dtype, out or shape) for i in range(outputs)],
        weights if weights is not None else [gain()],
    )


def save(path: Path, made: Any, *, rate: str | None = str(RATE), domain: str = "", **how: Any) -> Path:
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model = helper.make_model(made, opset_imports=opsets, ir_version=8)
    if rate is not None:
        helper.set_model_props(model, {"author": "a test", "sampling_rate": rate})
    onnx.save(model, path, **how)
    return path


def enhancer(path: Path) -> Any:
    model = load(resolve(str(path)).components["enhancer"], LoadSettings())
    assert isinstance(model, Enhancer)
    return model


def clip(n: int = 800, rate: int = RATE) -> Audio:
    samples = np.random.default_rng(0).standard_normal(n).astype(np.float32)
    return Audio(samples=samples, sampling_rate=rate)


@pytest.mark.parametrize(
    "shape", [("samples",), (1, "samples"), ("batch", "samples"), ("batch", 1, "samples")]
)
def test_a_waveform_goes_in_and_a_waveform_comes_out(shape: tuple[Any, ...], tmp_path: Path) -> None:
    model = enhancer(save(tmp_path / "half.onnx", graph(shape=shape)))
    assert model.sampling_rate == RATE
    for given, made in zip([clip(), clip(50)], model.enhance([clip(), clip(50)]), strict=True):
        np.testing.assert_array_equal(np.ravel(made.samples), 0.5 * given.samples)
        assert made.sampling_rate == RATE


def test_a_network_with_a_filter_is_run_as_numpy_would(tmp_path: Path) -> None:
    kernel = np.array([0.25, 0.5, -1.0], np.float32)
    nodes = [helper.make_node("Conv", ["x0", "kernel"], ["y0"], kernel_shape=[3], pads=[1, 1])]
    weights = [numpy_helper.from_array(kernel.reshape(1, 1, 3), "kernel")]
    shape = ("batch", 1, "samples")
    path = save(tmp_path / "filter.onnx", graph(nodes=nodes, shape=shape, weights=weights))
    (made,) = enhancer(path).enhance([clip()])
    expected = np.correlate(np.pad(clip().samples, 1), kernel, mode="valid")
    np.testing.assert_allclose(np.ravel(made.samples), expected, atol=1e-5)


def test_what_the_file_tells_is_known_without_running_it(tmp_path: Path) -> None:
    path = save(tmp_path / "half.onnx", graph(weights=[gain(), gain(n=1)][:1]))
    component = resolve(str(path)).components["enhancer"]
    assert (component.format, component.architecture, component.source) == ("onnx", "ONNX", "half.onnx")
    assert (component.parameters, component.bytes) == (1, path.stat().st_size)
    assert read_onnx(path).metadata == {"author": "a test", "sampling_rate": "16000"}


def test_parameters_are_counted_as_onnx_counts_them_without_shapes(tmp_path: Path) -> None:
    inner = helper.make_graph(
        [helper.make_node("Identity", ["inner"], ["chosen"])],
        "branch",
        [],
        [helper.make_tensor_value_info("chosen", TensorProto.FLOAT, [3])],
        [numpy_helper.from_array(np.ones(3, np.float32), "inner")],
    )
    nodes = [
        helper.make_node("Constant", [], ["yes"], value=numpy_helper.from_array(np.array(True))),
        helper.make_node("If", ["yes"], ["three"], then_branch=inner, else_branch=inner),
        helper.make_node("Mul", ["x0", "gain"], ["y0"]),
    ]
    matrix = numpy_helper.from_array(np.ones((300, 7), np.float32), "matrix")
    shape = numpy_helper.from_array(np.array([1, -1]), "shape")
    path = save(tmp_path / "m.onnx", graph(nodes=nodes, weights=[gain(), matrix, shape]))
    assert read_onnx(path).parameters == 1 + 300 * 7 + 2 * 3 + 1


def test_the_fingerprint_is_that_of_weights_and_rate_not_of_the_name(tmp_path: Path) -> None:
    def of(name: str, made: Any, **how: Any) -> str:
        return resolve(str(save(tmp_path / name, made, **how))).fingerprint

    half = of("a.onnx", graph())
    assert of("b.onnx", graph()) == half
    assert of("c.onnx", graph(weights=[gain(0.25)])) != half
    assert of("d.onnx", graph(), rate="48000") != half


def test_external_weights_are_part_of_it(tmp_path: Path) -> None:
    def of(folder: Path, value: float) -> Path:
        folder.mkdir()
        weights = [gain(), numpy_helper.from_array(np.full(5_000, value, np.float32), "spare")]
        return save(
            folder / "m.onnx", graph(weights=weights), save_as_external_data=True,
            location="m.data", size_threshold=1_000,
        )  # fmt: skip

    path, other = of(tmp_path / "a", 1.0), of(tmp_path / "b", 2.0)
    assert path.read_bytes() == other.read_bytes()
    component = resolve(str(path)).components["enhancer"]
    assert component.fingerprint != resolve(str(other)).fingerprint
    assert component.parameters == 5_001
    assert component.bytes == path.stat().st_size + 20_000
    assert len(enhancer(path).enhance([clip()])) == 1
    (tmp_path / "a" / "m.data").unlink()
    with pytest.raises(CheckpointError, match=r"lacks its external data m\.data"):
        resolve(str(path))


def test_external_weights_from_elsewhere_are_refused(tmp_path: Path) -> None:
    weight = gain()
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")
    model = helper.make_model(graph(weights=[weight]), opset_imports=[helper.make_opsetid("", 17)])
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(b"1234")
    (tmp_path / "in" / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match=r"from outside its folder: \.\./secret"):
        resolve(str(tmp_path / "in" / "m.onnx"))


def test_a_json_file_beside_it_may_say_the_rate(tmp_path: Path) -> None:
    path = save(tmp_path / "half.onnx", graph(), rate=None)
    with pytest.raises(CheckpointError, match=r'Write \{"sampling_rate": 16000\} to half\.json beside it'):
        resolve(str(path))
    (tmp_path / "half.json").write_text(json.dumps({"sampling_rate": 48_000}))
    assert enhancer(path).sampling_rate == 48_000


@pytest.mark.parametrize("rate", ["fast", "0", "-1", ""])
def test_a_rate_that_is_none_is_refused(rate: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"has sampling_rate '{rate}', which is no rate"):
        resolve(str(save(tmp_path / "m.onnx", graph(), rate=rate)))


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (graph(inputs=2), "has 2 inputs and 1 outputs.*Python factory"),
        (graph(outputs=2), "has 1 inputs and 2 outputs.*Python factory"),
        (graph(shape=("batch", 257, "frames")), r"takes input of shape \(batch, 257, frames\)"),
        (graph(shape=(1, 1, 1, "samples")), "takes input of shape"),
        (graph(shape=(2, "samples")), r"takes input of shape \(2, samples\)"),
        (graph(shape=(1, 16_000)), "takes exactly 16000 samples.*dynamic axis"),
        (
            graph(
                dtype=TensorProto.FLOAT16, weights=[numpy_helper.from_array(np.ones(1, np.float16), "gain")]
            ),
            r"takes tensor\(float16\), not float32",
        ),
    ],
)
def test_a_network_of_another_kind_is_refused_with_the_way_out(made: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=told):
        enhancer(save(tmp_path / "m.onnx", made))


def test_custom_operators_are_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Magic", ["x0"], ["y0"], domain="acme")]
    path = save(tmp_path / "m.onnx", graph(nodes=nodes), domain="acme")
    with pytest.raises(CheckpointError, match=r"cannot be run by onnxruntime.*Python factory") as raised:
        enhancer(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"version https://git-lfs.github.com/spec/v1\n", b"\x3a\xff\xff\x7f"]
)
def test_another_file_by_that_name_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match="is not an ONNX model, or is cut off"):
        resolve(str(tmp_path / "m.onnx"))


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "m.onnx", graph())
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CheckpointError, match="is not an ONNX model, or is cut off"):
        resolve(str(path))


def test_a_path_that_is_not_there_is_said_to_be_missing() -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        resolve("enhancer.onnx")


def test_silence_nothing_and_nan_pass_through(tmp_path: Path) -> None:
    model = enhancer(save(tmp_path / "half.onnx", graph()))
    clips = [np.zeros(100), np.zeros(0), np.full(100, np.nan)]
    made = model.enhance([Audio(samples=c.astype(np.float32), sampling_rate=RATE) for c in clips])
    for given, audio in zip(clips, made, strict=True):
        np.testing.assert_array_equal(np.ravel(audio.samples), given)
    with pytest.raises(ValueError, match="8000 Hz, the model works at 16000 Hz"):
        model.enhance([clip(rate=8_000)])
