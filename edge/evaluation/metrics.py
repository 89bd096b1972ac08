"""Measures how well label maps fit: sums over a set, then ratios, as the benchmarks define it.

The definitions, with their sources, are in docs/evaluating.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, ignored

TOLERANCE = 0.0075  # of the picture's diagonal: how far a boundary may be off


class Confusion:
    """Counts pixels by (true class, predicted class). Pixels whose truth is no class are left out."""

    def __init__(self, classes: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros((classes, classes + 1), np.int64)  # last column: no class

    def add(self, truth: Ids, predicted: Ids) -> None:
        """Adds label maps of the same shape."""
        classes = len(self.counts)
        both = (truth.astype(np.uint16) << 8 | predicted).ravel()
        pairs = np.bincount(both, minlength=1 << 16).reshape(256, 256)[:classes]
        self.counts[:, :classes] += pairs[:, :classes]
        self.counts[:, classes] += pairs[:, classes:].sum(axis=1)

    def part(self, ids: Sequence[int], *, alone: bool = False) -> Confusion:
        """Returns the pixels whose truth is one of these classes; what else was predicted for them becomes no class.

        Taken `alone`, pixels for which something else was predicted are left out too.
        """
        made = Confusion(len(ids))
        made.counts[:, :-1] = self.counts[np.ix_(ids, ids)]
        if not alone:
            made.counts[:, -1] = self.counts[list(ids)].sum(axis=1) - made.counts.sum(axis=1)
        return made

    def pixel_accuracy(self) -> float:
        """Returns the share of right pixels among known ones."""
        return float(np.trace(self.counts) / max(self.counts.sum(), 1))

    def iou(self) -> NDArray[np.float64]:
        """Returns for each class true positives over (true positives + false positives + false negatives).

        nan for a class that is neither in the truth nor predicted.
        """
        return _ratio(np.diag(self.counts), self.union())

    def union(self) -> NDArray[np.int64]:
        """Returns for each class the pixels that are of it in the truth, the prediction or both."""
        union: NDArray[np.int64] = self.counts.sum(axis=1) + self.counts[:, :-1].sum(axis=0) - np.diag(self.counts)
        return union

    def mean_iou(self) -> float:
        """Returns the mean IoU over the classes in truth or prediction, as in Cityscapes' evaluation; nan without any.

        A class that is only predicted counts as 0; one that is neither is left out.
        """
        return _mean(self.iou())

    def mean_iou_in_truth(self) -> float:
        """Returns the mean IoU over the classes that occur in the truth; nan when none does."""
        return _mean(self.iou()[self.counts.sum(axis=1) > 0])

    def frequency_weighted_iou(self) -> float:
        """Returns the IoU weighted by the class's share of the true pixels; nan without any.

        Long, Shelhamer, Darrell: Fully Convolutional Networks for Semantic Segmentation, CVPR 2015, section 5.
        """
        weights = self.counts.sum(axis=1)
        return float((weights * np.nan_to_num(self.iou())).sum() / weights.sum()) if weights.any() else float("nan")


class Boundaries:
    """How well the outlines of classes fit: F-score of boundary pixels that lie near the other map's.

    A boundary pixel of a class has a neighbour, above, below, left or right, of another class; pixels whose truth
    is no class have no boundary and make none. One counts as found when a boundary pixel of the same class in the
    other map is at most `TOLERANCE` of the diagonal away (Csurka, Larlus, Perronnin: What is a good evaluation
    measure for semantic segmentation?, BMVC 2013, whose score is the mean over pictures: here the pixels of all
    pictures are summed up first, as IoU does it).
    """

    def __init__(self, classes: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros((classes, 4), np.int64)  # true, found; predicted, right

    def add(self, truth: Ids, predicted: Ids) -> None:
        """Adds label maps of the same shape."""
        classes, known = len(self.counts), truth < len(self.counts)
        reach_px = TOLERANCE * float(np.hypot(*truth.shape))
        outlines = _outlines(truth, known, classes), _outlines(predicted, known, classes)
        for index, (true, guessed) in enumerate(zip(*outlines, strict=True)):
            self.counts[index] += (
                len(true),
                _near(true, guessed, reach_px),
                len(guessed),
                _near(guessed, true, reach_px),
            )

    def part(self, ids: Sequence[int]) -> Boundaries:
        """Returns the counts of these classes alone."""
        made = Boundaries(len(ids))
        made.counts[:] = self.counts[list(ids)]
        return made

    def f_scores(self) -> NDArray[np.float64]:
        """Returns for each class the harmonic mean of precision and recall; nan where neither map has a boundary of
        it.
        """
        recall, precision = (np.nan_to_num(_ratio(self.counts[:, i + 1], self.counts[:, i])) for i in (0, 2))
        score = np.nan_to_num(_ratio(2 * precision * recall, precision + recall))
        score[self.counts.sum(axis=1) == 0] = np.nan
        return score

    def mean_f(self) -> float:
        """Returns the mean F-score over the classes that have a boundary in truth or prediction; nan without any."""
        return _mean(self.f_scores())


Points = NDArray[np.intp]
"""intp (n, 2), row and column."""


def _outlines(ids: Ids, known: NDArray[np.bool_], classes: int) -> list[Points]:
    """The boundary pixels of each class."""
    edges = np.zeros(ids.shape, np.bool_)
    down = (ids[1:] != ids[:-1]) & known[1:] & known[:-1]
    across = (ids[:, 1:] != ids[:, :-1]) & known[:, 1:] & known[:, :-1]
    edges[1:] |= down
    edges[:-1] |= down
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    points = np.argwhere(edges)
    owners = ids[edges]
    order = np.argsort(owners, kind="stable")
    return np.split(points[order], np.searchsorted(owners[order], np.arange(1, classes + 1)))[:classes]


def _near(points: Points, others: Points, reach_px: float) -> int:
    """How many of `points` have one of `others` within reach."""
    if not len(points) or not len(others):
        return 0
    margin = int(reach_px)
    first = others.min(axis=0) - margin
    size = others.max(axis=0) + margin + 1 - first
    reached = np.zeros(size, np.uint8)
    reached[tuple((others - first).T)] = 1
    reached = cv2.dilate(reached, _disc(reach_px))
    inside = points[((points >= first) & (points < first + size)).all(axis=1)] - first
    return int(np.count_nonzero(reached[tuple(inside.T)]))


@lru_cache(maxsize=8)
def _disc(reach_px: float) -> NDArray[np.uint8]:
    """1 where a pixel is at most so far from the middle."""
    away = np.arange(-int(reach_px), int(reach_px) + 1)
    return (np.hypot(away[:, None], away) <= reach_px + 1e-6).astype(np.uint8)


def _ratio(part: NDArray[np.number], whole: NDArray[np.number]) -> NDArray[np.float64]:
    """Returns elementwise part / whole; nan where whole is 0."""
    ratio: NDArray[np.float64] = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return ratio


def _mean(values: NDArray[np.float64]) -> float:
    """Returns the mean of those that are numbers; nan without any."""
    numbers = values[np.isfinite(values)]
    return float(numbers.mean()) if numbers.size else float("nan")


def agreement(first: Ids, second: Ids) -> float:
    """Returns the share of equal pixels among those that are not ignored in either."""
    known = (first != ignored(first)) & (second != ignored(second))
    return float(np.mean(first[known] == second[known])) if known.any() else float("nan")
