"""One conversion from end to end: frozen graph -> verified .tflite files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from convert import anatomy as anatomies
from convert import graph as graphs
from convert import surgery, tflite
from convert.anatomy import Anatomy
from convert.calibration import Samples, Tensors, collect
from convert.forms import for_integers
from convert.models import FrozenGraph
from convert.quantize import Range
from convert.recipes import Recipe
from convert.tensorflow import tf
from convert.verify import Verdict, refer, verify
from edge import card as cards
from edge.card import Card
from edge.classes import ClassSet, guess
from edge.engine import open_engine
from edge.errors import UsageError
from edge.files import write_whole
from edge.preprocess import Normalisation
from edge.progress import Track, silent


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of a graph."""

    recipes: list[Recipe]
    input_hw: tuple[int, int]
    output_stride: str  # 8, 16, 32, keep (the graph's), or auto: 16, the graph's where that is coarser
    output_dir: Path
    calibrate: list[str]  # sources of frames
    calibration_frames: int
    verification_frames: int
    min_agreement: float | None  # None takes each recipe's own
    classes: ClassSet | None  # None guesses from their number


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipe."""

    recipe: Recipe
    path: Path  # where the file is, or would have been
    size_bytes: int
    seconds: float  # spent on converting, calibration included
    verdict: Verdict
    limit: float  # fidelity asked for

    @property
    def passed(self) -> bool:
        return self.verdict.fidelity >= self.limit


def run(
    frozen: FrozenGraph, job: Job, track: Track = silent, notice: Callable[[str], None] = lambda _: None
) -> list[Outcome]:
    """Converts, verifies and writes; a model below its limit is not written.

    Raises RoadliteError; nothing is left under a final name that is not whole and verified.
    """
    graph = graphs.parse(frozen.graph_bytes, frozen.name)
    anatomy = anatomies.discover(graph, frozen.name)
    classes = job.classes or guess(anatomy.classes)
    if len(classes) != anatomy.classes:
        raise UsageError(f"{frozen.name} has {anatomy.classes} classes, the label set {len(classes)}; see --labels")
    body = surgery.retarget(graph, anatomy, job.input_hw, stride_for(job.output_stride, anatomy))
    notice(describe(frozen, anatomy, body))
    network = tflite.as_function(body)
    wanted = job.calibration_frames if any(recipe.calibrated for recipe in job.recipes) else 0
    samples = collect(job.calibrate, job.input_hw, calibrate=wanted, verify=job.verification_frames, track=track)
    references = refer(graph, anatomy, network, job.input_hw, samples.held_out, track)
    outcomes = []
    with tempfile.TemporaryDirectory(prefix="roadlite-") as folder:
        for activations in {recipe.activations for recipe in job.recipes}:
            form = network if activations == "float32" else tflite.as_function(for_integers(body))
            tflite.save(form, job.input_hw, Path(folder, activations))
        for recipe in job.recipes:
            start = time.perf_counter()
            frames = Tensors(samples.calibration, anatomy.norm, track)
            model = tflite.convert(Path(folder, recipe.activations), recipe, frames, pixel_range(anatomy.norm))
            seconds = time.perf_counter() - start
            engine = open_engine(model, recipe.name)
            verdict = verify(
                engine, anatomy.norm, anatomy.classes, samples.held_out, references, track, f"verifying {recipe.name}"
            )  # fmt: skip
            path = job.output_dir / file_name(frozen.name, body, recipe)
            card = make_card(frozen, anatomy, body, recipe, classes, samples, verdict)
            data = cards.attach(model, card)
            limit = recipe.min_agreement if job.min_agreement is None else job.min_agreement
            outcome = Outcome(recipe, path, len(data), seconds, verdict, limit)
            if outcome.passed:
                write_whole(path, data)
            outcomes.append(outcome)
    return outcomes


def stride_for(wanted: str, anatomy: Anatomy) -> int:
    """The output stride a job's wish comes to for a graph."""
    if wanted in ("auto", "keep"):
        return max(16, anatomy.output_stride) if wanted == "auto" else anatomy.output_stride
    return int(wanted)


def pixel_range(norm: Normalisation) -> Range:
    """What a normalised picture can hold."""
    return Range((0 - norm.mean) / norm.std, (255 - norm.mean) / norm.std)


def describe(frozen: FrozenGraph, anatomy: Anatomy, body: surgery.Body) -> str:
    stock, new = ("x".join(map(str, hw)) for hw in (anatomy.crop_hw, body.input_hw))
    return (
        f"{frozen.name}: {anatomy.classes} classes, {stock} at output stride {anatomy.output_stride}"
        f" -> {new} at {body.output_stride}"
    )


def file_name(name: str, body: surgery.Body, recipe: Recipe) -> str:
    height, width = body.input_hw
    return f"{name}-{height}x{width}-os{body.output_stride}-{recipe.name}.tflite"


def make_card(
    frozen: FrozenGraph, anatomy: Anatomy, body: surgery.Body, recipe: Recipe, classes: ClassSet,
    samples: Samples, verdict: Verdict,
) -> Card:  # fmt: skip
    frames = samples.provenance()
    provenance: dict[str, Any] = {
        "source": {
            "origin": frozen.origin,
            "sha256": frozen.sha256,
            "input_hw": anatomy.crop_hw,
            "output_stride": anatomy.output_stride,
            "logits": anatomy.logits,
        },
        "calibration": {"seed": frames["seed"], "frames": frames["calibration"]} if recipe.calibrated else None,
        "verification": {"held_out": frames["held_out"], **verdict.as_dict()},
        "versions": {
            "roadlite": _version("roadlite"),
            "tensorflow": tf.__version__,
            "litert-quantizer": _version("litert-quantizer"),
        },
    }
    return Card(
        frozen.name, recipe.name, body.input_hw, body.output_stride, anatomy.norm, "logits", classes, provenance
    )  # fmt: skip


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
