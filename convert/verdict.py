"""Defines the figures that say how far a converted model can be trusted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of one model over the held-out frames; None where one is not known."""

    frames: int
    fidelity: float = 0.0  # share of equal pixels at the input size
    worst_frame: float = 0.0  # lowest fidelity of a frame
    worst: str = ""  # which frame that is
    objects: float | None = None  # share of equal pixels where either sees more than background
    per_class: Mapping[str, float] = field(default_factory=dict)  # IoU with what the re-targeted graph sees
    shrinking: float = 0.0  # share of equal pixels at the stock size
    mean_iou: float | None = None  # against the truth, as the next two
    retargeted_mean_iou: float | None = None
    stock_mean_iou: float | None = None
    miou_drop: float | None = None  # against the re-targeted graph, over the classes of the truth
    invoke_ms: float = 0.0  # median

    def as_json(self) -> dict[str, object]:
        """Returns the figures that are known, rounded to what they are good for."""
        figures = {name: value for name, value in asdict(self).items() if value is not None and name != "per_class"}
        rounded = {name: round(value, 5) if isinstance(value, float) else value for name, value in figures.items()}
        return rounded | {"per_class": {name: round(iou, 4) for name, iou in self.per_class.items()}}
