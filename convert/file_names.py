"""Names the files of converted models."""

from __future__ import annotations

import re
from pathlib import Path

from convert.tflite.recipes import Recipe
from edge.destinations import Destination

_SHAPE = re.compile(r".+-\d+x\d+-os\d+-\w+(-in-\w+)?(-out-\w+)?\.tflite")


def file_name(name: str, input_hw: tuple[int, int], output_stride: int, recipe: Recipe, ends: str = "") -> str:
    """Returns the name of a model's file: `<model>-<H>x<W>-os<stride>-<recipe>.tflite`, with `ends` such as
    `-in-uint8` behind the recipe.
    """
    height, width = input_hw
    return f"{name}-{height}x{width}-os{output_stride}-{recipe.name}{ends}.tflite"


def destination(folder: Path) -> Destination:
    """Returns where models are written, before it is known which."""
    return Destination(str(folder), folder, "model-1x1-os16-int8.tflite", lambda name: bool(_SHAPE.fullmatch(name)))
