"""Finds the labels of enlarged scores without enlarging them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, Logits, Upsampling

HW = tuple[int, int]
Floats = NDArray[np.float32]
Whole = NDArray[np.intp]
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
    # Where all pixels are at one place, no crossing is among them.
    return _Axis(
        cell, upper, place, first, count, pixel, weight[pixel], start, step or float(np.finfo(np.float32).tiny)
    )


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

    All are (rows of cells, output width).
    """

    above: Ids
    below: Ids
    split: NDArray[Any]  # so many pixels of the column are `above`, from the top


@dataclass(frozen=True, slots=True)
class _Cells:
    """Cells that hold a border, with the classes that can win there."""

    corners: Floats  # (4, n, k) scores: top left, top right, bottom left, bottom right
    classes: Ids  # (n, k), ascending
    row: Whole  # (n,) place among the rows of cells
    pixel: Whole  # (n, columns) output columns
    across: Floats  # (n, columns) their weights
    rounding: Floats  # (n, 1) what float32 may lose of the scores

    def decided(self) -> _Decided:
        """Returns who wins at the ends of each column of pixels."""
        return self._of_two() if self.classes.shape[1] == 2 else self._of_many()

    def _of_two(self) -> _Decided:
        lower, higher = self.classes.T[..., None]
        top, bottom = _between(self.corners[..., 1] - self.corners[..., 0], self.across)
        is_higher = top > 0, bottom > 0
        top, bottom = np.abs(top), np.abs(bottom)
        above, below = (np.where(wins, higher, lower) for wins in is_higher)
        is_doubtful = np.minimum(top, bottom) <= self.rounding
        np.copyto(is_doubtful, False, where=is_higher[0] != is_higher[1])
        return _Decided(above, below, top, top + bottom, is_doubtful)

    def _of_many(self) -> _Decided:
        top, bottom = _between(self.corners.transpose(0, 2, 1), self.across)  # (k, n, columns)
        cell, column = np.ogrid[: top.shape[1], : top.shape[2]]
        first, last = top.argmax(axis=0), bottom.argmax(axis=0)
        best, best_below = top[first, cell, column], bottom[last, cell, column]
        lead = best - top[last, cell, column]
        slope = lead + (best_below - bottom[first, cell, column])
        at_top = np.count_nonzero(top >= best - self.rounding, axis=0) > 1
        at_bottom = np.count_nonzero(bottom >= best_below - self.rounding, axis=0) > 1
        there = top + (bottom - top) * (lead / slope)
        third = np.count_nonzero(there >= there[first, cell, column] - self.rounding, axis=0) > 2
        is_doubtful = np.where(first == last, at_top | at_bottom, third)
        return _Decided(self.classes[cell, first], self.classes[cell, last], lead, slope, is_doubtful)

    def columns(self, cell: Whole, column: Whole) -> _Cells:
        """Some columns, a cell each."""
        at = cell, column
        return _Cells(
            self.corners[:, cell], self.classes[cell], self.row[cell], self.pixel[at], self.across[at], self.rounding
        )


@dataclass(frozen=True, slots=True)
class _Decided:
    """Of columns of pixels (n, columns)."""

    above: Ids  # the class that is best at the top
    below: Ids  # the one at the bottom
    lead: Floats  # of the one over the other, at the top
    slope: Floats  # what it loses of that on the way to the bottom
    is_doubtful: NDArray[np.bool_]  # whether a third may be above both, or one so near that float32 decides


