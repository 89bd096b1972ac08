"""Streams over TCP, UDP and RTMP, from real sockets of this machine."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
from http_server import video
from local_server import LocalServer
from waiting import PATIENCE_S

from edge.errors import SourceError, UsageError
from edge.sources.network import check_address
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions

RAW = {"h264": "libx264", "mpegts": "libx264", "mjpeg": "mjpeg"}


def send_slowly(send: Callable[[bytes], object], data: bytes, until: threading.Event) -> None:
    """Sends a video of 250 frames ten times as fast as it plays."""
    step = len(data) // 250 + 1
    for start in range(0, len(data), step):
        if until.wait(0.004):
            return
        with suppress(ConnectionRefusedError):  # by UDP, from a socket that nobody reads
            send(data[start : start + step])


class Sender(LocalServer):
    """Sends a video to who connects, as `rpicam-vid -o tcp://0.0.0.0:PORT --listen` does."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.data, self.cut, self.served = data, threading.Event(), 0
        self.start()

    def serve(self, connection: socket.socket) -> None:
        self.served += 1
        while not self.cut.is_set():
            send_slowly(connection.sendall, self.data, self.cut)


@contextmanager
def sender(form: str) -> Iterator[Sender]:
    made = Sender(video(form, 250, RAW[form]))
    try:
        yield made
    finally:
        made.cut.set()
        made.listening.close()


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port


def greys(address: str, count: int = 3, **options: Any) -> list[float]:
    """Mean grey of the first frames."""
    source = open_source(address, SourceOptions(**{"timeout_s": PATIENCE_S, "max_reconnects": 0, **options}))
    with closing(source):
        assert source.info.live
        assert source.info.size_wh == (64, 48)
        return [float(frame.pixels.mean()) for frame, _ in zip(source, range(count), strict=False)]


@pytest.mark.parametrize("form", RAW)
def test_a_video_is_read_from_tcp_with_and_without_a_container(form: str) -> None:
    with sender(form) as made:
        assert len(greys(f"TCP://127.0.0.1:{made.port}")) == 3


def test_a_camera_of_few_bytes_is_not_waited_for_long() -> None:
    """FFmpeg would want a megabyte to be sure of the format."""
    data = video("mjpeg", 250, "mjpeg")
    assert len(data) < 500_000
    with socket.create_server(("127.0.0.1", 0)) as listening:
        held = []

        def serve() -> None:
            held.append(listening.accept()[0])
            held[0].sendall(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            assert greys(f"tcp://127.0.0.1:{listening.getsockname()[1]}", 1, timeout_s=5.0)
        finally:
            thread.join()
            held[0].close()


def test_a_sender_that_went_away_is_connected_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.1)
    health, said = SourceHealth(), list[str]()
    with sender("mpegts") as made:

        def say(line: str) -> None:
            said.append(line)
            made.cut.clear()

        source = open_source(
            f"tcp://127.0.0.1:{made.port}", SourceOptions(timeout_s=PATIENCE_S), health=health, say=say
        )
        for count, _ in enumerate(source):
            if count == 3:
                made.cut.set()
            if health.reconnects and not health.fault:
                break
        source.close()
    assert made.served == 1 + health.reconnects >= 2
    assert re.fullmatch(r"tcp://127\.0\.0\.1:\d+: .*; opening it again in 0\.1 s", said[0])


def test_who_connects_is_waited_for() -> None:
    port, done = free_port(), threading.Event()

    def connect() -> None:
        begin = time.monotonic()
        while time.monotonic() - begin < PATIENCE_S and not done.wait(0.1):
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as connection:
                send_slowly(connection.sendall, video("h264", 250), done)

    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    try:
        assert len(greys(f"tcp://127.0.0.1:{port}?listen")) == 3
    finally:
        done.set()
        thread.join()


