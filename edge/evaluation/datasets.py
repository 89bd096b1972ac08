"""Lists the labellings of the data sets the kit knows, and those that users describe in a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.class_lists.documents import with_keys_once
from edge.classes import CITYSCAPES, CITYSCAPES_LABEL_IDS, VOC, Colour
from edge.data import IGNORE
from edge.errors import UsageError
from edge.evaluation.labelling import Labelling, LabelPicture, decode

JsonObject = dict[str, Any]  # as it was parsed, not checked yet

MAX_BYTES = 1 << 20  # of a mapping file; 256 values and a few thousand colours need less
_IGNORED = dict.fromkeys((IGNORE,))

_LABEL_IDS: dict[int, str] = dict(zip(CITYSCAPES_LABEL_IDS, CITYSCAPES.names, strict=True))  # the rest is not evaluated

# CamVid's 32 colours (label_colors.txt). Bicycles and their riders are one class there, lorries and buses another;
# what Cityscapes does not evaluate either, or splits otherwise, is ignored.
_CAMVID: dict[Colour, str | None] = {
    (128, 64, 128): "road",  # Road
    (128, 0, 192): "road",  # LaneMkgsDriv
    (192, 0, 64): "road",  # LaneMkgsNonDriv
    (0, 0, 192): "sidewalk",  # Sidewalk
    (128, 0, 0): "building",  # Building
    (64, 192, 0): "wall",  # Wall
    (64, 64, 128): "fence",  # Fence
    (192, 192, 128): "pole",  # Column_Pole
    (0, 64, 64): "traffic light",  # TrafficLight
    (192, 128, 128): "traffic sign",  # SignSymbol
    (128, 128, 0): "vegetation",  # Tree
    (192, 192, 0): "vegetation",  # VegetationMisc, grass too
    (128, 128, 128): "sky",  # Sky
    (64, 64, 0): "person",  # Pedestrian
    (192, 128, 64): "person",  # Child
    (0, 128, 192): "bicycle",  # Bicyclist
    (192, 0, 192): "bicycle",  # MotorcycleScooter
    (64, 0, 128): "car",  # Car
    (64, 128, 192): "car",  # SUVPickupTruck
    (192, 128, 192): "truck",  # Truck_Bus
    (192, 64, 128): "train",  # Train
    (64, 128, 64): None,  # Animal
    (192, 0, 128): None,  # Archway
    (0, 128, 64): None,  # Bridge
    (64, 0, 192): None,  # CartLuggagePram
    (128, 128, 64): None,  # Misc_Text
    (128, 64, 64): None,  # OtherMoving
    (64, 192, 128): None,  # ParkingBlock
    (128, 128, 192): None,  # RoadShoulder
    (0, 0, 64): None,  # TrafficCone
    (64, 0, 64): None,  # Tunnel
    (0, 0, 0): None,  # Void
}
_CAMVID_MERGE = {"rider": "bicycle", "motorcycle": "bicycle", "bus": "truck", "terrain": "vegetation"}

# The eleven classes in which SegNet published CamVid, and how they group the 32.
_CAMVID_IDS = (
    "sky",
    "building",
    "pole",
    "road",
    "sidewalk",
    "vegetation",
    "traffic sign",
    "fence",
    "car",
    "person",
    "bicycle",
    None,
)
_CAMVID_IDS_MERGE = {
    "wall": "building",
    "traffic light": "traffic sign",
    "terrain": "vegetation",
    "truck": "car",
    "bus": "car",
    "train": "car",
    "rider": "bicycle",
    "motorcycle": "bicycle",
}

# As the MIT tutorial on driving scene segmentation evaluates its sample.
_DRIVESEG_MERGE = {"truck": "car", "bus": "car", "wall": "building", "fence": "building", "rider": "person"}
_DRIVESEG_ONLY = tuple(CITYSCAPES.names[i] for i in (0, 1, 2, 5, 6, 7, 8, 9, 11, 13))

_VOC_BORDER = (224, 224, 192)
_TRAIN_IDS: Mapping[int, str | None] = dict(enumerate(CITYSCAPES.names)) | _IGNORED

KNOWN = {
    made.name: made
    for made in (
        Labelling("ids"),
        Labelling("cityscapes", values=_TRAIN_IDS),
        Labelling("cityscapes-labelids", values=dict.fromkeys(range(34)) | _IGNORED | _LABEL_IDS),
        Labelling("camvid", colours=_CAMVID, merge=_CAMVID_MERGE),
        Labelling("camvid-ids", values=dict(enumerate(_CAMVID_IDS)) | _IGNORED, merge=_CAMVID_IDS_MERGE),
        Labelling(
            "voc",
            values=dict(enumerate(VOC.names)) | _IGNORED,
            colours=dict(zip(VOC.colours, VOC.names, strict=True)) | {_VOC_BORDER: None},
        ),
        Labelling("driveseg", values=_TRAIN_IDS, merge=_DRIVESEG_MERGE, only=_DRIVESEG_ONLY),
    )
}
KINDS = ("auto", *KNOWN)


def labelling_for(kind: str, example: Path) -> Labelling:
    """Returns the labelling that `kind` names: one of KINDS or a mapping file. `auto` looks at `example`, a label file.

    Raises UsageError where `kind` is neither, or the mapping file makes no sense, SourceError where `auto`, and the
    example cannot be read or shows colours of no data set the kit knows.
    """
    if kind == "auto":
        return guess(example)
    if kind in KNOWN:
        return KNOWN[kind]
    path = Path(kind)
    if not path.is_file():
        raise UsageError(f"expected one of {', '.join(KINDS)} or a JSON file, got {kind!r}", "mapping")
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise UsageError(f"{path}: cannot be read ({exc.strerror})") from exc
    return parse(text, str(path))


def guess(example: Path) -> Labelling:
    """Guesses a labelling by the file's name, else by what is in it.

    Grey levels are taken for ids of the model's classes.
    """
    for ending, kind in (("_labeltrainids", "cityscapes"), ("_labelids", "cityscapes-labelids")):
        if example.stem.lower().endswith(ending):
            return KNOWN[kind]
    raw = decode(example)
    for kind in ("camvid", "voc"):
        if _fits(raw, KNOWN[kind]):
            return KNOWN[kind]
    if raw.ids is None:
        raise UsageError(f"{example}: its colours are those of no data set the kit knows; describe them in a `mapping`")
    return KNOWN["ids"]


def _fits(raw: LabelPicture, labelling: Labelling) -> bool:
    """Returns whether a picture of colours shows only those of the labelling, and not only grey."""
    if raw.palette is not None and raw.ids is not None:
        colours = raw.palette[sorted(set(raw.ids.ravel().tolist()))]
    elif raw.ids is None and raw.colours is not None:
        colours = raw.colours.reshape(-1, 3)
    else:
        return False
    shown = {(packed >> 16, packed >> 8 & 255, packed & 255) for packed in _packed(colours)}
    return shown <= set(labelling.colours) and any(len(set(colour)) > 1 for colour in shown)


def _packed(colours: NDArray[np.uint8]) -> set[int]:
    wide = colours.astype(np.uint32)
    return set(np.unique(wide[:, 0] << 16 | wide[:, 1] << 8 | wide[:, 2]).tolist())


def parse(text: bytes, where: str) -> Labelling:
    """Reads a labelling from a mapping file's JSON. Raises UsageError."""
    try:
        if len(text) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        document = json.loads(text, object_pairs_hook=with_keys_once)
        if not isinstance(document, dict):
            raise ValueError("expected an object")
        strange = set(document) - {"values", "colours", "other", "merge", "only"}
        if strange:
            raise ValueError(f"unknown key {min(strange)!r}: expected values, colours, other, merge, only")
        if not document.get("values") and not document.get("colours"):
            raise ValueError("expected values or colours")
        if document.get("other", "refuse") not in ("refuse", "ignore"):
            raise ValueError("other: expected refuse or ignore")
        return Labelling(
            where,
            values={_value(key): _name(name) for key, name in _table(document, "values").items()},
            colours={_colour(key): _name(name) for key, name in _table(document, "colours").items()},
            other=document.get("other") == "ignore",
            merge=_merge(document),
            only=tuple(_class(name) for name in _list(document, "only")),
            strict=True,
        )
    except (ValueError, TypeError, RecursionError) as exc:
        raise UsageError(f"{where}: not a mapping of labels to classes ({exc})") from exc


