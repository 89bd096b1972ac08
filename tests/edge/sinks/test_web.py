from __future__ import annotations

import asyncio
import gc
import json
import re
import socket
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import Any

import aiohttp
import numpy as np
import psutil
import pytest
from waiting import PATIENCE_S, wait_for
from web_page import INFO, STATS, get, hung_viewers, is_open, online, opened, picture, result, shown, told, url

from edge.classes import CITYSCAPES, ClassSet
from edge.controls import Controls, LivePipeline, RunStatistics
from edge.data import Frame, LabelMap, Result
from edge.errors import SinkError
from edge.sinks.open import open_sink
from edge.sinks.web import connections, feed, server, viewers
from edge.sinks.web.sink import WebPage


@pytest.fixture
def sink() -> Iterator[WebPage]:
    with closing(opened()) as made:
        yield made


def test_a_viewer_gets_the_newest_camera_picture_and_every_label(sink: WebPage) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url(sink, "ws")) as viewer:
            hello = await told(viewer, "hello")
            assert hello["names"] == list(CITYSCAPES.names)
            assert (hello["view"], hello["alpha"], hello["hidden"]) == ("overlay", 0.5, [])
            assert (await told(viewer, "stats"))["drops"] == 3
            for index in range(5):
                sink.write(result(index))
            about, camera, ids = await shown(viewer)
            assert about["index"] == 4
            assert dict(about["shares"])[0] == pytest.approx(1 / 19, abs=0.001)
            assert np.array_equal(ids, result(4).labels.ids)
            assert np.abs(camera.astype(int) - 4).max() <= 2
            sink.write(result(5))
            assert (await shown(viewer))[0]["index"] == 5

    online(work)


def test_a_viewer_that_has_not_asked_gets_no_further_frame(sink: WebPage) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url(sink, "ws")) as viewer:
            sink.write(result(0))
            await shown(viewer)
            sink.write(result(1))
            async with asyncio.timeout(0.3) as waited:
                with suppress(asyncio.CancelledError):
                    while (await viewer.receive()).type == aiohttp.WSMsgType.TEXT:
                        pass
            assert waited.expired(), "a frame came"

    online(work)


def test_nothing_is_encoded_until_somebody_looks_and_then_once_for_all(
    sink: WebPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    parts = feed._parts
    monkeypatch.setattr(feed, "_parts", lambda *given: (made.append(given[0].frame.index), parts(*given))[1])
    monkeypatch.setattr(feed, "_jpeg", lambda pixels: (made.append(-1), b"jpeg")[1])

    async def work(session: aiohttp.ClientSession) -> None:
        for index in range(20):
            sink.write(result(index))
        await asyncio.sleep(0.1)
        assert not made
        async with session.ws_connect(url(sink, "ws")) as one, session.ws_connect(url(sink, "ws")) as two:
            await told(one, "hello")
            for viewer in (one, two):
                await viewer.send_str("next")
            for viewer in (one, two):
                while (await viewer.receive(PATIENCE_S)).type != aiohttp.WSMsgType.BINARY:
                    pass
        assert sorted(made) == [-1, 19]

    online(work)


def test_a_snapshot_is_what_is_shown(sink: WebPage) -> None:
    assert get(sink, "snapshot.jpg")[0] == 503
    sink.write(result(3))
    sink.write(result(50))
    status, body, headers = get(sink, "snapshot.jpg")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert np.abs(picture(body).astype(int) - 205).max() <= 2


def test_other_tools_get_a_stream_of_pictures(sink: WebPage) -> None:
    async def work(session: aiohttp.ClientSession) -> None:
        async with session.get(url(sink, "stream.mjpg")) as answer:
            assert answer.headers["Content-Type"] == "multipart/x-mixed-replace; boundary=frame"
            for index in (10, 90):
                sink.write(result(index))
                head = await answer.content.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                shown = picture(await answer.content.readexactly(int(length[1])))
                assert np.abs(shown.astype(int) - (255 - index)).max() <= 2

    online(work)


def test_large_pictures_are_sent_smaller_and_labels_stay_labels(sink: WebPage) -> None:
    big = result(9, (2160, 3840))
    big.labels.ids[:, :1920], big.labels.ids[:, 1920:] = 3, 12

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url(sink, "ws")) as viewer:
            sink.write(big)
            _, camera, ids = await shown(viewer)
            assert camera.shape[:2] == ids.shape == (720, 1280)
            assert (ids[:, :640] == 3).all()
            assert (ids[:, 640:] == 12).all()

    online(work)


