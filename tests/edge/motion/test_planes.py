from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edge.data import Ids
from edge.motion.flow import pixel_places
from edge.motion.planes import ids_of, moved_planes, snapped, split


def areas(size_hw: tuple[int, int], classes: list[int], dtype: type[np.generic] = np.uint8) -> Ids:
    """Upright strips, one of each class."""
    columns = np.array(classes)[np.arange(size_hw[1]) * len(classes) // size_hw[1]]
    return np.ascontiguousarray(np.broadcast_to(columns, size_hw)).astype(dtype)


@pytest.mark.parametrize("size_hw", [(720, 1280), (719, 1279), (96, 160), (180, 320)])
@pytest.mark.parametrize("classes", [[3], [0, 255], [0, 1, 2, 11, 18], list(range(19)), [0, 300, 65535]])
def test_labels_come_back_but_for_their_edges(size_hw: tuple[int, int], classes: list[int]) -> None:
    ids = areas(size_hw, classes, np.uint16 if max(classes) > 255 else np.uint8)
    planes = split(ids, (90, 160))
    back = ids_of(planes, size_hw)
    assert back.shape == size_hw
    assert back.dtype == ids.dtype
    assert back.flags.c_contiguous
    assert (back == ids).mean() > 1 - len(classes) / 160
    assert set(np.unique(back)) == set(classes)


def test_more_classes_than_a_byte_numbers() -> None:
    ids = np.arange(400, dtype=np.uint16).reshape(20, 20).repeat(16, 0).repeat(16, 1)
    assert (ids_of(split(ids, (320, 320)), (320, 320)) == ids).mean() > 0.9


def test_no_class_comes_up_that_was_not_there() -> None:
    """Three classes need two bits, which count to four."""
    planes = split(areas((64, 96), [7, 8, 9]), (64, 96))
    all_bits = replace(planes, groups=tuple(np.full_like(group, 255) for group in planes.groups))
    assert set(np.unique(ids_of(all_bits, (64, 96)))) <= {7, 8, 9}


def test_planes_move() -> None:
    ids = areas((180, 320), [4, 5])
    places = pixel_places((180, 320)) + np.float32([10, 0])
    back = ids_of(moved_planes(split(ids, (180, 320)), places), (180, 320))
    assert (back == areas((180, 340), [4, 5])[:, 20:]).mean() > 0.99


def test_edges_snap_to_those_of_the_frame() -> None:
    truth = np.zeros((180, 320), np.uint8)
    truth[60:120, 100:220] = 1
    grey = np.where(truth, 160, 60).astype(np.uint8)
    near = np.roll(truth, 2, 1)  # two pixels off
    planes = split(near, (180, 320))
    wrong = [(ids_of(one, (180, 320)) != truth).sum() for one in (planes, snapped(planes, grey))]
    assert wrong[1] < wrong[0] / 2


def test_a_flat_frame_leaves_edges_about_where_they_are() -> None:
    ids = areas((180, 320), [4, 5, 6, 7])
    flat = np.full((180, 320), 90, np.uint8)
    assert (ids_of(snapped(split(ids, (180, 320)), flat), (180, 320)) == ids).mean() > 0.98


def test_one_class_stays_alone() -> None:
    grey = cv2.randu(np.zeros((90, 160), np.uint8), 0, 255)
    assert (ids_of(snapped(split(areas((90, 160), [9]), (90, 160)), np.asarray(grey)), (90, 160)) == 9).all()
