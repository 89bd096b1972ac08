"""Writes TensorFlow Lite metadata: what a model's input and output mean, in the flatbuffer that other tools look for.

The layout is that of `metadata_schema.fbs` of TensorFlow Lite Support (identifier M001), written field by field: of the
two packages that hold its generated code one needs an old numpy and the other is a vision framework.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from convert.tflite.flatbuffer import pack, parse
from edge.card import CARD, LABELS, Card

_AXIS_LABELS, _RGB = 2, 1  # AssociatedFileType.TENSOR_AXIS_LABELS, ColorSpaceType.RGB
_FEATURE, _IMAGE = 1, 2  # ContentProperties
_NORMALISATION = 1  # ProcessUnitOptions
_SOFTMAX = 2  # Activation of MediaPipe's image_segmenter_metadata_schema.fbs (identifier V001)


def embed(model: bytes, card: Card) -> bytes:
    """Returns the .tflite with metadata that names the card's files and says how pixels are normalised."""
    from ai_edge_litert import schema_py_generated as schema

    parsed = parse(model)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = list(describe(card))
    entry.name, entry.buffer = b"TFLITE_METADATA", len(parsed.buffers)
    parsed.buffers.append(buffer)
    parsed.metadata = [*(parsed.metadata or []), entry]
    return pack(parsed)


def describe(card: Card) -> bytes:
    """Returns the metadata flatbuffer of a model with one picture in and one map out."""
    import flatbuffers

    made = _Writer(flatbuffers.Builder(1024))
    height, width = card.input_hw
    mean, std = (value if isinstance(value, tuple) else (value,) for value in (card.norm.mean, card.norm.std))
    normalisation = made.table(2, (0, made.floats(mean)), (1, made.floats(std)))
    unit = made.table(2, (1, normalisation), tag=(0, _NORMALISATION))
    picture = made.table(2, tag=(0, _RGB))
    image = made.table(
        7,
        (0, made.text("image")),
        (1, made.text(f"RGB, {height}x{width}, align_corners")),
        (3, made.table(3, (1, picture), tag=(0, _IMAGE))),
        (4, made.tables([unit])),
    )
    names = made.table(5, (0, made.text(LABELS)), (1, made.text("class names, by id")), tag=(2, _AXIS_LABELS))
    about = made.table(5, (0, made.text(CARD)), (1, made.text("model card")))
    what = "class scores" if card.output == "logits" else "class ids"
    output = made.table(
        7,
        (0, made.text(card.output)),
        (1, made.text(f"{what} at output stride {card.output_stride}")),
        (3, made.table(3, (1, made.table(0)), tag=(0, _FEATURE))),
        (6, made.tables([names])),
    )
    segmenter = [made.table(2, (0, made.text("SEGMENTER_METADATA")), (1, made.octets(_segmenter(card))))]
    graph = made.table(10, (2, made.tables([image])), (3, made.tables([output])), (9, made.tables(segmenter)))
    model = made.table(
        8,
        (0, made.text(card.name)),
        (1, made.text(f"{card.recipe} semantic segmentation, made by roadlite")),
        (3, made.tables([graph])),
        (6, made.tables([about])),
        (7, made.text("1.5.0")),  # the first with custom metadata
    )
    return made.finish(model, b"M001")


def _segmenter(card: Card) -> bytes:
    """What MediaPipe's ImageSegmenter looks for: how scores become the shares of classes that it calls confidence."""
    import flatbuffers

    made = _Writer(flatbuffers.Builder(64))
    activation = (0, _SOFTMAX) if card.output == "logits" else None
    return made.finish(made.table(2, (1, made.text("1.0.0")), tag=activation), b"V001")


class _Writer:
    """Flatbuffer tables by field number; children are written before their parents."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def text(self, value: str) -> int:
        return int(self._builder.CreateString(value))

    def floats(self, values: Sequence[float]) -> int:
        self._builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self._builder.PrependFloat32(value)
        return int(self._builder.EndVector())

    def octets(self, value: bytes) -> int:
        """Bytes that are a flatbuffer of their own, at a multiple of 16 as the schema wants them."""
        self._builder.StartVector(1, len(value), 16)
        self._builder.head -= len(value)
        self._builder.Bytes[self._builder.head : self._builder.head + len(value)] = value
        return int(self._builder.EndVector())

    def tables(self, offsets: Sequence[int]) -> int:
        self._builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self._builder.PrependUOffsetTRelative(offset)
        return int(self._builder.EndVector())

    def table(self, fields: int, *offsets: tuple[int, int], tag: tuple[int, int] | None = None) -> int:
        """`tag`: a field of one byte, an enum or the type of a union."""
        self._builder.StartObject(fields)
        for slot, offset in offsets:
            self._builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
        if tag is not None:
            self._builder.PrependUint8Slot(*tag, 0)
        return int(self._builder.EndObject())

    def finish(self, root: int, identifier: bytes) -> bytes:
        self._builder.Finish(root, file_identifier=identifier)
        return bytes(self._builder.Output())
