"""Builds DeepLabV3 MobileNetV2 as a frozen graph in the layout of the official Cityscapes export of 2018-02."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from convert.networks.architecture import BODY_EPSILON, HEAD_EPSILON, Architecture, Weights, blocks, initial_weights
from convert.networks.export_nodes import predict, preprocess
from convert.networks.layers import Layers, Tensor, const, convolve, resize


def random_weights(arch: Architecture, seed: int, smooth: bool = False) -> dict[str, NDArray[np.float32]]:
    """Weights for tests of exactness and speed: random kernels, BatchNorm statistics of a few random pictures, and
    biases that give every class its share of them.

    Label maps are noise. With `smooth`, depthwise kernels are positive, which makes them averages: label maps then
    have areas and borders, twice as many as a street has.
    """
    from convert.demo.network import Network

    initial = initial_weights(arch, seed)
    if smooth:
        initial = {k: np.abs(v) if k.endswith("depthwise_weights") else v for k, v in initial.items()}
    network = Network(replace(arch, output_stride=16), initial, momentum=0.0)
    pictures = np.random.default_rng(seed).uniform(-1, 1, (8, 8, 16, 3))
    smooth = (tf.image.resize(pictures.astype(np.float32), (129, 257)) + 1) * 127.5
    network(smooth, training=True)
    return {**network.arrays(), "logits/semantic/biases": -tf.reduce_mean(network(smooth), [0, 1, 2]).numpy()}


def build(arch: Architecture, weights: Weights) -> Any:
    """The frozen `GraphDef`: `ImageTensor` uint8 [1, ?, ?, 3] RGB to `SemanticPredictions` int64 [1, height, width]."""
    graph = tf.Graph()
    with graph.as_default():
        layers = Layers(weights, arch.batch_norm)
        picture, size = preprocess(arch)
        features = _body(layers, arch, picture)
        predict(arch, _head(layers, features), size)
    return graph.as_graph_def()


def _body(layers: Layers, arch: Architecture, x: Tensor) -> Tensor:
    x = tf.identity(x, name="MobilenetV2/MobilenetV2/input")
    x = layers.conv(x, "MobilenetV2/Conv", "Relu6", epsilon=BODY_EPSILON, stride=2)
    for block in blocks(arch):
        start = x = tf.identity(x, name=f"{block.scope}/input")
        if block.expands:
            x = layers.conv(x, f"{block.scope}/expand", "Relu6", epsilon=BODY_EPSILON)
            x = tf.identity(x, name=f"{block.scope}/expansion_output")
        depthwise = f"{block.scope}/depthwise"
        x = layers.conv(x, depthwise, "Relu6", epsilon=BODY_EPSILON, stride=block.stride, rate=block.rate)
        x = tf.identity(x, name=f"{block.scope}/depthwise_output")
        x = layers.conv(x, f"{block.scope}/project", None, epsilon=BODY_EPSILON)
        x = tf.identity(x, name=f"{block.scope}/project/Identity")
        if block.residual:
            x = tf.raw_ops.Add(x=x, y=start, name=f"{block.scope}/add")
        x = tf.identity(x, name=f"{block.scope}/output")
    return x


def _head(layers: Layers, features: Tensor) -> Tensor:
    """Image pooling and one 1x1 branch, projected to the logits [1, h, w, classes]."""
    whole = [1, int(features.shape[1]), int(features.shape[2]), 1]
    pooled = tf.raw_ops.AvgPool(value=features, ksize=whole, strides=whole, padding="VALID", name="AvgPool2D/AvgPool")
    pooled = layers.conv(pooled, "image_pooling", "Relu", epsilon=HEAD_EPSILON)
    pooled = resize(pooled, const("ResizeBilinear_1/size", whole[1:3]), "ResizeBilinear_1")
    branch = layers.conv(features, "aspp0", "Relu", epsilon=HEAD_EPSILON)
    both = tf.raw_ops.ConcatV2(values=[pooled, branch], axis=const("concat/axis", 3), name="concat")
    x = layers.conv(both, "concat_projection", "Relu", epsilon=HEAD_EPSILON)
    kernel, biases = layers.read("logits/semantic/weights"), layers.read("logits/semantic/biases")
    x = convolve(x, kernel, "logits/semantic/Conv2D", depthwise=False)
    return tf.raw_ops.BiasAdd(value=x, bias=biases, name="logits/semantic/BiasAdd")
