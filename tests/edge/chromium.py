"""A real browser, used with the mouse and the keyboard and looked at through screenshots."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import cv2
import numpy as np
from reverse_proxy import NAME

from edge.classes import CITYSCAPES
from edge.controls import Controls, LivePipeline, RunDescription, RunStatistics
from edge.data import Frame, LabelMap, Pixels, Result, SourceInfo
from edge.regions import Polygon
from edge.sinks.open import open_sink
from edge.sinks.web.sink import WebPage
from edge.timing import Percentiles, TimingSummary

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESK, PHONE, PHONE_ON_ITS_SIDE = (1400, 900), (390, 844), (844, 390)
ROAD, SKY = 0, 10
GREY = (100, 100, 100)
KEY_CODES = {"Enter": 13, "Backspace": 8, "Escape": 27, " ": 32, "Tab": 9, "Delete": 46}
KEY_CODES |= {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}


@dataclass
class Browser:
    """A page of a headless Chromium, spoken to with its DevTools protocol."""

    runner: asyncio.Runner
    line: aiohttp.ClientWebSocketResponse
    numbers: Iterator[int] = field(default_factory=itertools.count)
    complaints: list[str] = field(default_factory=list)  # errors of the page and breaches of its policy

    def call(self, method: str, **given: Any) -> Any:
        return self.runner.run(self._call(method, given))

    async def _call(self, method: str, given: dict[str, Any]) -> Any:
        number = next(self.numbers)
        await self.line.send_json({"id": number, "method": method, "params": given})
        while True:
            answer = await self.line.receive_json(timeout=30)
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]
            entry = answer["params"].get("entry", {})
            if answer["method"] == "Runtime.exceptionThrown" or entry.get("level") == "error":
                self.complaints.append(str(answer["params"]))

    def ask(self, script: str) -> Any:
        found = self.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait_for(self, script: str) -> None:
        late = json.dumps(f"waited in vain for {script}")
        self.ask(
            f"new Promise((done, fail) => {{ const look = () => {{ try {{ if ({script}) return done(); }} catch {{}} "
            f"setTimeout(look, 30); }}; look(); setTimeout(() => fail({late}), 15000); }})"
        )

    def click(self, selector: str, across: float = 0.5) -> None:
        """Clicks into an element, so far from its left edge to its right one."""
        box = self.ask(
            f"(e => (e.scrollIntoView({{block: 'nearest'}}), e.getBoundingClientRect().toJSON()))"
            f"(document.querySelector({selector!r}))"
        )
        self.click_at(box["x"] + box["width"] * across, box["y"] + box["height"] / 2)

    def click_at(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, x=x, y=y)

    def press(self, key: str, *, shift: bool = False) -> None:
        text = "\r" if key == "Enter" else key if len(key) == 1 else ""
        code = KEY_CODES.get(key, 0)
        for kind in ("keyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                text=text,
                windowsVirtualKeyCode=code,
                modifiers=8 if shift else 0,
            )

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def screen(self, size_wh: tuple[int, int]) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=size_wh[0],
            height=size_wh[1],
            deviceScaleFactor=1,
            mobile=size_wh in (PHONE, PHONE_ON_ITS_SIDE),
        )

    def screenshot(self) -> Pixels:
        self.ask("scrollTo(0, 0); new Promise(requestAnimationFrame)")
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        shot = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        return np.ascontiguousarray(shot[..., ::-1], np.uint8)

    def picture_box(self) -> dict[str, float]:
        """Where the picture lies on the screen."""
        self.ask("scrollTo(0, 0)")
        found: dict[str, float] = self.ask("pictureBox()")
        return found

    def seen(self, x: float, y: float) -> tuple[int, ...]:
        """Colour of the picture, in shares of its width and height, as it is on the screen."""
        box, shot = self.picture_box(), self.screenshot()
        column, row = int(box["left"] + x * box["width"]), int(box["top"] + y * box["height"])
        return tuple(shot[row, column].tolist())

    def halves(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Colours of the picture's left and right half, as they are on the screen."""
        box, shot = self.picture_box(), self.screenshot()
        row = int(box["top"] + box["height"] / 2)
        left, right = (shot[row, int(box["left"] + box["width"] * part)] for part in (0.25, 0.75))
        return tuple(left.tolist()), tuple(right.tolist())


async def start(profile: str) -> tuple[asyncio.subprocess.Process, str]:
    assert CHROMIUM is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
    at_proxy = (f"--host-resolver-rules=MAP {NAME} 127.0.0.1", "--ignore-certificate-errors")
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *options,
        *at_proxy,
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while not (found := re.search(rb"ws://([\d.:]+)/", await process.stderr.readline())):
            pass
    return process, found[1].decode()


async def connect(address: str) -> tuple[aiohttp.ClientSession, aiohttp.ClientWebSocketResponse]:
    session = aiohttp.ClientSession()
    async with session.get(f"http://{address}/json") as answer:
        page = next(page for page in await answer.json() if page["type"] == "page")
    return session, await session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0)


async def stop(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> None:
    await session.close()
    process.terminate()
    assert process.stderr is not None
    await process.stderr.read()  # to its end: nothing of it is left running
    await process.wait()


def opened(
    port: int = 0,
    more: str = "",
    *,
    controls: Controls | None = None,
    regions: Mapping[str, Polygon] | None = None,
    file: Path | None = None,
    watched: Collection[str] = (),
    label_age: Percentiles | None = None,
) -> WebPage:
    run = RunDescription("0.1.0", "net.tflite", "litert", 2, "camera")
    timing = TimingSummary(7, 0.4, 17.5, {}, None, label_age, None if label_age is None else 0.75)
    stats = RunStatistics(run, timing, 0, 0, 0, 0, temperature_c=61.0, throttled=True, state="running")
    controls, regions = controls or Controls(), regions or {}
    live = LivePipeline(CITYSCAPES, controls, lambda: stats, regions=regions, regions_file=file, watched=watched)
    made = open_sink(f"web://127.0.0.1:{port}{more}", SourceInfo("camera", None, None, None), live)
    assert isinstance(made, WebPage)
    return made


def show(sink: WebPage, grey: int = 100) -> None:
    """A grey picture, its left half road, its right half sky."""
    pixels, ids = np.full((360, 640, 3), grey, np.uint8), np.full((360, 640), ROAD, np.uint8)
    ids[:, 320:] = SKY
    sink.write(Result(Frame(pixels, 0, 0.0), LabelMap(ids), pixels))


def near(found: tuple[int, ...], expected: tuple[float, ...]) -> bool:
    return bool(np.abs(np.subtract(found, expected)).max() <= 4)


def blend(class_id: int, alpha: float) -> tuple[float, ...]:
    return tuple((1 - alpha) * 100 + alpha * part for part in CITYSCAPES.colours[class_id])
