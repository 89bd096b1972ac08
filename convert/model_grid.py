"""Converts one graph in several sizes, strides and recipes once, and keeps the models."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from convert.graph.strides import STRIDES
from convert.models.load import FrozenGraph, load_frozen_graph
from convert.tflite.recipes import Recipe, parse_recipes
from edge.cache import cache_folder
from edge.errors import ConversionError, GraphError, SinkError, UsageError
from edge.files import writable_folder
from edge.leftovers import TemporaryFolder
from edge.preprocess import Normalisation
from edge.progress import Track, silent
from edge.versions import installed

Made = tuple[Path, str]
"""The model's file, and why it could not be made; empty where it is there."""


def convert_missing(
    model: str,
    input_sizes: Sequence[tuple[int, int]],
    strides: Sequence[str],
    recipes: Sequence[str],
    *,
    norm: Normalisation | None = None,
    track: Track = silent,
    notice: Callable[[str], None] = lambda _: None,
) -> list[Made]:
    """Converts every combination that is not there yet, and returns all of them, in order.

    `strides` are some of `convert.graph.strides.STRIDES`, `recipes` names of `convert.tflite.recipes.RECIPES`, `norm`
    the normalisation of a graph that takes normalised pictures. A model is converted and verified as convert-model does
    it with its defaults, and kept in the user's cache folder under the hash of all that it comes from: graph, options
    and converter.

    Raises UsageError for the lists, GraphError and DownloadError for the graph, RuntimeMissing without TensorFlow.
    """
    wanted = parse_recipes(",".join(recipes))
    unknown = [stride for stride in strides if stride not in STRIDES]
    if unknown:
        raise UsageError(f"expected some of {', '.join(STRIDES)}, got {unknown[0]!r}", "output_stride")
    grid = [(size, stride) for size in input_sizes for stride in dict.fromkeys(strides)]
    frozen = load_frozen_graph(model, track=track, notice=notice)
    folder = writable_folder(cache_folder("converted"))
    return [
        made
        for input_hw, stride in track(grid, f"models of {frozen.name}", len(grid))
        for made in _convert(frozen, input_hw, stride, wanted, norm, folder, notice)
    ]


def _convert(
    frozen: FrozenGraph,
    input_hw: tuple[int, int],
    stride: str,
    recipes: list[Recipe],
    norm: Normalisation | None,
    folder: Path,
    notice: Callable[[str], None],
) -> list[Made]:
    kept = {recipe.name: folder / _key(frozen, input_hw, stride, recipe, norm) for recipe in recipes}
    missing = [recipe for recipe in recipes if not _model_in(kept[recipe.name])]
    failed: dict[str, str] = {}
    if missing:
        notice(f"converting {frozen.name} {input_hw[0]}x{input_hw[1]}, {', '.join(recipe.name for recipe in missing)}")
        failed = _make(frozen, input_hw, stride, missing, norm, kept)
    made = []
    for recipe in recipes:
        path = _model_in(kept[recipe.name])
        name = f"{frozen.name}-{input_hw[0]}x{input_hw[1]}-os{stride}-{recipe.name}.tflite"
        made.append((path, "") if path else (Path(name), failed[recipe.name]))
    return made


def _make(
    frozen: FrozenGraph,
    input_hw: tuple[int, int],
    stride: str,
    recipes: list[Recipe],
    norm: Normalisation | None,
    kept: dict[str, Path],
) -> dict[str, str]:
    """Converts into the folders `kept`; returns recipe -> reason of those that did not come out right."""
    from convert.conversion import run
    from convert.job import Job

    folder = next(iter(kept.values())).parent
    with TemporaryFolder(within=folder) as scratch:
        job = Job(
            recipes=recipes,
            input_hw=input_hw,
            output_stride=stride,
            output_dir=Path(scratch),
            calibrate=["demo"],
            calibration_frames=32,
            verification_frames=8,
            min_agreement=None,
            classes=None,
            norm=norm,
        )
        try:
            outcomes = run(frozen, job)
        except (ConversionError, GraphError) as exc:
            return {recipe.name: str(exc) for recipe in recipes}
        failed = {}
        for outcome in outcomes:
            if not outcome.passed:
                failed[outcome.recipe.name] = f"not good enough: {', '.join(outcome.shortcomings)}"
                continue
            try:
                kept[outcome.recipe.name].mkdir(exist_ok=True)
                os.replace(outcome.path, kept[outcome.recipe.name] / outcome.path.name)
            except OSError as exc:
                raise SinkError(f"{folder}: cannot be written to ({exc.strerror}); set ROADLITE_CACHE") from exc
    return failed


def _model_in(folder: Path) -> Path | None:
    return next(iter(sorted(folder.glob("*.tflite"))), None)


def _key(
    frozen: FrozenGraph, input_hw: tuple[int, int], stride: str, recipe: Recipe, norm: Normalisation | None
) -> str:
    versions = {name: version for name in ("tensorflow", "litert-quantizer") if (version := installed(name))}
    told = None if norm is None else norm.channels
    text = json.dumps([frozen.sha256, frozen.name, input_hw, stride, recipe.name, told, converter_hash(), versions])
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def converter_hash() -> str:
    """Returns a hash of the converter's own code: versions stay the same while someone works on it."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()
