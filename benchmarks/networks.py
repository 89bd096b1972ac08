"""The networks that the benchmarks run: official layouts and sizes with random weights, and the kit's files of them.

They are made once and kept under out/bench, in a folder named after the code they were made with.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from scoreboard import say

from convert.conversion import run
from convert.demo.random_weights import random_weights
from convert.job import Job
from convert.model_grid import converter_hash
from convert.models.load import FrozenGraph
from convert.networks import mobilenet as builder
from convert.networks import xception
from convert.networks.architecture import Architecture
from convert.tflite.recipes import parse_recipes
from edge.classes import CITYSCAPES
from edge.files import write_whole

CROP_HW = (1025, 2049)
MOBILENET, XCEPTION = "mobilenetv2", "xception65"
SETTINGS = {"calibration_frames": 4, "verification_frames": 1, "min_agreement": 0.0}  # random weights agree on little


def folder() -> Path:
    made = Path(os.environ.get("OUT", "out"), "bench", converter_hash()[:12])
    made.mkdir(parents=True, exist_ok=True)
    return made


def graph(name: str) -> Path:
    """The stock frozen graph, 1025x2049, output stride 8."""
    path = folder() / f"{name}.pb"
    if not path.exists():
        say(f"building {path.name}")
        write_whole(path, {MOBILENET: _mobilenetv2, XCEPTION: _xception65}[name]().SerializeToString())
    return path


def _mobilenetv2() -> Any:
    """DeepLab as officially exported for Cityscapes: width 1.0, 19 classes."""
    architecture = Architecture(width=1.0, classes=19, crop_hw=CROP_HW, output_stride=8)
    return builder.build(architecture, random_weights(architecture, seed=1, smooth=True))


def _xception65() -> Any:
    architecture = xception.Xception(classes=19, crop_hw=CROP_HW, output_stride=8)
    return xception.build(architecture, _smooth(xception.random_weights(architecture, seed=1)))


def _smooth(weights: Mapping[str, Any]) -> dict[str, Any]:
    """Depthwise kernels that average, so that label maps have areas and are not noise."""
    return {k: np.abs(v) if k.endswith("depthwise_weights") else v for k, v in weights.items()}


def files(name: str, size_hw: tuple[int, int], stride: int, recipes: str = "int8") -> dict[str, Path]:
    """The kit's files by recipe; made where they are not there."""
    paths = {recipe: folder() / file_name(name, size_hw, stride, recipe) for recipe in recipes.split(",")}
    missing = [recipe for recipe, path in paths.items() if not path.exists()]
    if missing:
        say(f"converting {name} to {size_hw[0]}x{size_hw[1]}, stride {stride}, {' and '.join(missing)}")
        data = graph(name).read_bytes()
        frozen = FrozenGraph(name, data, sha256(data).hexdigest(), "built for the benchmarks")
        run(
            frozen,
            Job(
                parse_recipes(",".join(missing)),
                size_hw,
                str(stride),
                folder(),
                ["demo"],
                classes=CITYSCAPES,
                **SETTINGS,
            ),
        )
    return paths


def file_name(name: str, size_hw: tuple[int, int], stride: int, recipe: str) -> str:
    return f"{name}-{size_hw[0]}x{size_hw[1]}-os{stride}-{recipe}.tflite"
