"""Who gets an answer from the web page, and what becomes of those who want to do harm."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from waiting import PATIENCE_S
from web_page import get, opened, raw, result

from edge.sinks.web import guard, server
from edge.sinks.web.sink import WebPage


@pytest.fixture
def sink() -> Iterator[WebPage]:
    with closing(opened()) as made:
        yield made


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
    for path in ("", "snapshot.jpg", "stats"):
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
            assert get(sink, "stats", Host=host)[0] == status


def test_a_token_is_asked_for_everywhere_but_for_health() -> None:
    with closing(opened("web://127.0.0.1:0?token=s3cret-word")) as sink:
        sink.write(result(0))
        for path in ("", "ws", "stats", "metrics", "regions", "snapshot.jpg", "stream.mjpg", "nothing"):
            for given in ("", "?token=", "?token=s3cret-wor", "?token=s3cret-word2", "?token=%C3%A4"):
                status, body, _ = get(sink, path + given)
                assert status == 401
                assert b"s3cret" not in body
        assert get(sink, "healthz")[0] == 200
        assert get(sink, "?token=s3cret-word")[0] == 200
        for scheme in ("Bearer ", "bearer ", "BEARER   "):
            assert get(sink, "stats", Authorization=f"{scheme}s3cret-word")[0] == 200
        for given in (
            "Bearer wrong",
            "s3cret-word",
            "Basic s3cret-word",
            "Bearers3cret-word",
            "Bearer",
            " s3cret-word",
        ):
            assert get(sink, "stats", Authorization=given)[0] == 401
        assert "s3cret" not in sink.notice
        assert b"s3cret" not in get(sink, "stats?token=s3cret-word")[1]


@pytest.mark.parametrize("path", ["../pyproject.toml", "..%2f..%2fetc/passwd", "etc/passwd", "page.html", "static/x"])
def test_there_are_no_files_to_be_had(sink: WebPage, path: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", sink.address.port))) as connection:
        connection.sendall(f"GET /{path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        assert b" 404 " in connection.recv(4096).splitlines()[0]


def test_nothing_else_can_be_changed_and_nothing_is_taken_from_elsewhere(sink: WebPage) -> None:
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert get(sink, "stats", method)[0] == 405
    status, page, headers = get(sink)
    policy = headers["Content-Security-Policy"]
    assert status == 200
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"]) == ("nosniff", "no-referrer")
    assert "Server" not in headers
    assert set(re.findall(rb"https?://[\w.]+", page)) == {b"http://www.w3.org"}, "the name of SVG, never fetched"


def test_health_is_told_under_any_name(sink: WebPage) -> None:
    sink.write(result(0))
    for host in ("evil.example", "cars.example.org:443", "::", "", "a b"):
        assert get(sink, "healthz", Host=host)[0] == 200
    assert get(sink, "healthz", Origin="http://evil.example")[0] == 200
    assert b" 200 " in raw(sink, b"GET /healthz HTTP/1.0\r\n\r\n").splitlines()[0]  # HTTP/1.1 demands a Host
    assert b" 403 " in raw(sink, b"GET /stats HTTP/1.0\r\n\r\n").splitlines()[0]


@pytest.mark.parametrize(
    "path", ["", "snapshot.jpg", "stats", "metrics", "healthz", "regions", "stream.mjpg", "ws", "nothing"]
)
def test_head_tells_what_get_would(sink: WebPage, path: str) -> None:
    sink.write(result(0))
    status, body, headers = get(sink, path, "HEAD")
    assert (status, body) == ({"ws": 426, "nothing": 404}.get(path, 200), b"")
    if path not in ("stream.mjpg", "stats", "metrics"):  # it has no end, and they differ each time
        got, body, expected = get(sink, path)
        assert (status, headers["Content-Type"]) == (got, expected["Content-Type"])
        assert path == "healthz" or headers["Content-Length"] == str(len(body))


def test_head_has_an_end_also_for_what_has_none(sink: WebPage) -> None:
    sink.write(result(0))
    requests = b"HEAD /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\nGET /stats HTTP/1.1\r\nHost: localhost\r\n"
    answers = raw(sink, requests + b"Connection: close\r\n\r\n")
    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert json.loads(answers.splitlines()[-1])["viewers"] == 0


def test_a_websocket_is_not_asked_for_by_head(sink: WebPage) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    assert get(sink, "ws", "HEAD", **upgrade, **{"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="})[0] == 426


UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
)
STRANGE = {
    "a TLS hello": bytes.fromhex("16030102000100 01fc0303".replace(" ", "")) + bytes(range(256)),
    "letters": b"SSH-2.0-OpenSSH_9.6\r\n",
    "bytes": bytes(range(255, 0, -1)) * 64,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "no such method": b"FETCH /stats HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no such version": b"GET /stats HTTP/9.9\r\nHost: localhost\r\n\r\n",
    "a header without a colon": b"GET /stats HTTP/1.1\r\nHost localhost\r\n\r\n",
    "a header with a null": b"GET /stats HTTP/1.1\r\nHost: local\0host\r\n\r\n",
    "a long header": b"GET /stats HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
    "many headers": b"GET /stats HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 10_000 + b"\r\n",
    "a long line": b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a negative length": b"GET /stats HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
    "two lengths": b"POST /stats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a chunk that is none": b"POST /stats HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a body that is no gzip": b"POST /stats HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n"
    b"Content-Length: 4\r\n\r\nnope",
    "a good request, then none": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\x16\x03\x01",
    "a bad address": b"GET http://[::1/stats HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a bad escape": b"GET /stats?token=%zz%ff%00 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \xff\r\n\r\n",
    "all servers": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a proxy's request": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "half a websocket": b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\xff",
    "a bad websocket": b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\xff\xff\xff\xff\xff",
    "a key that is no key": UPGRADE + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBu\x8125jZQ==\r\n\r\n",
    "a version that is none": UPGRADE.replace(b"13", b"\xe3") + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    "an upgrade to nonsense": UPGRADE.replace(b"websocket", b"web\xf7ocket") + b"\r\n",
    "another protocol": UPGRADE.replace(b"websocket", b"h2c") + b"\r\nPRI * HTTP/2.0\r\n",
    "half a request": b"GET /stats HTT",
    "nothing": b"",
}


@pytest.mark.parametrize("leave", [False, True])
@pytest.mark.parametrize("what", STRANGE)
def test_what_strangers_send_is_no_fault_of_the_page(
    what: str, leave: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(server, "IDLE_S", 0.2)
    with closing(opened()) as sink:
        sink.write(result(0))
        answer = raw(sink, STRANGE[what], leave=leave)
        numbers = json.loads(get(sink, "stats")[1])
    assert not answer.startswith(b"HTTP/1.1 500")
    assert (numbers["failed_requests"], numbers["last_failure"], numbers["viewers"]) == (0, "", 0)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("path", ["", "stats", "healthz", "nothing", "ws", "regions"])
@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_body_is_refused_before_it_is_read(sink: WebPage, path: str, method: str) -> None:
    sent, head = 0, f"{method} /{path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {1 << 30}\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", sink.address.port), PATIENCE_S)) as connection:
        connection.sendall(head.encode())
        start = time.perf_counter()
        with suppress(ConnectionError):
            while sent < 1 << 30:
                sent += connection.send(bytes(1 << 16))
        took_s = time.perf_counter() - start
    assert sent < 1 << 26, "it is read"
    assert took_s < 5


def test_who_sends_nevertheless_can_read_the_refusal(monkeypatch: pytest.MonkeyPatch, sink: WebPage) -> None:
    monkeypatch.setattr(guard, "_REFUSAL_READ_S", 3.0)
    with closing(socket.create_connection(("127.0.0.1", sink.address.port), PATIENCE_S)) as connection:
        connection.sendall(b"POST /stats HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        for _ in range(5):
            time.sleep(0.1)
            connection.sendall(bytes(1000))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_who_asks_before_sending_is_not_told_to_go_on(sink: WebPage) -> None:
    length = "Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
    for path in ("stats", "nothing"):
        answer = raw(sink, f"POST /{path} HTTP/1.1\r\nHost: localhost\r\n{length}".encode())
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b"Nothing can be sent here.\n")


def test_a_request_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_S", 1.0)
    with closing(opened()) as sink, closing(socket.create_connection(("127.0.0.1", sink.address.port))) as slow:
        slow.sendall(b"GET /stats HTTP/1.1\r\nHost: localhost\r\nX: ")
        end = time.monotonic() + PATIENCE_S
        with pytest.raises(ConnectionError):  # noqa: PT012
            while time.monotonic() < end:
                slow.sendall(b"y")
                time.sleep(0.05)
