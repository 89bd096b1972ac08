"""Defines the figures that say how far a converted model can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class ClassFall:
    """The IoU of one class, against the truth, before and after a conversion."""

    retargeted_iou: float
    model_iou: float
    pixels: int  # of the truth

    @property
    def fall(self) -> float:
        """How much lower the model's IoU is; negative where it is higher."""
        return self.retargeted_iou - self.model_iou


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of one model over the held-out frames; None where one is not known."""

    frames: int
    fidelity: float = 0.0  # share of equal pixels at the input size
    worst_frame: float = 0.0  # lowest fidelity of a frame
    worst: str = ""  # which frame that is
    objects: float | None = None  # share of equal pixels where either sees more than background
    per_class: Mapping[str, float] = field(default_factory=dict)  # IoU with what the re-targeted graph sees
    seen_pixels: Mapping[str, int] = field(default_factory=dict)  # that either of them sees as the class
    class_falls: Mapping[str, ClassFall] = field(default_factory=dict)  # of the classes of the truth
    shrinking: float = 0.0  # share of equal pixels at the stock size
    mean_iou: float | None = None  # against the truth, as the next two
    retargeted_mean_iou: float | None = None
    stock_mean_iou: float | None = None
    miou_drop: float | None = None  # against the re-targeted graph, over the classes of the truth
    best_frame: float | None = None  # highest fidelity of a frame

    @property
    def between(self) -> float | None:
        """The share of further frames like these whose fidelity is expected to lie from the worst to the best.

        It holds whatever the distribution: a further frame is as likely to take any place among n, and n-1 of the n+1
        places lie between (Wilks, Determination of sample sizes for setting tolerance limits, 1941). Frames that follow
        each other are more alike than that, and say less of what the camera sees on another day.
        """
        return (self.frames - 1) / (self.frames + 1) if self.frames > 1 and self.best_frame is not None else None

    def as_json(self) -> dict[str, object]:
        """Returns the figures that are known, rounded to what they are good for."""
        return {name: _rounded(value, 5) for name, value in asdict(self).items() if value is not None}


def _rounded(value: Any, digits: int) -> Any:
    """Returns a figure, or a mapping of figures by class, which are good for one digit less."""
    if isinstance(value, Mapping):
        return {name: _rounded(each, 4) for name, each in value.items()}
    return round(value, digits) if isinstance(value, float) else value