@pytest.mark.parametrize("where", ["@", "0.0.0.0", "127.0.0.1"])
@pytest.mark.parametrize("form", ["h264", "mpegts"])
def test_a_video_is_read_from_udp(where: str, form: str) -> None:
    port, done = free_port(socket.SOCK_DGRAM), threading.Event()
    data = video(form, 250)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.connect(("127.0.0.1", port))

        def send() -> None:
            while not done.is_set():
                send_slowly(sending.send, data, done)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            assert len(greys(f"udp://{where}:{port}")) == 3
        finally:
            done.set()
            thread.join()


def test_an_address_of_this_machine_is_listened_at_and_no_other() -> None:
    port, done = free_port(socket.SOCK_DGRAM), threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        data = video("mpegts", 250)

        def send() -> None:
            while not done.is_set():
                send_slowly(lambda piece: sending.sendto(piece, ("127.0.0.2", port)), data, done)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        try:
            with pytest.raises(SourceError, match="nothing was sent to this port"):
                greys(f"udp://127.0.0.1:{port}", timeout_s=1.0)
            assert greys(f"udp://127.0.0.2:{port}")
        finally:
            done.set()
            thread.join()
    with pytest.raises(SourceError, match=r"203\.0\.113\.7 is no address of this machine; udp://0"):
        greys("udp://203.0.113.7:5000")


@pytest.mark.parametrize("address", ["udp://@:{port}", "udp://127.0.0.1:{port}", "tcp://127.0.0.1:{port}?listen"])
def test_that_nobody_sends_is_said_in_time(address: str) -> None:
    begin = time.monotonic()
    with pytest.raises(SourceError, match=r"nothing was sent to this port within 0\.5 s; `timeout_s` can be longer"):
        greys(address.format(port=free_port(socket.SOCK_DGRAM)), timeout_s=0.5)
    assert time.monotonic() - begin < PATIENCE_S


@pytest.mark.parametrize("scheme", ["tcp", "rtmp", "rtsp", "rtsps", "http", "https"])
def test_a_server_that_is_silent_or_not_there_is_given_up_in_time(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        begin = time.monotonic()
        with pytest.raises(SourceError, match=r"(no answer|nothing came) within 0\.5 s|timed out") as caught:
            greys(f"{scheme}://driver:s3cret@127.0.0.1:{port}/live/x", timeout_s=0.5)
        assert time.monotonic() - begin < PATIENCE_S
        assert "s3cret" not in str(caught.value)
    with pytest.raises(SourceError, match=r"refused|does not answer") as caught:
        greys(f"{scheme}://driver:s3#cret@127.0.0.1:{port}/live/x")
    assert "cret" not in str(caught.value)
    assert "# as %23" in str(caught.value)


def test_a_stream_that_falls_silent_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.1)
    port, done = free_port(socket.SOCK_DGRAM), threading.Event()
    data, health, said = video("mpegts", 250), SourceHealth(), list[str]()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        sending.connect(("127.0.0.1", port))

        def send() -> None:
            while not done.is_set():
                send_slowly(sending.send, data, done)

        thread = threading.Thread(target=send, daemon=True)
        thread.start()
        source = open_source(
            f"udp://127.0.0.1:{port}",
            SourceOptions(timeout_s=0.5, max_reconnects=1),
            health=health,
            say=said.append,
        )
        frames = iter(source)
        next(frames)
        done.set()
        thread.join()
        with pytest.raises(SourceError, match="given up after 1 reconnects"):
            list(frames)
        source.close()
    assert health.reconnects == 1
    assert said


def test_a_source_is_closed_from_another_thread_while_nothing_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        data = video("mpegts", 100)
        connections = []

        def serve() -> None:
            connection, _ = silent.accept()
            connections.append(connection)
            connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        source = open_source(f"tcp://127.0.0.1:{silent.getsockname()[1]}", SourceOptions(timeout_s=PATIENCE_S))
        threading.Timer(0.5, source.close).start()
        begin = time.monotonic()
        assert list(source)
        assert time.monotonic() - begin < PATIENCE_S / 2
        connections[0].close()


