"""Finds the labels of enlarged scores without enlarging them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, Logits, Upsampling

HW = tuple[int, int]
Floats = NDArray[np.float32]
Whole = NDArray[np.intp]
CANDIDATES = (2, 4)  # cells with a border are worked out in groups by how many classes can win: so many, or all
ROUNDING = 1e-6  # what float32 may lose of a score, relatively
ROWS_ROUNDING = 2e-3  # what it may lose of a place among the rows, in rows


@dataclass(frozen=True, slots=True)
class _Axis:
    """Where the output pixels of one axis fall between the input nodes."""

    cell: Whole  # (cells,) cells that hold at least one pixel, named by their lower node
    next: Whole  # (cells,) the upper node of each
    place: Whole  # (out,) the place of each pixel's cell in `cell`
    first: Whole  # (cells,) first pixel of each cell
    count: Whole  # (cells,) its pixels
    pixel: Whole  # (cells, most) pixels of each of these cells, the last one repeated
    weight: Floats  # (cells, most) distance of these pixels from the lower node, 0..1
    start: Floats  # (cells,) that of the first one, as if nothing were cut off at the first node
    step: float  # what the distance grows by from pixel to pixel


def _axis(nodes: int, pixels: int, whole: int, part: int, rule: Upsampling) -> _Axis:
    """`nodes` reach over `whole` pixels of the input, of which the first `part` are the picture."""
    position = _positions(nodes, pixels, whole, part, rule)
    inside = np.maximum(position, 0)
    lower = np.minimum(inside.astype(np.intp), nodes - 1)  # the last node is a cell of its own, as in TensorFlow
    weight = inside - lower.astype(np.float32)
    cell, first, place, count = np.unique(lower, return_index=True, return_inverse=True, return_counts=True)
    pixel = first[:, None] + np.minimum(np.arange(count.max()), count[:, None] - 1)
    step = float(position[-1] - position[0]) / max(pixels - 1, 1)
    start = position[first] - cell.astype(np.float32)
    upper = np.minimum(cell + 1, max(nodes - 1, 0))
    return _Axis(cell, upper, place, first, count, pixel, weight[pixel], start, step or 1.0)


def _positions(nodes: int, pixels: int, whole: int, part: int, rule: Upsampling) -> Floats:
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


@dataclass(frozen=True, slots=True)
class _Columns:
    """Columns of pixels that are one cell high: the winner above, the one below, and where the one follows the other.

    All are (rows of cells, output width) or (cells, columns of a cell).
    """

    above: Ids
    below: Ids
    split: NDArray[np.uint16]  # so many pixels of the column are `above`, from the top


@dataclass(frozen=True, slots=True)
class _Ends:
    """The scores of the k likely classes of n cells, at both ends of each column of pixels."""

    top: Floats  # (k, n, columns)
    bottom: Floats  # (k, n, columns)
    classes: Ids  # (k, n), ascending along k
    rounding: Floats  # (n,), what float32 may lose
    first: Whole  # (n, columns), which of the k is best at the top
    last: Whole  # (n, columns), which at the bottom

    def labels(self) -> tuple[Ids, Ids]:
        """The classes that are best at the top and at the bottom, (n, columns)."""
        cell = np.arange(self.classes.shape[1])[:, None]
        return self.classes[self.first, cell], self.classes[self.last, cell]

    def crossing(self) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Where the best at the top gives way to that at the bottom, 0 to 1 of the way down and nan where both are
        the same; by how much it falls behind on the whole way; and whether a third class may be above both there.
        """
        (top_first, bottom_first), (top_last, bottom_last) = (self._of(best) for best in (self.first, self.last))
        ahead, slope = top_first - top_last, (top_first - top_last) + (bottom_last - bottom_first)
        crossing = ahead / slope
        rounding = self.rounding[:, None]
        same = self.first == self.last
        among_top, among_bottom = (
            np.count_nonzero(ends >= best - rounding, axis=0) > 1
            for ends, best in ((self.top, top_first), (self.bottom, bottom_last))
        )
        is_doubtful = same & (among_top | among_bottom)
        if len(self.top) > 2:
            there = top_first + (bottom_first - top_first) * crossing
            values = self.top + (self.bottom - self.top) * crossing
            is_doubtful |= np.count_nonzero(values >= there - rounding, axis=0) > 2
        return crossing, slope, is_doubtful

    def _of(self, best: Whole) -> tuple[Floats, Floats]:
        return np.take_along_axis(self.top, best[None], 0)[0], np.take_along_axis(self.bottom, best[None], 0)[0]

    def of(self, cell: Whole, column: Whole) -> _Ends:
        """Some columns, of the cells `cell`, side by side: (k, m)."""
        at = slice(None), cell, column
        return _Ends(self.top[at], self.bottom[at], self.classes[:, cell], self.rounding[cell], *2 * (cell,))


def _ends(corners: Floats, classes: Ids, across: Floats, rounding: Floats) -> _Ends:
    """Of the corners (4, n, k) of cells, the classes (n, k) and the weights (n, columns) of their columns."""
    top_left, top_right, bottom_left, bottom_right = corners.transpose(0, 2, 1)[..., None]
    top = top_left + (top_right - top_left) * across
    bottom = bottom_left + (bottom_right - bottom_left) * across
    return _Ends(top, bottom, classes.T, rounding, top.argmax(axis=0), bottom.argmax(axis=0))


