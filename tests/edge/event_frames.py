"""Frames in which a person comes and goes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from edge.classes import ClassSet
from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.sinks.base import Sink

CLASSES = ClassSet(("road", "person"), ((128, 64, 128), (220, 20, 60)))
FILM = SourceInfo("film", (64, 48), Fraction(10), None)


def frame(index: int, *, person: bool) -> Result:
    """Of 64x48: all road, or a person on the left quarter; as bright as its index says."""
    ids = np.zeros((48, 64), np.uint8)
    ids[:, :16] = person
    picture = np.full((48, 64, 3), 2 * index, np.uint8)
    return Result(Frame(picture, index, time.perf_counter()), LabelMap(ids), picture)


def play(sink: Sink, frames: int, persons: Sequence[range]) -> None:
    for index in range(frames):
        sink.write(frame(index, person=any(index in some for some in persons)))
