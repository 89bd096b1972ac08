"""A server of files over HTTP on this machine, and the streams that it serves."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import numpy as np

USER, PASSWORD = "driver", "s3cr/t#?@x"
REALM = "camera"


@dataclass
class Answer:
    """What is answered to a GET."""

    body: bytes = b""
    kind: str = "application/octet-stream"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    has_length: bool = True
    has_ranges: bool = False


class FileServer(ThreadingHTTPServer):
    """Serves `answers`, by path, to who knows the password where `auth` is `Basic` or `Digest`; notes what is asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, host: str = "127.0.0.1", auth: str = "") -> None:
        super().__init__((host, 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.auth, self.asked, self.proofs, self.ranges = auth, list[str](), list[str](), list[str]()
        self.base = f"http://{host}:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: FileServer

    def do_GET(self) -> None:
        server, proof = self.server, self.headers.get("Authorization", "")
        server.asked.append(self.path)
        server.proofs.append(proof)
        if server.auth and not self._is_known(proof):
            nonce = ', nonce="7ab", qop="auth"' if server.auth == "Digest" else ""
            self._send(Answer(status=401, headers={"WWW-Authenticate": f'{server.auth} realm="{REALM}"{nonce}'}))
            return
        self._send(server.answers.get(self.path.partition("?")[0], Answer(status=404)))

    def _is_known(self, proof: str) -> bool:
        if self.server.auth == "Basic":
            return proof == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', proof.partition(" ")[2]))
        first = _md5(f"{USER}:{REALM}:{PASSWORD}")
        second = _md5(f"GET:{self.path}")
        rest = (told.get(name, "") for name in ("nonce", "nc", "cnonce", "qop"))
        return told.get("response") == _md5(":".join((first, *rest, second)))

    def _send(self, answer: Answer) -> None:
        body, status = answer.body, answer.status
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        headers = dict(answer.headers)
        if answer.has_ranges:
            headers["Accept-Ranges"] = "bytes"
            if wanted:
                self.server.ranges.append(wanted[0])
                begin, end = int(wanted[1]), int(wanted[2] or len(body) - 1) + 1
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(body)}"
                body, status = body[begin:end], 206
        self.send_response(status)
        self.send_header("Content-Type", answer.kind)
        for name, value in headers.items():
            self.send_header(name, value)
        if answer.has_length:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        try:
            self.wfile.write(body)
        except OSError:
            return

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    """Serves until the end of the block."""
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def video(form: str, count: int = 50, codec: str = "libx264") -> bytes:
    """A video of 64x48 at 25 frames a second, whose grey rises by 4 with each frame."""
    made = io.BytesIO()
    is_jpeg = codec == "mjpeg"
    with av.open(made, "w", format=form) as container:
        options = {} if is_jpeg else {"g": "5", "tune": "zerolatency"}
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if is_jpeg else "yuv420p"
        for number in range(count):
            grey = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 + 4 * (number % 50), np.uint8))
            container.mux(stream.encode(grey.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode())
    return made.getvalue()


def playlist(folder: Path, count: int = 50) -> dict[str, bytes]:
    """The files of an HLS playlist `i.m3u8` of `count` frames, a second in each segment."""
    folder.mkdir(exist_ok=True)
    options = {"hls_time": "1", "hls_list_size": "0"}
    with av.open(str(folder / "i.m3u8"), "w", format="hls", options=options) as container:
        stream = container.add_stream("libx264", rate=25, options={"g": "25", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            grey = np.full((48, 64, 3), 20 + 4 * (number % 50), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey)))
        container.mux(stream.encode())
    return {path.name: path.read_bytes() for path in folder.iterdir()}
