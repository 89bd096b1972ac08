"""Holds what a running pipeline shares with those who watch and steer it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from edge.classes import ClassSet
from edge.region_store import RegionStore
from edge.regions import Polygon
from edge.shares import Shares
from edge.timing import TimingSummary

View = Literal["overlay", "mask", "side-by-side"]


@dataclass(slots=True)
class Controls:
    """Settings that a viewer may change while frames run; they are read anew before every frame.

    Any thread may set a field.
    """

    view: View = "overlay"
    alpha: float = 0.5  # opacity of the overlay, 0..1
    hidden: frozenset[int] = frozenset()  # class ids that are not painted
    boundaries: bool = False  # outline the areas
    paused: bool = False  # no frame is taken; the `idle` of sinks is called instead
    snapshot: bool = False  # keep the next picture as a file; whoever does resets it
    quit: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What never changes while a pipeline runs; names come without credentials."""

    roadlite: str  # its version
    model: str
    runtime: str
    threads: int
    source: str
    delegate: str = ""  # the name of an external one; empty where the CPU runs all of the model
    delegate_operators: int = 0  # how many it runs


State = Literal["starting", "running", "paused", "reconnecting"]


@dataclass(frozen=True, slots=True)
class RunStatistics:
    """How a pipeline is doing, or how it did."""

    run: RunDescription
    timing: TimingSummary
    drops: int  # frames that a newer one replaced before they were taken
    reconnects: int
    skipped: int  # damaged frames
    jumps: int  # of the clock of a film, closed
    temperature_c: float | None  # None where the board does not tell
    throttled: bool | None
    state: State | None = None  # None when the run is over; while it is on, `timing.fps` is that of the last seconds
    left_out: Mapping[str, int] = field(default_factory=dict)  # reason -> files of the source that were not taken

    def as_json(self) -> dict[str, object]:
        """Returns the statistics as a file or the web page has them, without what is not known."""
        timing = {name: value for name, value in asdict(self.timing).items() if value is not None}
        names = ("drops", "reconnects", "skipped", "jumps", "left_out", "temperature_c", "throttled")
        health = {name: getattr(self, name) for name in names}
        return {**asdict(self.run), **timing, **health, **({"state": self.state} if self.state else {})}


@dataclass(frozen=True, slots=True)
class LivePipeline:
    """A running pipeline, seen from a sink."""

    classes: ClassSet
    controls: Controls
    statistics: Callable[[], RunStatistics]  # from any thread, at any time
    names_known: bool = True  # whether the model or the user names the classes; False where their names are a guess
    regions: Mapping[str, Polygon] = field(default_factory=dict)  # at the start, counted beside the picture
    regions_file: Path | None = None  # where regions are kept that are drawn while it runs; None for nowhere
    watched: Collection[str] = ()  # regions of which rules tell
    shares: Shares = field(init=False)  # of the frames, counted once for all sinks
    region_store: RegionStore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shares", Shares(self.classes, self.regions))
        object.__setattr__(
            self, "region_store", RegionStore(self.regions_file, self.regions, self.shares.use, self.watched)
        )
