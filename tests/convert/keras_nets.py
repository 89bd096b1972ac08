"""Small segmentation networks as people build them with Keras."""

from __future__ import annotations

from functools import cache
from typing import Any

import keras
import numpy as np


@cache
def deeplab(hw: tuple[int | None, int | None] = (65, 129), *, softmax: bool = False, rescaling: bool = True) -> Any:
    """A DeepLab of five classes: residual units, atrous depthwise convolutions, pooling over the whole map.

    One for any size has no pooling and no enlargement, for Keras cannot resize to a size that it does not know.
    """
    keras.utils.set_random_seed(3)
    layers = keras.layers
    picture = keras.Input((*hw, 3))
    x = layers.Rescaling(1 / 127.5, -1)(picture) if rescaling else picture
    x = _unit(_convolution(x, 16, 3, strides=2), 16, strides=2)
    x = _unit(_unit(x, 16), 24, strides=2)
    x = _unit(_unit(x, 32), 32, rate=2)
    if None not in hw:
        pooled = _convolution(layers.GlobalAveragePooling2D(keepdims=True)(x), 16, 1)
        pooled = layers.UpSampling2D(x.shape[1:3], interpolation="bilinear")(pooled)
        x = layers.Concatenate()([_convolution(x, 16, 1), pooled])
    scores = layers.Conv2D(5, 1)(_convolution(x, 32, 1))
    if None not in hw:
        scores = layers.Resizing(*hw, interpolation="bilinear")(scores)
    model = keras.Model(picture, layers.Softmax()(scores) if softmax else scores)
    _train(model)
    return model


def with_backbone(*, compiled: bool = False) -> Any:
    """A network whose layers are models: a backbone of two answers, a Sequential in front of it and one in that."""
    keras.utils.set_random_seed(5)
    layers = keras.layers
    picture = keras.Input((65, 129, 16))
    shallow = _unit(picture, 16, strides=2)
    backbone = keras.Model(picture, [shallow, _unit(_unit(shallow, 24, strides=2), 24)], name="backbone")
    block = keras.Sequential([layers.Conv2D(16, 3, padding="same"), layers.BatchNormalization()], name="block")
    stem = keras.Sequential([block, layers.ReLU()], name="stem")
    if compiled:
        backbone.compile("adam", "mse")
    picture = keras.Input((65, 129, 3))
    shallow, deep = backbone(stem(layers.Rescaling(1 / 127.5, -1)(picture)))
    deep = layers.Resizing(*shallow.shape[1:3], interpolation="bilinear")(deep)
    return keras.Model(picture, layers.Conv2D(5, 1)(layers.Concatenate()([shallow, deep])))


def _convolution(x: Any, filters: int, size: int, strides: int = 1, *, relu: bool = True) -> Any:
    layers = keras.layers
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    return layers.ReLU(6.0)(x) if relu else x


def _unit(x: Any, filters: int, strides: int = 1, rate: int = 1) -> Any:
    layers, channels = keras.layers, x.shape[-1]
    wide = _convolution(x, 4 * channels, 1)
    depthwise = layers.DepthwiseConv2D(3, strides=strides, padding="same", dilation_rate=rate, use_bias=False)(wide)
    narrow = layers.ReLU(6.0)(layers.BatchNormalization()(depthwise))
    narrow = _convolution(narrow, filters, 1, relu=False)
    return layers.Add()([x, narrow]) if filters == channels and strides == 1 else narrow


def _train(model: Any) -> None:
    """Gives statistics and biases as a training leaves them, and every class its share of noise."""
    random = np.random.default_rng(4)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.get_weights()[0].shape
            spread, middle = random.uniform(0.7, 1.3, (2, *shape)), random.normal(0, 0.2, (2, *shape))
            layer.set_weights([spread[0], middle[0], middle[1], spread[1]])
    last = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)][-1]
    scores = keras.Model(model.inputs[0], last.output)
    height, width = model.input_shape[1:3]
    found = np.asarray(scores(noise(random, (height or 64, width or 128)), training=False)).reshape(-1, 5)
    kernel, _ = last.get_weights()
    last.set_weights([kernel / found.std(axis=0), -found.mean(axis=0) / found.std(axis=0)])


def noise(random: np.random.Generator, hw: tuple[int, int]) -> Any:
    """Grey levels, float32 (1, H, W, 3), smooth over some pixels as pictures are."""
    coarse = random.uniform(0, 255, (1, hw[0] // 8 + 1, hw[1] // 8 + 1, 3))
    return coarse.repeat(8, axis=1).repeat(8, axis=2)[:, : hw[0], : hw[1]].astype(np.float32)
