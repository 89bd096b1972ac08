from __future__ import annotations

import random
import re
from pathlib import Path

import nets
import numpy as np
import pytest

from convert.graph.anatomy import Anatomy, discover
from convert.graph.graphdef import CONVOLUTIONS, GraphDef
from convert.networks.architecture import BatchNorm
from convert.tensorflow import tf
from edge.errors import GraphError
from edge.preprocess import DEEPLAB, Normalisation

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("crop_hw", "stride", "width", "classes", "batch_norm"),
    [
        ((33, 49), 8, 0.25, 19, "fused"),
        ((129, 65), 8, 0.5, 2, "folded"),
        ((65, 129), 16, 1.0, 21, "fused"),
        ((65, 65), 32, 0.35, 3, "folded"),
        ((40, 50), 8, 0.25, 19, "fused"),
    ],
)
def test_parts_are_found(
    crop_hw: tuple[int, int], stride: int, width: float, classes: int, batch_norm: BatchNorm
) -> None:
    graph = nets.net(crop_hw, stride, width=width, classes=classes, batch_norm=batch_norm)
    assert discover(graph, "net.pb") == Anatomy(
        "ImageTensor", "sub_7", DEEPLAB, "logits/semantic/BiasAdd", "SemanticPredictions", crop_hw, stride, classes
    )


def test_names_do_not_matter() -> None:
    graph = nets.net()
    shuffled = random.Random(3).sample(range(1000, 9999), len(graph.node))
    names = {node.name: f"n{number}" for node, number in zip(graph.node, shuffled, strict=True)}
    for node in graph.node:
        node.name = names[node.name]
        node.input[:] = [names[tensor.split(":")[0]] for tensor in node.input]
    found, plain = discover(graph, "net.pb"), discover(nets.net(), "net.pb")
    parts = (plain.image, plain.normalised, plain.logits, plain.labels)
    assert (found.image, found.normalised, found.logits, found.labels) == tuple(names[part] for part in parts)
    assert (found.crop_hw, found.output_stride, found.classes) == ((33, 49), 8, 5)


def test_normalisation_is_measured() -> None:
    graph = nets.net()
    nets.set_constant(graph, "mul/x", np.float32(1 / 255))
    nets.set_constant(graph, "sub_7/y", np.float32(0.25))
    assert discover(graph, "net.pb").norm == Normalisation(63.75, 255)


def test_normalisation_of_each_channel_is_measured() -> None:
    graph = nets.net()
    nets.insert(graph, "mul", 1, lambda x: x * tf.constant([1.0, 1.0, 2.0]))
    assert discover(graph, "net.pb").norm == Normalisation((127.5, 127.5, 63.75), (127.5, 127.5, 63.75))


def refusal(graph: GraphDef) -> str:
    with pytest.raises(GraphError) as caught:
        discover(graph, "net.pb")
    message = str(caught.value)
    assert message.startswith("net.pb: ")
    assert "\n" not in message
    return message


def test_graph_without_an_answer_is_refused() -> None:
    graph = nets.net()
    nets.node(graph, "ArgMax").op = "ArgMin"
    assert "node ArgMax is a ArgMin, which no DeepLab export has" in refusal(graph)
    for node in graph.node:
        node.op = "Identity" if node.op in CONVOLUTIONS else node.op
    assert "not a segmentation graph: expected one ArgMax that picks the classes, or scores" in refusal(graph)


def test_operator_that_reaches_files_is_refused_and_never_run(tmp_path: Path) -> None:
    target = tmp_path / "written"
    graph = nets.net()
    with tf.Graph().as_default() as scope:
        tf.raw_ops.WriteFile(filename=str(target), contents="x", name="harm")
    graph.node.extend(scope.as_graph_def().node)
    nets.node(graph, "sub_7").input.append("^harm")
    assert "node harm is a WriteFile" in refusal(graph)
    assert not target.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda x: tf.minimum(x, 200.0),
        tf.square,
        lambda x: tf.concat(tf.split(x, 3, 3)[::-1], 3),
        lambda x: x + tf.concat(tf.split(x, 3, 3)[::-1], 3) / 100,
        lambda x: -x,
    ],
    ids=["clipped", "squared", "channels swapped", "channels mixed", "negative"],
)
def test_preprocessing_that_is_no_straight_line_is_refused(change: object) -> None:
    graph = nets.net()
    nets.insert(graph, "mul", 1, change)  # type: ignore[arg-type]
    assert "expected (pixel - mean) / std of ImageTensor" in refusal(graph)


def test_cycle_is_refused() -> None:
    graph = nets.net()
    nets.node(graph, "MobilenetV2/expanded_conv_2/input").input[0] = nets.FEATURES
    assert "cycle" in refusal(graph)


def test_constants_that_unpack_to_terabytes_are_refused() -> None:
    graph = nets.net()
    shape = nets.node(graph, "logits/semantic/biases").attr["value"].tensor.tensor_shape
    shape.dim[0].size = 10**12
    assert "its constants unpack to 1,000,000," in refusal(graph)


