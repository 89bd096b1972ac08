"""Regions that are drawn on the page: who may send them, and what becomes of them."""

from __future__ import annotations

import json
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from web_page import INFO, STATS, get, online, raw, result, told, url

from edge.classes import CITYSCAPES
from edge.controls import Controls, LivePipeline
from edge.regions import read_regions
from edge.sinks.open import open_sink
from edge.sinks.web import guard
from edge.sinks.web.sink import WebPage

LEFT = {"name": "left", "corners": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}
CORNERS = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def running(file: Path | None) -> LivePipeline:
    return LivePipeline(CITYSCAPES, Controls(), lambda: STATS, regions_file=file)


def page(live: LivePipeline, more: str = "127.0.0.1:0") -> WebPage:
    sink = open_sink(f"web://{more}", INFO, live)
    assert isinstance(sink, WebPage)
    return sink


def post(sink: WebPage, sent: Any, path: str = "regions", **headers: str) -> tuple[int, str]:
    async def work(session: aiohttp.ClientSession) -> tuple[int, str]:
        data = sent if isinstance(sent, bytes) else json.dumps(sent).encode()
        given = {"Content-Type": "application/json", **headers}
        async with session.post(url(sink, path), data=data, headers=given) as answer:
            return answer.status, await answer.text()

    found: tuple[int, str] = online(work)
    return found


def test_a_region_is_kept_and_counted_from_the_next_frame_on(tmp_path: Path) -> None:
    live, file = running(tmp_path / "regions.json"), tmp_path / "regions.json"
    with closing(page(live)) as sink:
        assert json.loads(get(sink, "regions")[1])["regions"] == {}
        status, text = post(sink, LEFT)
        assert (status, json.loads(text)) == (
            200,
            {
                "kind": "regions",
                "regions": {"left": [list(corner) for corner in CORNERS]},
                "file": "regions.json",
                "refusal": "",
            },
        )
        assert json.loads(get(sink, "regions")[1]) == json.loads(text)
    assert read_regions(file).regions == {"left": CORNERS}
    labels = result(0, (10, 20)).labels
    labels.ids[:, :10], labels.ids[:, 10:] = 0, 10
    assert live.shares.of(labels, "left")["road"] == 1.0


def test_a_region_is_removed(tmp_path: Path) -> None:
    file = tmp_path / "regions.json"
    with closing(page(running(file))) as sink:
        post(sink, {**LEFT, "name": "a/b c+&?"})
        post(sink, LEFT)
        status, text, _ = get(sink, "regions?name=a/b%20c%2B%26%3F", "DELETE")
        assert (status, list(json.loads(text)["regions"])) == (200, ["left"])
        for unknown in ("regions", "regions?name=a", "regions?name=%00%ff"):
            status, text, _ = get(sink, unknown, "DELETE")
            assert (status, text.count(b"\n")) == (422, 1)
            assert text.decode()[:-1].isprintable()
        assert get(sink, "stats", "DELETE")[0] == 405
        assert json.loads(get(sink, "stats")[1])["failed_requests"] == 0
    assert list(read_regions(file).regions) == ["left"]


def test_all_who_watch_are_told(tmp_path: Path) -> None:
    async def work(session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        async with session.ws_connect(url(sink, "ws")) as viewer:
            first = await told(viewer, "regions")
            async with session.post(url(sink, "regions"), json=LEFT) as answer:
                assert answer.status == 200
            return [first, await told(viewer, "regions")]

    with closing(page(running(tmp_path / "r.json"))) as sink:
        first, then = online(work)
    assert (first["regions"], list(then["regions"])) == ({}, ["left"])


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"left",
        b"\xff\xfe",
        b"[" * 16000,
        b'{"name": "a", "name": "b", "corners": []}',
        [],
        {"name": "left"},
        {**LEFT, "more": 1},
        {**LEFT, "name": 7},
        {**LEFT, "name": " "},
        {**LEFT, "name": "x" * 41},
        {**LEFT, "name": "a\0b"},
        {**LEFT, "name": "\u202eevil"},
        {**LEFT, "name": "a > b"},
        {**LEFT, "corners": {}},
        {**LEFT, "corners": [[0, 0], [1, 1]]},
        {**LEFT, "corners": [[0, 0], [1, 1], [0, 1.5]]},
        {**LEFT, "corners": [[0, 0], [1, 1], [0, True]]},
        {**LEFT, "corners": [[0, 0], [1, 1], [0, "1"]]},
        {**LEFT, "corners": [[0, 0], [1, 1], [0, 1, 2]]},
        {**LEFT, "corners": [[0.5, 0.5]] * 101},
        b'{"name": "a", "corners": [[0, 0], [1, 1], [0, NaN]]}',
        b'{"name": "a", "corners": [[0, 0], [1, 1], [0, 1e999]]}',
        b'{"name": "a", "corners": [[0, 0], [1, 1], [0, 1' + b"0" * 400 + b"]]}",
    ],
)
def test_what_makes_no_sense_gets_one_line(tmp_path: Path, sent: Any) -> None:
    with closing(page(running(tmp_path / "regions.json"))) as sink:
        status, text = post(sink, sent)
        assert json.loads(get(sink, "stats")[1])["failed_requests"] == 0
    assert status == 422
    assert text.count("\n") == 1
    assert text.isprintable() or text[:-1].isprintable()
    assert "expected" in text
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "regions.json"
    with closing(page(running(file))) as sink:
        status, text = post(sink, LEFT)
        assert (status, "cannot be written" in text) == (409, True)
        file.parent.mkdir()
        file.write_text("oh")
        status, text = post(sink, LEFT)
        assert (status, "expected JSON" in text) == (422, True)
    assert file.read_text() == "oh"


