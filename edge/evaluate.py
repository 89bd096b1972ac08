"""How well label maps fit: sums over a set, then ratios, as the benchmarks define them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge.data import IGNORE, Ids


class Confusion:
    """Counts pixels by (true class, predicted class). Pixels whose truth is no class are left out."""

    def __init__(self, classes: int) -> None:
        self.counts: NDArray[np.int64] = np.zeros((classes, classes + 1), np.int64)  # last column: no class

    def add(self, truth: Ids, predicted: Ids) -> None:
        """Label maps of the same shape."""
        classes = len(self.counts)
        known = truth < classes
        guess = np.minimum(predicted[known], classes).astype(np.intp)
        index = truth[known].astype(np.intp) * (classes + 1) + guess
        self.counts += np.bincount(index, minlength=self.counts.size).reshape(self.counts.shape)

    def pixel_accuracy(self) -> float:
        """Right pixels over known pixels."""
        return float(np.trace(self.counts) / max(self.counts.sum(), 1))

    def iou(self) -> NDArray[np.float64]:
        """Per class, true positives over (true positives + false positives + false negatives).

        nan for a class that is neither in the truth nor predicted.
        """
        hits = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=1) + self.counts[:, :-1].sum(axis=0) - hits
        ratio: NDArray[np.float64] = np.divide(hits, union, out=np.full(len(hits), np.nan), where=union > 0)
        return ratio

    def mean_iou(self) -> float:
        """Over the classes that occur in the truth; nan when none does."""
        present = self.counts.sum(axis=1) > 0
        return float(self.iou()[present].mean()) if present.any() else float("nan")


def agreement(first: Ids, second: Ids) -> float:
    """Share of equal pixels among those that are not ignored in either."""
    known = (first != IGNORE) & (second != IGNORE)
    return float(np.mean(first[known] == second[known])) if known.any() else float("nan")
