"""Runs segmentation models on a camera or a video, without TensorFlow."""

from edge.data import Frame, LabelMap
from edge.segmenter import Segmenter

__all__ = ["Frame", "LabelMap", "Segmenter"]
