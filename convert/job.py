"""Says what to make of a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convert.graph.strides import STRIDES
from convert.tflite.ends import AS_MADE, Ends
from convert.tflite.recipes import Recipe
from edge.classes import ClassSet
from edge.errors import UsageError
from edge.preprocess import Normalisation

INPUT_HW = 513, 1025  # half of Cityscapes' pictures, for graphs

RESCUE_SECONDS = 180.0  # two or three times what MobileNetV3 takes on two cores


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of a network. Raises UsageError where a value makes no sense."""

    recipes: list[Recipe]
    input_hw: tuple[int, int] | None  # None takes `INPUT_HW`, of a .tflite its own
    output_stride: str  # 8, 16, 32, keep (the graph's), or auto: 16, the graph's where that is coarser
    output_dir: Path
    calibrate: list[str]  # sources of frames
    calibration_frames: int
    verification_frames: int
    min_agreement: float | None  # None takes each recipe's own
    classes: ClassSet | None  # None guesses from their number
    labels_dir: Path | None = None  # label files of the pictures among the sources
    any_frames: bool = False  # frames that cannot be what a camera sees are told, instead of being an error
    strict: bool = False  # a picture that cannot be read is an error, instead of being left out
    max_miou_drop: float | None = None  # against the network that is converted; None does not ask
    max_class_drop: float | None = None  # of the IoU of any class of the truth, likewise
    rescue: bool = True  # int8 that falls short may keep layers in float
    rescue_seconds: float = RESCUE_SECONDS  # for finding which
    norm: Normalisation | None = None  # of a network that takes normalised pictures; None takes what is known of it
    output_tensor: str | None = None  # of a .tflite with several outputs
    ends: Ends = AS_MADE  # of the calibrated recipes' files

    def __post_init__(self) -> None:
        if self.ends.asked and not any(recipe.calibrated for recipe in self.recipes):
            raise UsageError("only int8 models have a choice", "input_type" if self.ends.input else "output_type")
        if self.output_stride not in STRIDES:
            raise UsageError(f"expected one of {', '.join(STRIDES)}, got {self.output_stride!r}", "output_stride")
        for name in ("min_agreement", "max_miou_drop", "max_class_drop"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise UsageError(f"expected 0 to 1, got {value}", name)
        if not 1 <= self.rescue_seconds <= 86400:
            raise UsageError(f"expected 1 to 86400 seconds, got {self.rescue_seconds:g}", "rescue_seconds")
        may_have_labels = self.labels_dir is not None or "demo" in self.calibrate  # which knows its own
        if self.max_class_drop is not None and not may_have_labels:
            needed = "needs frames with labels: the demo's, or name a folder with `labels_dir`"
            raise UsageError(needed, "max_class_drop")
        if not 1 <= self.calibration_frames <= 10000 or not 1 <= self.verification_frames <= 1000:
            raise UsageError("expected 1 to 10000 calibration frames and 1 to 1000 verification frames")
