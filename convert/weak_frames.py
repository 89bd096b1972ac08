"""Tells frames that weaken a verdict: smaller than the model's input, few, unlike each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from convert.suspicious_frames import Look
from edge.text import counted

LEAST_SIZE = 0.9  # of the input's height and width: 512x1024 serves an input of 513x1025
FEWEST, MANY = 5, 20  # frames to verify with: fewer are few whatever they show, so many are enough for different scenes
MOST_APART = 26.0
ENOUGH = 64  # frames to compare with each other, of thousands evenly taken ones, which would take minutes


def weaknesses(looks: Sequence[Look], held_out: int, input_hw: tuple[int, int]) -> list[str]:
    """Returns a line for each thing about frames that weakens what is measured on those `held_out`."""
    few = _few(held_out) if held_out < FEWEST else _unlike(looks, held_out)
    return [line for line in (_small(looks, input_hw), few) if line]


def _small(looks: Sequence[Look], input_hw: tuple[int, int]) -> str:
    """Tells frames that are enlarged, by their median size.

    Measured by calibrating and verifying int8 on frames that were reduced first, and verifying the same model on the
    frames as they were. Reduced to a half, a quarter and an eighth of the input's size, fidelity comes out too low for
    networks that int8 suits: the demo's by 0.0005, 0.0011 and 0.0057, of MobileNetV2 on a real drive by 0.0000, 0.0004
    and 0.0017. It comes out too high for one that int8 hurts: of MobileNetV3-small by 0.0086 at a half.
    """
    if not looks:
        return ""
    height, width = (int(size) for size in np.median([one.size_hw for one in looks], axis=0))
    if height >= LEAST_SIZE * input_hw[0] and width >= LEAST_SIZE * input_hw[1]:
        return ""
    return (
        f"frames of {height}x{width} (median) are enlarged to the input of {input_hw[0]}x{input_hw[1]}: they are "
        "smoother than a camera's, and the fidelity of int8 may come out 0.01 too high or too low"
    )


def _few(held_out: int) -> str:
    return f"{counted(held_out, 'frame')} to verify with {'tells' if held_out == 1 else 'tell'} little of others"


def _unlike(looks: Sequence[Look], held_out: int) -> str:
    """Tells frames of different scenes, of which there are not many.

    In grey and averaged to 32x32, half of the frames differ from the one that is most like them by more than
    `MOST_APART` grey levels. Eight frames of one drive have 6 (a motorway) to 21 (the demo), forty have 3 to 12; forty
    pictures of generated scenes have 31, eight have 34.
    """
    if held_out >= MANY or len(looks) < 2:
        return ""
    small = np.array([one.small for one in looks[:: max(1, len(looks) // ENOUGH)]])
    apart = [np.abs(np.delete(small, place, axis=0) - one).mean(axis=(1, 2)).min() for place, one in enumerate(small)]
    if np.median(apart) <= MOST_APART:
        return ""
    return (
        f"the frames show different scenes, of which {held_out} to verify with tell little; "
        "ask for more `verification_frames`"
    )
