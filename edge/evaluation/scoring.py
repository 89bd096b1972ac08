"""Scores models on pictures with truth: one goes through the models while others are decoded and counted."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from edge.classes import ClassSet
from edge.data import IGNORE, MOST_NARROW, Ids, Pixels
from edge.errors import SourceError, UsageError
from edge.evaluation.labelling import Labelling, LabelPicture, translate
from edge.evaluation.metrics import Boundaries, Confusion
from edge.evaluation.samples import Sample, SampleSet
from edge.processors import available_processors
from edge.progress import Track, silent
from edge.segmenter import Segmenter

KEPT_PX = 960  # width at which the worst pictures are kept


@dataclass(frozen=True, slots=True)
class Reference:
    """Another model, which takes the place of the truth."""

    name: str
    classes: ClassSet
    labels: Callable[[Pixels], Ids]  # at whatever size it answers in
    segmenter: Segmenter | None = None  # where it is a .tflite

    @classmethod
    def of(cls, segmenter: Segmenter) -> Reference:
        return cls(segmenter.path.name, segmenter.card.classes, lambda pixels: segmenter(pixels).ids, segmenter)


@dataclass(frozen=True, slots=True)
class PictureScore:
    """The counts of one model on one picture. Classes are merged as the labelling says."""

    name: str
    confusion: Confusion
    boundaries: Boundaries


@dataclass(frozen=True, slots=True, order=True)
class Worst:
    """A picture of low pixel accuracy, at most `KEPT_PX` wide."""

    accuracy: float
    name: str
    pixels: Pixels = field(compare=False)
    truth: Ids = field(compare=False)
    predicted: Ids = field(compare=False)


@dataclass(frozen=True, slots=True)
class TallyPart:
    """What a tally has counted of some pictures, in a form that travels."""

    pictures: tuple[PictureScore, ...]
    worst: dict[int, Worst]  # by the place of the picture, from 1


@dataclass(frozen=True, slots=True)
class Part:
    """What became of some pictures, model by model, in a form that travels; `unreadable` is that of `LeftOut`."""

    tallies: tuple[TallyPart, ...]
    unreadable: tuple[tuple[str, str], ...]


class Tally:
    """The sums of one model."""

    def __init__(self, segmenter: Segmenter, labelling: Labelling, keep_worst: int) -> None:
        self.segmenter, self.classes = segmenter, segmenter.card.classes
        self.ignored = labelling.check(self.classes)  # classes of the truth that the model lacks
        self.merged = labelling.merged(self.classes)
        self.counted = labelling.counted(self.classes)  # ids that means are taken over
        self.confusion, self.boundaries = Confusion(len(self.classes)), Boundaries(len(self.classes))
        self.pictures: list[PictureScore] = []
        self._alone = bool(labelling.only)
        self._keep, self._worst = keep_worst, list[tuple[float, int, Worst]]()

    def judge(self, name: str, truth: Ids, predicted: Ids) -> PictureScore:
        """Returns the score of one picture; any thread may call it.

        Label maps have one shape, and are not merged yet.
        """
        score = PictureScore(name, Confusion(len(self.classes)), Boundaries(len(self.classes)))
        predicted = np.asarray(cv2.LUT(predicted, self.merged), np.uint8)
        score.confusion.add(truth, predicted)
        score.boundaries.add(truth, predicted)
        return score

    def add(self, score: PictureScore, pixels: Pixels, truth: Ids, predicted: Ids) -> None:
        self._count(score)
        if self._keep and score.confusion.counts.any():
            accuracy = score.confusion.pixel_accuracy()
            if len(self._worst) < self._keep or -accuracy > self._worst[0][0]:
                self._keep_worst(Worst(accuracy, score.name, *_shrunk(pixels, truth, self.merged[predicted])))

    def part(self) -> TallyPart:
        """Returns what was counted, to be joined to another tally of the same model."""
        return TallyPart(tuple(self.pictures), {-order: worst for _, order, worst in self._worst})

    def join(self, part: TallyPart) -> None:
        """Adds what another tally has counted of the pictures that come next."""
        for order, score in enumerate(part.pictures, start=1):
            self._count(score)
            if order in part.worst:  # what is not among the worst of a part is not among those of the whole either
                self._keep_worst(part.worst[order])

    def _count(self, score: PictureScore) -> None:
        self.confusion.counts += score.confusion.counts
        self.boundaries.counts += score.boundaries.counts
        self.pictures.append(score)

    def _keep_worst(self, worst: Worst) -> None:
        """Keeps a picture, and drops the best one where there are too many; of equal ones the last."""
        heapq.heappush(self._worst, (-worst.accuracy, -len(self.pictures), worst))
        if len(self._worst) > self._keep:
            heapq.heappop(self._worst)

    def counted_part(self, confusion: Confusion) -> Confusion:
        """Returns the counts of the classes that means are taken over, which IoU is computed from."""
        return confusion.part(self.counted, alone=self._alone)

    def worst(self) -> list[Worst]:
        """Returns the worst pictures, the lowest accuracy first."""
        return sorted(kept for *_, kept in self._worst)


@dataclass(slots=True)
class Evaluation:
    """The sums that are known so far, model by model; they are complete when `run` has returned, and true when it was
    interrupted.
    """

    samples: SampleSet
    labelling: Labelling
    tallies: list[Tally]
    reference: Reference | None = None
    strict: bool = False  # a picture or label file that cannot be read is an error
    keep_worst: int = 0  # how many of the worst pictures are kept

    def run(self, track: Track = silent) -> None:
        """Takes every picture through every model. Raises SourceError when none of them could be read, and for the
        first that cannot if `strict`.
        """
        self.take_all(track)
        self.check()

    def check(self) -> None:
        """Raises SourceError where no picture could be read."""
        if not self.pictures:
            raise self.samples.left_out.nothing_left(self.samples.name)

    def part(self) -> Part:
        """Returns what was found, to be joined to another evaluation of the same models."""
        return Part(tuple(tally.part() for tally in self.tallies), tuple(self.samples.left_out.unreadable))

    def join(self, part: Part) -> None:
        """Adds what another evaluation, elsewhere perhaps, has found of the pictures that come next."""
        for tally, found in zip(self.tallies, part.tallies, strict=True):
            tally.join(found)
        self.samples.left_out.unreadable += part.unreadable

    def take_all(self, track: Track = silent) -> None:
        """Does what `run` does, and does not mind when no picture could be read."""
        workers = max(2, available_processors())
        pool = ThreadPoolExecutor(workers, "roadlite-score")
        reading: deque[tuple[Sample, Future[Any]]] = deque()
        judging: deque[tuple[Any, ...]] = deque()
        try:
            for example in track(self.samples.each(), f"scoring {self.samples.name}", self.samples.count):
                reading.append((example, pool.submit(self._read, example)))
                if len(reading) > workers:
                    self._step(pool, reading, judging)
            while reading:
                self._step(pool, reading, judging)
            while judging:
                self._collect(judging)
        finally:
            pool.shutdown(cancel_futures=True)

    @property
    def pictures(self) -> int:
        return len(self.tallies[0].pictures)

    def _read(self, example: Sample) -> tuple[Pixels, dict[ClassSet, Ids]]:
        """Returns picture and truth in the classes of each model."""
        pixels, raw = example.read()
        if self.reference is not None or raw is None:
            return pixels, {}
        return pixels, self._translated(raw, example.name)

    def _translated(self, raw: LabelPicture, name: str) -> dict[ClassSet, Ids]:
        sets = {tally.classes for tally in self.tallies}
        return {classes: translate(raw, self.labelling, classes, name) for classes in sets}

    def _step(self, pool: ThreadPoolExecutor, reading: deque[Any], judging: deque[Any]) -> None:
        """The oldest picture goes through the models; its answers are counted elsewhere."""
        example, future = reading.popleft()
        try:
            pixels, truths = future.result()
        except SourceError as exc:
            if self.strict:
                raise
            self.samples.left_out.add(example.name, exc)
            return
        if self.reference is not None:
            truths = self._translated(LabelPicture(self.reference.labels(pixels), None), example.name)
        answers = []
        for tally in self.tallies:
            truth = truths[tally.classes]
            predicted = tally.segmenter.label(pixels, (truth.shape[0], truth.shape[1]))
            answers.append((truth, predicted, pool.submit(tally.judge, example.name, truth, predicted)))
        judging.append((pixels, answers))
        if len(judging) > 2:
            self._collect(judging)

    def _collect(self, judging: deque[Any]) -> None:
        pixels, answers = judging.popleft()
        scores = [future.result() for *_, future in answers]
        for tally, score, (truth, predicted, _) in zip(self.tallies, scores, answers, strict=True):
            tally.add(score, pixels, truth, predicted)


def evaluate(
    models: Sequence[Segmenter],
    samples: SampleSet,
    *,
    reference: Reference | None = None,
    keep_worst: int = 0,
    strict: bool = False,
) -> Evaluation:
    """Prepares to score models on the same pictures; `run` does it.

    With a `reference`, its labels are the truth. Its classes are the model's where there are as many, else those of
    the same name.

    Raises UsageError where the truth and a model have no class in common, or a model has more classes than label files
    can name.
    """
    for name, classes in [*((m.path.name, m.card.classes) for m in models), *_of_reference(reference)]:
        if classes.is_wide:
            raise UsageError(f"{name}: expected at most {MOST_NARROW} classes to score, got {len(classes)}")
    labelling = samples.labelling
    if reference is not None:
        same = all(len(model.card.classes) == len(reference.classes) for model in models)
        names: dict[int, str | None] = {} if same else {IGNORE: None, **dict(enumerate(reference.classes.names))}
        labelling = Labelling(f"labels of {reference.name}", values=names, other=True)
    tallies = [Tally(model, labelling, keep_worst) for model in models]
    return Evaluation(samples, labelling, tallies, reference, strict, keep_worst)


def _of_reference(reference: Reference | None) -> list[tuple[str, ClassSet]]:
    return [] if reference is None else [(reference.name, reference.classes)]


def _shrunk(pixels: Pixels, truth: Ids, predicted: Ids) -> tuple[Pixels, Ids, Ids]:
    """Returns all three at the same size."""
    height, width = truth.shape
    size = (min(width, KEPT_PX), max(1, round(height * min(width, KEPT_PX) / width)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    maps = [cv2.resize(ids, size, interpolation=cv2.INTER_NEAREST) for ids in (truth, predicted)]
    return np.asarray(small, np.uint8), np.asarray(maps[0], np.uint8), np.asarray(maps[1], np.uint8)
