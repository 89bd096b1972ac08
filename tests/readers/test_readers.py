"""Other programs open the files that convert-model writes, and see in pictures what the kit sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import Segmenter
from edge.card import LABELS
from edge.classes import CITYSCAPES
from edge.data import Pixels

pytestmark = pytest.mark.tensorflow

Reader = Callable[..., str]


def sampled_as_mediapipe_does(pixels: Pixels, size_hw: tuple[int, int]) -> Pixels:
    """The first pixel lies on the first, in steps of whole sizes; the kit's corners lie on corners."""
    (height, width), (out_h, out_w) = pixels.shape[:2], size_hw
    columns, rows = np.meshgrid(np.arange(out_w) * (width / out_w), np.arange(out_h) * (height / out_h))
    places = columns.astype(np.float32), rows.astype(np.float32)
    out: Pixels = cv2.remap(pixels, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return out


def test_mediapipe_labels_a_picture_as_the_kit_does(
    files: dict[str, Path], street: Pixels, reader: Reader, tmp_path: Path
) -> None:
    """0.99 and not 1: MediaPipe samples pictures in another way. Where the kit does it likewise, float models agree on
    all but 0.1 %; in int8 more pixels tip over with a grey level that was rounded otherwise.
    """
    np.savez(tmp_path / "pictures.npz", street=street)
    reader("mediapipe", tmp_path / "pictures.npz", tmp_path / "seen.npz", *files.values())
    with np.load(tmp_path / "seen.npz") as seen:
        for kind, path in files.items():
            segment = Segmenter(path)
            theirs = seen[f"{path}:street"]
            assert np.mean(segment(street).ids == theirs) >= 0.98
            likewise = segment.preprocess(sampled_as_mediapipe_does(street, segment.preprocess.size_hw))
            ours = segment.postprocess(segment.score(likewise), theirs.shape).ids
            assert np.mean(ours == theirs) >= {"float32": 0.999, "uint8": 0.992}[kind]
            assert tuple(seen[f"{path}:labels"]) == CITYSCAPES.names
            np.testing.assert_allclose(seen[f"{path}:sum"], 1.0, atol=1e-3, err_msg="confidences are shares")


@pytest.mark.long
def test_mediapipe_takes_every_kind_but_int8(
    other_files: dict[str, Path], street: Pixels, reader: Reader, tmp_path: Path
) -> None:
    np.savez(tmp_path / "pictures.npz", street=street)
    reader("mediapipe", tmp_path / "pictures.npz", tmp_path / "seen.npz", *other_files.values())
    with np.load(tmp_path / "seen.npz") as seen:
        for kind in ("float16", "dynamic"):
            path = other_files[kind]
            assert np.mean(Segmenter(path)(street).ids == seen[f"{path}:street"]) >= 0.98
        assert "got INT8" in str(seen[f"{other_files['int8']}:refused"])


@pytest.mark.long
def test_onnxruntime_gives_what_the_file_gives(
    files: dict[str, Path], other_files: dict[str, Path], street: Pixels, reader: Reader, tmp_path: Path
) -> None:
    segmenters = {str(path): Segmenter(path) for path in (*files.values(), *other_files.values())}
    inputs = {name: segment.preprocess(street) for name, segment in segmenters.items()}
    np.savez(tmp_path / "inputs.npz", **inputs)
    reader("onnx", tmp_path / "inputs.npz", tmp_path / "given.npz", *inputs)
    with np.load(tmp_path / "given.npz") as given:
        for name, segment in segmenters.items():
            ours, theirs = segment.engine.invoke(inputs[name]), given[name]
            assert (theirs.shape, theirs.dtype) == (ours.shape, ours.dtype)
            assert np.mean(theirs.argmax(-1) == ours.argmax(-1)) >= 0.98


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_tflite_support_reads_the_metadata(kind: str, files: dict[str, Path], reader: Reader) -> None:
    found, packed = json.loads(reader("tflite_support", files[kind]))
    graph = found["subgraph_metadata"][0]
    unit = graph["input_tensor_metadata"][0]["process_units"][0]
    assert unit == {"options_type": "NormalizationOptions", "options": {"mean": [127.5], "std": [127.5]}}
    assert graph["output_tensor_metadata"][0]["associated_files"][0]["type"] == "TENSOR_AXIS_LABELS"
    assert graph["custom_metadata"][0]["name"] == "SEGMENTER_METADATA"
    assert LABELS in packed


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_the_signature_runs(kind: str, files: dict[str, Path], street: Pixels) -> None:
    from ai_edge_litert.interpreter import Interpreter

    segment, interpreter = Segmenter(files[kind]), Interpreter(str(files[kind]))
    x = segment.preprocess(street)
    theirs = interpreter.get_signature_runner("serving_default")(image=x)["logits"]
    np.testing.assert_array_equal(theirs.argmax(-1), segment.engine.invoke(x).argmax(-1))


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_openvino_compiles_the_file_as_it_is(kind: str, files: dict[str, Path], street: Pixels) -> None:
    openvino = pytest.importorskip("openvino")
    segment = Segmenter(files[kind])
    x = segment.preprocess(street)
    theirs = openvino.Core().compile_model(str(files[kind]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
    assert np.mean(theirs.argmax(-1) == segment.engine.invoke(x).argmax(-1)) >= 0.98


def test_a_picture_of_the_inputs_size_goes_into_uint8_as_it_is(files: dict[str, Path], street: Pixels) -> None:
    """That is what programs do that know nothing of scales."""
    segment = Segmenter(files["uint8"])
    picture = np.ascontiguousarray(street[:513, :1025])
    np.testing.assert_array_equal(segment.preprocess(picture)[0], picture)
