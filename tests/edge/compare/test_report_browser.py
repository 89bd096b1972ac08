"""The page of a comparison in a real browser: on a desk, on a phone, in the dark, on paper, and as it is read out."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from chromium import CHROMIUM, Browser
from reports import full

from edge.compare.report.building import document
from edge.compare.report.document import MeasuredRow
from edge.compare.report.page import as_html

PHONE_PX, DESK_PX, PAPER_PX = 390, 1280, 1032  # the last: A4 across, without its margins, at 96 dots an inch

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, which is not installed")


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Browser]:
    pytest.importorskip("matplotlib")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        made = document(full(), ["compare-models", "a.tflite"], budget_ms=30.0)
        long: dict[str, Any] = {
            "runtime": "openvino-bf16",
            "runtime_version": "2026.4.1-22982",
            "input_hw": (1025, 2049),
        }
        rows = [replace(row, **long) if isinstance(row, MeasuredRow) else row for row in made.rows]
        file.write_text(as_html(replace(made, rows=tuple(rows))))
        browser.call("Page.navigate", url=file.as_uri())
        browser.wait_for("document.readyState === 'complete' && document.querySelector('h1')")
        yield browser
        browser.call("Emulation.setEmulatedMedia", media="", features=[])
        browser.call("Page.navigate", url="about:blank")


def look(page: Browser, width: int, scheme: str, media: str = "screen") -> Any:
    page.call("Emulation.setEmulatedMedia", media=media, features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.call(
        "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width == PHONE_PX
    )
    png = base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"])
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)


@pytest.mark.parametrize("width", [PHONE_PX, DESK_PX])
def test_plots_and_pictures_fit_the_screen(page: Browser, width: int) -> None:
    look(page, width, "light")
    assert page.ask("document.documentElement.scrollWidth") == width
    wide = page.ask("[...document.querySelectorAll('svg[role=img], img')].map(e => e.getBoundingClientRect().right)")
    assert len(wide) == 5 + 4
    assert max(wide) <= width
    letters = page.ask(
        "Math.min(...[...document.querySelectorAll('svg text')].map(e => e.getBoundingClientRect().height))"
    )
    assert letters >= 10, "letters of plots can be read"


def test_it_follows_light_and_dark(page: Browser) -> None:
    pictures = {scheme: look(page, DESK_PX, scheme).astype(int) for scheme in ("light", "dark")}
    assert np.median(pictures["light"]) > 240
    assert np.median(pictures["dark"]) < 40
    colours = """[...document.querySelectorAll('svg text, td, th, h1, p, figcaption')].map(e => {
      const [r, g, b] = getComputedStyle(e)[e.closest('svg') ? 'fill' : 'color'].match(/\\d+/g);
      return .3*r + .6*g + .1*b })"""
    assert min(page.ask(colours)) > 90, "everything is light on dark"
    look(page, DESK_PX, "light")
    assert max(page.ask(colours)) < 130


def test_a_screen_reader_finds_plots_pictures_and_tables(page: Browser) -> None:
    look(page, DESK_PX, "light")
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and "role" in node
    ]
    images = [name for role, name in named if role in ("image", "img") and name]
    for words in (
        "Whole frames float32 litert: median 65.",
        "Where a frame's time goes",
        "Accuracy and time",
        "The truth: car",
    ):
        assert any(words in name for name in images), words
    assert {name for role, name in named if role == "region"} >= {"Figures", "IoU of each class", "Every pair"}
    assert ("rowheader", "2 int8 litert") in named
    ids = page.ask("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


def test_nothing_is_cut_off_on_paper(page: Browser) -> None:
    look(page, PAPER_PX, "dark", media="print")
    assert (
        page.ask(
            "Math.max(...[...document.querySelectorAll('td, svg, img')].map(e => e.getBoundingClientRect().right))"
        )
        <= PAPER_PX
    )
    assert page.ask("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"
    assert base64.b64decode(page.call("Page.printToPDF", preferCSSPageSize=True)["data"]).startswith(b"%PDF")
