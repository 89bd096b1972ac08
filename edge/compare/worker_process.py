"""Runs inside a candidate's process: loads a model, times it, answers questions in lines of JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from edge import memory
from edge.child import offer_to_the_oom_killer
from edge.class_lists.files import class_set
from edge.compare.answers import Layers, LoadedModel, MemoryUse, Overlay
from edge.compare.clips import clip_of
from edge.compare.layer_times import RUNS, RUNS_S
from edge.compare.overlays import overlay
from edge.compare.rows import STAGES, ModelOptions
from edge.controls import Controls
from edge.data import Frame, LabelMap, Pixels
from edge.engine.delegates import parse_delegate
from edge.engine.runtimes import RUNTIMES
from edge.errors import RoadliteError, SourceError
from edge.motion.mover import Mover, followed
from edge.preprocess import parse_normalisation
from edge.renderer import Renderer
from edge.segmenter import Segmenter, read_model
from edge.versions import installed

T = TypeVar("T")

WARM_UP = 3, 10  # invokes after the first that are not counted, at least and at most: caches, clocks and page faults
WARM_UP_S = 1.0  # after the fewest, no longer than this


def main() -> None:
    """Reads questions from stdin and writes answers to stdout; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    offer_to_the_oom_killer()
    serve(sys.stdin, answers)


def serve(questions: IO[str], answers: IO[str]) -> None:
    """Answers questions `[method of MeasuredModel, argument, ...]` with `{"answer": ...}` or `{"error": ...}`."""

    def tell(**answer: object) -> None:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()

    model = MeasuredModel()
    tell(answer="ready")
    for line in questions:
        question, *arguments = json.loads(line)
        try:
            answer = getattr(model, question)(*arguments)
            tell(answer=answer if isinstance(answer, list | dict | float) else asdict(answer))
        except Exception as exc:
            starved = memory.cause(exc)
            if starved is None and not isinstance(exc, RoadliteError):
                raise
            tell(error=memory.shortage(starved) if starved else str(exc))


