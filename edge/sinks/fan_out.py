"""Makes one sink of several, which goes on while one of them works."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from edge.data import Result
from edge.errors import SinkError
from edge.sinks.base import Sink


class FanOut(Sink):
    """A sink that gives every result to every sink. One that fails is closed and left out, and `say` told why.

    The names are those that the user gave. The failure of the last one is raised.
    """

    def __init__(self, sinks: Mapping[str, Sink], say: Callable[[str], None]) -> None:
        self._sinks, self._say = dict(sinks), say
        self._all = tuple(sinks.values())

    @property
    def written(self) -> str:  # type: ignore[override]
        """What all of them have written, those that failed later too."""
        return ", ".join(sink.written for sink in self._all if sink.written)

    def write(self, result: Result) -> None:
        for name, sink in list(self._sinks.items()):
            try:
                sink.write(result)
            except SinkError as exc:
                self._give_up(name, exc)

    def idle(self) -> None:
        for sink in self._sinks.values():
            sink.idle()

    def close(self) -> None:
        """Finishes every sink; raises the first failure after all of them."""
        failed: SinkError | None = None
        for name, sink in list(self._sinks.items()):
            try:
                sink.close()
            except SinkError as exc:
                del self._sinks[name]
                failed = failed or exc
        if failed is not None:
            raise failed

    def _give_up(self, name: str, exc: SinkError) -> None:
        sink = self._sinks[name]
        if len(self._sinks) == 1:
            raise exc
        del self._sinks[name]
        with suppress(SinkError):  # it has said what is wrong
            sink.close()
        self._say(f"{exc}; going on without this output")
