"""Class names and colours of the label sets the kit knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge.data import MOST_CLASSES, MOST_NARROW
from edge.errors import CardError, UsageError

Colour = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class ClassSet:
    """Names and RGB colours, index = class id."""

    names: tuple[str, ...]
    colours: tuple[Colour, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.colours):
            raise CardError(f"expected one colour per class, got {len(self.colours)} for {len(self.names)} classes")
        if not 1 <= len(self.names) <= MOST_CLASSES:
            raise CardError(f"expected 1 to {MOST_CLASSES} classes, got {len(self.names)}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_wide(self) -> bool:
        """Whether label maps of these classes need uint16."""
        return len(self.names) > MOST_NARROW

    def table(self) -> NDArray[np.uint8]:
        """Returns RGB of every possible id, uint8 (256, 3), or (65536, 3); ids without a class are black."""
        table = np.zeros((1 << 16 if self.is_wide else 1 << 8, 3), np.uint8)
        table[: len(self.colours)] = self.colours
        return table


# Names, order (trainId) and colours as published with the Cityscapes benchmark's label definitions.
CITYSCAPES = ClassSet(
    (
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    (
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
)


# The benchmark's own label ids of these classes, as in `*_labelIds.png`; there, 0 is unlabelled.
CITYSCAPES_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def spread_colours(count: int) -> tuple[Colour, ...]:
    """Returns distinct colours for any number of classes: the bits of the id, spread over R, G and B.

    This is the PASCAL VOC colour map, continued beyond 256 ids: bit 0, 1, 2 of the id become the top bits of R, G, B,
    the next three bits the next lower ones, and so on; class 0 is black.
    """
    colours = []
    for index in range(count):
        rgb = [0, 0, 0]
        for bit in range(16):
            rgb[bit % 3] |= (index >> bit & 1) << (7 - bit // 3)
        colours.append((rgb[0], rgb[1], rgb[2]))
    return tuple(colours)


VOC = ClassSet(
    (
        "background",
        "aeroplane",
        "bicycle",
        "bird",
        "boat",
        "bottle",
        "bus",
        "car",
        "cat",
        "chair",
        "cow",
        "dining table",
        "dog",
        "horse",
        "motorbike",
        "person",
        "potted plant",
        "sheep",
        "sofa",
        "train",
        "tv monitor",
    ),
    spread_colours(21),
)

_KNOWN = {"cityscapes": CITYSCAPES, "voc": VOC}


def known(name: str) -> ClassSet:
    """Returns a label set by name: `cityscapes` or `voc`."""
    if name not in _KNOWN:
        raise UsageError(f"expected one of {', '.join(_KNOWN)} or a file of names, got {name!r}", "classes")
    return _KNOWN[name]


def guess(count: int) -> ClassSet:
    """Returns the label set that a model with `count` classes most likely uses; numbered classes where none fits."""
    for classes in _KNOWN.values():
        if len(classes) == count:
            return classes
    return ClassSet(tuple(f"class {i}" for i in range(count)), spread_colours(count))
