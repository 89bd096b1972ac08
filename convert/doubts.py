"""Says what about a verdict is not to be overlooked where the model passes."""

from __future__ import annotations

from convert.verdict import ClassFall, Verdict
from edge.text import counted

MOST_FALL = 0.05
"""How much the IoU of a class may fall, against the truth, before it is told. Conversions of the demo at four sizes to
dynamic and int8 take 0.04 from it at most."""
LEAST_IOU, LEAST_SHARE = 0.5, 0.0003
"""The IoU with the network that was given below which a class is told, and the share of all pixels that it needs.

Measured on the demo at 129x257 to 513x1025, dynamic and int8, all with a fidelity above 0.98: what is below 0.5 are
three classes of at most 0.02 % of the pixels, which a few of them turn. Classes of 0.025 % and more have at least 0.73.
"""


def fallen(verdict: Verdict, most: float) -> list[str]:
    """Returns a text for each class whose IoU against the truth falls by more than `most`, the largest fall first."""
    falls = sorted(verdict.class_falls.items(), key=lambda item: -item[1].fall)
    return [_of_class(name, fall) for name, fall in falls if fall.fall > most]


def _of_class(name: str, fall: ClassFall) -> str:
    return f"{name} {fall.retargeted_iou:.4f} -> {fall.model_iou:.4f} ({counted(fall.pixels, 'pixel')})"


def low(verdict: Verdict) -> list[str]:
    """Returns a text for each class that is seen otherwise than by the network that was given, the lowest first.

    A class without a count of its pixels is left out.
    """
    least = LEAST_SHARE * sum(verdict.seen_pixels.values())
    found = sorted((iou, name) for name, iou in verdict.per_class.items() if iou < LEAST_IOU)
    pixels = verdict.seen_pixels
    return [f"{n} {iou:.4f} ({counted(pixels[n], 'pixel')})" for iou, n in found if pixels.get(n, 0) > least]


def doubts(recipe: str, verdict: Verdict, max_class_drop: float | None) -> list[str]:
    """Returns a line for each kind of doubt; classes that fall are no doubt where a limit for them was asked for."""
    lines = []
    if max_class_drop is None and (falls := fallen(verdict, MOST_FALL)):
        lines.append(f"{recipe}: IoU against the truth falls by more than {MOST_FALL:g}: {', '.join(falls)}")
    if seen := low(verdict):
        lines.append(
            f"{recipe}: IoU with what the network that was given sees is below {LEAST_IOU:g}: {', '.join(seen)}"
        )
    return lines
