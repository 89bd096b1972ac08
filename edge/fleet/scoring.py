"""Scores models on pictures that are spread over workers: each evaluates some, and what they count is summed up."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from edge.cluster.calls import while_wanted
from edge.cluster.segmenters import SentModel
from edge.cluster.spread import spread
from edge.errors import SourceError
from edge.evaluation.labelling import Labelling, LabelPicture
from edge.evaluation.samples import PictureAndTruth, Sample, SampleSet
from edge.evaluation.scoring import Evaluation, Part, Reference, evaluate
from edge.progress import Track, silent
from edge.segmenter import Segmenter

BATCH = 8  # pictures that travel together: enough to read one while another is labelled, and few to be done again
_ONE_AT_A_TIME = threading.Lock()  # a model runs one picture at a time, whatever threads a worker has


@dataclass(frozen=True, slots=True)
class ScoringJob:
    """What workers do with every picture. Without a `reference` of their own, pictures come with their truth."""

    models: tuple[SentModel, ...]
    labelling: Labelling
    reference: SentModel | None = None
    keep_worst: int = 0
    strict: bool = False


def run(client: Any, evaluation: Evaluation, job: ScoringJob, track: Track = silent, batch: int = BATCH) -> None:
    """Does what `Evaluation.run` does, on the workers of a cluster that have the models of `job`.

    Figures are sums of whole numbers, and batches are added in the order of pictures: they are those of one process.

    Raises what `Evaluation.run` raises, and ClusterError where workers are lost.
    """
    samples, sent_truth = evaluation.samples, None if job.reference else evaluation.reference
    batches = _batches((_portable(sample, sent_truth) for sample in samples.each()), batch)
    name = f"scoring {samples.name}"
    parts = _joined(evaluation, spread(client, "scoring", score, batches, job))
    for _ in track(parts, name, samples.count):
        pass
    evaluation.check()


def _joined(evaluation: Evaluation, parts: Iterable[Part]) -> Iterator[None]:
    """Adds parts, and yields once for each of their pictures."""
    for part in parts:
        evaluation.join(part)
        yield from [None] * (len(part.tallies[0].pictures) + len(part.unreadable))


def _batches(samples: Iterable[Sample], size: int) -> Iterator[list[Sample]]:
    each = iter(samples)
    while batch := list(islice(each, size)):
        yield batch


def _portable(sample: Sample, reference: Reference | None) -> Sample:
    """Returns a sample that workers can read; where the truth is what a reference sees that only this process has, it
    is asked here.
    """
    if reference is None:
        return sample.packed()
    try:
        pixels, _ = sample.read()
    except SourceError as exc:
        return Sample(sample.name, partial(_fail, exc))
    return Sample(sample.name, partial(_given, pixels, LabelPicture(reference.labels(pixels), None)))


def _given(*read: Any) -> PictureAndTruth:
    pixels, truth = read
    return pixels, truth


def _fail(error: SourceError) -> PictureAndTruth:
    raise error


def score(samples: Sequence[Sample], job: ScoringJob) -> Part:
    """Evaluates some pictures, on a worker."""
    with _ONE_AT_A_TIME:
        segmenters = _segmenters(job.models)
        reference = None if job.reference is None else _reference(job.reference)
        some = SampleSet("", job.labelling, len(samples), lambda: iter(samples))
        made = evaluate(segmenters, some, reference=reference, keep_worst=job.keep_worst, strict=job.strict)
        made.take_all(while_wanted)
        return made.part()


@lru_cache(maxsize=1)
def _segmenters(models: tuple[SentModel, ...]) -> list[Segmenter]:
    return [model.open() for model in models]


@lru_cache(maxsize=1)
def _reference(model: SentModel) -> Reference:
    segmenter = model.open()
    return Reference.of(segmenter)
