"""Names the files of converted models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from convert.tflite.recipes import Recipe
from edge.destinations import Destination

if TYPE_CHECKING:
    from convert.graph.retarget import RetargetedNetwork

_SHAPE = re.compile(r".+-\d+x\d+-os\d+-\w+\.tflite")


def file_name(name: str, network: RetargetedNetwork, recipe: Recipe) -> str:
    """Returns the name of a model's file: `<model>-<H>x<W>-os<stride>-<recipe>.tflite`."""
    height, width = network.input_hw
    return f"{name}-{height}x{width}-os{network.output_stride}-{recipe.name}.tflite"


def destination(folder: Path) -> Destination:
    """Returns where models are written, before it is known which."""
    return Destination(str(folder), folder, "model-1x1-os16-int8.tflite", lambda name: bool(_SHAPE.fullmatch(name)))
