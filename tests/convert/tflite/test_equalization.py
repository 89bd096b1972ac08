"""Networks whose channels differ in size a hundredfold."""

from __future__ import annotations

import numpy as np
import pytest
from small_models import Graph

from convert.ranges import Range
from convert.tflite.channel_groups import channel_groups, hard_swishes, operator_name
from convert.tflite.equalization import equalize
from convert.tflite.flatbuffer import parse
from convert.tflite.integer_forms import spelled_for_integers
from convert.tflite.quantize import measure_ranges, quantize
from convert.tflite.recipes import RECIPES
from edge.engine.open import open_engine

SHAPE = 1, 9, 17
SIZES = np.array([30.0, 1.0, 0.3, 3.0], np.float32)  # of the channels


class Net(Graph):
    """A graph of 1x1 and depthwise 3x3 convolutions with random weights."""

    random = np.random.default_rng(5)

    def activation(self, name: str, channels: int = 4) -> int:
        return self.tensor(name, (*SHAPE, channels))

    def conv(self, x: int, name: str, out: np.ndarray, into: np.ndarray, activation: int = 0) -> int:
        """`out` and `into` are the sizes of the channels on its two sides."""
        kernel = self.random.normal(0, 1, (len(out), 1, 1, len(into))) * out[:, None, None, None] / into
        bias, result = self.random.normal(0, 0.2, len(out)) * out, self.activation(name, len(out))
        inputs = [x, self.constant(kernel.astype(np.float32)), self.constant(bias.astype(np.float32))]
        self.operator("CONV_2D", inputs, [result], "Conv2DOptions", **ONE, fusedActivationFunction=activation)
        return result

    def depthwise(self, x: int, name: str, out: np.ndarray, into: np.ndarray, activation: int = 1) -> int:
        kernel = self.random.normal(0, 0.5, (1, 3, 3, len(out))) * out / into
        inputs = [x, self.constant(kernel.astype(np.float32)), self.constant(np.zeros(len(out), np.float32))]
        result = self.activation(name, len(out))
        options = {**ONE, "depthMultiplier": 1, "fusedActivationFunction": activation}
        self.operator("DEPTHWISE_CONV_2D", inputs, [result], "DepthwiseConv2DOptions", **options)
        return result

    def both(self, kind: str, x: int, y: int, name: str, channels: int = 4) -> int:
        result = self.activation(name, channels)
        self.operator(kind, [x, y], [result], f"{kind.title()}Options")
        return result

    def swished(self, x: int, name: str) -> int:
        result = self.activation(name)
        self.operator("HARD_SWISH", [x], [result], "HardSwishOptions")
        return result


ONE = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, "padding": 0}
EVEN = np.ones(4, np.float32)


def residual(sizes: np.ndarray = SIZES) -> bytes:
    """The first block of a MobileNetV3: a hard swish that a depthwise convolution reads, and an addition."""
    net, pixels = Net(), np.ones(3, np.float32)
    net.random = np.random.default_rng(5)
    picture = net.activation("picture", 3)
    stem = net.swished(net.conv(picture, "stem", sizes, pixels), "swish")
    inner = net.depthwise(stem, "inner", EVEN, sizes)
    added = net.both("ADD", net.conv(inner, "project", sizes[::-1].copy(), EVEN), stem, "added")
    return spelled_for_integers(net.packed([picture], [net.conv(added, "scores", EVEN, sizes)]))


def pictures(count: int = 4) -> list[np.ndarray]:
    random = np.random.default_rng(1)
    return [random.uniform(-1, 1, (*SHAPE, 3)).astype(np.float32) for _ in range(count)]


def scores(model: bytes, x: np.ndarray) -> np.ndarray:
    engine = open_engine(model, "x")
    spec = engine.input
    given = x if spec.dtype == np.float32 else np.clip(np.rint(x / spec.scale) + spec.zero_point, -128, 127)
    answer = engine.invoke(given.astype(spec.dtype)).astype(np.float32)
    return answer if spec.dtype == np.float32 else (answer - engine.output.zero_point) * engine.output.scale


def error(model: bytes) -> float:
    """Of the scores in int8, as a share of what they vary by."""
    whole = quantize(model, measure_ranges(model, pictures(), Range(-1, 1)), RECIPES["int8"])
    x = pictures(9)[-1]
    wanted = scores(model, x)
    return float(np.sqrt(np.mean((scores(whole, x) - wanted) ** 2)) / wanted.std())


def test_the_network_says_the_same_and_int8_errs_less() -> None:
    model = residual()
    even = equalize(model, pictures())
    for x in pictures():
        assert np.allclose(scores(even, x), scores(model, x), atol=1e-3 * np.abs(scores(model, x)).max())
    assert error(even) < 0.6 * error(model)


