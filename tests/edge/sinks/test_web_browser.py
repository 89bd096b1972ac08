"""The page in a real browser, used with the mouse and looked at through screenshots."""

from __future__ import annotations

import re
from contextlib import closing

import numpy as np
import pytest
from chromium import CHROMIUM, DESK, GREY, PHONE, ROAD, SKY, Browser, blend, near, opened, show
from reverse_proxy import NAME, reverse_proxy

from edge.data import IGNORE, Canvas, Frame, LabelMap, Result
from edge.sinks.web import viewers

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")


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
        buttons = "[...document.querySelectorAll('button')].filter(button => button.offsetParent)"
        assert browser.ask(f"Math.min(...{buttons}.map(button => button.offsetHeight))") >= 28
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
