"""The page in a real browser, used with the mouse and looked at through screenshots."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from reverse_proxy import NAME, reverse_proxy

from edge.classes import CITYSCAPES
from edge.controls import Controls, LivePipeline, RunDescription, RunStatistics
from edge.data import IGNORE, Canvas, Frame, LabelMap, Result, SourceInfo
from edge.sinks.open import open_sink
from edge.sinks.web import viewers
from edge.sinks.web.sink import WebPage
from edge.timing import TimingSummary

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROAD, SKY = 0, 10
GREY = (100, 100, 100)
DESK, PHONE = (1400, 900), (390, 844)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")


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
        at = {"x": box["x"] + box["width"] * across, "y": box["y"] + box["height"] / 2}
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    def screen(self, size_wh: tuple[int, int]) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=size_wh[0],
            height=size_wh[1],
            deviceScaleFactor=1,
            mobile=size_wh == PHONE,
        )

    def halves(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Colours of the picture's left and right half, as they are on the screen."""
        self.ask("scrollTo(0, 0); new Promise(requestAnimationFrame)")
        png = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        shot = cv2.cvtColor(cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        box = self.ask("document.querySelector('canvas').getBoundingClientRect().toJSON()")
        row = int(box["y"] + box["height"] / 2)
        left, right = (shot[row, int(box["x"] + box["width"] * part)] for part in (0.25, 0.75))
        return tuple(left.tolist()), tuple(right.tolist())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, asyncio.Runner() as runner:
        process, address = runner.run(start(profile))
        session, line = runner.run(connect(address))
        try:
            made = Browser(runner, line)
            for domain in ("Page", "Runtime", "Log"):
                made.call(f"{domain}.enable")
            yield made
        finally:
            runner.run(stop(session, process))


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


def opened(port: int = 0, more: str = "") -> WebPage:
    run, timing = RunDescription("0.1.0", "net.tflite", "litert", 2, "camera"), TimingSummary(7, 0.4, 17.5, {}, None)
    stats = RunStatistics(run, timing, 0, 0, 0, 0, temperature_c=61.0, throttled=True, state="running")
    live = LivePipeline(CITYSCAPES, Controls(), lambda: stats)
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


def test_a_viewer_chooses_what_is_seen(browser: Browser) -> None:
    with closing(opened()) as sink:
        show(sink)
        browser.screen(DESK)
        browser.call("Page.navigate", url=sink.address.url)
        browser.wait_for("frame && rows.length && $('fps').textContent === '17.5'")
        left, right = browser.halves()
        assert near(left, blend(ROAD, 0.5))
        assert near(right, blend(SKY, 0.5))
        browser.click("#alpha", 0.99)
        left, right = browser.halves()
        assert near(left, blend(ROAD, 1))
        assert near(right, blend(SKY, 1))
        browser.click("#alpha", 0.01)
        assert all(near(half, GREY) for half in browser.halves())
        browser.click("#alpha", 0.99)
        browser.click("#classes li:nth-child(1) button")  # road
        left, right = browser.halves()
        assert near(left, GREY)
        assert near(right, blend(SKY, 1))
        browser.click("[data-view=mask]")
        left, right = browser.halves()
        assert near(left, (0, 0, 0))
        assert near(right, blend(SKY, 1))
        browser.click("[data-view=camera]")
        assert all(near(half, GREY) for half in browser.halves())
        browser.click("#freeze")
        show(sink, 200)
        browser.ask("new Promise(done => setTimeout(done, 300))")
        assert near(browser.halves()[0], GREY), "frozen"
        browser.click("#freeze")
        browser.wait_for("pen.getImageData(9, 9, 1, 1).data[0] > 190")
        assert "slowed down" in browser.ask("document.body.innerText")
        assert re.search(r"road\s+50 %", browser.ask("$('classes').innerText"))
        assert browser.complaints == []


def test_two_models_are_painted_on_one_canvas(browser: Browser) -> None:
    """Road of the first above to the left, sky of the second beside it; below where they disagree, and the picture."""
    pixels, ids = np.full((360, 640, 3), 100, np.uint8), np.full((360, 640), IGNORE, np.uint8)
    ids[:180, :320], ids[:180, 320:] = ROAD, SKY
    pixels[180:, :320] = (230, 40, 40)
    first, picture = LabelMap(np.full((180, 320), ROAD, np.uint8)), pixels[:180, :320]
    corners = ((160, 90), (480, 90), (160, 270), (480, 270))
    look = "[...pen.getImageData(" + "{}, {}" + ", 1, 1).data].slice(0, 3)"
    with closing(opened()) as sink:
        sink.write(Result(Frame(picture, 0, 0.0), first, pixels, lambda: Canvas(pixels, ids)))
        browser.screen(DESK)
        browser.call("Page.navigate", url=sink.address.url)
        browser.wait_for("frame && rows.length && canvas.width === 640")
        seen = [tuple(browser.ask(look.format(*corner))) for corner in corners]
        expected = (blend(ROAD, 0.5), blend(SKY, 0.5), (230, 40, 40), GREY)
        assert all(near(one, other) for one, other in zip(seen, expected, strict=True)), seen
        assert re.search(r"road\s+100 %", browser.ask("$('classes').innerText")), "of the first model"
        browser.click("#classes li:nth-child(11) button")  # sky
        assert near(tuple(browser.ask(look.format(480, 90))), GREY)


def test_it_fits_a_phone_and_finds_back_to_a_restarted_pipeline(browser: Browser) -> None:
    with closing(opened()) as sink:
        browser.screen(PHONE)
        browser.call("Page.navigate", url=sink.address.url)
        browser.wait_for("rows.length")
        show(sink)
        browser.wait_for("frame")
        assert browser.ask("$('message').hidden"), "it waits for what it shows"
        assert browser.ask("document.documentElement.scrollWidth") <= PHONE[0]
        assert browser.ask("Math.min(...[...document.querySelectorAll('button')].map(b => b.offsetHeight))") >= 28
        assert near(browser.halves()[0], blend(ROAD, 0.5))
        browser.click("[data-view=mask]")
    browser.wait_for("$('message').textContent.includes('connection is lost') && $('state').className === 'pill bad'")
    with closing(opened(sink.address.port)) as again:
        show(again, 30)
        browser.wait_for("$('state').textContent === 'running' && $('message').hidden")
        assert near(browser.halves()[0], blend(ROAD, 1)), "the view stays as it was chosen"
        browser.click("[data-view=camera]")
        browser.wait_for("pen.getImageData(9, 9, 1, 1).data[0] < 40")


@pytest.mark.parametrize("own_name", [True, False])
def test_it_is_the_same_behind_a_proxy(browser: Browser, own_name: bool) -> None:
    browser.call("Page.navigate", url="about:blank")  # the page of another test may still look for its sink
    browser.ask("new Promise(done => setTimeout(done, 50))")
    browser.complaints.clear()
    with reverse_proxy(own_name=own_name) as proxy:
        more = f"?public-url={proxy.url}&token=s3cret-word"
        with closing(opened(more=more)) as sink:
            proxy.behind = sink.address.port
            show(sink)
            browser.screen(DESK)
            browser.call("Page.navigate", url=f"{proxy.url}?token=s3cret-word")
            browser.wait_for("frame && rows.length && $('state').textContent === 'running'")
            assert browser.ask("location.origin + ' ' + socket.url").split() == [
                f"https://{NAME}:{proxy.port}",
                f"wss://{NAME}:{proxy.port}/pi/ws?token=s3cret-word",
            ]
            left, right = browser.halves()
            assert near(left, blend(ROAD, 0.5))
            assert near(right, blend(SKY, 0.5))
            links = "[...document.querySelectorAll('footer a')].filter(a => !a.href.includes('stream.mjpg'))"
            assert browser.ask(f"Promise.all({links}.map(async a => (await fetch(a.href)).status))") == [200] * 4
            assert browser.ask(
                "fetch('stream.mjpg' + location.search).then(async a => { const reader = a.body.getReader();"
                " const part = (await reader.read()).value; reader.cancel(); return new TextDecoder().decode(part); })"
            ).startswith("--frame")
            assert browser.complaints == []
        browser.wait_for("$('state').className === 'pill bad'")
        with closing(opened(sink.address.port, more)) as again:
            show(again, 30)
            browser.wait_for("$('state').textContent === 'running' && $('message').hidden")


def test_a_tab_that_nobody_sees_gives_its_place_back_and_takes_one_when_seen(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewers, "SILENT_S", 3.0)
    with closing(opened()) as sink:
        show(sink)
        browser.call("Page.navigate", url=sink.address.url)
        browser.wait_for("frame && rows.length")
        browser.click("#freeze")
        browser.ask("window.lost = 0; socket.addEventListener('close', () => lost++); 0")
        browser.ask("new Promise(done => setTimeout(done, 4500))")
        assert browser.ask("lost") == 0, "a frozen picture is looked at"
        browser.click("#freeze")
        other = browser.call("Target.createTarget", url="about:blank")["targetId"]
        try:
            browser.call("Target.activateTarget", targetId=other)
            browser.wait_for("document.hidden && lost === 1")
            show(sink, 200)
            browser.ask("new Promise(done => setTimeout(done, 2000))")
            assert browser.ask("socket.readyState === WebSocket.CLOSED"), "it came back though nobody looks"
        finally:
            browser.call("Target.closeTarget", targetId=other)
        browser.call("Page.bringToFront")
        browser.wait_for("socket.readyState === WebSocket.OPEN && pen.getImageData(9, 9, 1, 1).data[0] > 140")
