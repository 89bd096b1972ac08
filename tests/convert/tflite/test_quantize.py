from __future__ import annotations

from pathlib import Path

import nets
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from convert.frames import normalised
from convert.graph.anatomy import discover
from convert.graph.retarget import retarget
from convert.ranges import Range
from convert.tensorflow import tf
from convert.tflite import activations
from convert.tflite.export import NetworkFunction, as_function, convert, quantized, save
from convert.tflite.quantize import measure_ranges, quantize, with_steps
from convert.tflite.recipes import RECIPES
from edge.engine.open import open_engine
from edge.errors import ConversionError
from edge.preprocess import DEEPLAB

pytestmark = pytest.mark.tensorflow
HW = (33, 49)
LOGITS = "logits/semantic/weights"
INPUT = Range(-1.0, 1.0)


@pytest.fixture(scope="module")
def network() -> NetworkFunction:
    return nets.network(HW)


@pytest.fixture(scope="module")
def model(network: NetworkFunction, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("saved")
    save(network, HW, folder)
    return convert(folder, RECIPES["float32"])


@pytest.fixture(scope="module")
def samples() -> list[np.ndarray]:
    return [normalised(nets.noise(*HW, seed), DEEPLAB) for seed in range(3)]


def test_ranges_are_the_extremes_over_all_samples(
    model: bytes, network: NetworkFunction, samples: list[np.ndarray]
) -> None:
    engine = open_engine(model, "net")
    ranges = measure_ranges(model, samples, INPUT)
    logits = np.stack([network(tf.constant(x)).numpy() for x in samples])
    found = ranges[engine.output.name]
    np.testing.assert_allclose([found.low, found.high], [logits.min(), logits.max()], rtol=1e-4)
    assert ranges[engine.input.name] == INPUT
    assert len(ranges) > 60
    assert all(r.low < r.high for r in ranges.values())


def test_ranges_do_not_depend_on_how_much_fits_in_memory(
    model: bytes, samples: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = measure_ranges(model, samples, INPUT)
    monkeypatch.setattr(activations, "MAX_OUTPUT_BYTES", 100_000)
    assert len(activations._groups(model, range(100))) > 3
    parts = measure_ranges(model, samples, INPUT)
    assert whole.keys() == parts.keys()
    for name, r in whole.items():
        np.testing.assert_allclose([parts[name].low, parts[name].high], [r.low, r.high], rtol=1e-3, atol=1e-4)


def test_scales_come_from_the_ranges(model: bytes, samples: list[np.ndarray]) -> None:
    ranges = measure_ranges(model, samples, INPUT)
    name = open_engine(model, "net").output.name
    spans = {}
    for factor in (1.0, 2.0):
        wide = {**ranges, name: Range(ranges[name].low * factor, ranges[name].high * factor)}
        spec = open_engine(quantize(model, wide, RECIPES["int8"]), "int8").output
        assert spec.dtype == np.int8
        spans[factor] = spec.scale
    assert spans[2.0] == pytest.approx(2 * spans[1.0], rel=0.02)
    assert spans[1.0] == pytest.approx((ranges[name].high - ranges[name].low) / 255, rel=0.02)


def test_tensors_without_range_get_a_usable_one() -> None:
    ranges = {
        "usual": Range(-1.0, 3.0),
        "zero": Range(0.0, 0.0),
        "nearly": Range(-1e-12, 0.0),
        "constant": Range(4.0, 4.0),
        "small": Range(0.0, 0.1),
    }
    found = with_steps(ranges)
    assert found["zero"] == Range(0.0, 0.004)
    assert found["nearly"].low == -1e-12
    assert found["nearly"].high == pytest.approx(0.004)
    assert {name: found[name] for name in ("usual", "constant", "small")} == {
        name: ranges[name] for name in ("usual", "constant", "small")
    }
    assert with_steps({"zero": Range(0.0, 0.0)})["zero"].high > 0


def test_what_training_switched_off_has_usable_scales(samples: list[np.ndarray], tmp_path: Path) -> None:
    """Channels of no weight keep their bias, and a tensor that is always 0 a scale to multiply by."""
    graph = nets.net()
    for scope, channels, beta in (("aspp0", slice(3, 60), 1.5), ("image_pooling", slice(None), -1.0)):
        for part, value in (("gamma", 0.0), ("beta", beta)):
            name = f"{scope}/BatchNorm/{part}"
            values = tf.make_ndarray(nets.node(graph, name).attr["value"].tensor).copy()
            values[channels] = value
            nets.set_constant(graph, name, values)
    save(as_function(retarget(graph, discover(graph, "net.pb"), HW, 16)), HW, tmp_path)
    model = convert(tmp_path, RECIPES["float32"])
    made = quantized(model, measure_ranges(model, samples, INPUT), RECIPES["int8"])
    interpreter = Interpreter(model_content=made)
    scales = [detail["quantization_parameters"]["scales"] for detail in interpreter.get_tensor_details()]
    assert min(scale.min() for scale in scales if scale.size) > 1e-8
    biases = [
        interpreter.get_tensor(detail["index"]) * detail["quantization_parameters"]["scales"]
        for detail in interpreter.get_tensor_details()
        if detail["dtype"] is np.int32 and list(detail["shape"]) == [256]
    ]
    assert any(np.allclose(bias[3:60], 1.5, rtol=1e-2) for bias in biases)
    kernels = [
        interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["dtype"] is np.int8 and list(detail["shape"][:3]) == [256, 1, 1]
    ]
    assert any(not kernel[3:60].any() and kernel[60:].any(axis=3).all() for kernel in kernels)


def test_every_grey_level_keeps_its_own_value(model: bytes, samples: list[np.ndarray]) -> None:
    spec = open_engine(quantize(model, measure_ranges(model, samples, INPUT), RECIPES["int8"]), "int8").input
    assert spec.scale == pytest.approx(1 / 127.5, rel=1e-4)
    assert spec.zero_point in (-1, 0)


def test_without_frames_there_are_no_ranges(model: bytes) -> None:
    with pytest.raises(ConversionError, match="no finite range: there are no calibration frames"):
        measure_ranges(model, [], INPUT)


def test_finite_weights_that_overflow_leave_no_range(samples: list[np.ndarray], tmp_path: Path) -> None:
    graph = nets.net()
    kernel = tf.make_ndarray(nets.node(graph, LOGITS).attr["value"].tensor)
    nets.set_constant(graph, LOGITS, np.full_like(kernel, 3e38))  # what they read is positive: no sum cancels out
    save(as_function(retarget(graph, discover(graph, "net.pb"), HW, 16)), HW, tmp_path)
    overflowing = convert(tmp_path, RECIPES["float32"])
    with pytest.raises(ConversionError, match=r"has no finite range: finite weights make values from .*inf to inf of"):
        measure_ranges(overflowing, samples, INPUT)


def test_a_single_value_that_is_no_number_leaves_no_range(tmp_path: Path) -> None:
    """A convolution without an activation: what others make of it depends on the processor."""
    save(tf.function(lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 3, 64]), 1, "SAME")), (9, 9), tmp_path)
    sample = np.zeros((1, 9, 9, 3), np.float32)
    sample[0, 4, 4, 1] = np.nan
    with pytest.raises(ConversionError, match="no finite range"):
        measure_ranges(convert(tmp_path, RECIPES["float32"]), [sample], INPUT)


@pytest.mark.filterwarnings("ignore::RuntimeWarning:litert_quantizer")  # as they are for a user
@pytest.mark.parametrize("span", [(-3e38, 3e38), (0.0, float("nan"))])
def test_a_scale_that_is_no_number_is_refused(
    model: bytes, samples: list[np.ndarray], span: tuple[float, float]
) -> None:
    name = open_engine(model, "net").output.name
    ranges = measure_ranges(model, samples, INPUT) | {name: Range(*span)}
    with pytest.raises(ConversionError, match=r"^int8: expected finite scales, got others for PartitionedCall"):
        quantized(model, ranges, RECIPES["int8"])


def test_a_model_that_cannot_be_quantized_is_one_line(model: bytes, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"^int8: the quantizer failed: .+"):
        quantize(model, {}, RECIPES["int8"])
