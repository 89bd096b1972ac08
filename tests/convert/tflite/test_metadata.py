from __future__ import annotations

import dataclasses
import zipfile
from pathlib import Path

import flatbuffers.encode
import flatbuffers.number_types as types
import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils
from flatbuffers.table import Table

from convert.tflite.metadata import describe, embed
from edge import card as cards
from edge.card import Card
from edge.classes import CITYSCAPES
from edge.engine.open import open_engine
from edge.preprocess import DEEPLAB

pytestmark = pytest.mark.tensorflow
CARD = Card("net", "int8", (33, 49), 16, DEEPLAB, "logits", CITYSCAPES)


class Reader:
    """Fields of a flatbuffer table by number, with flatbuffers' own reading functions."""

    def __init__(self, data: bytes, position: int | None = None) -> None:
        root = flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0)
        self.data, self.table = data, Table(data, root if position is None else position)

    def _at(self, field: int) -> int:
        offset = self.table.Offset(4 + 2 * field)
        assert offset, f"field {field} is absent"
        return int(self.table.Pos + offset)

    def child(self, field: int) -> Reader:
        return Reader(self.data, self.table.Indirect(self._at(field)))

    def first(self, field: int) -> Reader:
        start = self.table.Vector(self._at(field) - self.table.Pos)
        return Reader(self.data, self.table.Indirect(start))

    def text(self, field: int) -> str:
        return bytes(self.table.String(self._at(field))).decode()

    def byte(self, field: int) -> int:
        return int(self.table.Get(types.Uint8Flags, self._at(field)))

    def octets(self, field: int) -> bytes:
        start = self.table.Vector(self._at(field) - self.table.Pos)
        return bytes(self.data[start : start + self.table.VectorLen(self._at(field) - self.table.Pos)])

    def place(self, field: int) -> int:
        """Where a vector begins."""
        return int(self.table.Vector(self._at(field) - self.table.Pos))

    def real(self, field: int) -> float:
        return float(self.table.Get(types.Float32Flags, self.table.Vector(self._at(field) - self.table.Pos)))


def test_metadata_names_the_files_and_the_normalisation() -> None:
    data = describe(CARD)
    assert data[4:8] == b"M001"
    model = Reader(data)
    assert model.text(0) == "net"
    assert model.first(6).text(0) == cards.CARD
    graph = model.first(3)
    image, output = graph.first(2), graph.first(3)
    assert (image.text(0), output.text(0)) == ("image", "logits")
    unit = image.first(4)
    assert unit.byte(0) == 1
    assert (unit.child(1).real(0), unit.child(1).real(1)) == (127.5, 127.5)
    assert image.child(3).byte(0) == 2
    assert image.child(3).child(1).byte(0) == 1, "RGB"
    assert (output.first(6).text(0), output.first(6).byte(2)) == (cards.LABELS, 2)


@pytest.mark.parametrize(("output", "activation"), [("logits", 2), ("labels", None)])
def test_mediapipe_is_told_what_makes_confidences_of_scores(output: str, activation: int | None) -> None:
    data = describe(dataclasses.replace(CARD, output=output))
    assert Reader(data).text(7) == "1.5.0", "the version that brought custom metadata"
    custom = Reader(data).first(3).first(9)
    assert custom.text(0) == "SEGMENTER_METADATA"
    assert custom.place(1) % 16 == 0, "as the schema aligns it"
    segmenter = custom.octets(1)
    assert segmenter[4:8] == b"V001"
    if activation is None:
        with pytest.raises(AssertionError, match="field 0 is absent"):
            Reader(segmenter).byte(0)
    else:
        assert Reader(segmenter).byte(0) == activation


def test_a_written_model_carries_metadata_labels_and_card(int8_model: Path) -> None:
    data = int8_model.read_bytes()
    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(data))
    entry = next(entry for entry in parsed.metadata if entry.name == b"TFLITE_METADATA")
    assert bytes(parsed.buffers[entry.buffer].data)[4:8] == b"M001"
    with zipfile.ZipFile(int8_model) as archive:
        assert {cards.CARD, cards.LABELS} <= set(archive.namelist())


def test_metadata_changes_no_result(int8_model: Path) -> None:
    model = int8_model.read_bytes()
    more = embed(model, CARD)
    before, after = open_engine(model, "before"), open_engine(more, "after")
    picture = np.random.default_rng(0).integers(-128, 128, before.input.shape).astype(np.int8)
    np.testing.assert_array_equal(before.invoke(picture), after.invoke(picture))


@pytest.mark.parametrize("recipe", ["float", "int8"])
def test_openvino_opens_the_file_and_sees_the_same(recipe: str, float_model: Path, int8_model: Path) -> None:
    import openvino

    path = float_model if recipe == "float" else int8_model
    engine = open_engine(path.read_bytes(), recipe)
    request = (
        openvino.Core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    )
    x = np.random.default_rng(1).integers(-100, 100, engine.input.shape)
    picture = (x / 127 if recipe == "float" else x).astype(engine.input.dtype)
    request.infer({0: picture})
    theirs, ours = request.get_output_tensor(0).data, engine.invoke(picture)
    assert np.mean(theirs.argmax(-1) == ours.argmax(-1)) > 0.95


def test_nothing_is_requantized(int8_model: Path) -> None:
    """Operators that do nothing but change a scale cost time, and OpenVINO does not read them."""
    assert open_engine(int8_model.read_bytes(), "int8").operators()["QUANTIZE"] == 0
