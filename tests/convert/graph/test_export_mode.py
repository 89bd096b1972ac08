from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest

from convert.graph.anatomy import discover
from convert.graph.graphdef import GraphDef, parse
from convert.tensorflow import tf
from edge.errors import GraphError

pytestmark = pytest.mark.tensorflow

NORM = "MobilenetV2/expanded_conv_2/depthwise/BatchNorm/FusedBatchNorm"


def refusal(graph: GraphDef) -> str:
    with pytest.raises(GraphError) as caught:
        discover(graph, "net.pb")
    return str(caught.value)


@pytest.mark.parametrize("said", [True, False], ids=["said", "left to the default"])
def test_batch_norms_in_training_mode_are_refused(said: bool) -> None:
    graph = nets.net()
    for name in (NORM, "aspp0/BatchNorm/FusedBatchNorm"):
        if said:
            nets.node(graph, name).attr["is_training"].b = True
        else:
            del nets.node(graph, name).attr["is_training"]
    message = refusal(graph)
    assert f"node {NORM} is a FusedBatchNorm in training mode (2 such nodes)" in message
    assert message.endswith("export it for inference, with is_training=False")


def own_statistics(x: Any) -> Any:
    mean, variance = tf.nn.moments(x, [0, 1, 2])
    return (x - mean) * tf.math.rsqrt(variance + 1e-3)


def by_deviation(x: Any) -> Any:
    centred = x - tf.reduce_mean(x, [1, 2], keepdims=True)
    return centred / tf.sqrt(tf.reduce_mean(tf.square(centred), [1, 2], keepdims=True))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (own_statistics, "is a SquaredDifference of the picture's own features"),
        (by_deviation, "is a Sqrt of the picture's own features"),
        (lambda x: x * tf.random.uniform([1, 1, 1, 256]), "is a RandomUniform: the graph draws random numbers"),
        (lambda x: tf.reverse(x, [2]), "flips what the network made of a mirrored picture"),
    ],
    ids=["moments", "deviation", "dropout", "flip"],
)
def test_what_depends_on_the_whole_picture_or_on_chance_is_refused(change: Callable[[Any], Any], what: str) -> None:
    graph = nets.net()
    nets.insert(graph, nets.LAST, 0, change)
    message = refusal(graph)
    assert what in message
    assert "export it with" in message or message.endswith("with is_training=False")
    assert message == refusal(graph)


def test_batch_norms_unfused_but_frozen_are_taken() -> None:
    def frozen(x: Any) -> Any:
        return x * tf.math.rsqrt(tf.constant(np.full(256, 2, np.float32)) + 1e-3)

    graph = nets.net()
    nets.insert(graph, nets.LAST, 0, frozen)
    assert discover(graph, "net.pb").classes == 5


def test_a_switch_between_training_and_use_is_refused() -> None:
    graph = nets.net()
    switch = graph.node.add(name="is_training", op="Placeholder")
    switch.attr["dtype"].type = tf.bool.as_datatype_enum
    nets.node(graph, nets.LAST).input.append("^is_training")
    assert "node is_training is a switch that is still open" in refusal(graph)


@pytest.mark.parametrize(
    ("name", "op", "what"),
    [
        ("logits/semantic/weights", "VariableV2", "is a VariableV2: the graph is not frozen"),
        ("logits/semantic/weights", "VarHandleOp", "is a VarHandleOp: the graph is not frozen"),
        ("ImageTensor", "IteratorGetNext", "is a IteratorGetNext: the graph reads the pictures of its training itself"),
        ("ImageTensor", "QueueDequeueV2", "is a QueueDequeueV2: the graph reads the pictures"),
    ],
)
def test_graphs_that_are_not_frozen_are_refused(name: str, op: str, what: str) -> None:
    graph = nets.net()
    nets.node(graph, name).op = op
    message = refusal(graph)
    assert f"node {name} {what}" in message
    assert "export_model.py" in message


def test_the_graph_of_a_training_is_named_where_it_has_no_answer() -> None:
    graph = nets.net()
    nets.ending(graph, lambda x: x, "scores")
    for name, op in (("loss", "SparseSoftmaxCrossEntropyWithLogits"), ("step", "ApplyMomentum")):
        graph.node.add(name=name, op=op, input=["scores"])
    assert "node loss is a SparseSoftmaxCrossEntropyWithLogits: this is the graph of a training" in refusal(graph)


def test_pictures_seen_at_several_scales_are_refused() -> None:
    graph = nets.net()
    with tf.Graph().as_default() as scope:
        tf.raw_ops.ResizeBilinear(
            images=tf.compat.v1.placeholder(tf.float32, [1, 33, 49, 3], "sub_7"), size=[33, 49], name="half"
        )
    graph.node.extend(n for n in scope.as_graph_def().node if n.name != "sub_7")
    kernel = np.zeros((3, 3, 3, 8), np.float32)
    nets.add(
        graph,
        "again",
        lambda x: tf.raw_ops.Conv2D(input=x, filter=kernel, strides=[1, 2, 2, 1], padding="SAME", name="conv"),
        "half",
    )
    first = "MobilenetV2/Conv/Conv2D"
    nets.insert(graph, "MobilenetV2/Conv/BatchNorm/FusedBatchNorm", 0, lambda x: x)
    nets.add(graph, "both", lambda a, b: a + b, "inserted", "again")
    nets.node(graph, "MobilenetV2/Conv/BatchNorm/FusedBatchNorm").input[0] = "both"
    message = refusal(graph)
    assert f"the network sees the picture 2 times, in other sizes or mirrored ({first}, again/conv)" in message
    assert "inference_scales=[1.0]" in message


def test_a_real_export_in_training_mode_is_refused(shared: Callable[[str], Path]) -> None:
    import lzma

    data = lzma.decompress(shared("cases/bn_train_real.pb.xz").read_bytes())
    assert "FusedBatchNormV3 in training mode (54 such nodes)" in refusal(parse(data, "real"))
