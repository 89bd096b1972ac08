"""Refuses a .tflite whose scales or constants do not fit the types that they are stored in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph.finite import DIVERGED
from convert.tflite.recipes import Recipe
from edge.errors import ConversionError
from edge.text import counted


def check_constants(interpreter: Any, recipe: Recipe) -> None:
    """Raises ConversionError where a .tflite's scales or constants do not fit the type that they are stored in."""
    made = {int(index) for op in interpreter._get_ops_details() for index in op["outputs"]}
    made |= {int(detail["index"]) for detail in interpreter.get_input_details()}
    for detail in interpreter.get_tensor_details():
        if not np.isfinite(detail["quantization_parameters"]["scales"]).all():
            raise ConversionError(
                f"{recipe.name}: expected finite scales, got others for {detail['name']}: its values are too far apart "
                f"for 255 steps; {DIVERGED}"
            )
        dtype = np.dtype(detail["dtype"])
        if detail["index"] not in made and dtype.kind == "f":
            _check_fits(interpreter.get_tensor(detail["index"]), detail["name"], recipe)


def _check_fits(values: NDArray[Any], name: str, recipe: Recipe) -> None:
    most = np.finfo(values.dtype).max
    over = int((~(np.abs(values) < most)).sum())
    if over:
        way_out = "take another recipe than float16, or " if values.dtype == np.float16 else ""
        raise ConversionError(
            f"{recipe.name}: {over:,} of {counted(values.size, 'value')} of {name} do not fit {values.dtype.name}, "
            f"which ends at {most:.6g}; {way_out}{DIVERGED}"
        )
