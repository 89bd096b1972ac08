"""What a running pipeline shares with those who watch and steer it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from edge.classes import ClassSet

View = Literal["overlay", "mask", "side-by-side"]


@dataclass(slots=True)
class Controls:
    """What a viewer may change while frames run; read anew before every frame. Any thread may set a field."""

    view: View = "overlay"
    alpha: float = 0.5  # opacity of the overlay, 0..1
    hidden: frozenset[int] = frozenset()  # class ids that are not painted
    boundaries: bool = False  # outline the areas
    paused: bool = False  # no frame is taken; sinks that have an `idle` method get it called instead
    snapshot: bool = False  # keep the next picture as a file; whoever does resets it
    quit: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True, slots=True)
class LivePipeline:
    """A running pipeline, seen from a sink.

    A sink that must stay awake while no frames come (paused, or the camera is away) has a third method, `idle()`: it
    is called from the thread that calls `write`, the main one, about twenty times a second.
    """

    classes: ClassSet
    controls: Controls
    stats: Callable[[], dict[str, Any]]
    """From any thread, at any time, as JSON can hold it: `model` and `source` (names, credentials taken out), `state`
    (starting, running, paused, reconnecting), `frames`, `seconds`, `fps` (over the last seconds), `stages_ms` {stage:
    {median, p90, p99, max}}, `frame_age_ms` {median, p90, p99, max} from capture to shown, `drops`, `reconnects`,
    `skipped` (damaged frames), `temperature_c` and `throttled` (None where the board does not tell)."""
