"""Serves a page, what it shows, and numbers for other tools. Everything here runs in its loop's thread."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

from aiohttp import WSCloseCode, web

from edge.controls import LivePipeline
from edge.sinks.web.address import Address
from edge.sinks.web.feed import Feed
from edge.sinks.web.guard import EVERYWHERE, Guard
from edge.sinks.web.metrics import CONTENT_TYPE, PageStatistics, metrics
from edge.sinks.web.page import Page

MAX_VIEWERS = 8
MAX_CONNECTIONS = 64  # when there are more, the oldest that are no viewer's are closed
BACKLOG = 32  # so many may come at once, before they are counted
STALE_S = 10.0  # without a frame for so long, /healthz calls for help
_STATS_EVERY_S = 1.0
_STALLED_S = 20.0  # a viewer that takes nothing for so long is gone


class _Failures(logging.Handler):
    """Keeps what went wrong in a request for /stats: the pipeline goes on, and nothing is printed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count, self.last = 0, ""

    def emit(self, record: logging.LogRecord) -> None:
        exc = record.exc_info[1] if record.exc_info else None
        self.count += 1
        self.last = record.getMessage() if exc is None else f"{type(exc).__name__}: {exc}"


class Server:
    """A web server that answers while `serve` runs; `ready` is called with the port as soon as it listens."""

    def __init__(self, address: Address, live: LivePipeline, feed: Feed) -> None:
        self._address, self._live, self._feed = address, live, feed
        self._page = Page()
        self._viewers: dict[asyncio.BaseProtocol, Callable[[], Any]] = {}  # by connection: what ends the visit
        self._failures = _Failures()

    async def serve(self, ready: Callable[[int], None], done: asyncio.Event) -> None:
        app = web.Application(middlewares=[Guard(self._address).middleware()])
        app.on_response_prepare.append(_harden)
        for path, handler in (
            ("/", self._show_page),
            ("/ws", self._watch),
            ("/stream.mjpg", self._stream),
            ("/snapshot.jpg", self._snapshot),
            ("/healthz", self._health),
            ("/stats", self._stats),
            ("/metrics", self._metrics),
        ):
            app.router.add_get(path, handler, allow_head=path == "/healthz")
        quiet = logging.Logger("roadlite.web")  # of its own: nobody else's handlers hear of it
        quiet.addHandler(self._failures)
        runner = web.AppRunner(app, access_log=None, logger=quiet, shutdown_timeout=0.3, keepalive_timeout=15.0)
        await runner.setup()
        assert runner.server is not None
        try:
            listener = await asyncio.get_running_loop().create_server(
                self._limited(runner.server), self._address.host, self._address.port, backlog=BACKLOG
            )
            ready(listener.sockets[0].getsockname()[1])
            await done.wait()
            listener.close()
            for leave in list(self._viewers.values()):
                leave()
        finally:
            await runner.cleanup()

    def _limited(self, server: web.Server) -> Callable[[], asyncio.BaseProtocol]:
        def connect() -> asyncio.BaseProtocol:
            ways = {c: c.transport for c in server.connections if c.transport and not c.transport.is_closing()}
            idle = [way for connection, way in ways.items() if connection not in self._viewers]
            for oldest in idle[: max(0, len(ways) + 1 - MAX_CONNECTIONS)]:
                oldest.abort()
            return server()

        return connect

    @contextmanager
    def _place(self, request: web.Request, leave: Callable[[], Any]) -> Iterator[None]:
        self._viewers[request.protocol] = leave
        try:
            yield
        finally:
            del self._viewers[request.protocol]

    @property
    def _crowded(self) -> str:
        """Why there is no place for another viewer; empty while there is."""
        full = len(self._viewers) >= MAX_VIEWERS
        return f"{MAX_VIEWERS} viewers are watching already; close one of them" if full else ""

    async def _show_page(self, request: web.Request) -> web.Response:
        headers = {"Content-Security-Policy": self._page.policy(request.headers["Host"])}
        return web.Response(body=self._page.html, content_type="text/html", charset="utf-8", headers=headers)

    async def _watch(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(heartbeat=_STALLED_S, max_msg_size=1024, compress=False, timeout=0.2)
        await socket.prepare(request)
        if self._crowded:
            await socket.close(code=WSCloseCode.TRY_AGAIN_LATER, message=self._crowded.encode())
            return socket
        wants = asyncio.Event()
        ways = (_listen(socket, wants), self._send_frames(socket, wants), self._send_numbers(socket))
        tasks = [asyncio.create_task(way) for way in ways]
        with self._place(request, tasks[0].cancel), suppress(ConnectionError):
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not task.cancelled():
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await socket.close(code=WSCloseCode.GOING_AWAY)
        return socket

    async def _send_frames(self, socket: web.WebSocketResponse, wants: asyncio.Event) -> None:
        """Each when the viewer has shown the one before, and then the newest."""
        shown = 0
        while True:
            await wants.wait()
            await self._feed.after(shown)
            shown, message = await self._feed.parts()
            wants.clear()
            await socket.send_bytes(message)

    async def _send_numbers(self, socket: web.WebSocketResponse) -> None:
        await socket.send_str(json.dumps(self._hello()))
        while True:
            await socket.send_str(json.dumps({"kind": "stats", **self._statistics().as_json()}))
            await asyncio.sleep(_STATS_EVERY_S)

    def _hello(self) -> dict[str, object]:
        classes, controls = self._live.classes, self._live.controls
        return {
            "kind": "hello",
            "names": classes.names,
            "colours": classes.colours,
            "view": controls.view,
            "alpha": controls.alpha,
            "hidden": sorted(controls.hidden),
            "boundaries": controls.boundaries,
        }

    def _statistics(self) -> PageStatistics:
        return PageStatistics(
            self._live.statistics(),
            len(self._viewers),
            round(self._feed.age_s, 3),
            self._failures.count,
            self._failures.last,
        )

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if self._crowded:
            raise web.HTTPServiceUnavailable(text=f"{self._crowded}\n")
        response = web.StreamResponse(headers={"Content-Type": "multipart/x-mixed-replace; boundary=frame"})
        task = asyncio.current_task()
        assert task is not None
        with self._place(request, task.cancel):
            await response.prepare(request)
            shown = 0
            while True:
                await self._feed.after(shown)
                shown, jpeg = await self._feed.picture()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    async with asyncio.timeout(_STALLED_S):
                        await response.write(head.encode() + jpeg + b"\r\n")
                except (TimeoutError, ConnectionError):
                    return response

    async def _snapshot(self, request: web.Request) -> web.Response:
        if not self._feed.number:
            raise web.HTTPServiceUnavailable(text="There is no picture yet.\n")
        _, jpeg = await self._feed.picture()
        return web.Response(body=jpeg, content_type="image/jpeg")

    async def _health(self, request: web.Request) -> web.Response:
        age_s, paused = self._feed.age_s, self._live.controls.paused
        well = age_s < STALE_S or paused
        text = "paused" if paused else f"newest frame {age_s:.1f} s ago" if self._feed.number else "no frame yet"
        return web.Response(status=200 if well else 503, text=f"{'ok' if well else 'stale'}: {text}\n")

    async def _stats(self, request: web.Request) -> web.Response:
        return web.json_response(replace(self._statistics(), shares=await self._feed.shares()).as_json())

    async def _metrics(self, request: web.Request) -> web.Response:
        text = metrics(replace(self._statistics(), shares=await self._feed.shares()))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _listen(socket: web.WebSocketResponse, wants: asyncio.Event) -> None:
    """Whatever a viewer says means that it wants the next frame. Ends when it leaves."""
    async for _ in socket:
        wants.set()


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(EVERYWHERE)
    response.headers.popall("Server", None)