def test_viewers_that_do_not_read_slow_nobody(sink: WebPage) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (360, 640, 3), np.uint8)
    busy = Result(Frame(noise, 0, 0.0), LabelMap(noise[..., 0].copy()), noise)

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url(sink, "ws")) as viewer:
            took = []
            for _ in range(60):
                start, worked = time.perf_counter(), time.thread_time()
                sink.write(busy)
                took.append((time.perf_counter() - start, time.thread_time() - worked))
                await shown(viewer)
            waited, worked = np.median(took, axis=0)
            assert waited < 1, "it waits for those who do not read"
            assert worked < 0.005, "pictures are encoded where they are written"

    with ExitStack() as stack:
        hung_viewers(sink, stack, 3)
        online(work)


def test_there_is_room_for_so_many_viewers_and_one_more_is_told(sink: WebPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "MAX_VIEWERS", 2)

    async def work(session: aiohttp.ClientSession) -> None:
        sink.write(result(0))
        async with session.ws_connect(url(sink, "ws")) as one, session.get(url(sink, "stream.mjpg")) as two:
            await told(one, "hello")
            await two.content.readuntil(b"\r\n\r\n")
            async with session.ws_connect(url(sink, "ws")) as third:
                refused = await third.receive(PATIENCE_S)
                assert (refused.data, refused.extra) == (1013, "2 viewers are watching already; close one of them")
            async with session.get(url(sink, "stream.mjpg")) as third:
                assert (third.status, await third.text()) == (
                    503,
                    "2 viewers are watching already; close one of them\n",
                )
            async with session.get(url(sink, "stats")) as numbers:
                assert (await numbers.json())["viewers"] == 2

    online(work)
    wait_for(lambda: viewers_of(sink) == 0)


def viewers_of(sink: WebPage) -> int:
    return int(json.loads(get(sink, "stats")[1])["viewers"])


def test_a_page_that_says_nothing_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "SILENT_S", 1.5)

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url(page, "ws")) as silent, session.ws_connect(url(page, "ws")) as frozen:
            assert (await told(frozen, "hello"))["silent_s"] == 1.5
            for viewer in (silent, frozen):
                await shown(viewer)
            page.write(result(1))
            for _ in range(20):
                await frozen.send_str("here")
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        while (message := await frozen.receive()).type == aiohttp.WSMsgType.TEXT:
                            pass
                        pytest.fail(f"a frame came that was not asked for: {message.type}")
            while (message := await silent.receive(PATIENCE_S)).type != aiohttp.WSMsgType.CLOSE:
                pass
            assert (message.data, message.extra) == (1001, "nobody has looked for 1.5 s")
            assert await asyncio.to_thread(viewers_of, page) == 1, "who looks at a frozen picture stays"
            await frozen.send_str("here")
            assert (await shown(frozen))[0]["index"] == 1

    with closing(opened()) as page:
        page.write(result(0))
        online(work)


def connections_of(sink: WebPage) -> int:
    """Ends of connections that this side still holds."""
    own = psutil.Process().net_connections("tcp4")
    return sum(one.laddr.port == sink.address.port and one.status != psutil.CONN_LISTEN for one in own)


def test_viewers_that_never_read_give_their_places_back(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (connections, viewers):
        monkeypatch.setattr(module, "STALLED_S", 1.0)
    noise = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
    busy = Result(Frame(noise, 0, 0.0), LabelMap(noise[..., 0].copy()), noise)
    with closing(opened()) as sink, ExitStack() as stack:
        hung_viewers(sink, stack, 3)
        wait_for(lambda: viewers_of(sink) == 6)

        def gone() -> bool:
            sink.write(busy)
            return viewers_of(sink) == 0

        wait_for(gone)
        wait_for(lambda: connections_of(sink) == 0)


def test_a_viewer_that_reads_too_slowly_gives_its_place_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system sees that it reads, and leaves it alone; the page sees that it will never have a whole picture."""
    monkeypatch.setattr(viewers, "STALLED_S", 1.0)
    monkeypatch.setattr(connections, "STALLED_S", 10 * PATIENCE_S)
    noise = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
    busy = Result(Frame(noise, 0, 0.0), LabelMap(noise[..., 0].copy()), noise)
    with closing(opened()) as sink, closing(socket.socket()) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.connect(("127.0.0.1", sink.address.port))
        slow.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_for(lambda: viewers_of(sink) == 1)

        def gone() -> bool:
            sink.write(busy)
            with suppress(ConnectionError):
                slow.recv(1000)
            return viewers_of(sink) == 0

        wait_for(gone)
        wait_for(lambda: connections_of(sink) == 0)


def test_answers_that_nobody_reads_hold_no_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that is closed while something is left to send lives until it is taken, or the system ends it."""
    monkeypatch.setattr(connections, "STALLED_S", 1.0)
    monkeypatch.setattr(server, "IDLE_S", 1.0)
    with closing(opened()) as sink, closing(socket.socket()) as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", sink.address.port))
        for _ in range(400):
            deaf.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        deaf.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        wait_for(lambda: connections_of(sink) == 1)
        wait_for(lambda: connections_of(sink) == 0)


def test_an_answer_that_nobody_reads_ends_with_the_page() -> None:
    with closing(socket.socket()) as deaf:
        with closing(opened()) as sink:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.connect(("127.0.0.1", sink.address.port))
            deaf.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 400)
            wait_for(lambda: connections_of(sink) == 1)
            time.sleep(0.5)
        assert connections_of(sink) == 0


