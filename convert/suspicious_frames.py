"""Tells frames that cannot be what a camera sees, by looking at them: black ones, noise, label masks, all alike.

Models are calibrated and verified on frames. Those that show nothing give ranges and verdicts that mean nothing, after
minutes of work.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Pixels
from edge.errors import SourceError
from edge.text import counted

LEAST_SPREAD = 2.0
LEAST_CORRELATION = 0.45
MOST_COLOURS, MOST_EQUAL = 64, 0.93
LEAST_CONTRAST, MOST_RINGING, LEAST_FLAT, MOST_FLAT_COLOURS, LEAST_IN_THEM = 30.0, 16, 0.74, 24, 0.96
LEAST_DIFFERENCE = 1.0
_BLACK = "black or one colour"
_NOISE = "noise"
_MASK = "label masks"
_SMALL_HW = (32, 32)


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at a frame has found."""

    source: str  # the frame's
    fault: str  # what the frame looks like that a camera does not see; empty where it may be a picture
    small: NDArray[np.float32]  # the frame in grey, 32x32, for comparing frames
    size_hw: tuple[int, int]  # the frame's


def look(pixels: Pixels, source: str) -> Look:
    """Looks at an RGB frame of any size, as it comes from its source: resizing hides noise and the edges of masks."""
    grey = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
    return Look(source, fault_of(pixels, grey), _reduced(grey, _SMALL_HW), (grey.shape[0], grey.shape[1]))


def fault_of(pixels: Pixels, grey: NDArray[np.uint8]) -> str:
    """Returns what a frame looks like that a camera does not see; an empty text where it may be a picture.

    Measured on drives, photos, the demo's scenes and these as PNG, JPEG of quality 20, and 16 to 256 times darker with
    and without noise of a deviation of 8 and 15:

    - *One colour*: the channel of most spread deviates by less than 2 grey levels. Pictures have 42 to 96, 64 times
      darker ones at least 6.0; what is accused is 256 times darker and has no noise (1.2 to 3.4).
    - *Noise*: neighbours correlate by less than 0.45 after pixels are averaged 4x4, which takes noise away and leaves
      what a picture shows. Pictures have 0.83 and more, 64 times darker ones with noise of 15 at least 0.84, 256 times
      darker ones 0.59. Noise has -0.02 to 0.13, blurred by a pixel or enlarged twice 0.2 to 0.3, in a film of H.264
      0.02 to 0.38.
    - *Label masks*: at most 64 colours, and more than 93 % of neighbours exactly equal. Masks have 8 to 18 colours and
      at least 98.9 %. Pictures have 1300 colours and more, with at most 72 % equal; reduced to 8 colours 92 %.
    - *Label masks that JPEG has blurred* have thousands of colours, but only along their edges: away from them, which
      is 76 % of the pixels or more, at least 98 % have one of 24 colours. Pictures have at most 73 % of such pixels,
      and 93 % of these in 24 colours. Dark pictures have more, so that masks in dark colours are not told from them.
    """
    spread = cv2.meanStdDev(pixels)[1].max()
    if spread < LEAST_SPREAD:
        return _BLACK
    height, width = grey.shape
    by = max(1, min(4, min(height, width) // 32))  # leaves at least 32 pixels to correlate, where there are as many
    if _correlation(_reduced(grey, (height // by, width // by))) < LEAST_CORRELATION:
        return _NOISE
    blurred = spread > LEAST_CONTRAST and _is_blurred_mask(pixels)
    return _MASK if blurred or _is_mask(pixels, grey) else ""


def _reduced(grey: NDArray[np.uint8], size_hw: tuple[int, int]) -> NDArray[np.float32]:
    """Returns a picture of averages, exactly: noise that was rounded would be alike where it is weak."""
    whole = grey.astype(np.float32)
    return np.asarray(cv2.resize(whole, size_hw[::-1], interpolation=cv2.INTER_AREA), np.float32)


def _correlation(grey: NDArray[np.float32]) -> float:
    """Returns how neighbours correlate, beside or below each other, whichever is more; 1 where nothing can be told."""
    pairs = [(grey[:, 1:], grey[:, :-1]), (grey[1:], grey[:-1])]
    spread = [(a, b) for a, b in pairs if a.size and a.std() > 0 and b.std() > 0]
    return max((float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in spread), default=1.0)


def _is_mask(pixels: Pixels, grey: NDArray[np.uint8]) -> bool:
    if _equal(grey) <= MOST_EQUAL:  # equal colours are equally grey; this takes a tenth of the time
        return False
    wide = pixels.astype(np.uint32)
    packed = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    return _equal(packed) > MOST_EQUAL and len(np.unique(packed)) <= MOST_COLOURS


def _is_blurred_mask(pixels: Pixels) -> bool:
    around = np.ones((9, 9), np.uint8)  # a block of JPEG and a pixel
    flat = (cv2.dilate(pixels, around) - cv2.erode(pixels, around)).max(-1) <= MOST_RINGING
    if flat.mean() < LEAST_FLAT:
        return False
    wide = pixels[flat].astype(np.uint32) // 4  # what JPEG does to one colour
    counts = np.sort(np.unique(wide[:, 0] << 12 | wide[:, 1] << 6 | wide[:, 2], return_counts=True)[1])
    return bool(counts[-MOST_FLAT_COLOURS:].sum() > LEAST_IN_THEM * counts.sum())


def _equal(values: NDArray[Any]) -> float:
    """Returns the share of neighbours, beside and below each other, that are equal; 0 where one kind is missing."""
    if min(values.shape) < 2:
        return 0.0
    return float((values[:, 1:] == values[:, :-1]).mean() + (values[1:] == values[:-1]).mean()) / 2


def judge(looks: Sequence[Look], go_on: bool) -> list[str]:
    """Returns a line for each thing that is odd about frames: a few that cannot be right, or all of them alike.

    All are alike where no frame, averaged to 32x32, differs from the first by a grey level: a standing camera with
    noise of a deviation of 15 has 0.7, drives of one second 7 and more.

    Raises SourceError where more than half of them cannot be right, unless the user says to `go_on`.
    """
    bad = [one for one in looks if one.fault]
    if not bad:
        return [_all_alike(looks)] if _are_alike(looks) else []
    sources = ", ".join(dict.fromkeys(one.source for one in bad))
    faults = Counter(one.fault for one in bad).most_common()
    kinds = " and ".join(fault if len(faults) == 1 else f"{fault} ({count})" for fault, count in faults)
    found = (
        f"{sources}: {len(bad)} of {counted(len(looks), 'frame')} {'looks' if len(bad) == 1 else 'look'} like {kinds}"
    )
    if 2 * len(bad) > len(looks) and not go_on:
        raise SourceError(
            f"{found}, on which nothing can be calibrated or verified; name pictures as the camera sees them with "
            "`calibrate`, or go on with `any_frames`"
        )
    return [f"{found}; frames as the camera sees them would serve better"]


def _are_alike(looks: Sequence[Look]) -> bool:
    """Returns whether several frames show the same."""
    most = max((float(np.abs(one.small - looks[0].small).mean()) for one in looks[1:]), default=LEAST_DIFFERENCE)
    return most < LEAST_DIFFERENCE


def _all_alike(looks: Sequence[Look]) -> str:
    sources = ", ".join(dict.fromkeys(one.source for one in looks))
    return (
        f"{sources}: all {len(looks)} frames show the same; a model needs different ones to be calibrated and verified"
    )
