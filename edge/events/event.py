"""Holds what is told when a rule begins or ends to be met, and the contract of those who are told."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal, Protocol

from edge.data import Result


@dataclass(frozen=True, slots=True)
class Event:
    """A rule that begins, or ends, to be met."""

    rule: str  # its name
    state: Literal["begun", "ended"]
    clock: str  # the time of day: UTC, ISO 8601 in milliseconds
    index: int  # of the frame that tells it
    time_s: float  # of the frame, as rows have it
    share: float  # of the rule's classes in its region, 0..1
    lasted_s: float | None = None  # since it has begun; of an end
    snapshot: str | None = None  # the file beside the log that shows the frame

    def as_json(self) -> str:
        """Returns the event as one line of JSON, without what is not known."""
        return json.dumps({name: value for name, value in asdict(self).items() if value is not None})


class Receiver(Protocol):
    """Something that is told of events. Whoever opened it closes it. What raises SinkError takes no more."""

    def follow(self, result: Result, met: bool) -> None:
        """Takes every frame, after its events; `met` tells whether any rule is."""
        return None

    def take(self, event: Event, slug: str, result: Result) -> None:
        """Takes an event, with the name of its rule as files have it, and the frame that tells it."""
        ...

    def close(self) -> None:
        """Ends it; may be called twice."""
        return None