class MeasuredModel:
    """A model whose time is measured."""

    def load(
        self,
        model: str,
        runtime: str,
        threads: int | None,
        pictures: str,
        options: dict[str, str | None],
        delegate: str = "",
    ) -> LoadedModel:
        """Loads the model and warms it up.

        `pictures` is a folder of .npy files, uint8 (H, W, 3) each, `options` are the fields of `ModelOptions`,
        `delegate` is as `parse_delegate` takes it.
        """
        start, told = time.perf_counter(), ModelOptions(**options)
        self._segmenter = Segmenter(
            model,
            runtime=runtime,
            threads=threads,
            norm=None if told.norm is None else parse_normalisation(told.norm),
            classes=None if told.classes is None else class_set(told.classes),
            output_tensor=told.output_tensor,
            delegate=parse_delegate(delegate) if delegate else None,
        )
        load_s = time.perf_counter() - start
        self._files = sorted(Path(pictures).glob("*.npy"))
        self._pictures: list[Pixels] = [np.load(file) for file in self._files[:4]]
        self._render = Renderer(self._segmenter.card.classes, Controls())
        self._turn = 0
        self._x = self._segmenter.preprocess(self._pictures[0])
        first_s, *warm_up = self._warm_up()
        engine, card, partitions = self._segmenter.engine, self._segmenter.card, self._segmenter.engine.partitions()
        return LoadedModel(
            size_bytes=self._segmenter.path.stat().st_size,
            input_hw=card.input_hw,
            output_stride=card.output_stride,
            recipe=card.recipe,
            classes=card.classes.names,
            assumed=self._segmenter.assumed,
            runtime=engine.runtime,
            runtime_version=installed(RUNTIMES[engine.runtime].distribution),
            threads=engine.threads,
            partitions=partitions.delegated,
            ops_outside=partitions.outside,
            delegate=engine.delegate,
            delegate_operators=engine.delegate_operators,
            macs=engine.macs(),
            reduced_layers=engine.reduced_layers,
            load_ms=round(load_s * 1e3, 1),
            first_invoke_ms=round(first_s * 1e3, 2),
            warm_up_ms=tuple(round(seconds * 1e3, 2) for seconds in warm_up),
        )

    def invoke(self, seconds: float, min_runs: int) -> list[float]:
        """Returns the seconds of invokes of the same input. The first after a pause is not counted."""
        return _repeated(self._invoke, seconds, min_runs)

    def frames(self, seconds: float, min_runs: int, label_every: int) -> dict[str, list[float]]:
        """Makes overlays of pictures in memory, and returns the seconds of each by stage.

        With `label_every` above 1 they are those of a film, and the seconds means of as many; moving is postprocessing.
        """
        if label_every == 1:
            runs = _repeated(self._frame, seconds, min_runs)
        else:
            film = self._film(label_every)
            runs = _repeated(lambda: self._group(film), seconds, -(-min_runs // label_every))
        return {name: [run[place] for run in runs] for place, name in enumerate(STAGES)}

    def label(self, folder: str, label_every: int) -> list[str]:
        """Labels every picture at its own size into `folder`, and returns the files' names.

        With `label_every` above 1 the labels are those of a frame before, moved: one of each age in turn.
        """
        for place, file in enumerate(self._files):
            first, *others = *_frames_before(file, place % label_every), Frame(np.load(file), 0, 0.0)
            mover = Mover()
            labelled = followed(mover, first, (first, self._segmenter(first.pixels)))
            for frame in others:
                labelled = followed(mover, frame, None)
            np.save(Path(folder, file.name), labelled.labels.ids)
        return [file.name for file in self._files]

    def overlay(self, picture: str, labels: str) -> Overlay:
        """Paints labels, a .npy file of ids, over a picture, a .npy file too, in the model's colours."""
        return overlay(np.load(picture), np.load(labels), self._segmenter.card.classes)

    def layers(self) -> Layers:
        """Opens the timer of layers, and returns what it times."""
        self._timer = self._segmenter.engine.layer_timer(read_model(self._segmenter.path), self._x)
        return Layers(tuple(self._timer.operators), by_counters=self._timer.count is not None)

    def prefix_s(self, length: int) -> float:
        """Returns the seconds of the first `length` operators."""
        assert self._timer.prefix is not None
        return _shortest(self._timer.prefix(length))

    def whole_s(self) -> float:
        """Returns the seconds of the model as it is, timed as prefixes are."""
        return _shortest(lambda: self._segmenter.engine.invoke(self._x))

    def counted_s(self) -> list[float]:
        """Returns what the runtime's counters say of each operator, over one invoke."""
        assert self._timer.count is not None
        return self._timer.count()

    def memory(self) -> MemoryUse:
        """Returns the resident memory of this process, at most and now."""
        peak = peak_rss_mb()
        return MemoryUse(round(peak, 1), round(_status_mb("VmRSS") or peak, 1))

    def _warm_up(self) -> list[float]:
        """Returns the seconds of every invoke until the model is warm."""
        end = time.perf_counter() + WARM_UP_S
        fewest, most = WARM_UP
        times = [self._invoke()]
        while len(times) <= fewest or (len(times) <= most and time.perf_counter() < end):
            times.append(self._invoke())
        return times

    def _invoke(self) -> float:
        return _timed(lambda: self._segmenter.engine.invoke(self._x))

    def _frame(self) -> tuple[float, ...]:
        pixels = self._pictures[self._turn % len(self._pictures)]
        self._turn += 1
        marks = [time.perf_counter()]
        x = self._segmenter.preprocess(pixels)
        marks.append(time.perf_counter())
        output = self._segmenter.score(x)
        marks.append(time.perf_counter())
        labels = self._segmenter.postprocess(output, (pixels.shape[0], pixels.shape[1]))
        marks.append(time.perf_counter())
        self._render(pixels, labels.ids, "")
        marks.append(time.perf_counter())
        return tuple(after - before for before, after in pairwise(marks))

    def _film(self, length: int) -> list[Frame]:
        """So many frames that follow each other."""
        for place, file in enumerate(self._files):
            if place % length == length - 1:
                return [*_frames_before(file, length - 1), Frame(np.load(file), 0, 0.0)]
        raise SourceError(f"expected a film of at least {length} frames, to label one of them, got {len(self._files)}")

    def _group(self, film: list[Frame]) -> tuple[float, ...]:
        """Labels the first frame of a film and moves its labels over the others."""
        mover, sums = Mover(), [0.0] * len(STAGES)
        for place, frame in enumerate(film):
            marks = [time.perf_counter()] * 3
            labels: LabelMap | None = None
            if place == 0:
                x = self._segmenter.preprocess(frame.pixels)
                marks[1] = time.perf_counter()
                output = self._segmenter.score(x)
                marks[2] = time.perf_counter()
                labels = self._segmenter.postprocess(output, (frame.pixels.shape[0], frame.pixels.shape[1]))
            labelled = followed(mover, frame, None if labels is None else (frame, labels))
            marks.append(time.perf_counter())
            self._render(frame.pixels, labelled.labels.ids, "")
            marks.append(time.perf_counter())
            sums = [done + after - before for done, (before, after) in zip(sums, pairwise(marks), strict=True)]
        return tuple(seconds / len(film) for seconds in sums)


def _frames_before(file: Path, count: int) -> list[Frame]:
    """The last `count` frames before a picture, in order and numbered from below 0."""
    files = sorted(clip_of(file).glob("*.npy"))[-count:] if count else []
    return [Frame(np.load(one), place - len(files), 0.0) for place, one in enumerate(files)]


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def _shortest(run: Callable[[], object]) -> float:
    """Returns the seconds of the shortest of a few runs: whatever disturbs one makes it longer."""
    run()  # the first one claims memory
    end, (fewest, most) = time.perf_counter() + RUNS_S, RUNS
    times: list[float] = []
    while len(times) < fewest or (len(times) < most and time.perf_counter() < end):
        times.append(_timed(run))
    return min(times)


def _repeated(run: Callable[[], T], seconds: float, min_runs: int) -> list[T]:
    run()  # wakes up caches and clocks after the pause
    end = time.perf_counter() + seconds
    runs: list[T] = []
    while time.perf_counter() < end or len(runs) < min_runs:
        runs.append(run())
    return runs


def peak_rss_mb() -> float:
    """Returns the peak resident memory of this process in MB."""
    return _status_mb("VmHWM") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1e-6 if sys.platform == "darwin" else 1024e-6
    )


def _status_mb(name: str) -> float | None:
    """A size from /proc/self/status, where Linux has it."""
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
        return int(status.split(f"{name}:")[1].split()[0]) * 1024 / 1e6
    except (OSError, IndexError, ValueError):
        return None
