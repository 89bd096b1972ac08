from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from typing import Any

import aiohttp
import cv2
import numpy as np
import pytest
from waiting import PATIENCE_S, wait_for

from edge.classes import CITYSCAPES, ClassSet
from edge.controls import Controls, LivePipeline, RunDescription, RunStatistics
from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.errors import SinkError, UsageError
from edge.sinks.open import open_sink
from edge.sinks.web import feed, server
from edge.sinks.web.address import Address, parse_address
from edge.sinks.web.sink import WebPage
from edge.timing import Percentiles, TimingSummary

INFO = SourceInfo("camera", None, None, None)
TIMES = Percentiles(48.9, 60.0, 70.0, 99.5)
STATS = RunStatistics(
    RunDescription("0.1.0", 'net "int8"', "litert", 2, "camera"),
    TimingSummary(7, 0.4, 17.5, {"invoke": TIMES}, TIMES),
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


def opened(spec: str = "web://127.0.0.1:0", controls: Controls | None = None, stats: Any = None) -> WebPage:
    sink = open_sink(spec, INFO, LivePipeline(CITYSCAPES, controls or Controls(), stats or (lambda: STATS)))
    assert isinstance(sink, WebPage)
    return sink


@pytest.fixture
def sink() -> Iterator[WebPage]:
    with closing(opened()) as made:
        yield made


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


def hung_viewers(sink: WebPage, stack: ExitStack, count: int) -> None:
    """Viewers that ask for all there is and never read a byte."""
    for path in ("/stream.mjpg", "/ws") * count:
        connection = stack.enter_context(closing(socket.create_connection(("127.0.0.1", sink.address.port))))
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{upgrade}{key}\r\n".encode())
        if path == "/ws":
            connection.sendall(b"\x81\x84\0\0\0\0next")


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
    monkeypatch.setattr(server, "MAX_VIEWERS", 2)

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
        for _ in range(50):
            async with session.get(url(sink, "stats")) as numbers:
                if (await numbers.json())["viewers"] == 0:
                    return
            sink.write(result(1))  # the stream notices at the next picture
            await asyncio.sleep(0.1)
        pytest.fail("those who left still take up room")

    online(work)


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def test_a_flood_of_connections_does_no_harm(sink: WebPage) -> None:
    before = threading.active_count()

    async def work(session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(url(sink, "ws")) as viewer:
            await told(viewer, "hello")
            with ExitStack() as stack:
                flood = []
                for _ in range(4 * server.MAX_CONNECTIONS):
                    flood.append(socket.create_connection(("127.0.0.1", sink.address.port)))
                    stack.enter_context(closing(flood[-1]))
                    await asyncio.sleep(0)
                sink.write(result(8))
                assert (await shown(viewer))[0]["index"] == 8, "who was there before goes on watching"
                async with session.get(url(sink, "snapshot.jpg")) as late:
                    assert late.status == 200, "and who comes after gets in"
                assert sum(map(is_open, flood)) <= server.MAX_CONNECTIONS + server.BACKLOG

    online(work)
    assert threading.active_count() < before + 20


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{}", 200),
        ("localhost:{}", 200),
        ("[::1]:{}", 200),
        ("127.0.0.1", 200),
        ("LOCALHOST", 200),
        ("evil.example:{}", 403),
        ("evil.example", 403),
        ("192.168.0.7:{}", 403),
        ("", 403),
        ("localhost:x", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1;evil", 403),
        ("127.0.0.1.", 403),
    ],
)
def test_a_name_that_leads_here_by_dns_rebinding_is_refused(sink: WebPage, host: str, status: int) -> None:
    sink.write(result(0))
    for path in ("", "snapshot.jpg", "stats", "healthz"):
        assert get(sink, path, Host=host.format(sink.address.port))[0] == status


@pytest.mark.parametrize("path", ["ws", "stats", "snapshot.jpg"])
def test_pages_of_other_sites_may_not_look_in(sink: WebPage, path: str) -> None:
    for origin in ("http://evil.example", "null", "https://127.0.0.1", f"http://127.0.0.1:{sink.address.port}.evil"):
        assert get(sink, path, Origin=origin)[0] == 403
    assert get(sink, "stats", Origin=f"http://127.0.0.1:{sink.address.port}")[0] == 200


def test_in_a_network_the_machines_own_names_and_numbers_are_good() -> None:
    with closing(opened("web://0.0.0.0:0")) as sink:
        own = socket.gethostname()
        for host, status in ((own, 200), (f"{own}.local", 200), ("192.168.0.7:80", 200), ("evil.example", 403)):
            assert get(sink, "healthz", Host=host)[0] == status


def test_a_token_is_asked_for_everywhere_but_for_health() -> None:
    with closing(opened("web://127.0.0.1:0?token=s3cret")) as sink:
        sink.write(result(0))
        for path in ("", "ws", "stats", "metrics", "snapshot.jpg", "stream.mjpg", "nothing"):
            for given in ("", "?token=", "?token=s3cre", "?token=s3cret2", "?token=%C3%A4"):
                status, body, _ = get(sink, path + given)
                assert status == 401
                assert b"s3cret" not in body
        assert get(sink, "healthz")[0] == 200
        assert get(sink, "?token=s3cret")[0] == 200
        assert get(sink, "stats", Authorization="Bearer s3cret")[0] == 200
        assert get(sink, "stats", Authorization="Bearer wrong")[0] == 401
        assert "s3cret" not in sink.notice
        assert b"s3cret" not in get(sink, "stats?token=s3cret")[1]


@pytest.mark.parametrize("path", ["../pyproject.toml", "..%2f..%2fetc/passwd", "etc/passwd", "page.html", "static/x"])
def test_there_are_no_files_to_be_had(sink: WebPage, path: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", sink.address.port))) as connection:
        connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        assert b" 404 " in connection.recv(4096).splitlines()[0]


def test_nothing_can_be_changed_and_nothing_is_taken_from_elsewhere(sink: WebPage) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert get(sink, "stats", method)[0] == 405
    assert get(sink, "stream.mjpg", "HEAD")[0] == 405
    assert get(sink, "healthz", "HEAD")[0] == 200
    status, page, headers = get(sink)
    policy = headers["Content-Security-Policy"]
    assert status == 200
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert "Server" not in headers
    assert set(re.findall(rb"https?://[\w.]+", page)) == {b"http://www.w3.org"}, "the name of SVG, never fetched"


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


@pytest.mark.parametrize(
    ("spec", "host", "port", "token"),
    [
        ("web", "127.0.0.1", 8080, ""),
        ("web://", "127.0.0.1", 8080, ""),
        ("web://:9000", "127.0.0.1", 9000, ""),
        ("web://0.0.0.0", "0.0.0.0", 8080, ""),
        ("web://0.0.0.0:81/?token=a%26b", "0.0.0.0", 81, "a&b"),
        ("web://[::1]:82", "::1", 82, ""),
        ("web://Pi.local", "pi.local", 8080, ""),
    ],
)
def test_addresses(spec: str, host: str, port: int, token: str) -> None:
    assert parse_address(spec) == Address(host, port, token)


@pytest.mark.parametrize(
    "spec",
    [
        "web:",
        "web:8080",
        "web://host:port",
        "web://h:70000",
        "web://h/path",
        "web://u:p@h",
        "web://h?tok=s3cret",
        "web://h?token=",
        "web://h?token",
        "web://h#x",
        "web://h?token=s3cret&token-file=x",
        "web://[::1",
    ],
)
def test_addresses_that_make_no_sense(spec: str) -> None:
    with pytest.raises(UsageError, match=r"expected web or web://HOST:PORT") as caught:
        opened(spec)
    assert "s3cret" not in str(caught.value)


def test_a_token_can_come_from_a_file(tmp_path: Any) -> None:
    (tmp_path / "token").write_text("s3cret\n")
    assert parse_address(f"web://0.0.0.0?token-file={tmp_path}/token").token == "s3cret"
    (tmp_path / "token").write_text("\n")
    for name in ("token", "missing"):
        with pytest.raises(UsageError, match=f"token-file={tmp_path}/{name}"):
            parse_address(f"web://0.0.0.0?token-file={tmp_path}/{name}")


def test_the_user_is_told_where_to_look_and_who_else_can() -> None:
    assert re.match(
        r"watch at http://127\.0\.0\.1:8080/ \(from elsewhere: ssh -L 8080:localhost:8080", Address().notice
    )
    assert Address("::1").notice.startswith("watch at http://[::1]:8080/ ")
    open_to_all = Address("0.0.0.0", 9000).notice
    assert re.match(r"watch at http://[^0][^ ]*:9000/ - warning: .*web://0\.0\.0\.0:9000\?token=SECRET", open_to_all)
    assert re.match(r"watch at http://.*:9000/\?token=\.\.\.$", Address("0.0.0.0", 9000, "s3cret").notice)
    assert Address("127.0.0.2").is_loopback
    assert Address("localhost").is_loopback
    assert not Address("::").is_loopback
