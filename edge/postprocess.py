"""Makes a label map at the picture's size of a model's output."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, LabelMap, Logits, Upsampling
from edge.preprocess import fitted
from edge.upsample import HW, Upsample


def stretched(size_hw: HW, input_hw: HW, out_hw: HW, rule: Upsampling) -> Upsample:
    """Returns what enlarges the scores of a picture that fills the input of `input_hw`.

    Where corners lie on corners, twice is as good as once, and the input's size does not matter.
    """
    return Upsample(size_hw, out_hw, None if rule == "align_corners" else (input_hw, input_hw), rule)


def nearest(ids: Ids, out_hw: tuple[int, int]) -> Ids:
    """Returns a label map at another size, nearest neighbour with align_corners as TensorFlow's
    ResizeNearestNeighbor.
    """
    rows, cols = (_nearest_nodes(n, out) for n, out in zip(ids.shape, out_hw, strict=True))
    return ids.take(rows, axis=0).take(cols, axis=1)


def _nearest_nodes(nodes: int, pixels: int) -> NDArray[np.intp]:
    # TensorFlow's arithmetic again: position in float32, halves away from zero; the sum of 0.5 must not round.
    scale = np.float32(nodes - 1) / np.float32(max(pixels - 1, 1))
    position = np.arange(pixels, dtype=np.float32) * scale
    return np.minimum(np.floor(position.astype(np.float64) + 0.5).astype(np.intp), nodes - 1)


class Postprocess:
    """Output tensor -> LabelMap. Remembers the geometry of the last picture size.

    `input_hw` is the model's input size, and `pads` says whether pictures are padded to it (`Fit` in edge.preprocess).
    """

    def __init__(self, input_hw: HW | None = None, *, pads: bool = True, rule: Upsampling = "align_corners") -> None:
        self._input_hw, self._rule = input_hw, rule
        self._padded_to = input_hw if pads else None
        self._shapes: tuple[HW, HW] | None = None
        self._upsample: Upsample | None = None

    def __call__(self, output: Logits, size_hw: HW) -> LabelMap:
        """Returns the label map of size_hw of logits (1, h, w, C), or of labels (1, h, w) as `Ids` has them."""
        first = output[0]
        padded = None if self._padded_to is None else (self._padded_to, fitted(size_hw, self._padded_to))
        if first.ndim == 2:
            return LabelMap(nearest(first if padded is None else _corner(first, *padded), size_hw))
        shapes = (first.shape[0], first.shape[1]), size_hw
        if self._upsample is None or shapes != self._shapes:
            self._shapes, self._upsample = shapes, self._geometry(*shapes, padded)
        return LabelMap(self._upsample(first))

    def _geometry(self, map_hw: HW, size_hw: HW, padded: tuple[HW, HW] | None) -> Upsample:
        if padded is not None:
            return Upsample(map_hw, size_hw, padded, self._rule)
        return stretched(map_hw, self._input_hw or size_hw, size_hw, self._rule)


def _corner(ids: Ids, whole: HW, part: HW) -> Ids:
    """What of a label map over the whole input belongs to the picture in its corner."""
    height, width = (
        round((p - 1) * (n - 1) / max(w - 1, 1)) + 1 for n, w, p in zip(ids.shape, whole, part, strict=True)
    )
    return ids[:height, :width]