def test_who_leaves_a_stream_without_news_is_noticed(sink: WebPage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "REPEAT_S", 2 * PATIENCE_S)  # nothing is sent that could fail

    async def work(session: aiohttp.ClientSession) -> None:
        sink.write(result(0))
        async with session.get(url(sink, "stream.mjpg")) as stream:
            await stream.content.readuntil(b"\r\n\r\n")
            assert await asyncio.to_thread(viewers_of, sink) == 1
            stream.close()
        await asyncio.to_thread(wait_for, lambda: viewers_of(sink) == 0)

    online(work)


def test_a_stream_without_news_repeats_its_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewers, "REPEAT_S", 0.2)

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.get(url(page, "stream.mjpg")) as stream:
            assert stream.headers["X-Accel-Buffering"] == "no", "nginx would hold pictures back"
            await asyncio.sleep(0.5)  # nothing to repeat yet
            page.write(result(7))
            for _ in range(3):
                head = await stream.content.readuntil(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                assert length is not None
                shown = picture(await stream.content.readexactly(int(length[1])))
                assert np.abs(shown.astype(int) - (255 - 7)).max() <= 2

    with closing(opened()) as page:
        online(work)


def test_whoever_comes_as_the_page_closes_is_hung_up_on() -> None:
    with warnings.catch_warnings(record=True) as told, ExitStack() as stack:
        warnings.simplefilter("always")
        for _ in range(5):
            sink = opened()
            for _ in range(connections.BACKLOG - 2):
                stack.enter_context(closing(socket.create_connection(("127.0.0.1", sink.address.port))))
            sink.close()
            gc.collect()
    assert not told, "a connection was left to the garbage"


def test_a_flood_of_connections_does_no_harm(sink: WebPage) -> None:
    before = threading.active_count()

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url(sink, "ws")) as viewer:
            await told(viewer, "hello")
            with ExitStack() as stack:
                flood = []
                for _ in range(4 * connections.MAX_CONNECTIONS):
                    flood.append(socket.create_connection(("127.0.0.1", sink.address.port)))
                    stack.enter_context(closing(flood[-1]))
                    await asyncio.sleep(0)
                sink.write(result(8))
                assert (await shown(viewer))[0]["index"] == 8, "who was there before goes on watching"
                async with session.get(url(sink, "snapshot.jpg")) as late:
                    assert late.status == 200, "and who comes after gets in"
                assert sum(map(is_open, flood)) <= connections.MAX_CONNECTIONS + connections.BACKLOG

    online(work)
    assert threading.active_count() < before + 20


def test_health_calls_for_help_when_no_frame_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    controls = Controls()

    def without_a_frame_for(stale_s: float) -> tuple[int, bytes]:
        monkeypatch.setattr(server, "STALE_S", stale_s)
        time.sleep(0.01)
        return get(sink, "healthz")[:2]

    with closing(opened(controls=controls)) as sink:
        assert without_a_frame_for(PATIENCE_S)[0] == 200, "the first one may take its time"
        assert without_a_frame_for(0.01)[0] == 503
        sink.write(result(0))
        status, body = without_a_frame_for(PATIENCE_S)
        assert status == 200
        assert re.fullmatch(rb"ok: newest frame \d+\.\d s ago\n", body)
        status, body = without_a_frame_for(0.01)
        assert (status, body[:6]) == (503, b"stale:")
        controls.paused = True
        assert get(sink, "healthz")[:2] == (200, b"ok: paused\n")


