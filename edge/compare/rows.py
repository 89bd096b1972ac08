"""What is compared, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edge.compare.estimates import jitter
from edge.compare.layer_times import Profile
from edge.timing import percentiles_ms

STAGES = ("preprocess", "invoke", "postprocess", "render")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One row: a model on a runtime with a number of threads."""

    path: Path
    runtime: str
    threads: int | None
    python: str = ""  # the interpreter its process runs in; empty for this one


@dataclass(slots=True)
class Turn:
    """One candidate in one round."""

    start_s: float  # since the comparison began
    end_s: float
    invoke_s: list[float]  # nothing but invokes, one after the other
    stages_s: dict[str, list[float]]  # picture in memory -> overlay, by stage
    invoke_j: float | None = None  # energy spent while invoking, where the board tells
    frame_j: float | None = None  # and while running whole frames
    clock_mhz: float | None = None  # right after it
    disturbed: list[str] = field(default_factory=list)  # what makes its times doubtful

    @property
    def frame_s(self) -> list[float]:
        return [sum(times) for times in zip(*self.stages_s.values(), strict=True)]


@dataclass(slots=True)
class Accuracy:
    """Over the frames of a comparison, at their own size; None where it is not known."""

    frames: int
    miou: float | None = None  # against the truth
    pixel_accuracy: float | None = None  # against the truth
    agreement: float | None = None  # share of pixels as the reference model labels them
    reference: str = ""

    @property
    def score(self) -> float | None:
        return self.agreement if self.miou is None else self.miou


@dataclass(slots=True)
class Row:
    """What was measured of a candidate; `error` says why when it was not."""

    candidate: Candidate
    about: dict[str, Any] = field(default_factory=dict)  # from its process when it has loaded the model
    turns: list[Turn] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)  # peak_rss_mb, rss_mb
    accuracy: Accuracy | None = None
    invalid: list[str] = field(default_factory=list)  # why its times are doubtful
    outside_share: float | None = None  # of the time, spent in operators that the delegate left
    profile: Profile | None = None
    error: str = ""

    @property
    def measured(self) -> bool:
        return not self.error and bool(self.turns)

    @property
    def invoke_s(self) -> list[float]:
        return list(_joined(turn.invoke_s for turn in self.turns))

    @property
    def frame_s(self) -> list[float]:
        return list(_joined(turn.frame_s for turn in self.turns))

    def invoke_rounds(self) -> list[float]:
        """Median seconds of an invoke, per round."""
        return [float(np.median(turn.invoke_s)) for turn in self.turns]

    def frame_rounds(self) -> list[float]:
        """Median seconds of a frame, per round."""
        return [float(np.median(turn.frame_s)) for turn in self.turns]

    def summary(self) -> dict[str, Any]:
        """Milliseconds, megabytes, frames per second."""
        plain: dict[str, Any] = {
            "model": self.candidate.path.name,
            "runtime": self.candidate.runtime,
            "threads": self.candidate.threads,
            **self.about,
        }
        if not self.measured:
            return {**plain, "error": self.error or "interrupted before it was measured"}
        frame = latency_ms(self.frame_s)
        stages = {name: latency_ms(_joined(turn.stages_s[name] for turn in self.turns)) for name in STAGES}
        return {
            **plain,
            "invokes": len(self.invoke_s),
            "invoke_ms": latency_ms(self.invoke_s),
            "frames": len(self.frame_s),
            "frame_ms": frame,
            "stages_ms": stages,
            "fps": round(1e3 / frame["median"], 2),
            **self.memory,
            "gmacs_per_s": self._rate(),
            "outside_share": self.outside_share,
            **self._energy(),
            "accuracy": self._accuracy(),
            "valid": not self.invalid,
            "invalid": self.invalid,
        }

    def _rate(self) -> float | None:
        macs = self.about.get("macs")
        return round(macs / float(np.median(self.invoke_s)) / 1e9, 2) if macs else None

    def _energy(self) -> dict[str, float | None]:
        """Joules an invoke and a frame take; None where a turn does not know."""
        spent = [(turn.invoke_j, turn.frame_j) for turn in self.turns]
        if any(invoke is None or frame is None for invoke, frame in spent):
            return {"invoke_j": None, "frame_j": None}
        totals = (sum(invoke or 0 for invoke, _ in spent), sum(frame or 0 for _, frame in spent))
        return {
            "invoke_j": round(totals[0] / len(self.invoke_s), 4),
            "frame_j": round(totals[1] / len(self.frame_s), 4),
        }

    def _accuracy(self) -> dict[str, Any] | None:
        if self.accuracy is None:
            return None
        found = self.accuracy
        figures = {"miou": found.miou, "pixel_accuracy": found.pixel_accuracy, "agreement": found.agreement}
        rounded = {name: None if value is None else round(value, 5) for name, value in figures.items()}
        return {"frames": found.frames, **rounded, "reference": found.reference}


def latency_ms(seconds: Iterable[float]) -> dict[str, float]:
    """Median, p90, p99, maximum and jitter in milliseconds."""
    times = list(seconds)
    return {**percentiles_ms(times), "jitter": round(jitter(times) * 1e3, 3)}


def _joined(parts: Iterable[Iterable[float]]) -> Iterable[float]:
    for part in parts:
        yield from part
