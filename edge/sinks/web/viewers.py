"""Serves those who watch: the page through its websocket, other tools through a stream of JPEGs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from edge.controls import LivePipeline
from edge.sinks.web.connections import STALLED_S, hang_up
from edge.sinks.web.feed import Feed

MAX_VIEWERS = 8
SILENT_S = 60.0  # a page that says nothing for so long is not looked at
REPEAT_S = 15.0  # a stream without news repeats its picture: proxies close what is silent, and who has left is noticed
_STATS_EVERY_S = 1.0


_Told = Callable[[], dict[str, object]]


class Viewers:
    """Those who watch at the moment; `in` tells whether a connection is one of theirs."""

    def __init__(self, live: LivePipeline, feed: Feed, numbers: _Told, regions: _Told) -> None:
        self._live, self._feed, self._numbers, self._regions = live, feed, numbers, regions
        self._places: dict[object, Callable[[], Any]] = {}  # by connection: what ends the visit

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, connection: object) -> bool:
        return connection in self._places

    def leave(self) -> None:
        """Ends all visits."""
        for leave in list(self._places.values()):
            leave()

    @contextmanager
    def _place(self, request: web.Request, leave: Callable[[], Any]) -> Iterator[None]:
        self._places[request.protocol] = leave
        try:
            yield
        finally:
            del self._places[request.protocol]

    @property
    def _crowded(self) -> str:
        """Why there is no place for another viewer; empty while there is."""
        full = len(self) >= MAX_VIEWERS
        return f"{MAX_VIEWERS} viewers are watching already; close one of them" if full else ""

    async def watch(self, request: web.Request) -> web.WebSocketResponse:
        """Answers the page's websocket until it is closed, or nobody looks."""
        line = web.WebSocketResponse(heartbeat=STALLED_S, max_msg_size=1024, compress=False, timeout=0.2)
        if not _is_asked_for(line, request):
            raise web.HTTPUpgradeRequired(text="Here is the page's websocket.\n", headers={"Upgrade": "websocket"})
        await line.prepare(request)
        if self._crowded:
            await line.close(code=WSCloseCode.TRY_AGAIN_LATER, message=self._crowded.encode())
            return line
        wants = asyncio.Event()
        listening = asyncio.create_task(_listen(line, wants))
        tasks = [listening, *map(asyncio.create_task, (self._send_frames(line, wants), self._send_numbers(line)))]
        with self._place(request, listening.cancel), suppress(ConnectionError):
            try:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    if not task.cancelled():
                        task.result()
            finally:
                for task in tasks:
                    task.cancel()
                why, *_ = await asyncio.gather(*tasks, return_exceptions=True)
                await line.close(code=WSCloseCode.GOING_AWAY, message=why if isinstance(why, bytes) else b"")
                hang_up(request)
        return line

    async def _send_frames(self, line: web.WebSocketResponse, wants: asyncio.Event) -> None:
        """Each when the viewer has shown the one before, and then the newest."""
        shown = 0
        while True:
            await wants.wait()
            await self._feed.after(shown)
            shown, message = await self._feed.parts()
            wants.clear()
            await line.send_bytes(message)

    async def _send_numbers(self, line: web.WebSocketResponse) -> None:
        await line.send_str(json.dumps(self._hello()))
        known: dict[str, object] = {}
        while True:
            if (regions := self._regions()) != known:
                known = regions
                await line.send_str(json.dumps(known))
            await line.send_str(json.dumps({"kind": "stats", **self._numbers()}))
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
            "silent_s": SILENT_S,
        }

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Answers with what is shown, as JPEGs one after the other, until the other side stops to read."""
        if self._crowded:
            raise web.HTTPServiceUnavailable(text=f"{self._crowded}\n")
        headers = {"Content-Type": "multipart/x-mixed-replace; boundary=frame", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        if request.method == "HEAD":
            return response
        task = asyncio.current_task()
        assert task is not None
        with self._place(request, task.cancel), suppress(TimeoutError, ConnectionError):
            await response.prepare(request)
            try:
                await self._send_pictures(response)
            finally:
                hang_up(request)
        return response

    async def _send_pictures(self, response: web.StreamResponse) -> None:
        shown = 0
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REPEAT_S if shown else None):
                    await self._feed.after(shown)
            shown, jpeg = await self._feed.picture()
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            async with asyncio.timeout(STALLED_S):
                await response.write(head.encode() + jpeg + b"\r\n")


def _is_asked_for(line: web.WebSocketResponse, request: web.Request) -> bool:
    try:
        return request.method == "GET" and line.can_prepare(request).ok
    except ValueError:  # a header holds letters, such as an umlaut, that aiohttp does not count on there
        return False


async def _listen(line: web.WebSocketResponse, wants: asyncio.Event) -> bytes:
    """Hears `next` when the viewer wants the next frame, and anything else when it merely looks.

    Returns when it leaves, or looks no more, which is then the answer.
    """
    while True:
        try:
            async with asyncio.timeout(SILENT_S):
                message = await line.receive()
        except TimeoutError:
            return f"nobody has looked for {SILENT_S:g} s".encode()
        if message.type != WSMsgType.TEXT:
            return b""
        if message.data == "next":
            wants.set()
