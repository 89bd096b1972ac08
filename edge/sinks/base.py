"""The contract of a sink of results."""

from __future__ import annotations

from typing import Protocol

from edge.data import Result


class Sink(Protocol):
    """Something that takes results in order, such as a file, a window or a web page.

    Whoever opened a sink closes it. Nothing unfinished ever bears a final name. Implementations name this class as
    their base, and inherit `notice`, `written` and `idle` where they have nothing to say or to do.
    """

    notice: str = ""
    """What the user should be told when the sink is open: where to look, and who else can."""

    written: str = ""
    """What the sink has written under its final name until now, as the user calls it; empty while that is nothing."""

    def write(self, result: Result) -> None:
        """Takes a result.

        Raises SinkError where it cannot be kept; the sink has then removed what was unfinished and takes no more.
        """
        ...

    def idle(self) -> None:
        """Is called about twenty times a second while no frames come, from the thread that calls `write`."""
        return None

    def close(self) -> None:
        """Finishes the output and gives it its final name; it may be called twice. Raises SinkError."""
        ...