def test_channels_of_like_sizes_lose_nothing() -> None:
    model = residual(EVEN)
    assert error(equalize(model, pictures())) < 1.2 * error(model)


def test_a_hard_swish_takes_two_operators_and_its_skip_scales_of_its_own() -> None:
    operators = open_engine(equalize(residual(), pictures()), "x").operators()
    assert operators == {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "MUL": 1, "ADD": 1}, "gate and skip are two of them"


def test_what_no_picture_reaches_stays() -> None:
    sizes = SIZES * [1, 0, 1, 1]
    dead = residual(np.maximum(sizes, np.float32(1e-30)))
    even = equalize(dead, pictures())
    assert np.isfinite(scores(even, pictures()[0])).all()


def test_tensors_that_training_has_ranges_for_keep_their_values() -> None:
    model = residual()
    ranges, fixed = (
        measure_ranges(equalize(model, pictures(), kept), pictures(), Range(-1, 1)) for kept in ((), {"inner"})
    )
    before = measure_ranges(model, pictures(), Range(-1, 1))
    assert fixed["inner"].high == pytest.approx(before["inner"].high, rel=1e-4)
    assert ranges["inner"].high != pytest.approx(before["inner"].high, rel=1e-2), "it would have been another one"


def groups(net: Net, picture: int, result: int) -> list[set[str]]:
    parsed = parse(net.packed([picture], [result]))
    found = channel_groups(parsed, list(hard_swishes(parsed)), ())
    return [{parsed.subgraphs[0].tensors[place].name.decode() for place in group} for group in found.values()]


def test_what_takes_the_same_scales() -> None:
    net = Net()
    picture = net.activation("picture", 3)
    first = net.conv(picture, "first", EVEN, np.ones(3), activation=1)
    pooled = net.tensor("pooled", (1, 1, 1, 4))
    net.operator(
        "AVERAGE_POOL_2D",
        [first],
        [pooled],
        "Pool2DOptions",
        strideH=1,
        strideW=1,
        filterHeight=9,
        filterWidth=17,
        padding=1,
    )
    gated = net.both("MUL", first, pooled, "gated")
    cut = net.depthwise(gated, "cut at 6", EVEN, EVEN, activation=3)
    last = net.conv(cut, "last", EVEN, EVEN)
    assert groups(net, picture, net.conv(last, "scores", EVEN, EVEN)) == [{"last"}], "gates are not scaled, nor Relu6"


def test_weights_of_two_operators_and_what_is_joined_are_left_alone() -> None:
    net = Net()
    picture = net.activation("picture", 3)
    first = net.conv(picture, "first", EVEN, np.ones(3))
    second = net.conv(first, "second", EVEN, EVEN)
    third = net.activation("third")
    net.operator("CONV_2D", [second, *net.operators[-1].inputs[1:]], [third], "Conv2DOptions", **ONE)
    fourth = net.conv(third, "fourth", EVEN, EVEN)
    joined = net.activation("joined", 8)
    net.operator("CONCATENATION", [fourth, fourth], [joined], "ConcatenationOptions", axis=3)
    assert groups(net, picture, net.conv(joined, "scores", EVEN, np.ones(8))) == []


def test_a_model_with_control_flow_is_left_alone() -> None:
    graph = Graph()
    picture, doubled = graph.tensor("picture", (*SHAPE, 3)), graph.tensor("doubled", (*SHAPE, 3))
    graph.operator("ADD", [picture, picture], [doubled], "AddOptions")
    model = graph.packed([picture], [doubled], graph.subgraph([picture], [doubled]))
    assert equalize(model, pictures()) == model


def test_a_bias_that_no_step_of_weights_reaches_fits() -> None:
    """The gates that training leaves open: 3 or so beside weights of 1e-6, of a tensor that reaches 1e-3."""
    net = Net()
    picture = net.activation("picture", 3)
    faint = net.conv(picture, "faint", np.full(4, 1e-3), np.ones(3))
    kernel = np.full((4, 1, 1, 4), 1e-6, np.float32)
    kernel[2] = 1.0
    bias = np.array([3, -2, 0.5, 1], np.float32)
    gates = net.activation("gates")
    net.operator("CONV_2D", [faint, net.constant(kernel), net.constant(bias)], [gates], "Conv2DOptions", **ONE)
    model = net.packed([picture], [gates])
    whole = quantize(model, measure_ranges(model, pictures(), Range(-1, 1)), RECIPES["int8"])
    x = pictures()[0]
    assert np.allclose(scores(whole, x), scores(model, x), atol=0.05)
    assert operator_name(parse(whole), parse(whole).subgraphs[0].operators[-1]) == "CONV_2D"
