"""The one door to `convert`, which belongs to the workstation: a device has it not, and nothing of edge imports it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from edge.classes import ClassSet
from edge.data import Ids, Pixels
from edge.errors import RoadliteError, RuntimeMissing
from edge.preprocess import Fit, Normalisation
from edge.progress import Track
from edge.requirements import install_extra


class FrozenGraph(Protocol):
    """A frozen graph that labels pictures, as `convert.reference.FrozenReference` does."""

    name: str
    classes: ClassSet

    def __call__(self, pixels: Pixels) -> Ids: ...

    def close(self) -> None: ...


def frozen_reference(
    model: str, *, fit: Fit, norm: Normalisation | None, track: Track, notice: Callable[[str], None]
) -> FrozenGraph:
    """Opens a frozen graph. Raises RuntimeMissing where TensorFlow or the converter cannot be imported."""
    try:
        module = importlib.import_module("convert.reference")
    except (ImportError, RoadliteError) as exc:
        raise RuntimeMissing(
            f"{model}: a frozen graph needs TensorFlow: {install_extra('convert')}; "
            f"a .tflite as reference does without ({exc})"
        ) from exc
    graph: FrozenGraph = module.FrozenReference(model, fit=fit, norm=norm, track=track, notice=notice)
    return graph


def convert_missing(
    model: str,
    input_sizes: Sequence[tuple[int, int]],
    strides: Sequence[str],
    recipes: Sequence[str],
    *,
    norm: Normalisation | None,
    track: Track,
    notice: Callable[[str], None],
) -> list[tuple[Path, str]]:
    """Returns (file, why it could not be made) of each model of a graph's grid. Raises RuntimeMissing."""
    try:
        module = importlib.import_module("convert.model_grid")
    except ImportError as exc:
        raise RuntimeMissing(
            f"{model}: converting needs {exc.name}: {install_extra('convert')}, or name .tflite files"
        ) from exc
    made: list[tuple[Path, str]] = module.convert_missing(
        model, input_sizes, strides, recipes, norm=norm, track=track, notice=notice
    )
    return made
