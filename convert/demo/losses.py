"""What training makes small."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

OVERLAP = 1.5  # weight of the overlap loss beside cross-entropy

Tensor = Any
"""A tensor of Keras's backend."""


class SegmentationLoss:
    """Weighted cross-entropy and overlap of logits [N, h, w, classes], brought to the size of the labels [N, H, W]."""

    def __init__(self, class_weights: NDArray[np.float32]) -> None:
        self.class_weights = class_weights
        self.__name__ = "segmentation_loss"  # Keras asks losses for their name

    def __call__(self, labels: Tensor, logits: Tensor) -> Tensor:
        logits = upsample(logits, ops.shape(labels)[1], ops.shape(labels)[2])
        truth = ops.one_hot(ops.cast(labels, "int32"), len(self.class_weights))  # all zero where ignored
        weights = ops.sum(truth * self.class_weights, -1)
        losses = -ops.sum(truth * ops.log_softmax(logits), -1)
        cross_entropy = ops.sum(losses * weights) / ops.maximum(ops.sum(weights), 1.0)
        return cross_entropy + OVERLAP * overlap_loss(logits, truth)


def upsample(x: Tensor, height: Tensor, width: Tensor) -> Tensor:
    """Resizes bilinearly with corners aligned, [N, h, w, C] -> [N, height, width, C]: a product with each axis'
    weights.
    """
    rows, columns = _interpolation(ops.shape(x)[1], height), _interpolation(ops.shape(x)[2], width)
    return ops.einsum("Xx,nYxc->nYXc", columns, ops.einsum("Yy,nyxc->nYxc", rows, x))


def _interpolation(given: Tensor, wanted: Tensor) -> Tensor:
    """[wanted, given]: how much of each given place is in each wanted one."""
    step = ops.cast(given - 1, "float32") / ops.cast(wanted - 1, "float32")
    places = ops.cast(ops.arange(wanted), "float32") * step
    return ops.relu(1 - ops.abs(places[:, None] - ops.cast(ops.arange(given), "float32")))


def overlap_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Returns one minus the soft intersection over union, mean over the classes that the batch holds.

    Probabilities stand in for the found pixels (Rahman and Wang 2016). Cross-entropy counts pixels, and so does little
    for classes that have few of them; this counts classes, as mIoU does. `truth` is one-hot, all zero where ignored.
    """
    found = ops.softmax(logits) * ops.sum(truth, -1, keepdims=True)
    hits = ops.sum(found * truth, (0, 1, 2))
    pixels = ops.sum(truth, (0, 1, 2))
    union = ops.sum(found, (0, 1, 2)) + pixels - hits
    present = ops.cast(pixels > 0, "float32")
    return 1 - ops.sum(present * hits / ops.maximum(union, 1.0)) / ops.maximum(ops.sum(present), 1.0)
