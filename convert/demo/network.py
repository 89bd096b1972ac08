"""The same net with variables, for training: Keras, on whichever of its backends is there."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from convert.networks.architecture import BODY_EPSILON, HEAD_EPSILON, Architecture, Block, Weights, blocks

STATISTICS = ("moving_mean", "moving_variance")

Tensor = Any
"""A tensor of Keras's backend."""


class Network(keras.Model):  # type: ignore[misc]
    """Variables under their checkpoint names and the forward pass over them.

    Calling it gives class scores float32 [N, h, w, classes] at the output stride, of RGB uint8 [N, H, W, 3].
    In training, BatchNorms use the batch and move their statistics by 1 - momentum towards it.
    """

    def __init__(self, arch: Architecture, weights: Weights, momentum: float = 0.99) -> None:
        super().__init__(name="deeplab")
        self.arch, self.momentum = arch, momentum
        self.named = {name: self._variable(name, value) for name, value in weights.items()}
        self.built = True

    def _variable(self, name: str, value: NDArray[np.float32]) -> Tensor:
        learnt = not name.endswith(STATISTICS)
        initial = keras.initializers.Constant(value)
        return self.add_weight(
            name=name.replace("/", "_"), shape=value.shape, initializer=initial, trainable=learnt, autocast=learnt
        )

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Returns the weights by their checkpoint names."""
        return {name: np.asarray(variable.value) for name, variable in self.named.items()}

    def assign(self, weights: Weights) -> None:
        """Takes the weights of the same names."""
        for name, variable in self.named.items():
            variable.assign(weights[name])

    def call(self, pixels: Tensor, training: bool = False) -> Tensor:
        x = ops.cast(pixels, self.compute_dtype) / 127.5 - 1
        x = ops.relu6(self._layer(x, "MobilenetV2/Conv", BODY_EPSILON, training, stride=2))
        for block in blocks(self.arch):
            x = self._block(x, block, training)
        return ops.cast(self._head(x, training), "float32")

    def _block(self, x: Tensor, block: Block, training: bool) -> Tensor:
        start = x
        if block.expands:
            x = ops.relu6(self._layer(x, f"{block.scope}/expand", BODY_EPSILON, training))
        depthwise = f"{block.scope}/depthwise"
        x = ops.relu6(self._layer(x, depthwise, BODY_EPSILON, training, stride=block.stride, rate=block.rate))
        x = self._layer(x, f"{block.scope}/project", BODY_EPSILON, training)
        return x + start if block.residual else x

    def _head(self, x: Tensor, training: bool) -> Tensor:
        pooled = ops.mean(x, axis=(1, 2), keepdims=True)
        pooled = ops.relu(self._layer(pooled, "image_pooling", HEAD_EPSILON, training))
        branch = ops.relu(self._layer(x, "aspp0", HEAD_EPSILON, training))
        both = ops.concatenate([ops.broadcast_to(pooled, ops.shape(branch)), branch], axis=3)
        x = ops.relu(self._layer(both, "concat_projection", HEAD_EPSILON, training))
        x = ops.conv(x, self.named["logits/semantic/weights"])
        return x + self.named["logits/semantic/biases"]

    def _layer(
        self, x: Tensor, scope: str, epsilon: float, training: bool, *, stride: int = 1, rate: int = 1
    ) -> Tensor:
        """Convolution, depthwise where the scope says so, and BatchNorm: with the batch's statistics in training, else
        with the moving ones.

        The pooled features are one value a picture, too few for statistics of a batch: they always use the moving ones.
        """
        depthwise = scope.endswith("depthwise")
        kernel = self.named[f"{scope}/{'depthwise_weights' if depthwise else 'weights'}"]
        convolve = _depthwise if depthwise else _convolve
        parts = ("gamma", "beta", *STATISTICS)
        gamma, beta, mean, variance = (self.named[f"{scope}/BatchNorm/{part}"] for part in parts)
        if training:
            x = convolve(x, kernel, stride, rate)
            normed, *batch = _batch_norm(x, gamma, beta, epsilon)
            for statistic, observed in zip((mean, variance), batch, strict=True):
                statistic.assign(self.momentum * statistic + (1 - self.momentum) * observed)
            return _affine(x, gamma, beta, mean, variance, epsilon) if scope == "image_pooling" else normed
        scale, offset = _scale_and_offset(gamma, beta, mean, variance, epsilon)
        kernel = ops.cast(kernel, "float32") * (scale[:, None] if depthwise else scale)
        return convolve(x, ops.cast(kernel, x.dtype), stride, rate) + ops.cast(offset, x.dtype)


def _convolve(x: Tensor, kernel: Tensor, stride: int, rate: int) -> Tensor:
    return ops.conv(x, kernel, strides=stride, padding="same", dilation_rate=rate)


def _depthwise(x: Tensor, kernel: Tensor, stride: int, rate: int) -> Tensor:
    """Convolution of each channel with its own 3x3 kernel [3, 3, C, 1], SAME."""
    if keras.backend.backend() != "jax" or not all(size % 2 for size in x.shape[1:3]):
        return ops.depthwise_conv(x, kernel, strides=stride, padding="same", dilation_rate=rate)
    # XLA makes one kernel of this sum of shifted pictures; its gradients of grouped convolutions are many times slower.
    kernel = ops.cast(kernel, x.dtype)
    height, width = ((size - 1) // stride * stride + 1 for size in x.shape[1:3])
    padded = ops.pad(x, [[0, 0], [rate, rate], [rate, rate], [0, 0]])
    return sum(
        padded[:, i * rate : i * rate + height : stride, j * rate : j * rate + width : stride] * kernel[i, j, :, 0]
        for i in range(3)
        for j in range(3)
    )


def _scale_and_offset(
    gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, epsilon: float
) -> tuple[Tensor, Tensor]:
    """What a BatchNorm with these statistics multiplies by and adds."""
    scale = ops.cast(gamma, "float32") * ops.rsqrt(variance + epsilon)
    return scale, ops.cast(beta, "float32") - mean * scale


def _affine(x: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, variance: Tensor, epsilon: float) -> Tensor:
    scale, offset = _scale_and_offset(gamma, beta, mean, variance, epsilon)
    return ops.cast(ops.cast(x, "float32") * scale + offset, x.dtype)


def _batch_norm(x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float) -> tuple[Tensor, Tensor, Tensor]:
    """What is normalised by its own mean and variance, and these two."""
    if keras.backend.backend() == "tensorflow":  # its fused kernel makes a step on processors 1.6 times as fast
        from tensorflow.raw_ops import FusedBatchNormV3

        gamma, beta, none = ops.cast(gamma, "float32"), ops.cast(beta, "float32"), ops.zeros((0,))
        fused = FusedBatchNormV3(x=x, scale=gamma, offset=beta, mean=none, variance=none, epsilon=epsilon)
        return fused.y, fused.batch_mean, fused.batch_variance
    mean, variance = ops.moments(ops.cast(x, "float32"), axes=(0, 1, 2))
    return _affine(x, gamma, beta, mean, variance, epsilon), mean, variance
