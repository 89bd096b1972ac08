"""A web page to be looked at, and those who look."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
import zlib
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
from waiting import PATIENCE_S

from edge.classes import CITYSCAPES
from edge.controls import Controls, LivePipeline, RunDescription, RunStatistics
from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.sinks.open import open_sink
from edge.sinks.web.sink import WebPage
from edge.timing import Percentiles, TimingSummary

INFO = SourceInfo("camera", None, None, None)
TIMES = Percentiles(48.9, 60.0, 70.0, 99.5)
STATS = RunStatistics(
    RunDescription("0.1.0", 'net "int8"', "litert", 2, "camera"),
    TimingSummary(7, 0.4, 17.5, {"invoke": TIMES}, TIMES, TIMES, 0.75, 0.125),
    drops=3,
    reconnects=1,
    skipped=0,
    jumps=0,
    temperature_c=61.5,
    throttled=False,
    state="running",
)


def result(index: int, size_hw: tuple[int, int] = (48, 64)) -> Result:
    """A grey picture, the label ids of which are the classes in turn; shown is its negative."""
    pixels = np.full((*size_hw, 3), index % 200, np.uint8)
    ids = np.resize(np.arange(19, dtype=np.uint8), size_hw)
    return Result(Frame(pixels, index, time.perf_counter()), LabelMap(ids), 255 - pixels)


def opened(
    spec: str = "web://127.0.0.1:0",
    controls: Controls | None = None,
    stats: Any = None,
    regions_file: Path | None = None,
) -> WebPage:
    live = LivePipeline(CITYSCAPES, controls or Controls(), stats or (lambda: STATS), regions_file=regions_file)
    sink = open_sink(spec, INFO, live)
    assert isinstance(sink, WebPage)
    return sink


def url(sink: WebPage, path: str = "") -> str:
    return f"http://127.0.0.1:{sink.address.port}/{path}"


def online(work: Callable[[aiohttp.ClientSession], Coroutine[Any, Any, Any]]) -> Any:
    async def within() -> Any:
        async with asyncio.timeout(2 * PATIENCE_S), aiohttp.ClientSession() as session:
            return await work(session)

    return asyncio.run(within())


def get(sink: WebPage, path: str = "", method: str = "GET", **headers: str) -> tuple[int, bytes, Any]:
    async def work(session: aiohttp.ClientSession) -> tuple[int, bytes, Any]:
        async with session.request(method, url(sink, path), headers=headers) as answer:
            return answer.status, await answer.read(), answer.headers

    found: tuple[int, bytes, Any] = online(work)
    return found


def picture(jpeg: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


async def told(viewer: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    while True:
        message = await viewer.receive(PATIENCE_S)
        if message.type == aiohttp.WSMsgType.TEXT and message.json()["kind"] == kind:
            return dict(message.json())


async def shown(viewer: aiohttp.ClientWebSocketResponse) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Asks for a frame: what is said about it, camera, label ids."""
    await viewer.send_str("next")
    message = await viewer.receive(PATIENCE_S)
    while message.type == aiohttp.WSMsgType.TEXT:
        message = await viewer.receive(PATIENCE_S)
    assert message.type == aiohttp.WSMsgType.BINARY, message
    text, jpeg = struct.unpack_from("<II", message.data)
    about = json.loads(message.data[8 : 8 + text])
    ids = np.frombuffer(zlib.decompress(message.data[8 + text + jpeg :]), np.uint8)
    camera = picture(message.data[8 + text : 8 + text + jpeg])
    return about, camera, ids.reshape(about["height"], about["width"])


def hung_viewers(sink: WebPage, stack: ExitStack, count: int) -> None:
    """Viewers that ask for all there is and never read a byte."""
    for path in ("/stream.mjpg", "/ws") * count:
        connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", sink.address.port))))
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}{key}\r\n".encode())
        if path == "/ws":
            connection.sendall(b"\x81\x84\0\0\0\0next")


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def raw(sink: WebPage, request: bytes, *, leave: bool = False) -> bytes:
    """Returns all that a request is answered with until the page hangs up, or at once after asking."""
    with closing(socket.create_connection(("127.0.0.1", sink.address.port), PATIENCE_S)) as connection:
        connection.sendall(request)
        if leave:
            connection.shutdown(socket.SHUT_WR)
        answer, end = b"", time.monotonic() + PATIENCE_S
        with suppress(ConnectionError):
            while part := connection.recv(1 << 16):
                answer += part
                assert time.monotonic() < end, "it goes on for ever"
        return answer
