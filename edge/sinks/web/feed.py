"""Encodes the newest result only when somebody looks, and then once for all."""

from __future__ import annotations

import asyncio
import json
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from edge.classes import ClassSet
from edge.data import Canvas, Pixels, Result
from edge.shares import class_counts

MAX_SIDE = 1280  # larger pictures are sent smaller: a page is no larger, and encoding is the Pi's work
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]


class Feed:
    """The newest result for all viewers.

    `put` is called from the pipeline's thread and returns at once; all else runs in the server's loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, classes: ClassSet) -> None:
        self._loop, self._classes = loop, classes
        self._newest: tuple[int, Result] | None = None
        self._last_s = time.monotonic()
        self._waiting: set[asyncio.Future[None]] = set()
        self._made: dict[str, tuple[int, asyncio.Future[Any]]] = {}
        self._pool = ThreadPoolExecutor(1, "roadlite-web-encode")

    def put(self, result: Result) -> None:
        self._newest = (self.number + 1, result)
        self._last_s = time.monotonic()
        if self._waiting:
            self._loop.call_soon_threadsafe(self._wake)

    @property
    def number(self) -> int:
        """The number of results that came."""
        return 0 if self._newest is None else self._newest[0]

    @property
    def age_s(self) -> float:
        """The seconds since the newest result, or since the start where there is none."""
        return time.monotonic() - self._last_s

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)

    async def after(self, number: int) -> None:
        """Waits for a result newer than `number`."""
        while self.number <= number:
            news = self._loop.create_future()
            self._waiting.add(news)
            try:
                if self.number <= number:  # it may have come before `put` could see that somebody waits
                    await news
            finally:
                self._waiting.discard(news)

    async def parts(self) -> tuple[int, bytes]:
        """Returns number and message of the newest result; see `_parts`."""
        return await self._once("parts", lambda result: _parts(result, self._classes))

    async def picture(self) -> tuple[int, bytes]:
        """Returns number and JPEG of what the newest result shows."""
        return await self._once("picture", lambda result: _jpeg(_fitting(result.picture, cv2.INTER_AREA)))

    async def shares(self) -> dict[str, float]:
        """Returns the share of each class in view of the newest result; nothing where there is none."""
        if self._newest is None:
            return {}
        _, in_view = await self._once("shares", lambda result: _shares(result, self._classes))
        return {self._classes.names[class_id]: share for class_id, share in in_view}

    async def _once(self, kind: str, make: Callable[[Result], Any]) -> tuple[int, Any]:
        assert self._newest is not None
        number, result = self._newest
        made = self._made.get(kind)
        if made is None or made[0] != number:
            made = self._made[kind] = number, self._loop.run_in_executor(self._pool, make, result)
        return number, await asyncio.shield(made[1])  # others may wait for it when this viewer goes

    def _wake(self) -> None:
        for news in self._waiting:
            if not news.done():
                news.set_result(None)


def _parts(result: Result, classes: ClassSet) -> bytes:
    """Length of the JSON and of the JPEG (uint32, little-endian), JSON, JPEG, zlib of the label ids, row by row."""
    canvas = result.canvas() if result.canvas else Canvas(result.frame.pixels, result.labels.ids)
    ids = _fitting(canvas.ids, cv2.INTER_NEAREST)
    about = {
        "index": result.frame.index,
        "width": ids.shape[1],
        "height": ids.shape[0],
        "shares": _shares(result, classes),
        "split": result.canvas is not None,  # whether it shows several pictures side by side
    }
    text, jpeg = json.dumps(about).encode(), _jpeg(_fitting(canvas.pixels, cv2.INTER_AREA))
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)  # label maps are runs: a quarter of a PNG's time, and no larger
    packed = packer.compress(ids.tobytes()) + packer.flush()
    return struct.pack("<II", len(text), len(jpeg)) + text + jpeg + packed


def _shares(result: Result, classes: ClassSet) -> list[tuple[int, float]]:
    """Classes in view and the share of the picture that each takes, largest first."""
    ids = result.labels.ids
    counts = class_counts(ids, classes)
    order = np.argsort(-counts, kind="stable")
    return [(int(i), round(float(counts[i]) / ids.size, 4)) for i in order if counts[i]]


def _fitting(picture: Any, how: int) -> Any:
    height, width = picture.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return picture
    return cv2.resize(picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=how)


def _jpeg(pixels: Pixels) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), _QUALITY)
    return data.tobytes()
