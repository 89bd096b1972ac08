"""Writes graph nodes as the official DeepLab exporter of early 2018 wrote them; used inside a
`tf.Graph().as_default()`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convert.networks.architecture import BatchNorm, Weights
from convert.tensorflow import tf

Tensor = Any
"""A `tf.Tensor` of the graph being built; TensorFlow ships no types for it."""


def const(name: str, value: ArrayLike, dtype: Any = np.int32) -> Tensor:
    return tf.constant(np.asarray(value, dtype), name=name)


def same_paddings(size: int, kernel: int, rate: int) -> tuple[list[int], list[int]]:
    """Returns what `tf.nn.convolution` bakes for one axis of an atrous SAME convolution: SpaceToBatchND's paddings and
    BatchToSpaceND's crops. The effective kernel is padded on both sides, then the end up to a multiple of the rate.
    """
    around = (kernel - 1) * rate
    start, end = around // 2, around - around // 2
    extra = -(size + around) % rate
    return [start, end + extra], [0, extra]


@dataclass(frozen=True)
class Layers:
    """Writes one layer after another, weights included."""

    weights: Weights
    batch_norm: BatchNorm

    def read(self, name: str) -> Tensor:
        """Returns a weight as freezing leaves a variable: a constant and the Identity that read it."""
        return tf.identity(const(name, self.weights[name], np.float32), name=f"{name}/read")

    def conv(
        self,
        x: Tensor,
        scope: str,
        activation: str | None,
        *,
        epsilon: float,
        stride: int = 1,
        rate: int | tuple[int, int] = 1,
        padding: str = "SAME",
    ) -> Tensor:
        """Writes convolution, BatchNorm and activation; depthwise where `scope` ends so. `rate` > 1 is atrous;
        a pair is that of height and width.
        """
        depthwise = scope.endswith("depthwise")
        folded = self.batch_norm == "folded"
        scale, offset = self._affine(scope, epsilon)
        if depthwise:
            kernel_name, name = f"{scope}/depthwise_weights", f"{scope}/depthwise"
            kernel = const(kernel_name, self.weights[kernel_name], np.float32) if folded else self.read(kernel_name)
        elif folded:
            name = f"{scope}/BatchNorm/FusedBatchNorm/Mul"
            kernel = const(f"{scope}/Conv2D/merged_input", self.weights[f"{scope}/weights"] * scale, np.float32)
        else:
            kernel, name = self.read(f"{scope}/weights"), f"{scope}/Conv2D"
        x = convolve(x, kernel, name, depthwise=depthwise, stride=stride, rate=rate, padding=padding)
        norm = f"{scope}/BatchNorm/FusedBatchNorm"
        if folded:
            if depthwise:
                x = tf.raw_ops.Mul(x=x, y=const(f"{norm}/Scaled", scale, np.float32), name=f"{norm}/Mul")
            x = tf.raw_ops.Add(x=x, y=const(f"{norm}/Offset", offset, np.float32), name=norm)
        else:
            x = self._fused_norm(x, scope, epsilon)
        return activate(x, activation, scope)

    def _fused_norm(self, x: Tensor, scope: str, epsilon: float) -> Tensor:
        gamma, beta, mean, variance = (
            self.read(f"{scope}/BatchNorm/{part}") for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        name = {"fused": "FusedBatchNorm", "fused_v3": "FusedBatchNormV3"}[self.batch_norm]
        operation = getattr(tf.raw_ops, name)
        return operation(
            x=x,
            scale=gamma,
            offset=beta,
            mean=mean,
            variance=variance,
            epsilon=epsilon,
            is_training=False,
            name=f"{scope}/BatchNorm/{name}",
        ).y

    def _affine(self, scope: str, epsilon: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        gamma, beta, mean, variance = (
            self.weights[f"{scope}/BatchNorm/{part}"] for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = (gamma / np.sqrt(variance + epsilon)).astype(np.float32)
        return scale, (beta - mean * scale).astype(np.float32)


def activate(x: Tensor, activation: str | None, scope: str) -> Tensor:
    """Writes `Relu`, `Relu6` or `hard_swish`, the last as slim's MobileNetV3 spells it; nothing for None."""
    if activation is None:
        return x
    if activation != "hard_swish":
        plain = {"Relu": tf.raw_ops.Relu, "Relu6": tf.raw_ops.Relu6}[activation]
        return plain(features=x, name=f"{scope}/{activation}")
    name = f"{scope}/hard_swish"
    shifted = tf.raw_ops.AddV2(x=x, y=const(f"{name}/add/y", 3, np.float32), name=f"{name}/add")
    product = tf.raw_ops.Mul(x=x, y=tf.raw_ops.Relu6(features=shifted, name=f"{name}/Relu6"), name=f"{name}/mul")
    return tf.raw_ops.Mul(x=product, y=const(f"{name}/mul_1/y", 1 / 6, np.float32), name=f"{name}/mul_1")


def gate(x: Tensor, scope: str) -> Tensor:
    """Writes relu6(x + 3) * 0.16667, DeepLab's stand-in for a sigmoid."""
    shifted = tf.raw_ops.AddV2(x=x, y=const(f"{scope}/add/y", 3, np.float32), name=f"{scope}/add")
    clipped = tf.raw_ops.Relu6(features=shifted, name=f"{scope}/Relu6")
    return tf.raw_ops.Mul(x=clipped, y=const(f"{scope}/mul/y", 0.16667, np.float32), name=f"{scope}/mul")


def convolve(
    x: Tensor,
    kernel: Tensor,
    name: str,
    *,
    depthwise: bool,
    stride: int = 1,
    rate: int | tuple[int, int] = 1,
    padding: str = "SAME",
) -> Tensor:
    """Writes a convolution; an atrous one, always SAME, as SpaceToBatchND, VALID one, BatchToSpaceND with baked
    numbers.
    """
    rates = (rate, rate) if isinstance(rate, int) else rate
    if rates == (1, 1):
        return _plain(x, kernel, name, padding, depthwise=depthwise, stride=stride)
    sides = [same_paddings(int(n), int(kernel.shape[0]), each) for n, each in zip(x.shape[1:3], rates, strict=True)]
    split, join = f"{name}/SpaceToBatchND", f"{name}/BatchToSpaceND"
    x = tf.raw_ops.SpaceToBatchND(
        input=x,
        block_shape=const(f"{split}/block_shape", rates),
        paddings=const(f"{split}/paddings", [paddings for paddings, _ in sides]),
        name=split,
    )
    x = _plain(x, kernel, name, "VALID", depthwise=depthwise, stride=stride)
    return tf.raw_ops.BatchToSpaceND(
        input=x,
        block_shape=const(f"{join}/block_shape", rates),
        crops=const(f"{join}/crops", [crops for _, crops in sides]),
        name=join,
    )


def _plain(x: Tensor, kernel: Tensor, name: str, padding: str, *, depthwise: bool, stride: int) -> Tensor:
    operation = tf.raw_ops.DepthwiseConv2dNative if depthwise else tf.raw_ops.Conv2D
    return operation(input=x, filter=kernel, strides=[1, stride, stride, 1], padding=padding, name=name)


def resize(x: Tensor, size: Tensor, name: str) -> Tensor:
    """Writes a bilinear resize with corners aligned, as everywhere in DeepLab."""
    return tf.raw_ops.ResizeBilinear(images=x, size=size, align_corners=True, name=name)