def test_rate_that_ends_tensorflow_is_refused() -> None:
    graph = nets.net()
    nets.node(graph, "aspp0/Conv2D").attr["dilations"].list.i[:] = [1, 2**62, 1, 1]
    assert f"node aspp0/Conv2D has a stride, rate or window of {2**62}" in refusal(graph)


def test_of_several_unknown_operators_the_first_in_the_graph_is_named() -> None:
    graph = nets.net()
    *convolutions, _ = (node for node in graph.node if node.op in CONVOLUTIONS)
    for node in convolutions:
        node.op = "ReadFile"
    name = convolutions[0].name
    assert f"node {name} is a ReadFile, which no DeepLab export has; it is not run" in refusal(graph)


def test_channels_first_is_refused() -> None:
    graph = nets.net()
    nets.node(graph, "MobilenetV2/Conv/Conv2D").attr["data_format"].s = b"NCHW"
    assert "MobilenetV2/Conv/Conv2D is laid out NCHW, expected NHWC" in refusal(graph)


def test_baked_size_beyond_all_pictures_is_refused() -> None:
    graph = nets.net()
    nets.set_constant(graph, "sub/x", 9000)
    assert "expected an input size of 9 to 8193 pixels a side baked into the graph, got 9000x49" in refusal(graph)


def test_classifier_is_refused() -> None:
    with tf.Graph().as_default() as scope:
        image = tf.compat.v1.placeholder(tf.uint8, [1, None, None, 3], "image")
        padded = tf.image.pad_to_bounding_box(tf.cast(image, tf.float32), 0, 0, 33, 33)
        features = tf.raw_ops.Conv2D(
            input=padded / 127.5 - 1,
            filter=tf.zeros([3, 3, 3, 8]),
            strides=[1, 2, 2, 1],
            padding="SAME",
        )
        tf.argmax(tf.reduce_mean(features, [1, 2]), 1)
    graph = scope.as_graph_def()
    assert "expected scores (1, h, w, 2..255 classes)" in refusal(graph)


def test_missing_node_and_malformed_node_are_named() -> None:
    graph = nets.net()
    nets.node(graph, "aspp0/Relu").input[0] = "nowhere"
    assert "'nowhere' is used but not there" in refusal(graph)
    graph = nets.net()
    del nets.node(graph, "aspp0/Conv2D").input[1]
    assert "aspp0/Conv2D" in refusal(graph)
    graph = nets.net()
    del nets.node(graph, "aspp0/Conv2D").attr["strides"]
    assert "aspp0/Conv2D" in refusal(graph)


@pytest.mark.parametrize(
    ("name", "spoilt", "what"),
    [
        ("logits/semantic/weights", [np.nan, np.inf, -np.inf], r"3 of 1280 values are not finite \(1 not .*, 2 inf"),
        ("logits/semantic/biases", [np.inf], r"1 of 5 values is not finite \(0 not a number, 1 infinite\); expected"),
        ("MobilenetV2/Conv/BatchNorm/moving_variance", [np.nan], r"1 of 8 values is not finite"),
    ],
)
def test_weights_that_are_no_numbers_are_refused(name: str, spoilt: list[float], what: str) -> None:
    graph = nets.net()
    values = tf.make_ndarray(nets.node(graph, name).attr["value"].tensor).copy()
    values.flat[1 : 1 + len(spoilt)] = spoilt
    nets.set_constant(graph, name, values)
    message = refusal(graph)
    assert re.match(f"net.pb: node {name}: {what}", message)
    assert message.endswith("export an earlier checkpoint")


def test_all_nodes_with_weights_that_are_no_numbers_are_counted() -> None:
    graph = nets.net()
    for name in ("logits/semantic/biases", "logits/semantic/weights"):
        values = tf.make_ndarray(nets.node(graph, name).attr["value"].tensor)
        nets.set_constant(graph, name, np.full_like(values, np.nan))
    assert ", and so are values of 1 other node;" in refusal(graph)


def test_constant_that_lacks_values_is_refused() -> None:
    graph = nets.net()
    kernel = nets.node(graph, "logits/semantic/weights").attr["value"].tensor
    kernel.tensor_content = kernel.tensor_content[:-4]
    assert "damaged graph: node logits/semantic/weights does not hold the values that it says" in refusal(graph)


def test_infinity_as_a_bound_is_no_damage() -> None:
    graph = nets.net()
    nets.insert(graph, "logits/semantic/Conv2D", 0, lambda x: tf.minimum(x, np.inf))
    assert discover(graph, "net.pb").classes == 5
    nets.insert(graph, "logits/semantic/Conv2D", 0, lambda x: tf.maximum(x, np.nan), "second")
    assert "1 of 1 value is not finite" in refusal(graph)


def test_dead_part_of_a_graph_is_not_looked_at() -> None:
    graph = nets.net()
    graph.node.add(name="summary", op="WriteFile")
    nets.add(graph, "momentum", lambda: tf.constant([np.nan]))
    assert discover(graph, "net.pb").classes == 5
