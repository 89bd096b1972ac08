"""The same net with variables, for training."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from convert.demo.builder import BODY_EPSILON, HEAD_EPSILON, Architecture, blocks
from convert.demo.layers import Tensor, Weights

STATISTICS = ("moving_mean", "moving_variance")


class Network:
    """Variables under their checkpoint names and the forward pass over them."""

    def __init__(self, arch: Architecture, weights: Weights) -> None:
        self.arch = arch
        self.variables = {
            name: tf.Variable(value, trainable=not name.endswith(STATISTICS), name=name.replace("/", "_"))
            for name, value in weights.items()
        }

    def weights(self) -> dict[str, NDArray[np.float32]]:
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def trainable(self) -> dict[str, Tensor]:
        return {name: variable for name, variable in self.variables.items() if variable.trainable}

    def logits(self, x: Tensor, training: bool, momentum: float = 0.99) -> Tensor:
        """Class scores float32 [N, h, w, classes] at the output stride, of x float32 [N, H, W, 3] in -1..1.

        In training, BatchNorms use the batch and move their statistics by 1 - momentum towards it.
        """
        norm = _Norm(self.variables, training, momentum)
        x = tf.nn.conv2d(x, self.variables["MobilenetV2/Conv/weights"], 2, "SAME")
        x = tf.nn.relu6(norm(x, "MobilenetV2/Conv", BODY_EPSILON))
        for block in blocks(self.arch):
            start = x
            if block.expands:
                x = tf.nn.relu6(self._pointwise(norm, x, f"{block.scope}/expand", BODY_EPSILON))
            kernel = self.variables[f"{block.scope}/depthwise/depthwise_weights"]
            strides = [1, block.stride, block.stride, 1]
            x = tf.nn.depthwise_conv2d(x, kernel, strides, "SAME", dilations=[block.rate, block.rate])
            x = tf.nn.relu6(norm(x, f"{block.scope}/depthwise", BODY_EPSILON))
            x = self._pointwise(norm, x, f"{block.scope}/project", BODY_EPSILON)
            x = x + start if block.residual else x
        return self._head(norm, x)

    def _pointwise(self, norm: _Norm, x: Tensor, scope: str, epsilon: float) -> Tensor:
        return norm(tf.nn.conv2d(x, self.variables[f"{scope}/weights"], 1, "SAME"), scope, epsilon)

    def _head(self, norm: _Norm, x: Tensor) -> Tensor:
        pooled = tf.reduce_mean(x, [1, 2], keepdims=True)
        pooled = tf.nn.relu(self._pointwise(norm, pooled, "image_pooling", HEAD_EPSILON))
        branch = tf.nn.relu(self._pointwise(norm, x, "aspp0", HEAD_EPSILON))
        both = tf.concat([tf.broadcast_to(pooled, tf.shape(branch)), branch], 3)
        x = tf.nn.relu(self._pointwise(norm, both, "concat_projection", HEAD_EPSILON))
        x = tf.nn.conv2d(x, self.variables["logits/semantic/weights"], 1, "SAME")
        return x + self.variables["logits/semantic/biases"]


class _Norm:
    """BatchNorm of a scope: with the batch's statistics in training, else with the moving ones.

    The pooled features are one value a picture, too few for statistics of a batch: they always use the moving ones.
    """

    def __init__(self, variables: dict[str, Tensor], training: bool, momentum: float) -> None:
        self.variables, self.training, self.momentum = variables, training, momentum

    def __call__(self, x: Tensor, scope: str, epsilon: float) -> Tensor:
        parts = ("gamma", "beta", *STATISTICS)
        gamma, beta, mean, variance = (self.variables[f"{scope}/BatchNorm/{part}"] for part in parts)
        if self.training and scope == "image_pooling":
            self._track(x, mean, variance)
        if not self.training or scope == "image_pooling":
            return tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, mean, variance, epsilon, is_training=False)[0]
        x, batch_mean, batch_variance = tf.compat.v1.nn.fused_batch_norm(x, gamma, beta, epsilon=epsilon)
        for statistic, batch in ((mean, batch_mean), (variance, batch_variance)):
            statistic.assign(self.momentum * statistic + (1 - self.momentum) * batch)
        return x

    def _track(self, x: Tensor, mean: Tensor, variance: Tensor) -> None:
        mean.assign(self.momentum * mean + (1 - self.momentum) * tf.reduce_mean(x, [0, 1, 2]))
        around = tf.reduce_mean(tf.square(x - mean), [0, 1, 2])
        variance.assign(self.momentum * variance + (1 - self.momentum) * around)
