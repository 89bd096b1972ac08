from __future__ import annotations

import cv2
import numpy as np
import pytest
from motion_scenes import dark, texture

from edge.data import Pixels
from edge.motion.flow import LEAST_PX, Flow, small_grey


def flow(now: Pixels, before: Pixels) -> np.ndarray | None:
    return Flow()(small_grey(now), small_grey(before))


def test_flow_leads_from_each_pixel_to_its_place_in_the_frame_before() -> None:
    before = texture(0)
    found = flow(np.roll(before, (3, 8), (0, 1)), before)
    assert found is not None
    assert found.dtype == np.float32
    middle = found[40:-40, 40:-40].reshape(-1, 2)
    assert np.abs(np.median(middle, axis=0) - (-8, -3)).max() < 0.2
    assert (np.abs(middle - (-8, -3)).max(axis=1) < 1).mean() > 0.9


def test_large_frames_are_looked_at_small() -> None:
    assert small_grey(np.zeros((720, 1280, 3), np.uint8)).shape == (180, 320)
    assert small_grey(np.zeros((1280, 720, 3), np.uint8)).shape == (320, 180)
    assert small_grey(np.zeros((48, 80, 3), np.uint8)).shape == (48, 80)


def test_fine_texture_of_large_frames_is_followed() -> None:
    """Noise that is hardly blurred: what leaves pixels out sees another one in each frame."""
    noise = np.random.default_rng(0).integers(0, 256, (1080, 1944, 3), np.uint8)
    fine = np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 1.0), None, 0, 255, cv2.NORM_MINMAX), np.uint8)  # type: ignore[call-overload]
    before, now = (small_grey(np.ascontiguousarray(fine[:, shift : shift + 1920])) for shift in (9, 0))
    found = Flow()(now, before)
    assert found is not None
    assert np.median(found[..., 0]) == pytest.approx(-9 / 6, abs=0.3)


def test_a_change_of_light_is_no_cut() -> None:
    before = texture(0)
    assert flow((np.roll(before, 4, 1) * 0.7 + 30).astype(np.uint8), before) is not None


def test_what_cannot_be_believed_is_refused() -> None:
    assert flow(texture(0), texture(5)) is None, "a cut"
    assert flow(dark(0), dark(1)) is None, "noise alone"
    assert flow(texture(0), np.zeros_like(texture(0))) is None, "out of the dark"
    flat = np.full((180, 320, 3), 90, np.uint8)
    assert flow(flat, flat) is None, "nothing to see"
    assert flow(texture(0), texture(0)[:, :160]) is None, "another size"


@pytest.mark.parametrize("size_hw", [(1, 1), (12, 400), (LEAST_PX, LEAST_PX), (LEAST_PX, 320), (LEAST_PX, 4000)])
def test_every_size_of_frame_is_taken(size_hw: tuple[int, int]) -> None:
    flow(texture(1, size_hw), texture(1, size_hw))
