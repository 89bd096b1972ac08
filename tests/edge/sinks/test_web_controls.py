"""Every control of the page, used in a real browser; what it does is looked at on the screen."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import CHROMIUM, DESK, GREY, PHONE, PHONE_ON_ITS_SIDE, ROAD, SKY, Browser, blend, near, opened, show

from edge.controls import Controls
from edge.data import Canvas, Frame, LabelMap, Result
from edge.regions import read_regions
from edge.sinks.web.sink import WebPage
from edge.timing import Percentiles

YELLOW, CYAN = (255, 212, 0), (0, 229, 255)
MIDDLE = {"middle": [(0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)]}

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")


@pytest.fixture
def downloads(browser: Browser, tmp_path: Path) -> Path:
    browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    return tmp_path


@pytest.fixture(autouse=True)
def as_usual(browser: Browser) -> Iterator[None]:
    browser.complaints.clear()
    yield
    browser.call("Emulation.setEmulatedMedia", features=[])


def look(browser: Browser, sink: WebPage, size_wh: tuple[int, int] = DESK) -> None:
    show(sink)
    browser.screen(size_wh)
    browser.call("Page.navigate", url=sink.address.url)
    browser.wait_for("frame && rows.length && $('fps').textContent === '17.5'")


def drawn(found: tuple[int, ...], colour: tuple[int, ...]) -> bool:
    """Whether a line of this colour is there, whose edge is smooth."""
    return bool(np.abs(np.subtract(found, colour)).max() <= 60)


def corner(browser: Browser, x: float, y: float) -> None:
    """Clicks on the picture, in shares of its width and height."""
    box = browser.picture_box()
    browser.click_at(box["left"] + x * box["width"], box["top"] + y * box["height"])


def test_a_region_is_drawn_named_saved_and_shown(browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "regions.json"
    with closing(opened(file=file)) as sink:
        look(browser, sink)
        assert browser.ask("$('outlined').hidden && $('drawing').hidden")
        browser.click("#draw")
        for x, y in ((0.25, 0.25), (0.75, 0.25), (0.9, 0.9)):
            corner(browser, x, y)
        assert drawn(browser.seen(0.5, 0.25), CYAN)
        browser.click("#undo")
        assert not drawn(browser.seen(0.825, 0.575), CYAN)
        corner(browser, 0.75, 0.75)
        browser.press("Backspace")
        corner(browser, 0.75, 0.75)
        corner(browser, 0.25, 0.75)
        assert drawn(browser.seen(0.75, 0.5), CYAN)
        assert not drawn(browser.seen(0.25, 0.5), CYAN), "it is open"
        corner(browser, 0.255, 0.255)
        assert drawn(browser.seen(0.25, 0.5), CYAN), "clicking the first corner closes it"
        browser.click("#keep")
        assert browser.ask("$('guide').textContent") == "It needs a name."
        browser.type("a > b")
        browser.click("#keep")
        browser.wait_for("$('guide').textContent.startsWith('expected a name of 1 to 40 letters')")
        browser.ask("$('region').value = ''; 0")
        browser.type("my lane")
        browser.press("Enter")
        browser.wait_for("!drawn && $('message').textContent.startsWith('Saved to regions.json')")
        assert drawn(browser.seen(0.25, 0.4), YELLOW)
        browser.click("#outlined")
        assert near(browser.seen(0.25, 0.4), blend(ROAD, 0.5))
        browser.click("#outlined")
        assert drawn(browser.seen(0.25, 0.4), YELLOW)
        browser.click("[data-view=camera]")
        assert drawn(browser.seen(0.25, 0.4), YELLOW), "in every view"
        assert [one for one in browser.complaints if "422" not in one] == []
    (held,) = read_regions(file).regions.items()
    assert held[0] == "my lane"
    assert np.allclose(held[1], MIDDLE["middle"], atol=0.002)


def test_drawing_can_be_left_and_ends_at_the_edge_of_the_picture(browser: Browser, tmp_path: Path) -> None:
    with closing(opened(file=tmp_path / "r.json", regions=MIDDLE)) as sink:
        look(browser, sink)
        for leave in ("#cancel", "#draw", ""):
            browser.click("#draw")
            corner(browser, 0.1, 0.1)
            corner(browser, 0.1, 0.9)
            assert drawn(browser.seen(0.1, 0.5), CYAN)
            assert browser.ask("$('close').disabled")
            browser.click(leave) if leave else browser.press("Escape")
            assert near(browser.seen(0.1, 0.5), blend(ROAD, 0.5))
            assert browser.ask("$('drawing').hidden")
        browser.screen((1400, 500))  # bars at both sides of the picture
        browser.click("#draw")
        box = browser.picture_box()
        canvas = browser.ask("canvas.getBoundingClientRect().toJSON()")
        assert canvas["width"] - box["width"] > 40
        browser.click_at(canvas["x"] + 5, box["top"] + 0.5 * box["height"])
        corner(browser, 0.5, 0.5)
        corner(browser, 0.5, 0.75)
        assert np.allclose(browser.ask("drawn"), [[0, 0.5], [0.5, 0.5], [0.5, 0.75]], atol=0.005)
        browser.click("#close")
        assert browser.ask("document.activeElement.id") == "region"
        browser.type("middle")
        assert browser.ask("$('guide').textContent") == "It takes the place of that region."
        browser.press("Escape")
        assert browser.ask("$('drawing').hidden")
    assert not list(tmp_path.iterdir())


def test_without_a_file_the_region_is_downloaded(browser: Browser, downloads: Path) -> None:
    with closing(opened(regions=MIDDLE)) as sink:
        look(browser, sink)
        browser.click("#draw")
        for x, y in ((0.1, 0.1), (0.2, 0.1), (0.2, 0.2)):
            corner(browser, x, y)
        browser.press("Enter")
        assert browser.ask("$('keep').hidden && $('guide').textContent.includes('no regions')")
        browser.type("edge")
        assert browser.ask("$('guide').textContent.includes('no regions')")
        browser.click("#download")
        browser.wait_for("$('drawing').hidden")
        found = wait_for_file(browser, downloads, "*.json")
    assert set(read_regions(found).regions) == {"middle", "edge"}


def wait_for_file(browser: Browser, folder: Path, pattern: str) -> Path:
    for _ in range(100):
        if found := [path for path in folder.glob(pattern) if path.stat().st_size]:
            return found[0]
        browser.ask("new Promise(done => setTimeout(done, 50))")
    raise AssertionError(list(folder.iterdir()))


def test_classes_outlines_picture_and_full_screen(browser: Browser, downloads: Path) -> None:
    with closing(opened()) as sink:
        look(browser, sink)
        browser.click("#none")
        assert all(near(half, GREY) for half in browser.halves())
        browser.click("#all")
        assert near(browser.halves()[0], blend(ROAD, 0.5))
        assert not near(browser.seen(0.5, 0.5), (255, 255, 255))
        browser.click("#lines")
        assert near(browser.seen(0.4999, 0.5), (255, 255, 255)), "where road meets sky"
        browser.click("#lines")
        browser.click("[data-view=mask]")
        assert near(browser.halves()[0], blend(ROAD, 1))
        browser.click("[data-view=overlay]")
        assert near(browser.halves()[0], blend(ROAD, 0.5))
        browser.click("#save")
        saved = cv2.imread(str(wait_for_file(browser, downloads, "roadlite-*.png")))
        assert saved.shape == (360, 640, 3)
        assert near(tuple(saved[180, 160, ::-1].tolist()), blend(ROAD, 0.5))
        browser.click("#full")
        browser.wait_for("document.fullscreenElement === $('stage')")
        browser.press("d")
        browser.wait_for("$('drawing').getBoundingClientRect().bottom <= innerHeight && !$('drawing').hidden")
        assert browser.ask("canvas.getBoundingClientRect().bottom <= $('drawing').getBoundingClientRect().top + 1")
        browser.press("d")
        browser.ask("document.exitFullscreen()")
        assert browser.complaints == []


def test_keys_do_what_buttons_do(browser: Browser, tmp_path: Path) -> None:
    with closing(opened(regions=MIDDLE, file=tmp_path / "r.json")) as sink:
        look(browser, sink)
        browser.press("+")
        browser.press("=")
        assert near(browser.seen(0.9, 0.5), blend(SKY, 0.7))
        for _ in range(3):
            browser.press("-")
        assert near(browser.seen(0.9, 0.5), blend(SKY, 0.4))
        browser.press("v")
        assert near(browser.seen(0.9, 0.5), blend(SKY, 1))
        browser.press("v")
        assert near(browser.seen(0.9, 0.5), GREY)
        browser.press("v")
        assert drawn(browser.seen(0.25, 0.4), YELLOW)
        browser.press("g")
        assert near(browser.seen(0.25, 0.4), blend(ROAD, 0.4))
        browser.press("o")
        assert near(browser.seen(0.4999, 0.5), (255, 255, 255))
        browser.press(" ")
        show(sink, 200)
        browser.ask("new Promise(done => setTimeout(done, 300))")
        assert near(browser.seen(0.9, 0.5), blend(SKY, 0.4)), "frozen"
        browser.press(" ")
        browser.wait_for("pen.getImageData(630, 9, 1, 1).data[0] > 130")
        browser.press("d")
        assert not browser.ask("$('drawing').hidden")
        browser.press("Escape")
        browser.press("?")
        assert browser.ask("$('keys').open && $('keys').innerText.includes('freeze')")
        browser.press("v")
        assert browser.ask("view") == "overlay", "the list is in front"
        browser.press("?")
        browser.click("#help")
        browser.click("#keys-close")
        assert not browser.ask("$('keys').open")
        browser.click("#freeze")
        browser.press(" ")
        assert not browser.ask("frozen"), "space presses the button that has the focus, once"
        assert browser.complaints == []


def test_settings_are_remembered_until_the_run_has_other_options(browser: Browser) -> None:
    with closing(opened(regions=MIDDLE)) as sink:
        look(browser, sink)
        browser.click("#alpha", 0.99)
        browser.click("#classes li:nth-child(1) button")  # road
        browser.click("#outlined")
        browser.click("#lines")
        look(browser, sink)
        assert near(browser.seen(0.1, 0.5), GREY)
        assert near(browser.seen(0.25, 0.4), GREY)
        assert near(browser.seen(0.9, 0.5), blend(SKY, 1))
        assert browser.ask("$('lines').getAttribute('aria-pressed')") == "true"
    browser.call("Page.navigate", url="about:blank")
    with closing(opened(sink.address.port, controls=Controls(alpha=0.2), regions=MIDDLE)) as other:
        look(browser, other)
        assert near(browser.seen(0.1, 0.5), blend(ROAD, 0.2)), "what the run is started with counts more"
        browser.ask(f"localStorage.setItem(PLACE, {json.dumps(json.dumps({'of': 1, 'chosen': 2}))}); 0")
        look(browser, other)
        assert near(browser.seen(0.1, 0.5), blend(ROAD, 0.2))
        assert browser.complaints == []


def test_light_and_dark_are_as_the_viewer_has_them(browser: Browser) -> None:
    with closing(opened()) as sink:
        look(browser, sink)
        for scheme, least, most in (("light", 200, 255), ("dark", 0, 60)):
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            shot = browser.screenshot()
            assert least <= shot[-5, 5].mean() <= most
            button = browser.ask("$('freeze').getBoundingClientRect().toJSON()")
            inside = shot[int(button["y"]) + 4, int(button["x"]) + 9]
            assert least <= inside.mean() <= most
            assert near(browser.halves()[0], blend(ROAD, 0.5)), "the picture is the same"
        contrast = """(() => { const light = rgb => { const [r, g, b] = rgb.match(/[\\d.]+/g).slice(0, 3).map(v =>
            (v /= 255) <= 0.04 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126*r + 0.7152*g + 0.0722*b; };
            const on = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor;
            if (!c.endsWith(', 0)')) return c; } return 'rgb(255, 255, 255)'; };
            return Math.min(...[...document.querySelectorAll('button, dt, dd, td, th, .pill, h2, footer, label')]
            .filter(e => e.offsetParent && !e.disabled).map(e => { const a = light(getComputedStyle(e).color),
            b = light(on(e)); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); })); })()"""
        for scheme in ("light", "dark"):
            browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert browser.ask(contrast) >= 4.5, scheme


def test_a_phone_on_its_side_shows_the_picture_large(browser: Browser) -> None:
    with closing(opened(regions=MIDDLE)) as sink:
        look(browser, sink, PHONE_ON_ITS_SIDE)
        box = browser.picture_box()
        assert box["width"] * box["height"] >= 0.7 * PHONE_ON_ITS_SIDE[0] * PHONE_ON_ITS_SIDE[1]
        assert browser.ask("document.documentElement.scrollWidth") <= PHONE_ON_ITS_SIDE[0]
        assert near(browser.seen(0.1, 0.5), blend(ROAD, 0.5))
        browser.click("[data-view=mask]")
        assert near(browser.seen(0.1, 0.5), blend(ROAD, 1))
        browser.click("#none")
        assert near(browser.seen(0.1, 0.5), (0, 0, 0)), "the picture stays while the controls are scrolled"
        browser.screen(PHONE)
        assert browser.ask("document.documentElement.scrollWidth") <= PHONE[0]


def test_everything_has_a_name(browser: Browser) -> None:
    """As a screen reader gets it from the browser."""
    with closing(opened(regions=MIDDLE, label_age=Percentiles(123.4, 1, 1, 1))) as sink:
        look(browser, sink)
        browser.click("#draw")
        browser.wait_for("canvas.getAttribute('aria-label').includes('sky')")
        browser.call("Accessibility.enable")
        nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
        browser.call("Accessibility.disable")
        told = [
            (node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node.get("ignored")
        ]
        wanted = {"button", "slider", "textbox", "image", "link", "form", "region", "group"}
        assert [role for role, name in told if role in wanted and not name] == []
        pictures = [name for role, name in told if role in ("image", "img")]
        assert pictures == ["Picture of camera (overlay): road 50 %, sky 50 %"]
        names = {name for role, name in told if role == "button"}
        assert {
            "Overlay",
            "Freeze",
            "Full screen",
            "All classes",
            "None of the classes",
            "Draw region",
            "Keys",
        } <= names
        assert any(name.startswith("road") for name in names)
        assert browser.ask("$('label-age').textContent + ' ' + $('moved').textContent") == "123 ms 75 %"


def test_no_region_is_drawn_over_two_models(browser: Browser, tmp_path: Path) -> None:
    pixels, ids = np.full((360, 640, 3), 100, np.uint8), np.full((360, 640), ROAD, np.uint8)
    two = Result(Frame(pixels, 0, 0.0), LabelMap(ids), pixels, lambda: Canvas(pixels, ids))
    with closing(opened(regions=MIDDLE, file=tmp_path / "r.json")) as sink:
        look(browser, sink)
        assert drawn(browser.seen(0.25, 0.4), YELLOW)
        sink.write(two)
        browser.wait_for("frame.split")
        assert near(browser.seen(0.25, 0.4), blend(ROAD, 0.5))
        browser.click("#draw")
        assert browser.ask("$('drawing').hidden && $('message').textContent.includes('one model')")


def test_a_region_is_removed_and_put_back(browser: Browser, tmp_path: Path) -> None:
    file, both = tmp_path / "r.json", {**MIDDLE, "<b>other": [(0.8, 0.1), (0.9, 0.1), (0.9, 0.2)]}
    with closing(opened(file=file, regions=both, watched=["<b>other"])) as sink:
        look(browser, sink)
        assert browser.ask("[...$('region-list').querySelectorAll('button')].map(b => b.textContent)") == list(both)
        browser.click("#region-list button")
        assert drawn(browser.seen(0.25, 0.4), CYAN)
        assert browser.ask(
            "$('guide').textContent.trim() === 'Region middle.' && $('region').hidden && $('keep').hidden"
        )
        assert browser.ask("document.querySelector('#region-list [aria-pressed=true]').textContent") == "middle"
        corner(browser, 0.1, 0.1)
        browser.press("Enter")
        assert browser.ask("drawn.length") == 4, "it is not drawn on"
        browser.click("#draw")
        assert browser.ask(
            "drawn.length === 0 && !chosen && !document.querySelector('#region-list [aria-pressed=true]')"
        )
        browser.click("#cancel")
        assert drawn(browser.seen(0.25, 0.4), YELLOW)
        assert not file.exists()

        browser.click("#region-list button")
        browser.click("#remove")
        browser.wait_for("$('guide').textContent.startsWith('Removed from r.json; this run still counts it.')")
        assert list(read_regions(file).regions) == ["<b>other"]
        assert browser.ask("$('region-list').textContent") == "<b>other"
        assert browser.ask("$('remove').hidden && $('region').value === 'middle'")
        browser.click("#keep")
        browser.wait_for("!drawn && $('region-list').children.length === 2")
        assert np.allclose(read_regions(file).regions["middle"], MIDDLE["middle"])

        browser.click("#region-list button")
        browser.press("Delete")
        browser.wait_for("$('guide').textContent.includes('one that no rule watches')")
        assert list(read_regions(file).regions) == ["<b>other", "middle"]
        browser.click("#region-list li:last-child button")
        assert browser.ask("chosen") == "middle"
        request = urllib.request.Request(f"{sink.address.url}regions?name=middle", method="DELETE")
        urllib.request.urlopen(request, timeout=10).close()
        browser.wait_for("!drawn && $('region-list').children.length === 1")
        assert browser.ask("$('drawing').hidden")
        assert [one for one in browser.complaints if "422" not in one] == []
    assert list(read_regions(file).regions) == ["<b>other"]


def test_regions_that_may_not_be_changed_are_looked_at(browser: Browser) -> None:
    with closing(opened(regions=MIDDLE)) as sink:
        look(browser, sink)
        browser.click("#region-list button")
        assert drawn(browser.seen(0.25, 0.4), CYAN)
        assert browser.ask(
            "$('remove').hidden && $('guide').textContent.startsWith('Region middle. This run keeps no')"
        )
        browser.press("Delete")
        browser.press("Escape")
        assert browser.ask("$('drawing').hidden && $('region-list').children.length") == 1


def test_a_region_is_drawn_by_keys_alone(browser: Browser, tmp_path: Path) -> None:
    with closing(opened(file=tmp_path / "r.json")) as sink:
        look(browser, sink)
        browser.press("d")
        browser.press(" ")
        assert browser.ask("frozen && !drawn.length"), "there is no cross yet"
        browser.press(" ")
        browser.press("d")
        browser.ask("$('draw').focus(); 0")
        browser.press(" ")
        assert browser.ask("!$('drawing').hidden")
        browser.press("ArrowLeft")
        assert drawn(browser.seen(0.49, 0.5), CYAN), "a cross"
        browser.press(" ")
        for _ in range(4):
            browser.press("ArrowUp", shift=True)
        browser.press(" ")
        browser.press("ArrowRight")
        for _ in range(4):
            browser.press("ArrowRight", shift=True)
        browser.press(" ")
        assert np.allclose(browser.ask("drawn"), [[0.49, 0.5], [0.49, 0.3], [0.7, 0.3]])
        browser.press("Enter")
        assert browser.ask("document.activeElement.id") == "region"
        browser.type("by keys")
        browser.press("Enter")
        browser.wait_for("!drawn && $('message').textContent.startsWith('Saved to r.json')")
        assert drawn(browser.seen(0.49, 0.4), YELLOW)
        assert browser.ask("frozen") is False
        assert browser.complaints == []
