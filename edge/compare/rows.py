"""Holds what is compared, and what was measured of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.compare.answers import LoadedModel, MemoryUse, Overlay
from edge.compare.layer_times import Profile

STAGES = ("preprocess", "invoke", "postprocess", "render")


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """What the user says of models that leave it open, as run-model takes it; None for what is not said."""

    norm: str | None = None
    classes: str | None = None
    output_tensor: str | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a runtime with a number of threads, and how many frames it labels."""

    path: Path
    runtime: str
    threads: int | None
    python: str = ""  # the interpreter its process runs in; empty for this one
    delegate: str = ""  # as `parse_delegate` takes it; empty where the CPU runs all of the model
    label_every: int = 1  # each so many frames are labelled; those between show these labels, moved


@dataclass(slots=True)
class Turn:
    """One candidate in one round."""

    start_s: float  # since the comparison began
    end_s: float
    invoke_s: list[float]  # nothing but invokes, one after the other
    stages_s: dict[
        str, list[float]
    ]  # picture in memory -> overlay, by stage; with `label_every`, of so many frames: mean
    invoke_j: float | None = None  # energy spent while invoking, where the board tells
    frame_j: float | None = None  # and while running whole frames
    clock_mhz: float | None = None  # right after it
    disturbed: list[str] = field(default_factory=list)  # what makes its times doubtful

    @property
    def frame_s(self) -> list[float]:
        return [sum(times) for times in zip(*self.stages_s.values(), strict=True)]


@dataclass(frozen=True, slots=True)
class ClassScore:
    """How well a class is found; the class is in the truth or was predicted."""

    name: str
    iou: float
    truth_share: float  # of the pixels whose truth is known, 0..1


@dataclass(slots=True)
class Accuracy:
    """The accuracy over the frames of a comparison, at their own size; None where it is not known."""

    frames: int
    miou: float | None = None  # against the truth
    pixel_accuracy: float | None = None  # against the truth
    agreement: float | None = None  # share of pixels as the reference model labels them
    reference: str = ""
    classes: tuple[ClassScore, ...] = ()  # against the truth

    @property
    def score(self) -> float | None:
        return self.agreement if self.miou is None else self.miou


@dataclass(slots=True)
class Row:
    """What was measured of a candidate; `error` says why when it was not."""

    candidate: Candidate
    loaded: LoadedModel | None = None
    turns: list[Turn] = field(default_factory=list)
    memory: MemoryUse | None = None
    accuracy: Accuracy | None = None
    overlay: Overlay | None = None  # what it sees in the sample picture
    invalid: list[str] = field(default_factory=list)  # why its times are doubtful
    outside_share: float | None = None  # of the time, spent in operators that the delegate left
    profile: Profile | None = None
    error: str = ""

    @property
    def runtime(self) -> str:
        """The runtime that loaded the model, or the one asked for until it is loaded."""
        return self.loaded.runtime if self.loaded else self.candidate.runtime

    @property
    def threads(self) -> int | None:
        """The threads that the model runs with, or those asked for until it is loaded."""
        return self.loaded.threads if self.loaded else self.candidate.threads

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
        """Returns the median seconds of an invoke, per round."""
        return [float(np.median(turn.invoke_s)) for turn in self.turns]

    def frame_rounds(self) -> list[float]:
        """Returns the median seconds of a frame, per round."""
        return [float(np.median(turn.frame_s)) for turn in self.turns]


def _joined(parts: Iterable[Iterable[float]]) -> Iterable[float]:
    for part in parts:
        yield from part
