from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, jaccard_score

from edge.evaluation.metrics import TOLERANCE, Boundaries, Confusion, agreement


def maps(classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction, alike in two thirds; with ids beyond the classes, 255 among them, in both."""
    random = np.random.default_rng(seed)
    ids = np.array([*range(classes), 200, 255])
    ids = random.choice(ids, random.integers(1, len(ids) + 1), replace=False)  # not every class everywhere
    truth = random.choice(ids, (random.integers(1, 30), 25))
    predicted = np.where(random.random(truth.shape) < 0.67, truth, random.choice(ids, truth.shape))
    return truth.astype(np.uint8), predicted.astype(np.uint8)


def counted(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> Confusion:
    confusion = Confusion(classes)
    for truth, predicted in pairs:
        confusion.add(truth, predicted)
    return confusion


SETS = st.lists(st.integers(0, 1 << 20), min_size=1, max_size=3)


@settings(deadline=None, max_examples=80)
@given(st.integers(1, 21), SETS)
def test_ratios_equal_those_of_scikit_learn(classes: int, seeds: list[int]) -> None:
    pairs = [maps(classes, seed) for seed in seeds]
    confusion = counted(pairs, classes)
    truth, predicted = (np.concatenate([p[i].ravel() for p in pairs]) for i in (0, 1))
    truth, predicted = truth[truth < classes], predicted[truth < classes]
    if not len(truth):
        assert math.isnan(confusion.mean_iou())
        return
    predicted = np.minimum(predicted, classes)  # ids that are no class are one class more, which is not looked at
    everything = confusion_matrix(truth, predicted, labels=range(classes + 1))
    assert np.array_equal(confusion.counts, everything[:classes])
    assert confusion.pixel_accuracy() == pytest.approx(accuracy_score(truth, predicted))
    seen = [c for c in range(classes) if c in truth or c in predicted]
    iou = jaccard_score(truth, predicted, labels=seen, average=None, zero_division=0)
    assert confusion.iou()[seen] == pytest.approx(iou)
    assert np.isnan(np.delete(confusion.iou(), seen)).all()
    assert confusion.mean_iou() == pytest.approx(iou.mean())
    there = sorted(set(truth.tolist()))
    in_truth = jaccard_score(truth, predicted, labels=there, average="macro", zero_division=0)
    assert confusion.mean_iou_in_truth() == pytest.approx(in_truth)
    weighted = jaccard_score(truth, predicted, labels=there, average="weighted", zero_division=0)
    assert confusion.frequency_weighted_iou() == pytest.approx(weighted)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 12), SETS, st.data())
def test_part_alone_leaves_out_what_scikit_learn_leaves_out(
    classes: int, seeds: list[int], data: st.DataObject
) -> None:
    """The way of the MIT tutorial: a confusion matrix of some labels only."""
    pairs = [maps(classes, seed) for seed in seeds]
    ids = sorted(data.draw(st.sets(st.integers(0, classes - 1), min_size=2)))
    truth, predicted = (np.concatenate([p[i].ravel() for p in pairs]) for i in (0, 1))
    found = counted(pairs, classes)
    if np.isin(truth, ids).any():
        wanted = confusion_matrix(truth, predicted, labels=ids)
        assert np.array_equal(found.part(ids, alone=True).counts[:, :-1], wanted)
    assert not found.part(ids, alone=True).counts[:, -1].any()
    others = found.part(ids)
    assert np.array_equal(others.counts[:, :-1], found.counts[np.ix_(ids, ids)])
    assert np.array_equal(others.counts.sum(axis=1), found.counts[ids].sum(axis=1)), "nothing of the truth is lost"


def test_ignored_truth_counts_for_nothing() -> None:
    confusion = counted([(np.array([[0, 255, 255, 7]], np.uint8), np.array([[0, 0, 1, 2]], np.uint8))], 3)
    assert confusion.counts.sum() == 1
    assert (confusion.pixel_accuracy(), confusion.mean_iou()) == (1, 1)


def test_predicting_no_class_is_a_miss_of_the_true_one_only() -> None:
    confusion = counted([(np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 255, 1, 77]], np.uint8))], 2)
    assert confusion.pixel_accuracy() == 0.5
    assert confusion.iou().tolist() == [0.5, 0.5]


def test_a_class_that_is_only_predicted_counts_as_in_the_benchmarks_and_an_absent_one_does_not() -> None:
    confusion = counted([(np.array([[0, 0, 1, 1]], np.uint8), np.array([[0, 0, 1, 3]], np.uint8))], 4)
    assert np.array_equal(confusion.iou(), [1, 0.5, np.nan, 0], equal_nan=True)
    assert confusion.mean_iou() == 0.5
    assert confusion.mean_iou_in_truth() == 0.75


def test_nothing_counted_is_no_number_and_no_error() -> None:
    confusion = Confusion(3)
    assert confusion.pixel_accuracy() == 0
    for value in (confusion.mean_iou(), confusion.mean_iou_in_truth(), confusion.frequency_weighted_iou()):
        assert math.isnan(value)
    assert math.isnan(Boundaries(3).mean_f())
    assert math.isnan(agreement(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8)))


def test_agreement_leaves_out_what_either_ignores() -> None:
    first, second = np.array([[1, 2, 255, 3, 3]], np.uint8), np.array([[1, 9, 4, 255, 3]], np.uint8)
    assert agreement(first, second) == pytest.approx(2 / 3)
    wide = [np.where(ids == 255, 65535, ids + np.uint16(250)).astype(np.uint16) for ids in (first, second)]
    assert agreement(*wide) == pytest.approx(2 / 3)


def blobs(seed: int, shape: tuple[int, int], classes: int) -> np.ndarray:
    """A label map with areas, some of it ignored."""
    random = np.random.default_rng(seed)
    ids = np.full(shape, random.integers(classes), np.uint8)
    for _ in range(6):
        top, left = random.integers(0, shape[0] - 5), random.integers(0, shape[1] - 5)
        ids[top : top + random.integers(3, 40), left : left + random.integers(3, 60)] = random.choice(
            [*range(classes), 255]
        )
    return ids


def outline_by_hand(ids: np.ndarray, known: np.ndarray, wanted: int) -> list[tuple[int, int]]:
    found = []
    for y, x in np.argwhere((ids == wanted) & known).tolist():
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            inside = 0 <= v < ids.shape[0] and 0 <= u < ids.shape[1]
            if inside and known[v, u] and ids[v, u] != wanted:
                found.append((y, x))
                break
    return found


@pytest.mark.parametrize("seed", range(6))
def test_boundary_scores_equal_those_from_all_distances(seed: int) -> None:
    classes, shape = 3, (60, 320)  # within 2.44 px
    pairs = [(blobs(seed, shape, classes), blobs(seed + 50, shape, classes)) for seed in (seed, seed + 9)]
    for truth, predicted in pairs:
        predicted[:, 100:] = np.roll(truth, 1 + seed % 3, axis=0)[:, 100:]
    found = Boundaries(classes)
    wanted = np.zeros((classes, 4))
    for truth, predicted in pairs:
        found.add(truth, predicted)
        for c in range(classes):
            lines = [np.array(outline_by_hand(ids, truth < classes, c)).reshape(-1, 2) for ids in (truth, predicted)]
            near = cdist(*lines) <= TOLERANCE * math.hypot(*shape)
            wanted[c] += len(lines[0]), near.any(axis=1).sum(), len(lines[1]), near.any(axis=0).sum()
    assert np.array_equal(found.counts, wanted)
    assert np.array_equal(found.part([2, 0]).counts, wanted[[2, 0]])
    recall, precision = wanted[:, 1] / wanted[:, 0], wanted[:, 3] / wanted[:, 2]
    assert found.f_scores() == pytest.approx(2 * precision * recall / (precision + recall))


def test_boundary_score_of_equal_shifted_and_missing_things() -> None:
    truth = np.zeros((300, 400), np.uint8)  # 500 px across: 3.75 px are near
    truth[100:200, 100:200] = 1
    for shift, wanted in ((0, 1.0), (3, 1.0)):
        found = Boundaries(3)
        found.add(truth, np.roll(truth, shift, axis=1))
        assert found.f_scores()[:2] == pytest.approx([wanted, wanted])
        assert math.isnan(found.f_scores()[2])
        assert found.mean_f() == pytest.approx(wanted)
    for shift in (4, 10):  # only the upper and lower edge are still near
        far = Boundaries(3)
        far.add(truth, np.roll(truth, shift, axis=1))
        assert 0.4 < far.f_scores()[1] < 0.6
    missing = Boundaries(3)
    missing.add(truth, np.zeros_like(truth))
    assert missing.f_scores()[:2].tolist() == [0, 0]
    swapped = Boundaries(3)
    swapped.add(np.zeros_like(truth), truth)
    assert swapped.mean_f() == 0


def test_the_edge_of_ignored_pixels_is_no_boundary() -> None:
    truth = np.zeros((40, 40), np.uint8)
    truth[10:20, 10:20] = 255
    found = Boundaries(2)
    found.add(truth, np.zeros_like(truth))
    assert not found.counts.any()
    thing = np.where(truth == 255, 1, 0).astype(np.uint8)
    found.add(truth, thing)
    assert not found.counts.any()


def test_perfect_maps_score_one_as_f1_does() -> None:
    truth = blobs(3, (80, 120), 4)
    confusion = counted([(truth, truth)], 4)
    seen = sorted(set(truth.ravel().tolist()) - {255})
    assert f1_score(truth.ravel(), truth.ravel(), labels=seen, average="macro") == confusion.mean_iou() == 1
