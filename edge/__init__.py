"""Runs segmentation models on a camera or a video, without TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edge.data import Frame, LabelMap
    from edge.segmenter import Segmenter

__all__ = ["Frame", "LabelMap", "Segmenter"]


def __getattr__(name: str) -> Any:
    """Imports a name when it is asked for: check-device must start where numpy or OpenCV cannot be imported."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edge import data, segmenter

    return getattr(segmenter if name == "Segmenter" else data, name)
