"""Latency and memory of several models, side by side.

Each model lives in a process of its own, so that its memory is its own and its crash is a row, not the end.
The processes take turns in rounds, in rotated order, so that heat and neighbours hit all alike.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from edge.cli import quiet_native
from edge.errors import RoadliteError
from edge.live import Controls
from edge.progress import Track, silent
from edge.render import Renderer
from edge.segmenter import Segmenter
from edge.sources import open_source
from edge.timing import percentiles_ms

WARM_UP = 3  # invokes after the first that are not counted: caches, clocks and page faults settle
FRAMES = 4  # pictures held in memory and taken in turn; reading them is not what is compared
ANSWER_S = 300.0  # longer than any load or round takes; a process silent for so long hangs


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row: a model on a runtime with a number of threads."""

    path: Path
    runtime: str
    threads: int | None


@dataclass(slots=True)
class Row:
    """What was measured of a candidate; `error` says why when it was not."""

    candidate: Candidate
    about: dict[str, Any] = field(default_factory=dict)  # from its process when it has loaded the model
    invoke_s: list[float] = field(default_factory=list)
    frame_s: list[float] = field(default_factory=list)  # picture in memory -> overlay
    peak_rss_mb: float = 0.0
    error: str = ""

    def summary(self) -> dict[str, Any]:
        """Milliseconds, megabytes, frames per second."""
        plain: dict[str, Any] = {"model": self.candidate.path.name, **self.about}
        if self.error:
            return {**plain, "error": self.error}
        invoke, frame = percentiles_ms(self.invoke_s), percentiles_ms(self.frame_s)
        return {
            **plain, "invokes": len(self.invoke_s), "invoke_ms": invoke, "frame_ms": frame,
            "fps": round(1e3 / frame["median"], 2), "peak_rss_mb": round(self.peak_rss_mb, 1),
        }  # fmt: skip


def compare(
    candidates: Sequence[Candidate], source: str, *, seconds: float, min_runs: int = 20, track: Track = silent
) -> list[Row]:  # fmt: skip
    """Measures every candidate for at least `seconds` and `min_runs` invokes, in rounds of half a second."""
    rows = [Row(candidate) for candidate in candidates]
    with ExitStack() as stack:
        workers = [stack.enter_context(closing(Worker(row, source))) for row in rows]
        for worker in track(workers, "loading", len(workers)):
            worker.load()
        rounds = max(1, round(seconds / 0.5))
        for turn in track(range(rounds), "measuring", rounds):
            first = turn % len(workers)
            for worker in workers[first:] + workers[:first]:
                worker.measure(min(0.5, seconds), -(-min_runs // rounds))
        for worker in workers:
            worker.finish()
    return rows


class Worker:
    """The process of one candidate, seen from outside. Never raises for what happens inside it."""

    def __init__(self, row: Row, source: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._row = row
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, row.candidate, source), daemon=True)
        self._process.start()
        theirs.close()

    def load(self) -> None:
        self._row.about = self._ask("load") or {}

    def measure(self, seconds: float, min_runs: int) -> None:
        times = self._ask("measure", seconds, min_runs)
        if times is not None:
            self._row.invoke_s += times[0]
            self._row.frame_s += times[1]

    def finish(self) -> None:
        self._row.peak_rss_mb = self._ask("peak") or 0.0

    def _ask(self, *question: Any) -> Any:
        if self._row.error:
            return None
        try:
            self._pipe.send(question)
            if not self._pipe.poll(ANSWER_S):
                self._row.error = f"no answer for {ANSWER_S:.0f} s"
                return None
            answer = self._pipe.recv()
        except (EOFError, OSError):
            self._process.join(5)
            self._row.error = f"its process died (exit code {self._process.exitcode})"
            return None
        if isinstance(answer, RoadliteError):
            self._row.error = str(answer)
            return None
        return answer

    def close(self) -> None:
        self._pipe.close()
        self._process.kill()
        self._process.join(5)


def _serve(pipe: Connection, candidate: Candidate, source: str) -> None:
    """Runs in the worker's process: answers questions until the pipe closes."""
    with quiet_native(), pipe:
        bench: _Bench | None = None
        while True:
            try:
                question, *arguments = pipe.recv()
            except (EOFError, KeyboardInterrupt):
                return
            try:
                if bench is None:
                    bench = _Bench(candidate, source)
                answer = getattr(bench, question)(*arguments)
            except RoadliteError as exc:
                answer = type(exc)(str(exc))
            except KeyboardInterrupt:
                return
            pipe.send(answer)


class _Bench:
    """Loads a model and times it."""

    def __init__(self, candidate: Candidate, source: str) -> None:
        start = time.perf_counter()
        self._segmenter = Segmenter(candidate.path, runtime=candidate.runtime, threads=candidate.threads)
        self._load_s = time.perf_counter() - start
        with closing(open_source(source, limit=FRAMES)) as frames:
            self._pictures = [frame.pixels for frame in frames]
        self._render = Renderer(self._segmenter.card.classes, Controls())
        self._turn = 0

    def load(self) -> dict[str, Any]:
        engine, card = self._segmenter.engine, self._segmenter.card
        first_s, _ = self._once()
        for _ in range(WARM_UP):
            self._once()
        partitions = engine.partitions()
        return {
            "size_bytes": self._segmenter.path.stat().st_size, "input_hw": card.input_hw,
            "output_stride": card.output_stride, "recipe": card.recipe, "runtime": engine.runtime,
            "threads": engine.threads, "partitions": partitions.delegated, "ops_outside": partitions.outside,
            "load_ms": round(self._load_s * 1e3, 1), "first_invoke_ms": round(first_s * 1e3, 2),
        }  # fmt: skip

    def measure(self, seconds: float, min_runs: int) -> tuple[list[float], list[float]]:
        invoke: list[float] = []
        frame: list[float] = []
        end = time.perf_counter() + seconds
        while time.perf_counter() < end or len(invoke) < min_runs:
            invoke_s, frame_s = self._once()
            invoke.append(invoke_s)
            frame.append(frame_s)
        return invoke, frame

    def peak(self) -> float:
        """Peak resident memory of this process in MB."""
        return peak_rss_mb()

    def _once(self) -> tuple[float, float]:
        pixels = self._pictures[self._turn % len(self._pictures)]
        self._turn += 1
        start = time.perf_counter()
        x = self._segmenter.preprocess(pixels)
        before = time.perf_counter()
        output = self._segmenter.engine.invoke(x)
        after = time.perf_counter()
        labels = self._segmenter.postprocess(output, (pixels.shape[0], pixels.shape[1]))
        self._render(pixels, labels.ids, "")
        return after - before, time.perf_counter() - start


def peak_rss_mb() -> float:
    """Peak resident memory of this process in MB.

    Not getrusage's figure where Linux has a better one: a process made by a large one starts with its parent's peak.
    """
    try:
        status = Path("/proc/self/status").read_text("ascii", "replace")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / 1e6
    except (OSError, IndexError, ValueError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
