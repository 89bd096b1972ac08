"""The nouns that travel along the pipeline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""uint8 (H, W, 3), RGB, C-contiguous."""

Ids = NDArray[Any]
"""uint8 (H, W), class index per pixel; 255 is ignore. Of a model with more than 255 classes uint16; 65535 is ignore."""

Logits = NDArray[Any]
"""float32, int8 or uint8 (h, w, C), class scores; bigger is likelier."""

Upsampling = Literal["align_corners", "half_pixel_centers", "asymmetric"]
"""Where the pixels of an enlarged map fall between its nodes: corners on corners, which is DeepLab's; areas on areas;
or first pixel on first node, in steps of whole sizes, which is how TensorFlow 1 resizes when nothing is asked for."""

IGNORE = 255
MOST_NARROW, MOST_CLASSES = 255, 65535  # classes whose ids fit into uint8, and into uint16

OutputKind = Literal["logits", "labels"]
"""What a model gives for a picture: scores of classes, or the ids of the best."""

Values = Literal["ids", "probabilities", "unknown"]
"""What the operator that makes a tensor says of its values; operators that only lay it out are looked through."""


def picture_hw(shape: tuple[int, ...]) -> tuple[int, int]:
    """Returns the size of a picture that a tensor (1, H, W, 3) or, with channels first, (1, 3, H, W) holds."""
    height, width = shape[2:4] if channels_first(shape) else shape[1:3]
    return height, width


def channels_first(shape: tuple[int, ...]) -> bool:
    """Returns whether a picture's shape is (1, 3, H, W)."""
    return shape[3] != 3


def ignored(ids: Ids) -> int:
    """Returns the id that stands for ignored pixels in a label map: the largest of its dtype."""
    return int(np.iinfo(ids.dtype).max)


MAX_PIXELS = 64_000_000
"""Of a picture or a frame: a file that promises more is refused before it is unpacked."""


class Deferred(Protocol):
    """A picture that is made when `numpy.asarray` asks for it: uint8 (H, W, 3) RGB, contiguous or not."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels: ...


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture from a source."""

    pixels: Pixels
    index: int  # position in the source, from 0
    t_capture_s: float  # time.perf_counter() when the picture was there
    time_s: float | None = None  # since the first one, as the source tells time; None: its rate tells
    small: Pixels | Deferred | None = None  # the same view at the model's input size, where the camera scales
    name: str | None = None  # of its own file, to call what is made of it by; None: it has none


@dataclass(frozen=True, slots=True)
class LabelMap:
    """The class of every pixel of a frame."""

    ids: Ids


Way = Literal["own", "moved", "held"]
"""Where a frame's labels come from: from itself; from an earlier one and moved with what they name; from an earlier one
and left in place."""


@dataclass(frozen=True, slots=True)
class LabelledFrame:
    """A frame with its labels."""

    frame: Frame
    labels: LabelMap
    behind_s: float = 0.0  # how much earlier the frame was that the model saw
    way: Way = "own"


@dataclass(frozen=True, slots=True)
class Canvas:
    """A picture, and the labels to be painted over it."""

    pixels: Pixels
    ids: Ids  # of the picture's size


@dataclass(frozen=True, slots=True)
class Result:
    """A frame on its way to the sinks."""

    frame: Frame
    labels: LabelMap
    picture: Pixels  # what is shown: overlay, mask or side by side
    # Makes what they paint who paint labels themselves, from any thread; None: that is the frame and its labels.
    canvas: Callable[[], Canvas] | None = None


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What a source knows about itself before its first frame."""

    name: str
    size_wh: tuple[int, int] | None  # None where frames may differ in size
    rate: Fraction | None  # frames per second; None for pictures without a rate
    frame_count: int | None  # None when unknown; an estimate for containers that do not say
    live: bool = False  # the newest frame counts; those that nobody took in time are dropped
    is_drawn: bool = False  # frames are drawn when they are asked for, and not decoded


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A model's input or output tensor. Real value = scale * (stored - zero_point)."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    scale: float  # 0.0 where the tensor is not quantized
    zero_point: int
    values: Values = "unknown"
    channels_last: bool = False  # whether the operator that makes it can but put channels last; False where unknown
