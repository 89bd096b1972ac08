"""Runs segmentation models on a camera or a video, without TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.on_demand import import_on_demand

if TYPE_CHECKING:
    from edge.class_lists.files import class_set
    from edge.classes import ClassSet
    from edge.data import Frame, LabelMap
    from edge.errors import RoadliteError
    from edge.preprocess import Normalisation
    from edge.renderer import render
    from edge.segmenter import Segmenter
    from edge.shares import label_shares, region_shares
    from edge.sources.open import open_source
    from edge.sources.options import SourceOptions
    from edge.streaming import Labelled, StageTimes

__all__ = [
    "ClassSet",
    "Frame",
    "LabelMap",
    "Labelled",
    "Normalisation",
    "RoadliteError",
    "Segmenter",
    "SourceOptions",
    "StageTimes",
    "class_set",
    "label_shares",
    "open_source",
    "region_shares",
    "render",
]
_HOMES = {
    "ClassSet": "edge.classes",
    "Frame": "edge.data",
    "LabelMap": "edge.data",
    "Labelled": "edge.streaming",
    "Normalisation": "edge.preprocess",
    "RoadliteError": "edge.errors",
    "Segmenter": "edge.segmenter",
    "SourceOptions": "edge.sources.options",
    "StageTimes": "edge.streaming",
    "class_set": "edge.class_lists.files",
    "label_shares": "edge.shares",
    "open_source": "edge.sources.open",
    "region_shares": "edge.shares",
    "render": "edge.renderer",
}

# When it is asked for: check-device must start where numpy or OpenCV cannot be imported.
__getattr__, __dir__ = import_on_demand(__name__, _HOMES)
