"""Serves a page, what it shows, and numbers for other tools. Everything here runs in its loop's thread."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from aiohttp import web
from aiohttp.http import HttpProcessingError

from edge.controls import LivePipeline
from edge.sinks.web.address import Address
from edge.sinks.web.connections import IDLE_S, listen, stop_listening
from edge.sinks.web.feed import Feed
from edge.sinks.web.guard import EVERYWHERE, Guard, expect_nothing, without_body
from edge.sinks.web.metrics import CONTENT_TYPE, PageStatistics, metrics
from edge.sinks.web.page import Page
from edge.sinks.web.regions import MOST_BYTES, RegionDesk
from edge.sinks.web.viewers import Viewers

STALE_S = 10.0  # without a frame for so long, /healthz calls for help


class _Failures(logging.Handler):
    """Keeps what went wrong in a request for /stats: the pipeline goes on, and nothing is printed."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count, self.last = 0, ""

    def emit(self, record: logging.LogRecord) -> None:
        exc = record.exc_info[1] if record.exc_info else None
        if isinstance(exc, (HttpProcessingError, ConnectionError)):
            return  # no fault of ours: what somebody sent was no HTTP, or they left before the answer
        self.count += 1
        self.last = record.getMessage() if exc is None else f"{type(exc).__name__}: {exc}"


class Server:
    """A web server that answers while `serve` runs; `ready` is called with the port as soon as it listens."""

    def __init__(self, address: Address, live: LivePipeline, feed: Feed) -> None:
        self._address, self._live, self._feed = address, live, feed
        self._page = Page()
        self._regions = RegionDesk(live, address)
        self._viewers = Viewers(live, feed, lambda: self._statistics().as_json(), self._regions.told)
        self._failures = _Failures()

    async def serve(self, ready: Callable[[int], None], done: asyncio.Event) -> None:
        log = logging.Logger("roadlite.web")  # of its own: nobody else's handlers hear of it
        log.addHandler(self._failures)
        runner = web.AppRunner(
            self._app(),
            access_log=None,
            logger=log,
            shutdown_timeout=0.3,
            keepalive_timeout=IDLE_S,
            handler_cancellation=True,  # when who is served has left, so does what serves it
            lingering_time=0.0,  # a body that nobody wants is not awaited,
            auto_decompress=False,  # nor unpacked
        )
        await runner.setup()
        assert runner.server is not None
        try:
            listener = await listen(runner.server, self._address.host, self._address.port, self._viewers)
            ready(listener.sockets[0].getsockname()[1])
            await done.wait()
            await stop_listening(listener)
            self._viewers.leave()
        finally:
            ways = [connection.transport for connection in runner.server.connections]
            await runner.cleanup()
            for way in filter(None, ways):
                way.abort()  # one that is closed with something left to send would stay open
            await asyncio.sleep(0)  # the loop lets them go

    def _app(self) -> web.Application:
        guard = Guard(self._address).middleware(self._health)
        app = web.Application(
            middlewares=[without_body(self._regions.save, MOST_BYTES), guard], client_max_size=MOST_BYTES
        )
        app.on_response_prepare.append(_harden)
        public_path = self._address.public_url.path if self._address.public_url else "/"
        for folder in {"/", public_path}:  # some proxies cut the public path off, others pass it on
            for name, handler in (
                ("", self._show_page),
                ("ws", self._viewers.watch),
                ("stream.mjpg", self._viewers.stream),
                ("snapshot.jpg", self._snapshot),
                ("healthz", self._health),
                ("stats", self._stats),
                ("metrics", self._metrics),
                ("regions", self._show_regions),
            ):
                app.router.add_get(folder + name, handler, expect_handler=expect_nothing)
            app.router.add_post(f"{folder}regions", self._regions.save, expect_handler=expect_nothing)
            app.router.add_delete(f"{folder}regions", self._regions.remove, expect_handler=expect_nothing)
        if public_path != "/":
            app.router.add_get(public_path.rstrip("/"), self._lead_to_page, expect_handler=expect_nothing)
        app.router.add_route("*", "/{other:.*}", _refuse, expect_handler=expect_nothing)
        return app

    def _statistics(self) -> PageStatistics:
        return PageStatistics(
            self._live.statistics(),
            len(self._viewers),
            round(self._feed.age_s, 3),
            self._failures.count,
            self._failures.last,
        )

    async def _show_page(self, request: web.Request) -> web.Response:
        public = self._address.public_url
        websockets = [f"ws://{request.headers['Host']}", *([public.websockets] if public else [])]
        headers = {"Content-Security-Policy": self._page.policy(*websockets)}
        return web.Response(body=self._page.html, content_type="text/html", charset="utf-8", headers=headers)

    async def _lead_to_page(self, request: web.Request) -> web.Response:
        """The page's own addresses are relative: they need the slash at the end."""
        query = request.rel_url.raw_query_string  # the token, where there is one
        raise web.HTTPTemporaryRedirect(f"{self._address.public_url}{'?' if query else ''}{query}")

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

    async def _show_regions(self, request: web.Request) -> web.Response:
        return web.json_response(self._regions.told())

    async def _metrics(self, request: web.Request) -> web.Response:
        text = metrics(replace(self._statistics(), shares=await self._feed.shares()))
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})


async def _refuse(request: web.Request) -> web.Response:
    if request.method not in ("GET", "HEAD"):  # but for regions, which have ways of their own
        raise web.HTTPMethodNotAllowed(request.method, ("GET", "HEAD"))
    raise web.HTTPNotFound(text="There is nothing here.\n")


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(EVERYWHERE)
    response.headers.popall("Server", None)
