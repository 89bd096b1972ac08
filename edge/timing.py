"""Measures how long each stage takes, in bounded memory however long the run."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import numpy as np

from edge.data import Way

STAGES = ("decode", "preprocess", "invoke", "postprocess", "move", "second model", "render", "encode")

RECENT_S = 5.0  # what "now" means for the rate
_RECENT = 15  # frames that the status line's medians are over
_RECENT_WAYS = 100  # frames that its shares are of


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds that something takes."""

    median: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class TimingSummary:
    """How long the frames of a run took."""

    frames: int  # that were shown
    seconds: float  # from the start to the last of them
    fps: float  # over all of it
    stages_ms: Mapping[str, Percentiles]  # of the stages that were run
    frame_age_ms: Percentiles | None  # from capture until a frame was shown; None without frames
    label_age_ms: Percentiles | None = None  # the same of the frame that the labels are of; None where that is the same
    moved: float | None = None  # share of frames that show the labels of an earlier one, moved with what they name
    held: float | None = None  # share of frames that show those of an earlier one where they were: motion was lost


class Samples:
    """The times of a whole run: all of them up to `most`, then every second one, every fourth, and so on; evenly
    spread.
    """

    def __init__(self, most: int = 8192) -> None:
        self._most, self._step, self._skip = most, 1, 0
        self._kept = array("d")
        self._recent: deque[float] = deque(maxlen=_RECENT)
        self.count, self.max = 0, 0.0

    def add(self, seconds: float) -> None:
        self.count += 1
        self.max = max(self.max, seconds)
        self._recent.append(seconds)
        if self._skip:
            self._skip -= 1
            return
        self._kept.append(seconds)
        if len(self._kept) >= self._most:
            self._kept = self._kept[::2]
            self._step *= 2
        self._skip = self._step - 1

    def recent(self) -> float:
        """Returns the median of the last few."""
        return float(np.median(self._recent))

    def kept(self) -> list[float]:
        return list(self._kept)


class Timing:
    """The seconds of each stage and frame; percentiles, never a bare mean. It is safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stages = {name: Samples() for name in STAGES}
        self._age, self._label_age = Samples(), Samples()
        self._ways: Counter[Way] = Counter()
        self._recent_ways: deque[Way] = deque(maxlen=_RECENT_WAYS)
        self._shown: deque[float] = deque(maxlen=1024)  # perf_counter of the last frames shown
        self._start_s = time.perf_counter()
        self._end_s = self._start_s

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        with self._lock:
            self._stages[name].add(seconds)

    def shown(self, t_capture_s: float, behind_s: float | None = None, way: Way = "own") -> None:
        """Notes that a frame that was there at `t_capture_s` has reached all outputs.

        `behind_s` and `way` are those of its labels, where they may be of an earlier frame.
        """
        now = time.perf_counter()
        with self._lock:
            self._age.add(now - t_capture_s)
            if behind_s is not None:
                self._label_age.add(now - t_capture_s + behind_s)
                self._ways[way] += 1
                self._recent_ways.append(way)
            self._shown.append(now)
            self._end_s = now

    @property
    def frames(self) -> int:
        """The number of frames that were shown."""
        return self._age.count

    @property
    def seconds(self) -> float:
        """The wall-clock time from the start to the last frame shown."""
        return self._end_s - self._start_s

    @property
    def fps(self) -> float:
        """Frames per second over the whole run."""
        return self.frames / self.seconds if self.frames else 0.0

    def fps_now(self) -> float:
        """Returns the frames per second over the last RECENT_S, or the last two frames where these are slower."""
        now = time.perf_counter()
        with self._lock:
            shown = list(self._shown)
        recent = [at for at in shown if at > now - RECENT_S]
        if len(recent) < 2:
            recent = shown[-2:]
        return (len(recent) - 1) / (now - recent[0]) if len(recent) > 1 else 0.0

    def line(self) -> str:
        """Returns what the picture's status line says of the last frames."""
        with self._lock:
            invoke = self._stages["invoke"]
            if not invoke.count:
                return ""
            latency = f"invoke {invoke.recent() * 1e3:.1f} ms"
            labels = self._labels_line()
        fps = self.fps_now()
        return "   ".join(part for part in (latency, f"{fps:.1f} fps" if fps else "", labels) if part)

    def _labels_line(self) -> str:
        if not self._label_age.count:
            return ""
        share = {way: self._recent_ways.count(way) / len(self._recent_ways) for way in ("moved", "held")}
        told = ", ".join(f"{part:.0%} {way}" for way, part in share.items() if part)
        return f"labels {self._label_age.recent() * 1e3:.0f} ms old{', ' if told else ''}{told}"

    def summary(self) -> TimingSummary:
        """Returns what is known by now."""
        with self._lock:
            labels, ways = (self._label_age.kept(), self._label_age.max), dict(self._ways)
            taken = {name: (samples.kept(), samples.max) for name, samples in self._stages.items() if samples.count}
            age = self._age.kept(), self._age.max
        return TimingSummary(
            self.frames,
            round(self.seconds, 3),
            round(self.fps, 2),
            {name: percentiles(kept, most) for name, (kept, most) in taken.items()},
            percentiles(*age) if self.frames else None,
            percentiles(*labels) if ways else None,
            _share(ways, "moved"),
            _share(ways, "held"),
        )


def _share(ways: Mapping[Way, int], way: Way) -> float | None:
    return round(ways.get(way, 0) / sum(ways.values()), 4) if ways else None


def percentiles(seconds: Sequence[float], most: float | None = None) -> Percentiles:
    """Returns median, p90, p99 and maximum; `most` is the maximum where `seconds` are only a part."""
    median, p90, p99, largest = np.percentile(seconds, [50, 90, 99, 100])
    return Percentiles(*(round(float(s) * 1e3, 3) for s in (median, p90, p99, largest if most is None else most)))


def percentiles_ms(seconds: list[float], most: float | None = None) -> dict[str, float]:
    return asdict(percentiles(seconds, most))
