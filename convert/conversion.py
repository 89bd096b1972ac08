"""Converts from end to end: a network -> verified .tflite files."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from convert.doubts import doubts, fallen
from convert.file_names import file_name
from convert.frames import SEED, Samples, places_in_sources
from convert.job import Job
from convert.models.load import FrozenGraph
from convert.preparation import Prepared, prepare
from convert.provenance import Calibration, Provenance, Rescue
from convert.tflite.build import MixedModel, ModelBuilder
from convert.tflite.metadata import embed
from convert.tflite.recipes import Recipe
from convert.tflite.source import TfliteSource
from convert.verdict import Verdict
from convert.verify import Reference, verify
from edge import card as cards
from edge.card import Card
from edge.classes import ClassSet
from edge.data import Upsampling
from edge.engine.open import open_engine
from edge.errors import ConversionError, ModelError
from edge.files import write_whole
from edge.leftovers import TemporaryFolder
from edge.preprocess import Normalisation
from edge.progress import Track, silent
from edge.text import counted, quiet
from edge.trial import try_out
from edge.versions import installed


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
    max_class_drop: float | None = None  # of the IoU of any class
    invoke_ms: float | None = None  # in turns with the others of the run, where that was measured

    @property
    def shortcomings(self) -> list[str]:
        """What the gate holds against it; empty when it passed."""
        drop, texts = self.verdict.miou_drop, []
        if not self.verdict.fidelity >= self.limit:
            texts.append(f"{self.recipe.name} {self.verdict.fidelity:.4f} < {self.limit:g}")
        if self.max_miou_drop is not None and (drop is None or drop > self.max_miou_drop):
            said = "mIoU unknown" if drop is None else f"mIoU {drop:.4f} lower, allowed {self.max_miou_drop:g}"
            texts.append(f"{self.recipe.name} {said}")
        if self.max_class_drop is not None:
            texts += [f"{self.recipe.name} {said}" for said in self._falls(self.max_class_drop)]
        return texts

    def _falls(self, most: float) -> list[str]:
        if not self.verdict.class_falls:
            return ["IoU by class unknown"]
        falls = fallen(self.verdict, most)
        return [f"IoU lower by more than {most:g}: {', '.join(falls)}"] if falls else []

    @property
    def rescue(self) -> Rescue | None:
        """What was left in float, where it was needed."""
        if self.rescued is None or self.plain is None:
            return None
        lost = {cost.operator: round(cost.lost, 5) for cost in self.rescued.costs}
        return Rescue(tuple(self.rescued.in_float), lost, round(self.plain.fidelity, 5), finished=self.rescued.finished)

    @property
    def passed(self) -> bool:
        return not self.shortcomings


def run(
    source: FrozenGraph | TfliteSource,
    job: Job,
    track: Track = silent,
    notice: Callable[[str], None] = quiet,
    samples: Samples | None = None,
) -> list[Outcome]:
    """Converts, verifies and writes; a model below its limit is not written.

    Where `samples` are given, `frames_for` has collected them, and has said what is found before anything is made.

    Nothing is left under a final name that is not whole and verified. Raises RoadliteError where the source, the frames
    or the disk do not allow it.
    """
    prepared = prepare(source, job, track, quiet if samples else notice, samples)
    outcomes = []
    with TemporaryFolder() as folder:
        networks = prepared.networks(Path(folder), track)
        if networks.trained and any(recipe.calibrated for recipe in job.recipes):
            notice(f"{prepared.name}: {counted(len(networks.trained), 'range')} of activations from its training")
        builder = ModelBuilder(networks, prepared.samples.calibration, prepared.norm, track, job.ends)
        check = Check(
            prepared.norm, prepared.classes, prepared.samples, prepared.references, track, prepared.upsampling
        )
        for recipe in job.recipes:
            model, outcome = make(builder, check, recipe, prepared, job)
            if recipe.calibrated and job.rescue and not outcome.passed:
                notice(f"{', '.join(outcome.shortcomings)}: looking for the layers that hurt")
                model, outcome = rescue(builder, check, outcome, job.rescue_seconds)
            for line in doubts(recipe.name, outcome.verdict, job.max_class_drop):
                notice(line)
            if outcome.passed:
                outcome = write(model, make_card(prepared, outcome, len(networks.trained)), outcome)
            outcomes.append(outcome)
    return outcomes


@dataclass(frozen=True, slots=True)
class Check:
    """Holds models against what the network that is converted sees on the held-out frames."""

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


def make(builder: ModelBuilder, check: Check, recipe: Recipe, prepared: Prepared, job: Job) -> tuple[bytes, Outcome]:
    """Returns the model of a recipe, and what became of it."""
    start = time.perf_counter()
    model = builder.make(recipe)
    seconds = time.perf_counter() - start
    limit = recipe.min_agreement if job.min_agreement is None else job.min_agreement
    ends = job.ends.suffix if recipe.calibrated else ""
    path = job.output_dir / file_name(prepared.name, prepared.input_hw, prepared.output_stride, recipe, ends)
    verdict = check(model, recipe)
    return model, Outcome(
        recipe, path, len(model), seconds, verdict, limit, job.max_miou_drop, max_class_drop=job.max_class_drop
    )


def rescue(builder: ModelBuilder, check: Check, outcome: Outcome, within_s: float) -> tuple[bytes, Outcome]:
    """Returns the model with layers left in float that it needs to pass, and what became of it."""
    start = time.perf_counter()
    mixed = builder.rescue(outcome.recipe, asked(outcome), within_s)
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
    """Returns the fidelity that a rescue must reach: the limit; where only IoU fell short, half of what was lost."""
    holds_iou = outcome.max_miou_drop is not None or outcome.max_class_drop is not None
    return max(outcome.limit, (1 + outcome.verdict.fidelity) / 2 if holds_iou else 0.0)


def make_card(prepared: Prepared, outcome: Outcome, trained_ranges: int) -> Card:
    """Returns the card of a model, with its provenance."""
    recipe, samples = outcome.recipe, prepared.samples
    measured = Calibration(SEED, places_in_sources(samples.calibration), trained_ranges)
    provenance = Provenance(
        source=prepared.source,
        calibration=measured if recipe.calibrated else None,
        verdict=outcome.verdict,
        held_out=places_in_sources(samples.held_out),
        versions={name: installed(name) or "not installed" for name in ("roadlite", "tensorflow", "litert-quantizer")},
        rescue=outcome.rescue,
        retargeting=prepared.retargeting,
    )
    return Card(
        prepared.name,
        recipe.name,
        prepared.input_hw,
        prepared.output_stride,
        prepared.norm,
        "logits",
        prepared.classes,
        provenance.as_json(),
        prepared.upsampling,
    )
