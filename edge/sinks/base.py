"""The contract of a sink of results."""

from __future__ import annotations

from typing import Protocol

from edge.data import Result


class Sink(Protocol):
    """Takes results in order.

    `write` raises `SinkError` when a result cannot be kept; the sink has then removed what was unfinished and takes
    no more. `close` finishes the output and gives it its final name; it raises `SinkError` too, and may be called
    twice. Whoever opened the sink closes it. Nothing unfinished ever bears a final name.

    A sink may have a `notice: str`, which the user should be told when it is open: where to look, and who else can.
    """

    def write(self, result: Result) -> None: ...

    def close(self) -> None: ...
