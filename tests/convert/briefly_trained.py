"""Trains the weights of a frozen graph for some minutes on the generated drive: its activations get like real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.tensorflow import tf
from edge.scene import Scene

BATCH, RATE, CLASSES = 4, 2e-3, 19


def train(graph: Any, logits: str, size_hw: tuple[int, int], steps: int) -> Any:
    """Returns a copy of a frozen `GraphDef` with other weights. `logits` names its scores, (1, h, w, classes).

    The picture is the input `ImageTensor`, uint8 (1, H, W, 3) of `size_hw`.
    """
    weights = {
        node.name: tf.Variable(tf.make_ndarray(node.attr["value"].tensor)) for node in graph.node if _learns(node)
    }

    def scores(picture: Any, values: dict[str, Any]) -> Any:
        inputs = {f"{name}:0": value for name, value in values.items()}
        return tf.graph_util.import_graph_def(
            graph, input_map={"ImageTensor:0": picture, **inputs}, return_elements=[f"{logits}:0"], name=""
        )[0]

    @tf.function
    def step(pictures: Any, labels: Any) -> None:
        values = {name: variable.read_value() for name, variable in weights.items()}
        answers = tf.concat([scores(pictures[i : i + 1], values) for i in range(BATCH)], 0)
        wide = tf.image.resize(answers, size_hw)
        known = labels < CLASSES
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.where(known, labels, 0), wide)
        loss = tf.reduce_mean(tf.where(known, losses, 0.0))
        # A tape does not see what is imported.
        gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, list(values.values())), 1.0)
        optimizer.apply_gradients(zip(gradients, weights.values(), strict=True))

    optimizer = tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(RATE, steps))
    optimizer.build(list(weights.values()))
    for number in range(steps):
        step(*_drawn(number, size_hw))
    trained = tf.compat.v1.GraphDef()
    trained.CopyFrom(graph)
    for node in trained.node:
        if node.name in weights:
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(weights[node.name].numpy()))
    return trained


def _learns(node: Any) -> bool:
    """Kernels, biases, and what BatchNorm scales and shifts by; its statistics stay."""
    learned = ("weights", "biases", "gamma", "beta")
    return node.op == "Const" and node.name.rsplit("/", 1)[-1].endswith(learned)


def _drawn(number: int, size_hw: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    drawn = [Scene(number * BATCH + i).draw(1.0, size_hw) for i in range(BATCH)]
    return np.stack([pixels for pixels, _ in drawn]), np.stack([ids.astype(np.int32) for _, ids in drawn])
