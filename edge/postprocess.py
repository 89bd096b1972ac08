"""Makes a label map at the picture's size of a model's output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, LabelMap, Logits, Upsampling
from edge.preprocess import fitted

HW = tuple[int, int]
CANDIDATES = (2, 4)  # boundary cells are worked out in groups by how many classes can win: so many, or all


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where the output pixels of one axis fall between the input nodes."""

    lower: NDArray[np.intp]  # (out,) node at or before each pixel
    cell: NDArray[np.intp]  # (cells,) cells that hold at least one pixel, named by their lower node
    pixel: NDArray[np.intp]  # (cells, most) pixels of each of these cells, the last one repeated
    weight: NDArray[np.float32]  # (cells, most) distance of these pixels from the lower node, 0..1


def _axis(nodes: int, pixels: int, whole: int, part: int, rule: Upsampling) -> _Axis:
    """`nodes` reach over `whole` pixels of the input, of which the first `part` are the picture."""
    position = np.maximum(_positions(nodes, pixels, whole, part, rule), 0)
    lower = np.minimum(position.astype(np.intp), nodes - 1)  # the last node is a cell of its own, as in TensorFlow
    weight = position - lower.astype(np.float32)
    cell, first, count = np.unique(lower, return_index=True, return_counts=True)
    pixel = first[:, None] + np.minimum(np.arange(count.max()), count[:, None] - 1)
    return _Axis(lower, cell, pixel, weight[pixel])


def _positions(nodes: int, pixels: int, whole: int, part: int, rule: Upsampling) -> NDArray[np.float32]:
    """The place of each pixel among the nodes, float32 (pixels,)."""
    # TensorFlow's arithmetic: scale and position in float32, lower = floor, weight = position - lower.
    pixel = np.arange(pixels, dtype=np.float32)
    if rule == "align_corners":
        scale = np.float32(nodes - 1) / np.float32(whole - 1) if whole > 1 else np.float32(0)
        if part != pixels:
            scale *= np.float32(part - 1) / np.float32(max(pixels - 1, 1))
        return pixel * scale
    if part != pixels:  # pictures come to the input by align_corners, whatever the graph does behind it
        pixel *= np.float32(part - 1) / np.float32(max(pixels - 1, 1))
    scale = np.float32(nodes) / np.float32(whole)
    if rule == "asymmetric":
        return pixel * scale
    return (pixel + np.float32(0.5)) * scale - np.float32(0.5)


class Upsample:
    """argmax of the bilinearly upsampled logits, without upsampling where it cannot matter.

    Bilinear interpolation inside a cell is a convex combination of its four corners. Where all four have
    the same argmax, that class wins in the whole cell; only the other cells are worked out. There, the mean
    of the four corners' winners is never above the best of them: a class below that mean at all corners is
    below it everywhere and cannot win. Mostly two classes are left. The result is exact, ties included (the
    lower class id wins, as in ArgMax), but for float scores that differ by no more than rounding.

    Call with logits (h, w, C), any real dtype, one positive scale for all classes. Scores that are nan or
    infinite spoil the cells they touch, nothing more.
    """

    def __init__(
        self,
        size_hw: HW,
        out_hw: HW,
        padded: tuple[HW, HW] | None = None,
        rule: Upsampling = "align_corners",
    ) -> None:
        """`padded` are the size of the input and that of the picture in its corner, where it does not fill it."""
        whole, part = padded or (out_hw, out_hw)
        self._rows = _axis(size_hw[0], out_hw[0], whole[0], part[0], rule)
        self._cols = _axis(size_hw[1], out_hw[1], whole[1], part[1], rule)
        self._last_row, self._last_col = max(size_hw[0] - 1, 0), max(size_hw[1] - 1, 0)

    def __call__(self, logits: Logits) -> Ids:
        winners = logits.argmax(axis=-1).astype(np.uint8)
        ids: Ids = winners.take(self._rows.lower, axis=0).take(self._cols.lower, axis=1)
        row, col = self._mixed_cells(winners)
        if row.size:
            with np.errstate(invalid="ignore", over="ignore"):
                self._fill(ids, logits, row, col)
        return ids

    def _mixed_cells(self, winners: Ids) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        top, bottom = self._rows.cell, np.minimum(self._rows.cell + 1, self._last_row)
        left, right = self._cols.cell, np.minimum(self._cols.cell + 1, self._last_col)
        upper, lower = winners[top], winners[bottom]
        first = upper[:, left]
        mixed = (first != upper[:, right]) | (first != lower[:, left]) | (first != lower[:, right])
        row, col = np.nonzero(mixed)
        return row, col

    def _fill(self, ids: Ids, logits: Logits, row: NDArray[np.intp], col: NDArray[np.intp]) -> None:
        top, left = self._rows.cell[row], self._cols.cell[col]
        bottom, right = np.minimum(top + 1, self._last_row), np.minimum(left + 1, self._last_col)
        corners = np.stack([logits[top, left], logits[top, right], logits[bottom, left], logits[bottom, right]])
        corners = corners.astype(np.float32)  # (4, n, C)
        classes = corners.shape[2]
        winners = corners.argmax(axis=2).T[None]  # (1, n, 4)
        best = np.take_along_axis(corners, winners, axis=2)  # (4, n, 4)
        margin = (corners - best.mean(axis=2, keepdims=True)).max(axis=0)  # (n, C)
        rounding = 1e-6 * np.abs(best).max(axis=(0, 2))  # (n,), what float32 may lose on either side
        left = np.count_nonzero(margin >= -rounding[:, None], axis=1)
        done = 0
        for most in sorted({min(most, classes) for most in CANDIDATES} | {classes}):
            now = np.flatnonzero((left > done) & (left <= most))
            done = most
            likely = np.sort(np.argpartition(-margin[now], most - 1, axis=1)[:, :most], axis=1)
            best = np.take_along_axis(corners[:, now], likely[None], axis=2)
            self._solve(ids, best, likely, row[now], col[now])

    def _solve(
        self,
        ids: Ids,
        corners: NDArray[np.float32],
        classes: NDArray[np.intp],
        row: NDArray[np.intp],
        col: NDArray[np.intp],
    ) -> None:
        """Writes the winners of n cells: corners (4, n, k) of the classes (n, k), ascending."""
        down, across = self._rows.weight[row][:, :, None], self._cols.weight[col][:, None, :]
        best = np.full((row.size, down.shape[1], across.shape[2]), -np.inf, np.float32)
        winner = np.zeros(best.shape, np.uint8)
        ascending = classes.astype(np.uint8)
        for k in range(classes.shape[1]):
            top_left, top_right, bottom_left, bottom_right = corners[:, :, k, None, None]
            upper = top_left + (top_right - top_left) * across
            lower = bottom_left + (bottom_right - bottom_left) * across
            value = upper + (lower - upper) * down
            np.copyto(winner, ascending[:, k, None, None], where=value > best)
            np.maximum(best, value, out=best)
        ids[self._rows.pixel[row][:, :, None], self._cols.pixel[col][:, None, :]] = winner


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
