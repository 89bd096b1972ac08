"""Tells people what a file is that they took for a frozen graph, and how to get one from it."""

from __future__ import annotations

from pathlib import Path

from edge.segmenter import MAX_FILE

EXPORT = "export a frozen graph from it with DeepLab's export_model.py"
RENAME = "if it is one, rename it to end in {}"
TFLITE = b"TFL3"  # at byte 4 of every .tflite
EDGE_TPU = b"edgetpu-custom-op"


def kind_of_name(name: str) -> str | None:
    """Returns what a file of this name is where that is known not to be a frozen graph, as a sentence's end."""
    if name.endswith(".meta"):
        return f"the graph of a training, without its weights, which lie beside it in the checkpoint; {EXPORT}"
    if name == "checkpoint" or name.endswith((".ckpt", ".index")) or ".data-0" in name:
        return f"a part of a checkpoint: weights without the graph; {EXPORT}"
    if name.endswith(".tflite"):
        return (
            "a TensorFlow Lite model already: convert-model makes int8 of one in float that is called .tflite, "
            "inspect-model shows it, run-model runs it"
        )
    return None


def kind_of_content(data: bytes) -> str | None:
    """Returns what bytes are that are known to be no frozen graph, as a sentence's end."""
    if data[4:8] == TFLITE and EDGE_TPU in data:
        return (
            "a TensorFlow Lite model that is compiled for an Edge TPU and runs nowhere else; take the frozen graph or "
            "the .tflite that it was compiled from"
        )
    if data[4:8] == TFLITE:
        return kind_of_name(".tflite")
    if data[:8] == b"\x89HDF\r\n\x1a\n":
        return f"an HDF5 file, as Keras models are; {RENAME.format('.h5')}"
    if data[:2] == b"PK":
        return f"a zip, as Keras models are; {RENAME.format('.keras')}"
    if is_saved_model(data):
        return "a SavedModel; call it saved_model.pb as it was, with its variables folder beside it"
    return None


def is_saved_model(data: bytes) -> bool:
    """Returns whether bytes begin with `saved_model_schema_version` 1; a GraphDef begins with a node."""
    return data[:2] == b"\x08\x01"


def kind_of_file(path: Path) -> str | None:
    """Returns what a file is that has not the name of a graph, as a sentence's end; None where that is not known."""
    try:
        known = kind_of_content(path.read_bytes()) if path.stat().st_size <= MAX_FILE else None
    except OSError:
        known = None
    return known or kind_of_name(path.name)
