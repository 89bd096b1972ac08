"""Makes the web page a sink: who has its address sees what the pipeline sees, each viewer in their own way."""

from __future__ import annotations

import asyncio
import errno
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace

from edge.controls import LivePipeline
from edge.data import Result
from edge.errors import SinkError
from edge.sinks.base import Sink
from edge.sinks.web.address import Address
from edge.sinks.web.feed import Feed
from edge.sinks.web.server import Server

CLOSE_S = 2.0  # longer than the server takes to end
LAST_PORT = 65535


class WebPage(Sink):
    """A sink that shows results at `address`, from a thread of its own. `write` only hands over the newest result.

    Nothing is encoded while nobody looks. Viewers change what they see; of what runs only the regions that are counted.

    Raises SinkError where the address cannot be listened on.
    """

    def __init__(self, address: Address, live: LivePipeline) -> None:
        self._where = address.spec
        self._started: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event, Feed]] = Future()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(address, live), name="roadlite-web", daemon=True)
        self._thread.start()
        try:
            port, self._loop, self._done, self._feed = self._started.result()
        except OSError as exc:
            raise SinkError(f"{self._where}: cannot be served ({_reason(exc, address)})") from exc
        self.address = replace(address, port=port)
        self.notice = self.address.notice

    def write(self, result: Result) -> None:
        if not self._thread.is_alive():
            raise self._ended()
        self._feed.put(result)

    def close(self) -> None:
        with suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._done.set)
        self._thread.join(CLOSE_S)
        if self._failure is not None:
            raise self._ended()

    def _ended(self) -> SinkError:
        failure, self._failure = self._failure, None
        error = SinkError(f"{self._where}: the web page has ended ({failure or 'it was closed'})")
        error.__cause__ = failure
        return error

    def _run(self, address: Address, live: LivePipeline) -> None:
        try:
            asyncio.run(self._serve(address, live))
        except BaseException as exc:  # noqa: BLE001 - a thread's end must reach the one who waits for it
            if self._started.done():
                self._failure = exc
            else:
                self._started.set_exception(exc)

    async def _serve(self, address: Address, live: LivePipeline) -> None:
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        feed = Feed(loop, live.classes)
        try:
            await Server(address, live, feed).serve(
                lambda port: self._started.set_result((port, loop, done, feed)), done
            )
        finally:
            feed.close()


def _reason(exc: OSError, address: Address) -> str:
    if exc.errno == errno.EADDRINUSE:
        other = replace(address, port=address.port + 1 if address.port < LAST_PORT else address.port - 1).spec
        return f"another program has this port; choose another one, such as {other}"
    return exc.strerror or str(exc)
