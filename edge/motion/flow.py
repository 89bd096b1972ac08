"""Finds where what is in a frame was in the frame before it, and whether that can be believed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Pixels

Grey = NDArray[np.uint8]
"""uint8 (h, w), a frame as motion is looked for in it."""

Places = NDArray[np.float32]
"""float32 (h, w, 2), x and y in pixels of another picture of the same size, for each pixel."""

LONGEST_PX = 320  # of a frame's longer side: twice as many find little more, and take four times as long
LEAST_PX = 24  # of its shorter side: less has no room for the patches that are looked for
_SAMPLED_PX = 2  # every second row and column tells as much
_DETAIL_PX = 9  # of these samples; what is finer is detail, which a change of light leaves
_BELIEVED = 0.8  # of a frame's detail, so much at most may be left unexplained; its own noise explains 1.4 times all


def small_grey(pixels: Pixels) -> Grey:
    """Returns a frame, uint8 (H, W, 3), in grey and small.

    Of all its pixels: fine texture of which some are left out is another one in each frame.
    """
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    height, width = grey.shape
    scale = min(1.0, LONGEST_PX / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    while max(grey.shape) >= 2 * LONGEST_PX and not any(side % 2 for side in grey.shape):  # an eighth of the time
        grey = _averaged(grey, (grey.shape[1] // 2, grey.shape[0] // 2))
    return grey if (grey.shape[1], grey.shape[0]) == size else _averaged(grey, size)


def _averaged(grey: Grey, size_wh: tuple[int, int]) -> Grey:
    return np.asarray(cv2.resize(grey, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


class Flow:
    """Dense optical flow (OpenCV's DIS) between two frames in grey."""

    def __init__(self) -> None:
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._dis.setFinestScale(1)  # of the preset's 2: poles and signs are too thin for it
        self._dis.setGradientDescentIterations(12)

    def __call__(self, now: Grey, before: Grey) -> Places | None:
        """Returns how far each pixel of `now` has moved, x and y in pixels: it was at its place plus that in `before`.

        None where that cannot be believed: after a cut, in the dark, and where the frames differ in size.
        """
        if now.shape != before.shape or min(now.shape) < LEAST_PX:
            return None
        found: Places = np.asarray(self._dis.calc(now, before, None), np.float32)  # type: ignore[call-overload]
        places = pixel_places((now.shape[0], now.shape[1])) + found
        return found if unexplained(now, before, places) <= _BELIEVED else None


def unexplained(now: Grey, before: Grey, places: Places) -> float:
    """Returns how much of the detail of `now` is not at its place in `before`: 0 nothing, 1.4 all of it where both are
    noise; inf where there is no detail.
    """
    some = np.s_[::_SAMPLED_PX, ::_SAMPLED_PX]
    wanted, got = _detail(now[some]), _detail(moved(before, places[some]))
    whole = cv2.norm(wanted, cv2.NORM_L1)
    return cv2.norm(wanted, got, cv2.NORM_L1) / whole if whole else float("inf")


def moved(picture: NDArray[Any], places: Places) -> NDArray[Any]:
    """Returns (h, w, ...) of any dtype that `cv2.remap` takes: at each pixel what `picture` has at its place."""
    return np.asarray(cv2.remap(picture, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))  # type: ignore[call-overload]


@lru_cache(maxsize=4)
def pixel_places(size_hw: tuple[int, int]) -> Places:
    """Returns each pixel's own place; nobody writes into it."""
    height, width = size_hw
    places = np.dstack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    places.flags.writeable = False
    return places


def _detail(grey: NDArray[Any]) -> NDArray[np.int16]:
    grey = np.ascontiguousarray(grey)
    coarse = cv2.boxFilter(grey, -1, (_DETAIL_PX, _DETAIL_PX))
    return np.asarray(cv2.subtract(grey, coarse, dtype=cv2.CV_16S), np.int16)