def test_numbers_are_what_the_pipeline_says(sink: WebPage) -> None:
    sink.write(result(0))
    numbers = json.loads(get(sink, "stats")[1])
    assert STATS.as_json().items() <= numbers.items()
    assert numbers["stages_ms"]["invoke"] == {"median": 48.9, "p90": 60.0, "p99": 70.0, "max": 99.5}
    assert numbers["viewers"] == numbers["failed_requests"] == 0
    assert 0 <= numbers["last_frame_s"] < PATIENCE_S
    assert sum(numbers["shares"].values()) == pytest.approx(1, abs=0.01)
    assert list(numbers["shares"]) == list(CITYSCAPES.names)


def test_metrics_are_prometheus() -> None:
    with closing(opened(stats=lambda: replace(STATS, temperature_c=None))) as sink:
        sink.write(result(0))
        _, body, headers = get(sink, "metrics")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = body.decode().splitlines()
    sample = re.compile(r'[a-z_]+(\{[a-z_]+="([^"\\]|\\.)*"(,[a-z_]+="([^"\\]|\\.)*")*\})? -?[\d.e+-]+')
    assert all(line.startswith(("# HELP roadlite_", "# TYPE roadlite_")) or sample.fullmatch(line) for line in lines)
    assert r'roadlite_info{model="net \"int8\"",source="camera",state="running"} 1' in lines
    assert 'roadlite_stage_seconds{stage="invoke",quantile="0.5"} 0.0489' in lines
    for line in (
        "roadlite_drops_total 3",
        "roadlite_clock_jumps_total 0",
        "roadlite_throttled 0",
        "roadlite_viewers 0",
        "roadlite_frames_total 7",
        "roadlite_moved_frames_ratio 0.75",
        "roadlite_held_frames_ratio 0.125",
        'roadlite_label_age_seconds{quantile="0.9"} 0.06',
    ):
        assert line in lines
    assert any(line.startswith('roadlite_class_share{class="traffic light"} 0.05') for line in lines)
    assert "temperature" not in body.decode(), "what the board does not tell is left out"


def test_a_port_that_is_taken_names_the_way_out() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SinkError, match=rf"127\.0\.0\.1:{port}: .*another program.*web://127\.0\.0\.1:{port + 1}"):
            opened(f"web://127.0.0.1:{port}")
    with pytest.raises(SinkError, match=r"web://192\.0\.2\.1:8080: cannot be served"):
        opened("web://192.0.2.1:8080")


def test_it_ends_within_a_second_whoever_watches() -> None:
    sink = opened()
    with ExitStack() as stack:
        hung_viewers(sink, stack, 2)
        sink.write(result(0))
        time.sleep(0.2)
        start = time.perf_counter()
        sink.close()
        assert time.perf_counter() - start < 1, "those who do not read keep it"
        wait_for(lambda: not sink._thread.is_alive())
    sink.close()
    assert not any(thread.name.startswith("roadlite-web") for thread in threading.enumerate())
    opened(f"web://127.0.0.1:{sink.address.port}").close()
    with pytest.raises(SinkError, match="closed"):
        sink.write(result(1))


def test_what_ends_the_server_reaches_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    serve, ended = server.Server.serve, threading.Event()

    async def broken(self: Any, ready: Any, done: asyncio.Event) -> None:
        ready(1)
        ended.wait(PATIENCE_S)
        raise OSError("the network is down")

    monkeypatch.setattr(server.Server, "serve", broken)
    sink = opened()
    monkeypatch.setattr(server.Server, "serve", serve)
    sink.write(result(0))
    ended.set()
    sink._thread.join(PATIENCE_S)
    with pytest.raises(SinkError, match="the network is down"):
        sink.write(result(1))
    sink.close()


def test_a_request_that_fails_is_counted_and_the_rest_goes_on(capfd: pytest.CaptureFixture[str]) -> None:
    broken = False

    def stats() -> RunStatistics:
        if broken:
            raise ValueError("no such number")
        return STATS

    with closing(opened(stats=stats)) as sink:
        sink.write(result(0))
        broken = True
        assert get(sink, "stats")[0] == 500
        broken = False
        sink.write(result(1))
        numbers = json.loads(get(sink, "stats")[1])
    assert (numbers["failed_requests"], numbers["last_failure"]) == (1, "ValueError: no such number")
    assert capfd.readouterr() == ("", "")


def test_names_of_classes_are_data_not_markup() -> None:
    classes = ClassSet(("<script>alert(1)</script>",), ((1, 2, 3),))
    sink = open_sink("web://127.0.0.1:0", INFO, LivePipeline(classes, Controls(), lambda: STATS))
    assert isinstance(sink, WebPage)
    with closing(sink):
        assert b"alert" not in get(sink)[1]
