"""Converts from end to end: frozen graph -> verified .tflite files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from convert.file_names import file_name
from convert.frames import SEED, Samples, Truths, collect, places_in_sources
from convert.graph.anatomy import Anatomy, discover, remarks
from convert.graph.graphdef import parse
from convert.graph.retarget import RetargetedNetwork, retarget
from convert.graph.stride import stride_for
from convert.models.load import FrozenGraph
from convert.models.offered_names import offer
from convert.provenance import Calibration, Provenance, Rescue, SourceGraph
from convert.subprocesses import runner_for
from convert.suspicious_frames import judge
from convert.tflite.build import MixedModel, ModelBuilder
from convert.tflite.metadata import embed
from convert.tflite.recipes import Recipe
from convert.verdict import Verdict
from convert.verify import Reference, refer, verify
from edge import card as cards
from edge.card import Card
from edge.classes import ClassSet, guess
from edge.data import Upsampling
from edge.engine.open import open_engine
from edge.errors import ConversionError, ModelError, SourceError, UsageError
from edge.files import write_whole
from edge.leftovers import TemporaryFolder
from edge.preprocess import Normalisation
from edge.progress import Track, silent
from edge.trial import try_out
from edge.versions import installed

Notice = Callable[[str], None]


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
    any_frames: bool = False  # frames that cannot be what a camera sees are told, instead of being an error
    strict: bool = False  # a picture that cannot be read is an error, instead of being left out
    max_miou_drop: float | None = None  # against the re-targeted graph; None does not ask
    rescue: bool = True  # int8 that falls short may keep layers in float
    norm: Normalisation | None = None  # of a graph that takes normalised pictures; None takes DeepLab's


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
    rescued: MixedModel | None = None  # where int8 fell short as it was
    plain: Verdict | None = None  # what it was before the rescue

    @property
    def shortcomings(self) -> list[str]:
        """What the gate holds against it; empty when it passed."""
        drop, texts = self.verdict.miou_drop, []
        if not self.verdict.fidelity >= self.limit:
            texts.append(f"{self.recipe.name} {self.verdict.fidelity:.4f} < {self.limit:g}")
        if self.max_miou_drop is not None and (drop is None or drop > self.max_miou_drop):
            said = "mIoU unknown" if drop is None else f"mIoU {drop:.4f} lower, allowed {self.max_miou_drop:g}"
            texts.append(f"{self.recipe.name} {said}")
        return texts

    @property
    def rescue(self) -> Rescue | None:
        """What was left in float, where it was needed."""
        if self.rescued is None or self.plain is None:
            return None
        lost = {cost.operator: round(cost.lost, 5) for cost in self.rescued.costs}
        return Rescue(tuple(self.rescued.in_float), lost, round(self.plain.fidelity, 5))

    @property
    def passed(self) -> bool:
        return not self.shortcomings


def run(frozen: FrozenGraph, job: Job, track: Track = silent, notice: Notice = lambda _: None) -> list[Outcome]:
    """Converts, verifies and writes; a model below its limit is not written.

    Nothing is left under a final name that is not whole and verified. Raises RoadliteError where the graph, the frames
    or the disk do not allow it.
    """
    anatomy, classes, network, samples, references = prepare(frozen, job, track, notice)
    runner = runner_for(len(frozen.graph_bytes))
    outcomes = []
    with TemporaryFolder() as folder:
        builder = ModelBuilder(network, Path(folder), samples.calibration, anatomy.norm, track, runner)
        check = Check(anatomy.norm, classes, samples, references, track, anatomy.upsampling)
        for recipe in job.recipes:
            model, outcome = make(builder, check, recipe, frozen, network, job)
            if recipe.calibrated and job.rescue and not outcome.passed:
                notice(f"{', '.join(outcome.shortcomings)}: looking for the layers that hurt")
                model, outcome = rescue(builder, check, outcome)
            if outcome.passed:
                card = make_card(frozen, anatomy, network, classes, samples, outcome)
                outcome = write(model, card, outcome)
            outcomes.append(outcome)
    return outcomes


def prepare(
    frozen: FrozenGraph, job: Job, track: Track, notice: Notice
) -> tuple[Anatomy, ClassSet, RetargetedNetwork, Samples, list[Reference]]:
    """Loads the graph, finds its parts, re-targets it, collects frames, and asks the graph what it sees on them."""
    graph = parse(frozen.graph_bytes, frozen.name)
    anatomy = discover(graph, frozen.name, job.norm)
    classes = classes_of(frozen, anatomy, job)
    network = retarget(graph, anatomy, job.input_hw, stride_for(job.output_stride, anatomy))
    notice(describe(frozen, anatomy, network))
    for remark in remarks(anatomy):
        notice(f"{frozen.name}: {remark}")
    if job.classes is None and frozen.path and (offered := offer(frozen.path, classes)):
        notice(offered)
    samples = collect_frames(job, classes, track, notice)
    references = refer(graph, anatomy, network, samples.held_out, track, runner_for(len(frozen.graph_bytes)))
    return anatomy, classes, network, samples, references


def classes_of(frozen: FrozenGraph, anatomy: Anatomy, job: Job) -> ClassSet:
    """Returns the class names of a graph. Raises UsageError where there are more or fewer than it has classes."""
    classes = job.classes or guess(anatomy.classes)
    if len(classes) != anatomy.classes:
        raise UsageError(
            f"{frozen.name} has {anatomy.classes} classes, the label set {len(classes)}; name its own", "classes"
        )
    return classes


def collect_frames(job: Job, classes: ClassSet, track: Track, notice: Notice) -> Samples:
    """Returns the frames to calibrate and to verify with.

    Raises SourceError where there are none, or where they cannot be what a camera sees.
    """
    calibrate = job.calibration_frames if any(recipe.calibrated for recipe in job.recipes) else 0
    truths = Truths(job.labels_dir, job.calibrate, classes) if job.labels_dir else None
    samples = collect(
        job.calibrate,
        job.input_hw,
        calibrate=calibrate,
        verify=job.verification_frames,
        truths=truths,
        track=track,
        say=notice,
        strict=job.strict,
    )
    for line in (*samples.left_out.lines(), *judge(samples.looks, job.any_frames)):
        notice(line)
    if truths and all(sample.truth is None for sample in samples.held_out):
        raise SourceError(f"{job.labels_dir}: has no label for any of the frames that were held out to verify with")
    return samples


@dataclass(frozen=True, slots=True)
class Check:
    """Holds models against what the frozen graph sees on the held-out frames."""

    norm: Normalisation
    classes: ClassSet
    samples: Samples
    references: list[Reference]
    track: Track
    upsampling: Upsampling

    def __call__(self, model: bytes, recipe: Recipe) -> Verdict:
        """Returns the verdict on a model. Raises ConversionError for one that crashes the runtime."""
        try:
            try_out(model, recipe.name)
        except ModelError as exc:
            raise ConversionError(f"what was made of the graph cannot be used: {exc}") from exc
        return verify(
            open_engine(model, recipe.name),
            self.norm,
            self.classes,
            self.samples.held_out,
            self.references,
            self.track,
            f"verifying {recipe.name}",
            self.upsampling,
        )


def make(
    builder: ModelBuilder, check: Check, recipe: Recipe, frozen: FrozenGraph, network: RetargetedNetwork, job: Job
) -> tuple[bytes, Outcome]:
    """Returns the model of a recipe, and what became of it."""
    start = time.perf_counter()
    model = builder.make(recipe)
    seconds = time.perf_counter() - start
    limit = recipe.min_agreement if job.min_agreement is None else job.min_agreement
    path = job.output_dir / file_name(frozen.name, network, recipe)
    return model, Outcome(recipe, path, len(model), seconds, check(model, recipe), limit, job.max_miou_drop)


def rescue(builder: ModelBuilder, check: Check, outcome: Outcome) -> tuple[bytes, Outcome]:
    """Returns the model with layers left in float that it needs to pass, and what became of it."""
    start = time.perf_counter()
    mixed = builder.rescue(outcome.recipe, asked(outcome))
    seconds = outcome.seconds + time.perf_counter() - start
    return mixed.model, replace(
        outcome,
        seconds=seconds,
        size_bytes=len(mixed.model),
        rescued=mixed,
        plain=outcome.verdict,
        verdict=check(mixed.model, outcome.recipe),
    )


def write(model: bytes, card: Card, outcome: Outcome) -> Outcome:
    """Writes a model with its metadata and card. Raises SinkError where the disk does not take it."""
    data = cards.attach(embed(model, card), card)
    write_whole(outcome.path, data)
    return replace(outcome, size_bytes=len(data))


def asked(outcome: Outcome) -> float:
    """Returns the fidelity that a rescue must reach: the limit; where only mIoU fell short, half of what was lost."""
    return max(outcome.limit, (1 + outcome.verdict.fidelity) / 2 if outcome.max_miou_drop is not None else 0.0)


def describe(frozen: FrozenGraph, anatomy: Anatomy, network: RetargetedNetwork) -> str:
    """Returns a line about a graph and what it is re-targeted to."""
    stock, new = ("x".join(map(str, hw)) for hw in (anatomy.crop_hw, network.input_hw))
    return (
        f"{frozen.name}: {anatomy.classes} classes, {stock} at output stride {anatomy.output_stride}"
        f" -> {new} at {network.output_stride}"
    )


def make_card(
    frozen: FrozenGraph,
    anatomy: Anatomy,
    network: RetargetedNetwork,
    classes: ClassSet,
    samples: Samples,
    outcome: Outcome,
) -> Card:
    """Returns the card of a model, with its provenance."""
    recipe = outcome.recipe
    stride, logits = anatomy.output_stride, anatomy.logits
    provenance = Provenance(
        source=SourceGraph(frozen.origin, frozen.sha256, anatomy.crop_hw, stride, logits),
        calibration=Calibration(SEED, places_in_sources(samples.calibration)) if recipe.calibrated else None,
        verdict=outcome.verdict,
        held_out=places_in_sources(samples.held_out),
        versions={name: installed(name) or "not installed" for name in ("roadlite", "tensorflow", "litert-quantizer")},
        rescue=outcome.rescue,
    )
    return Card(
        frozen.name,
        recipe.name,
        network.input_hw,
        network.output_stride,
        anatomy.norm,
        "logits",
        classes,
        provenance.as_json(),
        anatomy.upsampling,
    )
