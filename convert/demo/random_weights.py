"""Makes weights that no training made, for tests of exactness and speed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from convert.demo.network import Network
from convert.networks.architecture import Architecture, initial_weights
from convert.tensorflow import tf


def random_weights(arch: Architecture, seed: int, smooth: bool = False) -> dict[str, NDArray[np.float32]]:
    """Returns weights for tests of exactness and speed: random kernels, BatchNorm statistics of a few random pictures,
    and biases that give every class its share of them.

    Label maps are noise. With `smooth`, depthwise kernels are positive, which makes them averages: label maps then
    have areas and borders, twice as many as a street has.
    """
    initial = initial_weights(arch, seed)
    if smooth:
        initial = {k: np.abs(v) if k.endswith("depthwise_weights") else v for k, v in initial.items()}
    network = Network(replace(arch, output_stride=16), initial, momentum=0.0)
    pictures = np.random.default_rng(seed).uniform(-1, 1, (8, 8, 16, 3))
    smooth = (tf.image.resize(pictures.astype(np.float32), (129, 257)) + 1) * 127.5
    network(smooth, training=True)
    return {**network.arrays(), "logits/semantic/biases": -tf.reduce_mean(network(smooth), [0, 1, 2]).numpy()}
