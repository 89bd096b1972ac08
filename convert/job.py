"""One conversion from end to end: frozen graph -> verified .tflite files."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from convert.frames import Samples, Truths, collect
from convert.graph import anatomy as anatomies
from convert.graph import graphdef as graphs
from convert.graph import retarget as surgery
from convert.graph.anatomy import Anatomy
from convert.models.load import FrozenGraph
from convert.subprocesses import place_for
from convert.tensorflow import give_back, tf
from convert.tflite.build import Maker, Rescued
from convert.tflite.metadata import embed
from convert.tflite.recipes import Recipe
from convert.verify import Reference, Verdict, refer, verify
from edge import card as cards
from edge.card import Card
from edge.classes import ClassSet, guess
from edge.engine.open import open_engine
from edge.errors import SourceError, UsageError
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
    labels_dir: Path | None = None  # label files of the pictures among the sources
    max_miou_drop: float | None = None  # against the re-targeted graph; None does not ask
    rescue: bool = True  # int8 that falls short may keep layers in float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one recipe."""

    recipe: Recipe
    path: Path  # where the file is, or would have been
    size_bytes: int
    seconds: float  # spent on making it, calibration and rescue included
    verdict: Verdict
    limit: float  # fidelity asked for
    max_miou_drop: float | None
    rescued: Rescued | None = None  # where int8 fell short as it was
    plain: Verdict | None = None  # what it was before the rescue

    @property
    def shortcomings(self) -> list[str]:
        """What the gate holds against it; empty when it passed."""
        drop, found = self.verdict.miou_drop, []
        if not self.verdict.fidelity >= self.limit:
            found.append(f"{self.recipe.name} {self.verdict.fidelity:.4f} < {self.limit:g}")
        if self.max_miou_drop is not None and (drop is None or drop > self.max_miou_drop):
            said = "mIoU unknown" if drop is None else f"mIoU {drop:.4f} lower, allowed {self.max_miou_drop:g}"
            found.append(f"{self.recipe.name} {said}")
        return found

    @property
    def passed(self) -> bool:
        return not self.shortcomings


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
    give_back()
    notice(describe(frozen, anatomy, body))
    wanted = job.calibration_frames if any(recipe.calibrated for recipe in job.recipes) else 0
    truths = Truths(job.labels_dir, job.calibrate, classes) if job.labels_dir else None
    samples = collect(
        job.calibrate, job.input_hw, calibrate=wanted, verify=job.verification_frames, truths=truths, track=track
    )
    if samples.unreadable:
        notice(f"{len(samples.unreadable)} pictures could not be read and are left out: {samples.unreadable[0]}")
    if truths and all(sample.truth is None for sample in samples.held_out):
        raise SourceError(f"{job.labels_dir}: has no label for any of the frames that were held out to verify with")
    place = place_for(len(frozen.graph_bytes))
    references = refer(graph, anatomy, body, samples.held_out, track, place)
    outcomes = []
    del graph  # a large one is large
    give_back()
    with tempfile.TemporaryDirectory(prefix="roadlite-") as folder:
        maker = Maker(body, Path(folder), samples.calibration, anatomy.norm, track, place)
        check = partial(_check, anatomy.norm, classes, samples, references, track)
        for recipe in job.recipes:
            limit = recipe.min_agreement if job.min_agreement is None else job.min_agreement
            path = job.output_dir / file_name(frozen.name, body, recipe)
            start = time.perf_counter()
            model = maker.make(recipe)
            made = time.perf_counter() - start
            outcome = Outcome(recipe, path, len(model), made, check(model, recipe), limit, job.max_miou_drop)
            if recipe.calibrated and job.rescue and not outcome.passed:
                notice(f"{', '.join(outcome.shortcomings)}: looking for the layers that hurt")
                start = time.perf_counter()
                rescued = maker.rescue(asked(outcome))
                made += time.perf_counter() - start
                outcome = replace(
                    outcome,
                    seconds=made,
                    size_bytes=len(rescued.model),
                    rescued=rescued,
                    plain=outcome.verdict,
                    verdict=check(rescued.model, recipe),
                )
                model = rescued.model
            if outcome.passed:
                card = make_card(frozen, anatomy, body, classes, samples, outcome)
                data = cards.attach(embed(model, card), card)
                write_whole(path, data)
                outcome = replace(outcome, size_bytes=len(data))
            outcomes.append(outcome)
            give_back()
    return outcomes


def _check(
    norm: Normalisation,
    classes: ClassSet,
    samples: Samples,
    references: list[Reference],
    track: Track,
    model: bytes,
    recipe: Recipe,
) -> Verdict:
    engine = open_engine(model, recipe.name)
    return verify(engine, norm, classes, samples.held_out, references, track, f"verifying {recipe.name}")


def asked(outcome: Outcome) -> float:
    """The fidelity that a rescue must reach: the limit; where only mIoU fell short, half of what was lost."""
    return max(outcome.limit, (1 + outcome.verdict.fidelity) / 2 if outcome.max_miou_drop is not None else 0.0)


def stride_for(wanted: str, anatomy: Anatomy) -> int:
    """The output stride a job's wish comes to for a graph."""
    if wanted in ("auto", "keep"):
        return max(16, anatomy.output_stride) if wanted == "auto" else anatomy.output_stride
    return int(wanted)


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
    frozen: FrozenGraph, anatomy: Anatomy, body: surgery.Body, classes: ClassSet, samples: Samples, outcome: Outcome
) -> Card:
    recipe, frames = outcome.recipe, samples.provenance()
    provenance: dict[str, Any] = {
        "source": {
            "origin": frozen.origin,
            "sha256": frozen.sha256,
            "input_hw": anatomy.crop_hw,
            "output_stride": anatomy.output_stride,
            "logits": anatomy.logits,
        },
        "calibration": {"seed": frames["seed"], "frames": frames["calibration"]} if recipe.calibrated else None,
        "verification": {"held_out": frames["held_out"], **outcome.verdict.as_dict()},
        "versions": {
            "roadlite": _version("roadlite"),
            "tensorflow": tf.__version__,
            "litert-quantizer": _version("litert-quantizer"),
        },
    }
    if outcome.rescued and outcome.plain:
        provenance["rescue"] = {
            "in_float": outcome.rescued.in_float,
            "lost_alone": {cost.operator: round(cost.lost, 5) for cost in outcome.rescued.costs},
            "fidelity_before": round(outcome.plain.fidelity, 5),
        }
    return Card(
        frozen.name, recipe.name, body.input_hw, body.output_stride, anatomy.norm, "logits", classes, provenance
    )


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
