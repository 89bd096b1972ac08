from __future__ import annotations

from pathlib import Path

import pytest

from convert.models.load import load_frozen_graph
from edge.errors import GraphError

TFLITE = b"\x1c\x00\x00\x00TFL3"


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("model.ckpt-30000.meta", b"\n\x05", "the graph of a training, without its weights"),
        ("model.ckpt-30000.index", b"\x00\x00", "a part of a checkpoint: weights without the graph"),
        ("model.ckpt-30000.data-00000-of-00001", b"\x00", "a part of a checkpoint: weights without the graph"),
        ("checkpoint", b"model_checkpoint_path", "a part of a checkpoint: weights without the graph"),
        ("net.tflite", TFLITE, "a TensorFlow Lite model already: convert-model makes int8 of one in float"),
        ("net_edgetpu.tflite", TFLITE + b"....edgetpu-custom-op", "compiled for an Edge TPU and runs nowhere else"),
        ("frozen_inference_graph.pb", TFLITE + b"edgetpu-custom-op", "compiled for an Edge TPU and runs nowhere else"),
        (
            "renamed.pb",
            b"\x08\x01\x12\x03serve",
            r"a SavedModel; call it saved_model\.pb as it was, with its variables",
        ),
        ("renamed.hdf", b"\x89HDF\r\n\x1a\n", r"an HDF5 file, as Keras models are; .* rename it to end in \.h5"),
        ("renamed.zip", b"PK\x03\x04", r"a zip, as Keras models are; .* rename it to end in \.keras"),
    ],
)
def test_what_is_taken_for_a_frozen_graph_is_named(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(GraphError, match=what) as caught:
        load_frozen_graph(str(path), notice=pytest.fail)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
