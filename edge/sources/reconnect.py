"""Gives out the newest frame of a camera or a stream, which is opened again when it fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from edge.data import Frame, SourceInfo
from edge.errors import SourceError
from edge.sources.options import SourceHealth
from edge.text import quiet
from edge.threads import Ended, NotYet, Slot

if TYPE_CHECKING:
    from edge.sources.base import Source

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0
_STEADY_S = 10.0  # frames for so long, and the waits begin short again
_MOST_HUNG = 3  # threads that hang in a driver; a new process serves better than one more
_CLOSING_S = 0.7


class ReconnectingSource:
    """A source that reads what `open_it` opens in a thread of its own and gives out the newest frame whenever one is
    asked for.

    What fails, or gives no frame for `timeout_s` (the first time for `start_s`), is closed and opened again, after
    waits that double from 0.5 s to 30 s, for ever or `max_reconnects` times in a row; indices and times go on. A read
    that hangs is left behind in its thread. `health` counts, and names the trouble while there is one; `say` gets a
    line about each.

    Raises SourceError where it cannot be opened now. Later, when it is given up.
    """

    def __init__(
        self,
        open_it: Callable[[], Source],
        *,
        timeout_s: float,
        start_s: float = 10.0,
        max_reconnects: int | None = None,
        health: SourceHealth | None = None,
        say: Callable[[str], None] = quiet,
    ) -> None:
        self._open_it, self._timeout_s, self._start_s = open_it, timeout_s, max(start_s, timeout_s)
        self._max_reconnects = max_reconnects
        self._health, self._say = health or SourceHealth(), say
        self._closed = threading.Event()
        self._failures = 0
        self._hung: list[_Reading] = []
        self._first_index, self._next_index, self._drops = 0, 0, 0
        self._reading = _Reading(open_it)
        try:
            self.info: SourceInfo = self._reading.info(self._start_s)
        except BaseException:
            self._reading.stop(_CLOSING_S)
            raise

    def __iter__(self) -> Iterator[Frame]:
        begin_s: float | None = None
        self._drops -= self._reading.drops  # those before anybody asked for one
        while not self._closed.is_set():
            try:
                frame = self._reading.take(self._timeout_s, self._start_s)
            except Ended:
                return
            except SourceError as exc:
                self._open_again(exc)
                continue
            begin_s = frame.t_capture_s if begin_s is None else begin_s
            index = self._first_index + frame.index
            self._count(index)
            yield replace(frame, index=index, time_s=frame.t_capture_s - begin_s)

    def close(self) -> None:
        """Ends an iteration in another thread too."""
        if not self._closed.is_set():
            self._closed.set()
            self._reading.stop(_CLOSING_S)

    def _count(self, index: int) -> None:
        self._next_index = index + 1
        self._health.drops = self._drops + self._reading.drops
        if self._failures and self._reading.frames_for_s() > _STEADY_S:
            self._failures = 0
        if self._health.fault:
            self._health.fault = ""
            self._say(f"{self.info.name}: frames come again")

    def _open_again(self, trouble: SourceError) -> None:
        """Until it is open; raises SourceError when it is given up."""
        while not self._closed.is_set():
            self._failures += 1
            if self._max_reconnects is not None and self._failures > self._max_reconnects:
                raise SourceError(f"{trouble}; given up after {self._max_reconnects} reconnects") from trouble
            self._leave(trouble)
            wait_s = min(FIRST_WAIT_S * 2 ** min(self._failures - 1, 10), LONGEST_WAIT_S)
            self._health.fault = str(trouble)
            self._say(f"{trouble}; opening it again in {wait_s:g} s")
            if self._closed.wait(wait_s):
                return
            self._health.reconnects += 1
            self._reading = _Reading(self._open_it)
            if self._closed.is_set():  # by another thread, which saw the old reading
                self._reading.stop(_CLOSING_S)
            try:
                self._reading.info(self._start_s)
                return
            except Ended:
                return
            except SourceError as exc:
                trouble = exc

    def _leave(self, trouble: SourceError) -> None:
        """Ends the present reading, or leaves it behind where it hangs."""
        self._drops += self._reading.drops
        self._first_index = self._next_index
        if not self._reading.stop(_CLOSING_S):
            self._hung = [*(left for left in self._hung if not left.stop(0)), self._reading]
        if len(self._hung) > _MOST_HUNG:
            raise SourceError(f"{trouble}; {len(self._hung)} reads of it hang, start again") from trouble


class _Reading:
    """One life of a source in a thread of its own, from opening to closing it."""

    def __init__(self, open_it: Callable[[], Source]) -> None:
        self._opened: Slot[SourceInfo] = Slot()
        self._frames: Slot[Frame] = Slot()
        self._first_s: float | None = None
        self._thread = threading.Thread(target=self._work, args=(open_it,), name="capture", daemon=True)
        self._thread.start()

    def info(self, timeout_s: float) -> SourceInfo:
        try:
            return self._opened.take(timeout_s)
        except NotYet:
            raise SourceError(f"the source did not open within {timeout_s:g} s") from None

    def take(self, timeout_s: float, start_s: float) -> Frame:
        """The newest frame. Raises SourceError when it fails or none comes, Ended at its end or when stopped."""
        patience_s = start_s if self._first_s is None else timeout_s
        try:
            frame = self._frames.take(patience_s)
        except NotYet:
            raise SourceError(f"{self._name}: no frame for {patience_s:g} s") from None
        self._first_s = self._first_s or time.perf_counter()
        return frame

    @property
    def drops(self) -> int:
        return self._frames.drops

    def frames_for_s(self) -> float:
        return 0.0 if self._first_s is None else time.perf_counter() - self._first_s

    def stop(self, timeout_s: float) -> bool:
        """Asks the thread to end; False when it hangs."""
        self._opened.close()
        self._frames.close()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self, open_it: Callable[[], Source]) -> None:
        error: BaseException | None = None
        try:
            source = open_it()
            try:
                self._name = source.info.name
                self._opened.put(source.info)
                for frame in source:
                    if not self._frames.put(frame):
                        break
            finally:
                source.close()
        except BaseException as exc:  # noqa: BLE001 - raised again where the frames are wanted
            error = exc
        finally:
            self._opened.close(error)
            self._frames.close(error)