def test_a_protocol_that_ffmpeg_has_not_is_said() -> None:
    import av

    try:
        av.open("srt://127.0.0.1:9", timeout=0.2)
    except av.error.ProtocolNotFoundError:
        expected = "the FFmpeg of the package av has no srt; let it be sent by rtsp, tcp or udp"
    except av.error.FFmpegError:
        expected = "expected a stream"
    with pytest.raises(SourceError, match=expected):
        open_source("srt://127.0.0.1:9", SourceOptions(timeout_s=0.5))


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("udp://127.0.0.1", "expected a port, as in udp://127.0.0.1:5000"),
        ("udp://@", "PORT is a number"),
        ("tcp://cam", "expected a port, as in tcp://cam:5000"),
        ("tcp://@:5000", "expected a host, as in tcp://192"),
        ("rtsp:///x", "PORT is a number"),
        ("ftp://u:p@h/x", "^ftp://h/x: expected an address with rtsp"),
    ],
)
def test_addresses_that_are_not_complete_are_refused(address: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_address(address)


def test_an_address_without_its_slashes_is_named_without_what_may_be_a_password() -> None:
    with pytest.raises(SourceError, match=r"^rtsp:\.\.\.: not found; an address has // ") as caught:
        open_source("rtsp:driver:s3cret@cam/1")
    assert "s3cret" not in str(caught.value)


class RtmpServer(LocalServer):
    """Gives a video to who asks for it in the words of RTMP; what it is asked is looked for, not parsed."""

    def __init__(self) -> None:
        super().__init__()
        self.tags = list(flv_tags(video("flv", 100)))
        self.start()

    def serve(self, connection: socket.socket) -> None:
        first = receive(connection, lambda data: len(data) >= 1537)
        connection.sendall(b"\x03" + bytes(1536) + first[1:1537])
        heard = receive(connection, lambda data: b"connect" in data)
        connection.sendall(message(1, struct.pack(">I", 1 << 16)))  # the size of chunks
        connection.sendall(message(20, amf("_result", 1.0) + b"\x05" + b"\x05"))
        heard = receive(connection, lambda data: b"createStream\0" in data and len(data.partition(b"eStream\0")[2]) > 8)
        number = struct.unpack(">d", heard.partition(b"createStream\0")[2][:8])[0]
        connection.sendall(message(20, amf("_result", number) + b"\x05" + amf(1.0)))
        receive(connection, lambda data: b"play" in data)
        for kind, time_ms, body in self.tags:
            connection.sendall(message(kind, body, time_ms))
            time.sleep(0.01)


def receive(connection: socket.socket, is_enough: Callable[[bytes], bool]) -> bytes:
    data = b""
    while not is_enough(data):
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError
        data += piece
    return data


def message(kind: int, body: bytes, time_ms: int = 0) -> bytes:
    """One message of RTMP in one chunk."""
    head = struct.pack(">B", 3) + time_ms.to_bytes(3, "big") + len(body).to_bytes(3, "big")
    return head + struct.pack("<BI", kind, 1 if kind in (8, 9, 18) else 0) + body


def amf(*values: str | float) -> bytes:
    """Texts and numbers in AMF0."""
    return b"".join(
        b"\x02" + struct.pack(">H", len(value)) + value.encode()
        if isinstance(value, str)
        else b"\0" + struct.pack(">d", value)
        for value in values
    )


def flv_tags(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, time in ms and body of every tag."""
    at = 13
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        time_ms = int.from_bytes(data[at + 7 : at + 8] + data[at + 4 : at + 7], "big")
        yield data[at], time_ms, data[at + 11 : at + 11 + size]
        at += 15 + size


def test_a_stream_of_an_rtmp_server_is_read() -> None:
    server = RtmpServer()
    assert len(greys(f"RTMP://127.0.0.1:{server.port}/live/road", 2)) == 2
    server.listening.close()
