"""Knows what training keeps, and what is made of it: the embedded network, its checkpoint, a graph's weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convert.demo.data import FULL_HW
from convert.networks.architecture import Architecture

ARCHITECTURE = Architecture(width=0.48, crop_hw=FULL_HW, output_stride=8)  # 0.48 keeps the file below 3 MB
TRAINED_STRIDE = 16
CHECKPOINT = Path("build/demo.weights.h5")


def about(checkpoint: Path) -> Path:
    """Returns the JSON beside a checkpoint: the commands and the versions of what ran them."""
    return checkpoint.with_suffix(".json")


def weights_of(graph: Path) -> dict[str, NDArray[np.float32]]:
    """Returns the weights of a frozen demo graph by their checkpoint names."""
    from convert.tensorflow import tf  # which training on another backend of Keras does without

    parsed = tf.compat.v1.GraphDef.FromString(graph.read_bytes())
    return {node.name: tf.make_ndarray(node.attr["value"].tensor) for node in parsed.node if node.op == "Const"}