def _between(corners: Floats, across: Floats) -> tuple[Floats, Floats]:
    """The scores of corners (4, ...) at the top and at the bottom of each column, TensorFlow's arithmetic."""
    top_left, top_right, bottom_left, bottom_right = corners[..., None] if across.ndim > 1 else corners
    return top_left + (top_right - top_left) * across, bottom_left + (bottom_right - bottom_left) * across


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
            whole: Ids = above.take(self._rows.place, axis=0)
            return whole
        columns = _Columns(above, above.copy(), np.zeros(above.shape, self._narrow))
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            exceptions = self._fill(columns, logits, row, col)
            ids = self._drawn(columns)
            for exception in exceptions:
                self._solve(ids, exception)
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

    def _fill(self, columns: _Columns, logits: Logits, row: Whole, col: Whole) -> list[_Cells]:
        """Writes what is sure of mixed cells into `columns`, and returns the columns of pixels that are not."""
        return [self._decide(columns, cells) for cells in self._cells(logits, row, col)]

    def _cells(self, logits: Logits, row: Whole, col: Whole) -> Iterator[_Cells]:
        """Mixed cells, with the classes that can win: those with two of them, and the others."""
        top, left, bottom, right = self._rows.cell, self._cols.cell, self._rows.next, self._cols.next
        places = ((top, left), (top, right), (bottom, left), (bottom, right))
        corners = np.stack([logits[down[row], across[col]] for down, across in places]).astype(np.float32)  # (4, n, C)
        winners = corners.argmax(axis=2).T[None]  # (1, n, 4)
        best = np.take_along_axis(corners, winners, axis=2)  # (4, n, 4)
        margin = (corners - best.mean(axis=2, keepdims=True)).max(axis=0)  # (n, C)
        rounding = ROUNDING * np.abs(best).max(axis=(0, 2))[:, None]  # (n, 1), what float32 may lose on either side
        is_likely = margin >= -rounding
        likely = np.count_nonzero(is_likely, axis=1)
        two, others = np.flatnonzero(likely == 2), np.flatnonzero(likely != 2)
        for now, classes in (
            (two, np.nonzero(is_likely[two])[1].reshape(-1, 2)),
            (others, _most_likely(margin[others], int(likely.max()) if np.all(likely) else margin.shape[1])),
        ):
            if now.size:
                pixel, across = self._cols.pixel[col[now]], self._cols.weight[col[now]]
                scores = corners[:, now[:, None], classes]
                yield _Cells(scores, classes.astype(np.uint8), row[now], pixel, across, 2 * rounding[now])

    def _decide(self, columns: _Columns, cells: _Cells) -> _Cells:
        """Writes the columns of cells, and returns the doubtful ones."""
        found = cells.decided()
        per_row = np.float32(1 / self._rows.step)
        crossing = found.lead / found.slope  # 0 to 1 of the way down
        rows = (crossing - self._rows.start[cells.row, None]) * per_row
        near = cells.rounding * per_row / found.slope + np.float32(ROWS_ROUNDING)
        is_far = (np.abs(rows - np.rint(rows)) > near) & (crossing * per_row > near)  # nan is not
        row, pixel = cells.row[:, None], cells.pixel
        columns.above[row, pixel], columns.below[row, pixel] = found.above, found.below
        columns.split[row, pixel] = np.clip(np.ceil(rows), 0, self._rows.count[cells.row, None])
        return cells.columns(*np.nonzero(found.is_doubtful | ~(is_far | (found.above == found.below))))

    def _solve(self, ids: Ids, cells: _Cells) -> None:
        """Writes the winners of m columns of pixels, in TensorFlow's arithmetic."""
        down = self._rows.weight[cells.row].T  # (rows, m)
        best = np.full(down.shape, -np.inf, np.float32)
        winner = np.zeros(down.shape, np.uint8)
        ends = _between(cells.corners.transpose(0, 2, 1), cells.across)  # (k, m) each
        for top, bottom, classes in zip(*ends, cells.classes.T, strict=True):
            value = top + (bottom - top) * down
            np.copyto(winner, classes, where=value > best)
            np.maximum(best, value, out=best)
        ids[self._rows.pixel[cells.row].T, cells.pixel] = winner


def _most_likely(margin: Floats, most: int) -> Whole:
    """So many classes (n, most) of the largest margins (n, C), ascending by their ids."""
    return np.sort(np.argpartition(-margin, most - 1, axis=1)[:, :most], axis=1)
