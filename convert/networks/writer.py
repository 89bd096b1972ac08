"""Writes the layers of a network by their scopes and, where weights are missing, draws them as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convert.networks.architecture import BODY_EPSILON, HEAD_EPSILON, BatchNorm
from convert.networks.layers import Layers, Tensor, const, convolve
from convert.tensorflow import tf

Named = dict[str, NDArray[np.float32]]
"""Checkpoint variable name -> float32 value."""


@dataclass(frozen=True)
class Writer:
    """Layers of one graph: inside `body` with the backbone's BatchNorm epsilon, elsewhere with the head's.

    With `explicit_padding` a stride gets its padding from a Pad node, whatever the size. With `random`, weights that
    are missing are drawn and put into `weights`.
    """

    weights: Named
    batch_norm: BatchNorm
    body: str
    body_epsilon: float = BODY_EPSILON
    explicit_padding: bool = False
    random: np.random.Generator | None = None

    @property
    def layers(self) -> Layers:
        return Layers(self.weights, self.batch_norm)

    def conv(
        self,
        x: Tensor,
        scope: str,
        outputs: int,
        kernel: int,
        *,
        activation: str | None = "Relu",
        stride: int = 1,
        rate: int | tuple[int, int] = 1,
        gain: float = 1.0,
    ) -> Tensor:
        """Writes convolution, BatchNorm and activation; depthwise where `scope` ends so.

        `gain` scales the BatchNorm of drawn weights: at the end of residual branches less than 1, so that fifty layers
        neither blow up nor die.
        """
        depthwise = scope.endswith("depthwise")
        name = f"{scope}/depthwise_weights" if depthwise else f"{scope}/weights"
        if self.random and name not in self.weights:
            shape = (kernel, kernel, int(x.shape[3]), 1 if depthwise else outputs)
            self.weights.update(random_layer(self.random, name, shape, gain))
        padded = self.explicit_padding and stride > 1 and kernel > 1
        if padded:
            start, end = (kernel - 1) // 2, kernel // 2
            around = const(f"{scope}/Pad/paddings", [[0, 0], [start, end], [start, end], [0, 0]])
            x = tf.raw_ops.Pad(input=x, paddings=around, name=f"{scope}/Pad")
        return self.layers.conv(
            x,
            scope,
            activation,
            epsilon=self.body_epsilon if scope.startswith(self.body) else HEAD_EPSILON,
            stride=stride,
            rate=rate,
            padding="VALID" if padded else "SAME",
        )

    def separable(
        self,
        x: Tensor,
        scope: str,
        outputs: int,
        *,
        activation: str | None = "Relu",
        stride: int = 1,
        rate: int | tuple[int, int] = 1,
        gain: float = 1.0,
    ) -> Tensor:
        """Writes a depthwise 3x3 convolution and a pointwise one, each with BatchNorm and activation."""
        channels = int(x.shape[3])
        x = self.conv(x, f"{scope}_depthwise", channels, 3, activation=activation, stride=stride, rate=rate)
        return self.conv(x, f"{scope}_pointwise", outputs, 1, activation=activation, gain=gain)

    def biased(self, x: Tensor, scope: str, outputs: int) -> Tensor:
        """Writes a 1x1 convolution with biases and without BatchNorm or activation."""
        kernel, biases = f"{scope}/weights", f"{scope}/biases"
        if self.random and kernel not in self.weights:
            self.weights[kernel] = _he(self.random, (1, 1, int(x.shape[3]), outputs), depthwise=False)
            self.weights[biases] = np.asarray(self.random.normal(0, 0.1, outputs), np.float32)
        x = convolve(x, self.layers.read(kernel), f"{scope}/Conv2D", depthwise=False)
        return tf.raw_ops.BiasAdd(value=x, bias=self.layers.read(biases), name=f"{scope}/BiasAdd")

    def add(self, x: Tensor, y: Tensor, name: str) -> Tensor:
        """Writes an addition as the exporter that wrote this kind of BatchNorm does."""
        operation = tf.raw_ops.AddV2 if self.batch_norm == "fused_v3" else tf.raw_ops.Add
        return operation(x=x, y=y, name=name)


def random_layer(random: np.random.Generator, name: str, shape: tuple[int, ...], gain: float) -> Named:
    """Returns a He-scaled kernel and a BatchNorm with statistics near those of normalised activations."""
    scope, kind = name.rsplit("/", 1)
    depthwise = kind == "depthwise_weights"
    channels = shape[2] if depthwise else shape[3]
    drawn = {
        name: _he(random, shape, depthwise=depthwise),
        f"{scope}/BatchNorm/gamma": random.uniform(0.8, 1.2, channels) * gain,
        f"{scope}/BatchNorm/beta": random.normal(0, 0.2, channels),
        f"{scope}/BatchNorm/moving_mean": random.normal(0, 0.1, channels),
        f"{scope}/BatchNorm/moving_variance": random.uniform(0.8, 1.5, channels),
    }
    return {key: np.asarray(value, np.float32) for key, value in drawn.items()}


def _he(random: np.random.Generator, shape: tuple[int, ...], *, depthwise: bool) -> NDArray[np.float32]:
    deviation = np.sqrt(2 / (shape[0] * shape[1] * (1 if depthwise else shape[2])))
    kernel: NDArray[np.float32] = np.asarray(random.normal(0, deviation, shape), np.float32)
    return kernel


def drawn(write: Callable[[Named, np.random.Generator], object], seed: int) -> Named:
    """Returns the weights that `write`, which writes a whole network, draws; for tests of exactness and speed."""
    weights: Named = {}
    with tf.Graph().as_default():
        write(weights, np.random.default_rng(seed))
    return weights