class Upsample:
    """argmax of the bilinearly upsampled logits, without upsampling where it cannot matter.

    Bilinear interpolation inside a cell is a convex combination of its four corners. Where all four have
    the same argmax, that class wins in the whole cell; only the other cells are worked out. There, the mean
    of the four corners' winners is never above the best of them: a class below that mean at all corners is
    below it everywhere and cannot win. Mostly two classes are left.

    Down a column of pixels of a cell every class is linear, so that the best of the upper end gives way to the best of
    the lower end once, where the two are equal, unless a third is above both there. So a column is two classes and a
    number of pixels; those with a third class, or in which a pixel is so near that float32 decides, are worked out
    pixel by pixel in TensorFlow's arithmetic.

    The result is exact, ties included (the lower class id wins, as in ArgMax), but for float scores that differ by no
    more than rounding.

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
        most = int(self._rows.count.max())
        self._narrow = np.dtype(np.uint8 if most < 256 else np.uint32)  # of numbers of pixels in a column
        inside = np.arange(out_hw[0]) - self._rows.first[self._rows.place]
        self._inside = inside.astype(self._narrow)[:, None]  # (out, 1) the place of each row in its cell

    def __call__(self, logits: Logits) -> Ids:
        winners = logits.argmax(axis=-1).astype(np.uint8)
        above = winners.take(self._rows.cell, axis=0).take(self._cols.cell, axis=1).take(self._cols.place, axis=1)
        row, col = self._mixed_cells(winners)
        if not row.size:
            return above.take(self._rows.place, axis=0)
        columns = _Columns(above, above.copy(), np.zeros(above.shape, self._narrow))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            exceptions = self._fill(columns, logits, row, col)
            ids = self._drawn(columns)
            for exception in exceptions:
                self._solve(ids, *exception)
        return ids

    def _mixed_cells(self, winners: Ids) -> tuple[Whole, Whole]:
        """The places of the cells that hold a border, in rows and columns of cells."""
        upper, lower = winners[self._rows.cell], winners[self._rows.next]
        left, right = self._cols.cell, self._cols.next
        first = upper[:, left]
        mixed = (first != upper[:, right]) | (first != lower[:, left]) | (first != lower[:, right])
        row, col = np.nonzero(mixed)
        return row, col

    def _drawn(self, columns: _Columns) -> Ids:
        place = self._rows.place
        ids: Ids = columns.above.take(place, axis=0)
        is_below = self._inside >= columns.split.take(place, axis=0)
        cv2.copyTo(columns.below.take(place, axis=0), is_below.view(np.uint8), ids)
        return ids

    def _fill(self, columns: _Columns, logits: Logits, row: Whole, col: Whole) -> list[tuple[_Ends, Whole, Whole]]:
        """Writes what is sure of mixed cells into `columns`, and returns the columns of pixels that are not."""
        top, left, bottom, right = self._rows.cell, self._cols.cell, self._rows.next, self._cols.next
        places = ((top, left), (top, right), (bottom, left), (bottom, right))
        corners = np.stack([logits[down[row], across[col]] for down, across in places]).astype(np.float32)  # (4, n, C)
        classes = corners.shape[2]
        winners = corners.argmax(axis=2).T[None]  # (1, n, 4)
        best = np.take_along_axis(corners, winners, axis=2)  # (4, n, 4)
        margin = (corners - best.mean(axis=2, keepdims=True)).max(axis=0)  # (n, C)
        rounding = ROUNDING * np.abs(best).max(axis=(0, 2))  # (n,), what float32 may lose on either side
        left_over = np.count_nonzero(margin >= -rounding[:, None], axis=1)
        exceptions, done = [], 0
        for most in sorted({min(most, classes) for most in CANDIDATES} | {classes}):
            now = np.flatnonzero((left_over > done) & (left_over <= most))
            done = most
            if now.size:
                likely = np.sort(np.argpartition(-margin[now], most - 1, axis=1)[:, :most], axis=1)
                of_likely = np.take_along_axis(corners[:, now], likely[None], axis=2)
                weight = self._cols.weight[col[now]]
                ends = _ends(of_likely, likely.astype(np.uint8), weight, 2 * rounding[now])
                exceptions.append(self._decide(columns, ends, row[now], self._cols.pixel[col[now]]))
        return exceptions

    def _decide(self, columns: _Columns, ends: _Ends, row: Whole, pixel: Whole) -> tuple[_Ends, Whole, Whole]:
        """Writes the columns of n cells, at the output columns `pixel` (n, columns), and returns the doubtful."""
        crossing, slope, is_doubtful = ends.crossing()
        step, start, count = self._rows.step, self._rows.start[row, None], self._rows.count[row, None]
        rows = (crossing - start) * np.float32(1 / step)
        near = ends.rounding[:, None] / (slope * np.float32(step)) + np.float32(ROWS_ROUNDING)
        is_near = ~((np.abs(rows - np.rint(rows)) > near) & (crossing > near * np.float32(step)))  # nan is near
        is_doubtful |= is_near & (ends.first != ends.last)
        at = row[:, None], pixel
        columns.above[at], columns.below[at] = ends.labels()
        columns.split[at] = np.clip(np.ceil(np.nan_to_num(rows)), 0, count)
        cell, place = np.nonzero(is_doubtful)
        return ends.of(cell, place), row[cell], pixel[cell, place]

    def _solve(self, ids: Ids, ends: _Ends, row: Whole, pixel: Whole) -> None:
        """Writes the winners of m columns of pixels, which are in cells of the rows `row`, in TensorFlow's
        arithmetic.
        """
        down = self._rows.weight[row].T  # (rows, m)
        best = np.full(down.shape, -np.inf, np.float32)
        winner = np.zeros(down.shape, np.uint8)
        for top, bottom, labels in zip(ends.top, ends.bottom, ends.classes, strict=True):
            value = top + (bottom - top) * down
            np.copyto(winner, labels, where=value > best)
            np.maximum(best, value, out=best)
        ids[self._rows.pixel[row].T, pixel] = winner
