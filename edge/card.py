"""The model card: what a .tflite is and how far it was checked, carried inside the file.

JSON and labels.txt are appended to the flatbuffer as a zip archive. Flatbuffer readers ignore what follows
the buffer, `unzip model.tflite` shows it, and one file is all that goes to the Pi. They are stored, not compressed:
MediaPipe refuses an archive that is. Files of before were, and are read.
"""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import Any, get_args

from edge.classes import ClassSet
from edge.data import OutputKind, Upsampling
from edge.errors import CardError
from edge.preprocess import Channels, Normalisation, by_channel

CARD, LABELS = "roadlite-card.json", "labels.txt"
MAX_BYTES = 1 << 22  # of the card, unpacked: far more than ten thousand calibration frames need, no zip bomb
FORMATS = (1, 2)  # 2: the normalisation differs between channels, which readers of 1 do not know
MAX_NAME = 255  # characters; file names are no longer

# What zipfile and json raise for damaged input, next to zipfile's own error.
_UNPACKING = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    IndexError,
    RuntimeError,
    RecursionError,
)


@dataclass(frozen=True, slots=True)
class Card:
    """What the runtime needs to know, and where the file comes from."""

    name: str  # of the model, e.g. mobilenetv2
    recipe: str  # float32, float16, dynamic, int8
    input_hw: tuple[int, int]
    output_stride: int  # input size over the size of the deepest feature map
    norm: Normalisation
    output: OutputKind
    classes: ClassSet
    provenance: dict[str, Any] = field(default_factory=dict)  # source graph, calibration, verification, versions
    upsampling: Upsampling = "align_corners"  # how its scores are enlarged, as in the graph it was made of


def attach(model: bytes, card: Card) -> bytes:
    """Returns the flatbuffer `model` with the card behind it.

    Raises ValueError for provenance that is no JSON, nan included.
    """
    document = {
        "format": 1 if card.norm.alike else 2,
        "name": "".join(c if c.isprintable() else "?" for c in card.name)[:MAX_NAME],
        "recipe": card.recipe,
        "input_hw": card.input_hw,
        "output_stride": card.output_stride,
        "normalisation": {"mean": card.norm.mean, "std": card.norm.std},
        "resize": "bilinear, align_corners",
        "output": card.output,
        "upsampling": card.upsampling,
        "classes": [
            {"name": name, "colour": colour}
            for name, colour in zip(card.classes.names, card.classes.colours, strict=True)
        ],
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "provenance": card.provenance,
    }
    buffer = io.BytesIO(model)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:  # "a" would join a zip that is there already
        for name, text in (
            (CARD, json.dumps(document, indent=1, allow_nan=False)),
            (LABELS, "\n".join(card.classes.names) + "\n"),
        ):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_STORED)
    return buffer.getvalue()


def read(data: bytes, where: str) -> Card | None:
    """Returns the card of a .tflite file's bytes; None where it has none of ours.

    Raises CardError when there is one but it is damaged, or the model in front of it is.
    """
    if CARD.encode() not in data:
        return None
    try:
        text, start = _unpack(data)
        document = json.loads(text, parse_constant=_refuse)
        card = _parse(document)
    except (*_UNPACKING, AttributeError, KeyError, TypeError, CardError) as exc:
        reason = f"{exc}" if str(exc) else type(exc).__name__
        raise CardError(f"{where}: its model card is damaged ({reason:.200}); copy or convert it again") from exc
    if hashlib.sha256(data[:start]).hexdigest() != document.get("model_sha256"):
        raise CardError(f"{where}: the model is not the one its card was written for; copy or convert it again")
    return card


def _unpack(data: bytes) -> tuple[bytes, int]:
    """The card's JSON, and where the archive begins: zipfile moves the offsets of one with something in front."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        info = archive.getinfo(CARD)
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others may ask for gigabytes
            raise zipfile.BadZipFile(f"compressed by method {info.compress_type}")
        with archive.open(info) as member:
            text = member.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise zipfile.BadZipFile(f"larger than {MAX_BYTES} bytes")
        return text, min(entry.header_offset for entry in archive.infolist())


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _parse(document: dict[str, Any]) -> Card:
    if document["format"] not in FORMATS:
        raise ValueError(f"card format {document['format']!r:.80}, expected 1 or 2; it may need a newer roadlite")
    if document["output"] not in ("logits", "labels"):
        raise ValueError(f"output {document['output']!r:.80}, expected logits or labels")
    upsampling = document.get("upsampling", "align_corners")  # before there was another, cards did not say
    if upsampling not in get_args(Upsampling):
        raise ValueError(f"upsampling {upsampling!r:.80}, expected {', '.join(get_args(Upsampling))}")
    norm = by_channel(*(_channels(document["normalisation"][key]) for key in ("mean", "std")))
    if not norm.plausible:
        raise ValueError(f"normalisation {norm}")
    height, width = (_count(n) for n in document["input_hw"])
    entries = document["classes"]
    names = tuple(_text(entry["name"]) for entry in entries)
    colours = tuple(_colour(entry["colour"]) for entry in entries)
    provenance = document["provenance"]
    if not isinstance(provenance, dict):
        raise TypeError("provenance is no object")
    return Card(
        _text(document["name"]),
        _text(document["recipe"]),
        (height, width),
        _count(document["output_stride"]),
        norm,
        document["output"],
        ClassSet(names, colours),
        provenance,
        upsampling,
    )


def _channels(value: object) -> Channels:
    """A number for all channels, or a list of one each."""
    if not isinstance(value, list):
        return (_number(value),) * 3
    if len(value) != 3:
        raise ValueError(f"expected a number for all channels or three, got {value!r:.80}")
    return _number(value[0]), _number(value[1]), _number(value[2])


def _number(value: object) -> float:
    if type(value) not in (int, float):
        raise ValueError(f"expected a number, got {value!r:.80}")
    return float(value)  # type: ignore[arg-type]


def _count(value: object) -> int:
    if type(value) is not int or not 1 <= value <= 8192:
        raise ValueError(f"expected a size of 1 to 8192, got {value!r:.80}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= MAX_NAME:
        raise ValueError(f"expected a printable name of 1 to {MAX_NAME} characters, got {value!r:.80}")
    return value


def _colour(value: object) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3 or not all(type(v) is int and 0 <= v < 256 for v in value):
        raise ValueError(f"expected an RGB colour, got {value!r:.80}")
    return value[0], value[1], value[2]
