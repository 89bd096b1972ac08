"""Reads label files: what the values or colours of a picture mean as classes of a model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.classes import ClassSet, Colour
from edge.data import IGNORE, MAX_PIXELS, Ids, Pixels
from edge.errors import SourceError, UsageError

SUFFIXES = frozenset({".png", ".bmp", ".pgm", ".ppm"})  # lossless ones
_MAX_BYTES = 8 * MAX_PIXELS
_CODECS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"BM": "bmp",
    b"P5": "pgm",
    b"P6": "ppm",
}
_RGB = {"rgb24": (0, 1, 2), "rgba": (0, 1, 2), "bgr24": (2, 1, 0), "bgra": (2, 1, 0), "bgr0": (2, 1, 0)}
_UNKNOWN = 256  # in tables of 16 bits: a value that stands for nothing


@dataclass(frozen=True, slots=True)
class LabelPicture:
    """A label picture as it is stored: `ids` grey levels or palette indices, `colours` RGB; either may be missing."""

    ids: Ids | None  # uint8 (H, W)
    colours: Pixels | None  # uint8 (H, W, 3)
    palette: NDArray[np.uint8] | None = None  # uint8 (256, 3), where `ids` are palette indices


@dataclass(frozen=True, slots=True)
class Labelling:
    """The meaning of the pixels of label files. None as a class name stands for ignored pixels.

    Without `values` and without `colours`, values are class ids of whatever model is looked at, 255 is ignored.
    """

    name: str
    values: Mapping[int, str | None] = field(default_factory=dict)  # grey level or palette index -> class name
    colours: Mapping[Colour, str | None] = field(default_factory=dict)
    other: bool = False  # ignore what is in neither table, instead of refusing the file
    merge: Mapping[str, str] = field(default_factory=dict)  # classes that count as another one, in truth and prediction
    only: tuple[str, ...] = ()  # classes that IoU is computed over; empty for all
    strict: bool = False  # a name that a model does not have is a mistake, instead of ignored

    def class_of(self, name: str | None, classes: ClassSet) -> int:
        """Returns the id that a name of this labelling stands for in `classes`; IGNORE where there is none."""
        if name is None:
            return IGNORE
        targets = {plain(one): plain(other) for one, other in self.merge.items()}
        return ids_by_name(classes).get(targets.get(plain(name), plain(name)), IGNORE)

    def merged(self, classes: ClassSet) -> NDArray[np.uint8]:
        """Returns predicted id -> id to count it as, uint8 (256,)."""
        table = np.arange(256, dtype=np.uint8)
        ids = ids_by_name(classes)
        for name, target in self.merge.items():
            if plain(name) in ids and plain(target) in ids:
                table[ids[plain(name)]] = ids[plain(target)]
        return table

    def counted(self, classes: ClassSet) -> list[int]:
        """Returns the ids that means are taken over, ascending: those that the truth can be, or `only` some of them."""
        ids = set(range(len(classes)))
        if self.values or self.colours:
            ids = {self.class_of(name, classes) for name in self._truths()} - {IGNORE}
        if self.only:
            ids &= {self.class_of(name, classes) for name in self.only}
        return sorted(ids)

    def check(self, classes: ClassSet) -> list[str]:
        """Returns the names of true classes that `classes` lacks, whose pixels are ignored.

        Raises UsageError where that is a mistake: for a labelling of the user's own, and where nothing is left.
        """
        names = dict.fromkeys([*self._truths(), *self.merge, *self.merge.values(), *self.only])
        unknown = [name for name in names if plain(name) not in ids_by_name(classes)]
        if not unknown and not self.counted(classes):
            raise UsageError(f"{self.name}: none of its labels is a class that counts: {', '.join(self.only)}")
        if (self.strict and unknown) or not self.counted(classes):
            raise UsageError(
                f"{self.name}: {', '.join(unknown)} is no class of the model, which has {', '.join(classes.names)}; "
                "correct the name or write null to ignore it"
            )
        return [name for name in self._truths() if self.class_of(name, classes) == IGNORE]

    def _truths(self) -> list[str]:
        """Returns the class names that pixels can have."""
        names = dict.fromkeys([*self.values.values(), *self.colours.values()])
        return [name for name in names if name is not None]


def plain(name: str) -> str:
    """Returns a class name without case, spaces and punctuation: `Traffic_Light` is `traffic light`."""
    return re.sub(r"[\W_]+", "", name.casefold())


def ids_by_name(classes: ClassSet) -> dict[str, int]:
    return {plain(name): index for index, name in enumerate(classes.names)}


def read_truth(path: Path, labelling: Labelling, classes: ClassSet) -> Ids:
    """Reads the label file at `path` in ids of `classes`, uint8 (H, W), IGNORE where nothing is to be counted.

    Raises SourceError where it cannot be read, or holds what stands for no class.
    """
    return translate(decode(path), labelling, classes, str(path))


def translate(raw: LabelPicture, labelling: Labelling, classes: ClassSet, where: str) -> Ids:
    """Returns a label picture in ids of `classes`. Raises SourceError, naming `where`, for what stands for no class."""
    if raw.colours is not None and labelling.colours:
        return _from_colours(raw.colours, labelling, classes, where)
    if raw.palette is not None and not labelling.values and labelling.colours:
        assert raw.ids is not None
        return _from_colours(raw.palette[raw.ids], labelling, classes, where)
    if raw.ids is not None and (labelling.values or not labelling.colours):
        return _from_values(raw.ids, labelling, classes, where)
    found, wanted = ("colours", "ids") if raw.ids is None else ("grey levels", "colours")
    raise SourceError(f"{where}: expected labels as {wanted} ({labelling.name}), found {found}; see `mapping`")


def _from_values(values: Ids, labelling: Labelling, classes: ClassSet, where: str) -> Ids:
    table = np.full(256, IGNORE if labelling.other else _UNKNOWN, np.uint16)
    if labelling.values:
        for value, name in labelling.values.items():
            table[value] = labelling.class_of(name, classes)
    else:
        table[: len(classes)] = np.arange(len(classes))
        table[IGNORE] = IGNORE
    present = np.bincount(values.ravel(), minlength=256) > 0
    if (table[present] == _UNKNOWN).any():
        value = int(np.flatnonzero(present & (table == _UNKNOWN))[0])
        raise SourceError(f"{where}: value {value} stands for no class ({_about(labelling, classes)}); see `mapping`")
    ids: Ids = table.astype(np.uint8)[values]
    return ids


def _about(labelling: Labelling, classes: ClassSet) -> str:
    if labelling.values:
        return labelling.name
    return f"expected 0 to {len(classes) - 1} as the model's classes, or 255 to ignore"


def _from_colours(colours: Pixels, labelling: Labelling, classes: ClassSet, where: str) -> Ids:
    known = {_packed(colour): labelling.class_of(name, classes) for colour, name in labelling.colours.items()}
    keys = np.array(sorted(known), np.uint32)
    packed = cv2.cvtColor(colours, cv2.COLOR_RGB2RGBA).view("<u4")[:, :, 0] & 0xFFFFFF
    place = np.minimum(np.searchsorted(keys, packed), len(keys) - 1)
    strange = keys[place] != packed
    if strange.any() and not labelling.other:
        colour = ",".join(map(str, colours[strange][0]))
        raise SourceError(
            f"{where}: colour {colour} and {int(strange.sum())} pixels in all stand for no class ({labelling.name}); "
            "see `mapping`"
        )
    ids: Ids = np.array([known[key] for key in keys.tolist()], np.uint8)[place]
    ids[strange] = IGNORE
    return ids


def _packed(colour: Iterable[int]) -> int:
    red, green, blue = colour
    return red | green << 8 | blue << 16


def decode(path: Path) -> LabelPicture:
    """Reads a label file without scaling, smoothing or guessing: 8-bit grey, palette or RGB.

    RGB whose three channels are equal everywhere counts as grey too. An alpha channel is dropped.

    Raises SourceError where it is missing, no such picture, damaged, has more than 64 megapixels or other pixels.
    """
    return decode_labels(path, label_bytes(path))


def label_bytes(path: Path) -> bytes:
    """Returns what is in a label file. Raises SourceError where it is missing or too large."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise SourceError(f"{path}: expected a label file of at most {_MAX_BYTES // 1_000_000} MB")
        return path.read_bytes()
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc


def decode_labels(path: Path, data: bytes) -> LabelPicture:
    """Reads what `label_bytes` read of a file, perhaps on another machine. Raises SourceError, naming `path`."""
    codec = next((codec for magic, codec in _CODECS.items() if data.startswith(magic)), None)
    if codec is None:
        raise SourceError(f"{path}: expected labels as a PNG, BMP, PGM or PPM file, found something else")
    if codec == "png" and data[25:26] == b"\0" and data[24:25] in (b"\1", b"\2", b"\4"):  # would be scaled to 0..255
        raise SourceError(f"{path}: expected 8 bits per pixel, found grey of {data[24]} bits; save it again as 8-bit")
    return _unpack(path, codec, data)


def _unpack(path: Path, codec: str, data: bytes) -> LabelPicture:
    import av

    context: Any = av.CodecContext.create(codec, "r")
    context.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "crccheck+explode"}
    context.thread_count = 1
    try:
        frames = context.decode(av.Packet(data)) or context.decode(None)
    except (av.error.FFmpegError, ValueError) as exc:
        raise SourceError(
            f"{path}: the label file is damaged, cut off or of more than {MAX_PIXELS // 1_000_000} megapixels"
        ) from exc
    if not frames:
        raise SourceError(f"{path}: the label file is damaged or cut off")
    return _raw(path, frames[0])


def _raw(path: Path, frame: Any) -> LabelPicture:
    layout = frame.format.name
    if layout == "gray":
        return LabelPicture(frame.to_ndarray(), None)
    if layout == "pal8":
        ids, palette = frame.to_ndarray()
        return LabelPicture(ids, None, np.ascontiguousarray(palette[:, 1:]))  # alpha comes first
    if layout not in _RGB:
        raise SourceError(
            f"{path}: expected labels as 8-bit ids, a palette or RGB colours, found pixels of kind {layout}"
        )
    colours = np.ascontiguousarray(frame.to_ndarray()[:, :, _RGB[layout]])
    red = colours[:, :, 0]
    is_grey = np.array_equal(red, colours[:, :, 1]) and np.array_equal(red, colours[:, :, 2])
    return LabelPicture(np.ascontiguousarray(red) if is_grey else None, colours)
