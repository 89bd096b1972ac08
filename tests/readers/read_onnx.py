"""Converts models to ONNX and runs them: read_onnx.py INPUTS.npz OUT.npz MODEL..., `<model>` -> input, and output."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import tf2onnx


def main(inputs: str, out: str, models: list[str]) -> None:
    found = {}
    with np.load(inputs) as given:
        arrays = dict(given)
    for model in models:
        path = Path(out).with_name(f"{Path(model).stem}.onnx")
        tf2onnx.convert.from_tflite(model, output_path=str(path), opset=17)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (found[model],) = session.run(None, {session.get_inputs()[0].name: arrays[model]})
    np.savez(out, **found)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
