"""A real RTSP camera over loopback: FFmpeg makes the RTP packets, a few lines of RTSP carry them over TCP."""

from __future__ import annotations

import base64
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from urllib.parse import quote

import av
import numpy as np
import pytest
from local_server import LocalServer
from waiting import PATIENCE_S

from edge.errors import SourceError
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\n"
    "a=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:streamid=0\r\n"
)
PASSWORD = "Basic " + base64.b64encode(b"driver:s3cret").decode()


class RtspCamera(LocalServer):
    """A camera for one viewer at a time, 25 frames a second, until `cut` is set; it wants a password."""

    def __init__(self) -> None:
        super().__init__()
        self.cut, self.played = threading.Event(), 0
        self.moved = ""  # where it is said to be now
        self.address = f"rtsp://driver:s3cret@127.0.0.1:{self.port}/live"
        self.packets = rtp_packets()
        self.start()

    def serve(self, connection: socket.socket) -> None:
        reader = connection.makefile("rb")
        while True:
            request = list(iter(lambda: reader.readline().decode().strip(), ""))
            if not request:
                return
            method = request[0].split()[0]
            number = next(line for line in request if line.lower().startswith("cseq"))
            allowed = any(line == f"Authorization: {PASSWORD}" for line in request)
            if method == "DESCRIBE" and not allowed:
                head, body = '401 Unauthorized\r\nWWW-Authenticate: Basic realm="camera"', ""
            elif method == "DESCRIBE" and self.moved:
                head, body = f"302 Moved\r\nLocation: {self.moved}", ""
            elif method == "DESCRIBE":
                head, body = "200 OK\r\nContent-Type: application/sdp", SDP
            elif method == "SETUP":
                head, body = "200 OK\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1", ""
            else:
                head, body = "200 OK\r\nPublic: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\nSession: 1", ""
            connection.sendall(f"RTSP/1.0 {head}\r\n{number}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
            if method == "PLAY":
                self._play(connection)
                return

    def _play(self, connection: socket.socket) -> None:
        self.played += 1
        for frame in self.packets:
            for packet in frame:
                connection.sendall(b"$\0" + struct.pack(">H", len(packet)) + packet)
            if self.cut.wait(0.04):
                return


def rtp_packets() -> list[list[bytes]]:
    """The RTP packets of 200 frames, those of one frame together."""
    found: list[list[bytes]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(PATIENCE_S)
        options = {"g": "5", "tune": "zerolatency", "x264-params": "repeat-headers=1"}
        with av.open(f"rtp://127.0.0.1:{receiver.getsockname()[1]}?pkt_size=1200", "w", format="rtp") as container:
            stream = container.add_stream("libx264", rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for number in range(200):
                grey = np.full((48, 64, 3), 20 + number % 200, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey)))
                packets = [receiver.recv(2048)]
                while not packets[-1][1] & 0x80:  # the marker bit ends a frame
                    packets.append(receiver.recv(2048))
                found.append(packets)
    return found


@pytest.fixture(scope="module")
def camera() -> Iterator[RtspCamera]:
    made = RtspCamera()
    yield made
    made.cut.set()
    made.listening.close()


def test_an_rtsp_camera_is_read_and_comes_back_when_it_was_lost(
    camera: RtspCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.1)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        camera.cut.clear()

    health = SourceHealth()
    source = open_source(camera.address, SourceOptions(timeout_s=PATIENCE_S), health=health, say=say)
    assert source.info.name == re.sub("//.*@", "//", camera.address)
    assert source.info.size_wh == (64, 48)
    greys = []
    for frame in source:
        greys.append(float(frame.pixels.mean()))
        if len(greys) == 10:
            camera.cut.set()
        if health.reconnects and not health.fault:
            break
    source.close()
    assert greys[:10] == sorted(greys[:10])
    assert greys[9] > greys[0] + 5
    assert camera.played == 1 + health.reconnects >= 2
    assert not any("s3cret" in line for line in said)


def test_a_wrong_password_is_said_and_not_shown(camera: RtspCamera) -> None:
    begin = time.monotonic()
    with pytest.raises(SourceError, match="wrong user or password") as caught:
        open_source(camera.address.replace("s3cret", "guess5"), SourceOptions(timeout_s=20))
    assert "guess5" not in str(caught.value)
    assert time.monotonic() - begin < PATIENCE_S


def test_a_redirect_of_a_camera_is_not_followed_and_gets_no_password() -> None:
    with socket.create_server(("127.0.0.2", 0)) as elsewhere:
        elsewhere.settimeout(0.5)
        moved = RtspCamera()
        moved.moved = f"rtsp://127.0.0.2:{elsewhere.getsockname()[1]}/live"
        with pytest.raises(SourceError, match="refers to another address, which is not followed: name that one"):
            open_source(moved.address, SourceOptions(timeout_s=PATIENCE_S))
        moved.listening.close()
        with pytest.raises(TimeoutError):
            elsewhere.accept()


def test_capitals_and_signs_that_are_to_be_quoted_are_understood(
    camera: RtspCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = "s3/cr#e?t"
    monkeypatch.setattr("test_rtsp.PASSWORD", "Basic " + base64.b64encode(f"driver:{odd}".encode()).decode())
    for address in (camera.address.replace("s3cret", odd), camera.address.replace("s3cret", quote(odd, safe=""))):
        source = open_source(address.replace("rtsp://", "RTSP://"), SourceOptions(timeout_s=PATIENCE_S))
        assert next(iter(source)).pixels.shape == (48, 64, 3)
        assert source.info.name == f"RTSP://127.0.0.1:{camera.port}/live"
        source.close()
