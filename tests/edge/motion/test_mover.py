from __future__ import annotations

import numpy as np
import pytest
from motion_scenes import dark, frame, scene, texture

from edge.data import Frame, Ids, LabelledFrame, LabelMap
from edge.motion.mover import Mover


def iou(found: Ids, truth: Ids) -> float:
    """Of class 1."""
    return float(((found == 1) & (truth == 1)).sum() / ((found == 1) | (truth == 1)).sum())


def now(mover: Mover) -> LabelledFrame:
    labelled = mover.now()
    assert labelled is not None
    return labelled


def started(first_px: int = 60) -> Mover:
    """A mover that saw frame 0 and has its labels."""
    mover, (pixels, ids) = Mover(), scene(first_px)
    mover.see(frame(pixels, 0))
    mover.label(frame(pixels, 0), LabelMap(ids))
    return mover


def test_nothing_is_told_before_there_are_labels() -> None:
    mover = Mover()
    assert mover.now() is None
    mover.see(frame(texture(0), 0))
    assert mover.now() is None


def test_a_frame_has_its_own_labels_as_they_are() -> None:
    labelled = now(started())
    assert (labelled.way, labelled.behind_s) == ("own", 0.0)
    assert (labelled.labels.ids == scene(60)[1]).all()


def test_labels_move_with_what_they_name() -> None:
    mover = started(60)
    for index in range(1, 9):
        mover.see(frame(scene(60 + 5 * index)[0], index))
    labelled, truth = now(mover), scene(100)[1]
    assert labelled.way == "moved"
    assert labelled.behind_s == pytest.approx(8 / 30)
    assert labelled.frame.index == 8
    assert iou(labelled.labels.ids, truth) > 0.85
    assert iou(scene(60)[1], truth) < 0.4


def test_labels_that_come_late_are_moved_over_what_was_seen_since() -> None:
    mover, places = Mover(), [60 + 5 * index for index in range(9)]
    for index, px in enumerate(places):
        mover.see(frame(scene(px)[0], index))
    mover.label(frame(scene(places[3])[0], 3), LabelMap(scene(places[3])[1]))
    assert now(mover).behind_s == pytest.approx(5 / 30)
    assert iou(now(mover).labels.ids, scene(places[8])[1]) > 0.85


def test_a_cut_holds_labels_until_newer_ones_come() -> None:
    mover = started()
    other, other_ids = scene(200, seed=7)
    for index in (1, 2):
        mover.see(frame(other, index))
        assert now(mover).way == "held"
        assert (now(mover).labels.ids == scene(60)[1]).all()
    mover.label(frame(other, 2), LabelMap(other_ids))
    mover.see(frame(scene(204, seed=7)[0], 3))
    assert now(mover).way == "moved"


def test_labels_of_before_a_cut_that_come_after_it_are_held() -> None:
    mover = Mover()
    for index, pixels in enumerate((scene(60)[0], scene(60)[0], scene(60, seed=7)[0], scene(60, seed=7)[0])):
        mover.see(frame(pixels, index))
    mover.label(frame(scene(60)[0], 1), LabelMap(scene(60)[1]))
    assert now(mover).way == "held"


def test_night_is_held() -> None:
    mover = Mover()
    mover.see(frame(dark(0), 0))
    mover.label(frame(dark(0), 0), LabelMap(scene(60)[1]))
    for index in range(1, 4):
        mover.see(frame(dark(index), index))
        assert now(mover).way == "held"


def test_frames_of_another_size_have_labels_of_theirs() -> None:
    mover = started()
    mover.see(frame(texture(0, (90, 160)), 1))
    assert now(mover).way == "held"
    assert now(mover).labels.ids.shape == (90, 160)


def test_labels_of_a_frame_that_is_forgotten_are_held() -> None:
    mover = Mover(remembered=4)
    for index in range(6):
        mover.see(frame(scene(60)[0], index))
    mover.label(frame(scene(60)[0], 0), LabelMap(scene(60)[1]))
    assert now(mover).way == "held"
    mover.label(frame(scene(60)[0], 3), LabelMap(scene(60)[1]))
    assert now(mover).way == "moved"


def test_labels_that_are_begun_may_take_as_long_as_they_take() -> None:
    """Two that overlap: the second is begun before the first ones are there."""
    mover, places = Mover(remembered=2), [60 + index for index in range(40)]
    for index, px in enumerate(places):
        mover.see(frame(scene(px)[0], index))
        if index in (3, 20):
            mover.begin(index)
        if index == 25:
            mover.label(frame(scene(places[3])[0], 3), LabelMap(scene(places[3])[1]))
            assert now(mover).way == "moved"
            assert iou(now(mover).labels.ids, scene(places[25])[1]) > 0.85
    mover.label(frame(scene(places[20])[0], 20), LabelMap(scene(places[20])[1]))
    assert now(mover).way == "moved"
    assert iou(now(mover).labels.ids, scene(places[39])[1]) > 0.85


def test_memory_is_bounded_while_no_labels_come() -> None:
    mover = Mover(remembered=4)
    for index in range(10):
        mover.see(frame(scene(60)[0], index))
        mover.begin(index)
    assert len(mover._steps) == 4
    assert len(mover._begun) == 2


def test_edges_are_those_of_the_frame() -> None:
    """Labels that are two pixels too wide, as a model's are."""
    wide = np.roll(scene(60)[1], -2, 1) | np.roll(scene(60)[1], 2, 1)
    found = []
    for snap in (True, False):
        mover = Mover(snap=snap)
        mover.see(frame(scene(60)[0], 0))
        mover.label(frame(scene(60)[0], 0), LabelMap(wide))
        mover.see(frame(scene(63)[0], 1))
        found.append(iou(now(mover).labels.ids, scene(63)[1]))
    assert found[0] > found[1] + 0.01
    default = Mover()
    assert default._snap


def test_how_far_labels_are_behind_is_told_by_the_films_clock() -> None:
    mover = Mover()
    for index, time_s in enumerate((10.0, 10.5)):
        mover.see(Frame(scene(60)[0], index, 0.0, time_s=time_s))
        if index == 0:
            mover.label(Frame(scene(60)[0], 0, 0.0, time_s=time_s), LabelMap(scene(60)[1]))
    assert now(mover).behind_s == pytest.approx(0.5)


def test_wide_ids_move_too() -> None:
    mover, (pixels, ids) = Mover(), scene(60)
    mover.see(frame(pixels, 0))
    mover.label(frame(pixels, 0), LabelMap(ids.astype(np.uint16) * 300))
    mover.see(frame(scene(65)[0], 1))
    found = now(mover).labels.ids
    assert found.dtype == np.uint16
    assert iou((found == 300).astype(np.uint8), scene(65)[1]) > 0.9