def _merge(document: JsonObject) -> dict[str, str]:
    merged = {_class(key): _class(name) for key, name in _table(document, "merge").items()}
    chained = sorted(set(merged) & set(merged.values()))
    if chained:
        raise ValueError(f"merge: {chained[0]!r} is merged itself, nothing can count as it")
    return merged


def _list(document: JsonObject, key: str) -> list[Any]:
    items = document.get(key, [])
    if not isinstance(items, list):
        raise ValueError(f"{key}: expected a list")
    return items


def _table(document: JsonObject, key: str) -> JsonObject:
    table = document.get(key, {})
    if not isinstance(table, dict):
        raise ValueError(f"{key}: expected an object")
    return table


def _value(key: str) -> int:
    if not (key.isascii() and key.isdecimal() and int(key) <= 255):
        raise ValueError(f"values: expected 0 to 255, got {key!r:.40}")
    return int(key)


def _colour(key: str) -> Colour:
    parts = [part.strip() for part in key.split(",")]
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() and int(part) <= 255 for part in parts):
        raise ValueError(f"colours: expected three numbers like '128,64,128', got {key!r:.40}")
    return int(parts[0]), int(parts[1]), int(parts[2])


def _name(name: object) -> str | None:
    return None if name is None else _class(name)


def _class(name: object) -> str:
    if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > 64:
        raise ValueError(f"expected a class name or null, got {name!r:.40}")
    return name
