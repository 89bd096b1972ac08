from __future__ import annotations

import itertools

import numpy as np
import pytest

from edge.classes import CITYSCAPES
from edge.data import IGNORE
from edge.scene import DEMO_RATE, DEMO_SEED, Scene, demo_clip, scene_frame

SMALL = (129, 257)


def test_same_seed_and_moment_give_the_same_picture_whatever_was_drawn_before() -> None:
    scene = Scene(3)
    for t_s in (8.0, 0.4):
        scene.draw(t_s, SMALL)
    again = scene.draw(1.2, SMALL)
    fresh = scene_frame(3, 1.2, SMALL)
    np.testing.assert_array_equal(again[0], fresh[0])
    np.testing.assert_array_equal(again[1], fresh[1])
    assert (scene_frame(4, 1.2, SMALL)[0] != fresh[0]).any()


@pytest.mark.parametrize("size_hw", [(129, 257), (90, 160), (61, 33)])
def test_pictures_and_labels_have_the_promised_form(size_hw: tuple[int, int]) -> None:
    pixels, ids = scene_frame(1, 0.0, size_hw)
    assert pixels.shape == (*size_hw, 3)
    assert ids.shape == size_hw
    assert pixels.dtype == ids.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert ids.flags.c_contiguous
    assert set(np.unique(ids)) <= {*range(len(CITYSCAPES)), IGNORE}


def test_a_drive_is_coherent_yet_moves() -> None:
    for seed in range(6):
        frames = [Scene(seed).draw(i / float(DEMO_RATE), SMALL) for i in range(6)]
        same = [np.mean(before == after) for (_, before), (_, after) in itertools.pairwise(frames)]
        assert min(same) > 0.8, "a vehicle may pass close by"
        assert np.mean(same) > 0.88
        assert np.mean(np.abs(frames[0][0].astype(int) - frames[-1][0])) > 1


def test_labels_lie_where_the_picture_shows_things() -> None:
    """Within one scene, what is labelled sky is brighter than the road under it, and the road reaches the front."""
    for seed in range(8):
        pixels, ids = scene_frame(seed, 0.0, SMALL)
        assert (ids[:40] == 10).any() or (ids[:40] == 2).any()
        assert (ids[100:, 60:200] == 0).mean() > 0.3
        assert pixels[ids == 0].mean() > 15
        if (ids == 10).sum() > 500:
            assert pixels[ids == 10].mean() > pixels[ids == 0].mean()


def test_every_class_appears_over_some_seeds() -> None:
    pixels = np.zeros(256, np.int64)
    for seed in range(60):
        pixels += np.bincount(scene_frame(seed, 0.0, SMALL)[1].ravel(), minlength=256)
    missing = [name for i, name in enumerate(CITYSCAPES.names) if pixels[i] < 60]
    assert not missing
    assert pixels[IGNORE] < 0.1 * pixels.sum()


def test_small_and_large_pictures_of_a_moment_show_the_same() -> None:
    small, large = scene_frame(5, 0.0, (129, 257))[1], scene_frame(5, 0.0, (387, 771))[1]
    assert np.mean(small == large[1::3, 1::3]) > 0.93


def test_demo_clip_is_never_empty() -> None:
    frames = list(demo_clip(4, (90, 160)))
    assert len(frames) == 4
    later = [Scene(DEMO_SEED).draw(t_s, (90, 160)) for t_s in (4.0, 9.0, 30.0)]
    for pixels, ids in frames + later:
        assert np.unique(ids).size >= 6
        assert pixels.std() > 20
    np.testing.assert_array_equal(next(demo_clip(1, (90, 160)))[0], frames[0][0])
