"""The page of a comparison, as text; test_report_browser.py looks at it."""

from __future__ import annotations

import base64
import builtins
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import asdict, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from reports import full

from edge.compare.answers import Overlay, SeenClass
from edge.compare.report.building import document
from edge.compare.report.document import Document, SampleOverlay, read_report
from edge.compare.report.files import write_report
from edge.compare.report.page import as_html


@pytest.fixture(scope="module")
def whole() -> Document:
    earlier = document(full(), ["compare-models"])
    earlier = replace(earlier, environment=replace(earlier.environment, cpu="Another processor"))
    return document(full(), ["compare-models", "a b"], budget_ms=30.0, earlier=earlier)


class Page(HTMLParser):
    """What a browser would fetch, and the text a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.fetched += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_has_its_plots(whole: Document, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    write_report(whole, tmp_path)
    html = (tmp_path / "report.html").read_text()
    page = Page(html)
    assert [name for name in page.fetched if not name.startswith(("#", "data:image/jpeg;base64,"))] == []
    assert "url(http" not in html
    drawn = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert len(drawn) == 5
    for svg in drawn:
        ET.fromstring(svg)
    for text in (
        "Whole frames",
        "Accuracy and time",
        "Heat and clock",
        "CONV_2D",
        "cannot be imported <&>",
    ):
        assert text in page.text
    assert "<&>" not in html  # what came from outside is escaped


def test_the_page_has_overlays_classes_versions_and_what_the_processor_has(whole: Document) -> None:
    html = as_html(replace(whole, environment=replace(whole.environment, cpu_features=("fma", "avx512_vnni"))))
    pictures = re.findall(r'<img alt="([^"]*)" src="data:image/jpeg;base64,([^"]+)"', html)
    assert [alt for alt, _ in pictures] == [
        "The picture, as it came",
        "The truth: car 100.0%",
        "1 float32 litert: road 100.0%",
        "2 int8 litert, 3 slow litert: road 77.8%, sky 22.2%",
    ]
    for _, jpeg in pictures:
        shown = cv2.imdecode(np.frombuffer(base64.b64decode(jpeg), np.uint8), cv2.IMREAD_COLOR)
        assert shown.shape == (90, 160, 3)
    text = Page(html).text
    for words in ("IoU of each class", "car30.00%0.0100.0100.010", "fma, avx512_vnni", "litert 2.3.0"):
        assert words in text
    assert "mIoU: against the truth, on 16 frames of demo" in text


def test_red_is_what_failed_or_is_over_the_budget_and_words_say_it_too(whole: Document) -> None:
    html = as_html(whole)
    rows = re.findall(r"<tr class='(.*?)'><th scope=row>(.*?)</th>(.*?)</tr>", html.partition("</table>")[0])
    assert [(kind, "class=over" in cells, "over budget" in cells) for kind, _, cells in rows] == [
        ("front", True, True),
        ("front", False, False),
        ("doubtful", True, True),
        ("failed", False, False),
    ]
    assert "failed: openvino cannot" in rows[3][2]
    light, dark = "#b3121d", "#ff8a80"
    assert html.count(light) == html.count(dark) == 1, "named once, where its variable is"
    unlimited = as_html(replace(whole, budget=None))
    assert "class=over" not in unlimited


def test_no_plot_is_red_where_there_is_no_budget(whole: Document) -> None:
    pytest.importorskip("matplotlib")
    plots = re.findall(r"<svg.*?</svg>", as_html(replace(whole, budget=None)), re.DOTALL)
    assert plots
    assert not any("--cb3121d" in svg for svg in plots)


def test_a_report_of_before_has_no_pictures_and_its_pairs_are_turned(whole: Document, tmp_path: Path) -> None:
    old = json.loads(json.dumps(whole.as_json()))
    del old["sample"], old["sample_overlays"]
    for row in old["rows"]:
        if row.get("accuracy"):
            del row["accuracy"]["classes"]
    old["pairs"] = [asdict(pair.flipped()) for pair in whole.pairs]
    (tmp_path / "old.json").write_text(json.dumps(old))
    found = read_report(tmp_path / "old.json")
    assert [(p.first, p.second) for p in found.pairs] == [(p.first, p.second) for p in whole.pairs]
    assert all(pair.frame.ratio >= 1 for pair in found.pairs)
    html = as_html(found)
    assert "<h2>What they see" not in html
    assert "<h2>IoU of each class" not in html


def test_a_report_of_a_stranger_brings_no_code_into_the_page(whole: Document) -> None:
    bad = Overlay(
        '"><script>', (SeenClass("<script>", 1.0, '"><script>'), SeenClass("x", 0.5, "red;background:url(a)"))
    )
    html = as_html(replace(whole, sample='"><script>', sample_overlays=(SampleOverlay(("<script>",), bad),)))
    assert "<script" not in html
    assert "url(a)" not in html


def test_without_matplotlib_everything_else_is_written(
    whole: Document, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError("No module named 'matplotlib'")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    paths = write_report(whole, tmp_path / "new")
    assert [path.name for path in paths] == ["report.json", "report.csv", "report.md", "report.html"]
    html = (tmp_path / "new" / "report.html").read_text()
    assert "<svg" not in html
    assert re.search("matplotlib is missing: pip install .*matplotlib>=", Page(html).text)
