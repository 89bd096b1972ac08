from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.evaluate import Confusion, agreement


def maps(classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, alike in two thirds; with ids beyond the classes, 255 among them, in both."""
    random = np.random.default_rng(seed)
    ids = np.array([*range(classes), 200, 255])
    truth = random.choice(ids, (random.integers(1, 30), 25))
    predicted = np.where(random.random(truth.shape) < 0.67, truth, random.choice(ids, truth.shape))
    return truth.astype(np.uint8), predicted.astype(np.uint8)


def by_hand(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> tuple[float, list[float], list[int]]:
    """Pixel accuracy, IoU per class, pixels of truth per class: one pixel after the other."""
    right = known = 0
    hits, union, occurs = [0] * classes, [0] * classes, [0] * classes
    for truth, predicted in pairs:
        for t, p in zip(truth.ravel().tolist(), predicted.ravel().tolist(), strict=True):
            if t >= classes:
                continue
            known += 1
            right += t == p
            occurs[t] += 1
            union[t] += 1
            if t == p:
                hits[t] += 1
            elif p < classes:
                union[p] += 1
    return right / max(known, 1), [h / u if u else float("nan") for h, u in zip(hits, union, strict=True)], occurs


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 21), st.lists(st.integers(0, 1 << 20), min_size=1, max_size=3))
def test_ratios_equal_those_counted_pixel_by_pixel(classes: int, seeds: list[int]) -> None:
    pairs = [maps(classes, seed) for seed in seeds]
    confusion = Confusion(classes)
    for truth, predicted in pairs:
        confusion.add(truth, predicted)
    accuracy, iou, occurs = by_hand(pairs, classes)
    assert confusion.pixel_accuracy() == pytest.approx(accuracy)
    assert np.allclose(confusion.iou(), iou, equal_nan=True)
    present = [value for value, count in zip(iou, occurs, strict=True) if count]
    assert confusion.mean_iou() == pytest.approx(np.mean(present) if present else np.nan, nan_ok=True)


def test_ignored_truth_counts_for_nothing() -> None:
    confusion = Confusion(3)
    confusion.add(np.array([[0, 255, 255, 7]], np.uint8), np.array([[0, 0, 1, 2]], np.uint8))
    assert confusion.counts.sum() == 1
    assert (confusion.pixel_accuracy(), confusion.mean_iou()) == (1, 1)


def test_predicting_no_class_is_a_miss_of_the_true_one_only() -> None:
    confusion = Confusion(2)
    confusion.add(np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 255, 1, 77]], np.uint8))
    assert confusion.pixel_accuracy() == 0.5
    assert confusion.iou().tolist() == [0.5, 0.5]


def test_classes_absent_from_the_truth_do_not_enter_the_mean() -> None:
    confusion = Confusion(4)
    confusion.add(np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 0, 1, 3]], np.uint8))
    assert np.array_equal(confusion.iou(), [1, 0.5, np.nan, 0], equal_nan=True)
    assert confusion.mean_iou() == 0.75


def test_nothing_counted_is_no_number_and_no_error() -> None:
    confusion = Confusion(3)
    assert confusion.pixel_accuracy() == 0
    assert np.isnan(confusion.mean_iou())
    assert np.isnan(agreement(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8)))


def test_agreement_leaves_out_what_either_ignores() -> None:
    first, second = np.array([[1, 2, 255, 3, 3]], np.uint8), np.array([[1, 9, 4, 255, 3]], np.uint8)
    assert agreement(first, second) == pytest.approx(2 / 3)
