"""The model card: what a .tflite is and how far it was checked, carried inside the file.

JSON and labels.txt are appended to the flatbuffer as a zip archive. Flatbuffer readers ignore what follows
the buffer, `unzip model.tflite` shows it, and one file is all that goes to the Pi.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.classes import ClassSet
from edge.errors import CardError
from edge.preprocess import Normalisation

CARD, LABELS = "roadlite-card.json", "labels.txt"
MAX_BYTES = 1 << 20  # of either member, unpacked: far more than a card needs, far less than a zip bomb

OutputKind = Literal["logits", "labels"]


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


def attach(model: bytes, card: Card) -> bytes:
    """The flatbuffer `model` with the card behind it."""
    document = {
        "format": 1,
        "name": card.name,
        "recipe": card.recipe,
        "input_hw": card.input_hw,
        "output_stride": card.output_stride,
        "normalisation": {"mean": card.norm.mean, "std": card.norm.std},
        "resize": "bilinear, align_corners",
        "output": card.output,
        "classes": [
            {"name": name, "colour": colour}
            for name, colour in zip(card.classes.names, card.classes.colours, strict=True)
        ],
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "provenance": card.provenance,
    }
    buffer = io.BytesIO(model)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (
            (CARD, json.dumps(document, indent=1)),
            (LABELS, "\n".join(card.classes.names) + "\n"),
        ):
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def read(data: bytes, where: str) -> Card | None:
    """The card of a .tflite file's bytes; None where it has none of ours.

    Raises CardError when there is one but it is damaged, or the model in front of it is.
    """
    document = _document(data, where)
    if document is None:
        return None
    try:
        card = _parse(document)
    except (KeyError, TypeError, ValueError, OverflowError) as exc:
        raise CardError(f"{where}: its model card is damaged ({exc!r}); convert the model again") from exc
    start = _zip_start(data)
    if hashlib.sha256(data[:start]).hexdigest() != document.get("model_sha256"):
        raise CardError(f"{where}: the model is not the one its card was written for; copy or convert it again")
    return card


def _document(data: bytes, where: str) -> dict[str, Any] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if CARD not in archive.namelist():
                return None
            with archive.open(CARD) as member:
                text = member.read(MAX_BYTES + 1)
    except zipfile.BadZipFile as exc:
        if "not a zip file" in str(exc):
            return None
        raise CardError(f"{where}: its model card cannot be unpacked ({exc}); copy or convert it again") from exc
    except (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zipfile.zlib.error) as exc:  # type: ignore[attr-defined]
        raise CardError(f"{where}: its model card cannot be unpacked ({exc}); copy or convert it again") from exc
    if len(text) > MAX_BYTES:
        raise CardError(f"{where}: its model card is larger than {MAX_BYTES} bytes")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise CardError(f"{where}: its model card is no valid JSON; copy or convert it again") from exc
    if not isinstance(document, dict):
        raise CardError(f"{where}: its model card is no JSON object; copy or convert it again")
    return document


def _zip_start(data: bytes) -> int:
    """Where the archive begins: zipfile has moved the offsets of a zip with something in front."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return min((info.header_offset for info in archive.infolist()), default=len(data))


def _parse(document: dict[str, Any]) -> Card:
    if document["format"] != 1:
        raise ValueError(f"card format {document['format']!r}, expected 1")
    if document["output"] not in ("logits", "labels"):
        raise ValueError(f"output {document['output']!r}, expected logits or labels")
    mean, std = (float(document["normalisation"][key]) for key in ("mean", "std"))
    if not (abs(mean) < 1e6 and 1e-6 < std < 1e6):
        raise ValueError(f"normalisation mean {mean}, std {std}")
    height, width = (int(n) for n in document["input_hw"])
    entries = document["classes"]
    names = tuple(_text(entry["name"]) for entry in entries)
    colours = tuple(_colour(entry["colour"]) for entry in entries)
    provenance = document["provenance"]
    if not isinstance(provenance, dict):
        raise TypeError("provenance is no object")
    return Card(
        _text(document["name"]), _text(document["recipe"]), (height, width), int(document["output_stride"]),
        Normalisation(mean, std), document["output"], ClassSet(names, colours), provenance,
    )  # fmt: skip


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable() or not 1 <= len(value) <= 64:
        raise ValueError(f"expected a printable name of 1 to 64 characters, got {value!r:.80}")
    return value


def _colour(value: object) -> tuple[int, int, int]:
    if not isinstance(value, list) or len(value) != 3 or not all(isinstance(v, int) and 0 <= v < 256 for v in value):
        raise ValueError(f"expected an RGB colour, got {value!r:.80}")
    return value[0], value[1], value[2]