@pytest.mark.parametrize(
    ("address", "may"),
    [
        ("127.0.0.1:0", True),
        ("127.0.0.1:0?public-url=https://cars.example.org/pi/", False),
        ("0.0.0.0:0", False),
        ("0.0.0.0:0?token=s3cret-word", True),
        ("127.0.0.1:0?public-url=https://cars.example.org/pi/&token=s3cret-word", True),
    ],
)
def test_strangers_draw_nothing(tmp_path: Path, address: str, may: bool) -> None:
    with closing(page(running(tmp_path / "regions.json"), address)) as sink:
        token = "?token=s3cret-word" if "token" in address else ""
        refusal = json.loads(get(sink, f"regions{token}")[1])["refusal"]
        assert bool(refusal) is not may
        assert post(sink, LEFT, f"regions{token}")[0] == (200 if may else 403)
        assert get(sink, f"regions?name=none&{token[1:]}", "DELETE")[0] == (422 if may else 403)
        if token:
            assert post(sink, LEFT)[0] == 401
            assert post(sink, LEFT, "regions?token=s3cret-worx")[0] == 401
            assert get(sink, "regions?name=left", "DELETE")[0] == 401
    assert (tmp_path / "regions.json").exists() is may


def test_a_run_without_a_file_says_how_to_have_one() -> None:
    with closing(page(running(None))) as sink:
        status, text = post(sink, LEFT)
    assert status == 403
    assert "`regions`" in text


def test_pages_of_other_sites_draw_nothing(tmp_path: Path) -> None:
    with closing(page(running(tmp_path / "regions.json"))) as sink:
        assert post(sink, LEFT, Origin="http://evil.example")[0] == 403
        assert post(sink, LEFT, Origin="null")[0] == 403
        assert post(sink, LEFT, Host="evil.example")[0] == 403
        for name, value in (("Origin", "http://evil.example"), ("Origin", "null"), ("Host", "evil.example")):
            assert get(sink, "regions?name=left", "DELETE", **{name: value})[0] == 403
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert post(sink, LEFT, **{"Content-Type": kind})[0] == 415, "which a form could send"
        assert get(sink, "regions", "OPTIONS")[0] == 405
        assert not list(tmp_path.iterdir())
        assert post(sink, LEFT, Origin=f"http://127.0.0.1:{sink.address.port}")[0] == 200


def test_no_more_is_read_than_a_region_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "_BODY_S", 0.3)
    head = "POST /regions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with closing(page(running(tmp_path / "regions.json"))) as sink:
        status, text = post(sink, {**LEFT, "name": "x" * (1 << 15)})
        assert (status, text) == (413, "Expected at most 16384 bytes, and their number before them.\n")
        chunked = raw(sink, f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".encode())
        assert chunked.startswith(b"HTTP/1.1 413 ")
        assert b"their number before them" in chunked, "at once"
        with closing(socket.create_connection(("127.0.0.1", sink.address.port), 10)) as slow:
            start = time.monotonic()
            slow.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert slow.recv(1 << 16).startswith(b"HTTP/1.1 413 ")
            assert time.monotonic() - start < 5
        assert post(sink, LEFT, "stats")[0] == 413, "nothing else takes anything"
        assert json.loads(get(sink, "stats")[1])["failed_requests"] == 0
