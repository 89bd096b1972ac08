"""Builds DeepLabV3 MobileNetV2 as a frozen graph in the layout of the official Cityscapes export of 2018-02."""

from __future__ import annotations

from typing import Any

from convert.networks.architecture import BODY_EPSILON, HEAD_EPSILON, Architecture, Weights, blocks
from convert.networks.export_nodes import exported
from convert.networks.layers import Layers, Tensor, const, convolve, resize
from convert.tensorflow import tf


def build(arch: Architecture, weights: Weights) -> Any:
    """Returns the frozen `GraphDef`, see `export_nodes.exported`."""
    layers = Layers(weights, arch.batch_norm)
    return exported(arch, lambda picture: _head(layers, _body(layers, arch, picture)))


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
