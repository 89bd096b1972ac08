"""V4L2 cameras against a fake cv2.VideoCapture, a real stream over loopback HTTP, raw frames through a real pipe."""

from __future__ import annotations

import io
import os
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from waiting import PATIENCE_S

from edge.data import LabelMap, Result
from edge.device.cameras import Camera as Found
from edge.device.cameras import Node, Search
from edge.errors import SourceError, UsageError
from edge.sinks.open import open_sink
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions
from edge.sources.stdin import StdinSource
from edge.sources.v4l2 import negotiate

MODES = {  # (format, size) -> rate, as a USB 2 camera has them
    ("YUYV", (640, 480)): 30.0,
    ("YUYV", (1280, 720)): 10.0,
    ("YUYV", (1920, 1080)): 5.0,
    ("MJPG", (640, 480)): 30.0,
    ("MJPG", (1280, 720)): 30.0,
    ("MJPG", (1920, 1080)): 30.0,
}
PICTURE = np.zeros((720, 1280, 3), np.uint8)
PICTURE[:, :, 0] = 200  # blue, as OpenCV has it


class FakeCapture:
    """A V4L2 camera as OpenCV shows it: what is set is adjusted to the nearest mode that there is."""

    def __init__(self, modes: dict[tuple[str, tuple[int, int]], float] = MODES) -> None:
        self._modes = modes
        self._fourcc, self._size = next(iter(modes))
        self._rate = 0.0
        self.frames: list[tuple[bool, Any]] = []
        self.released = 0

    @property
    def mode(self) -> tuple[str, tuple[int, int]]:
        return self._fourcc, self._size

    def isOpened(self) -> bool:  # noqa: N802
        return True

    def set(self, what: int, value: float) -> bool:
        if what == cv2.CAP_PROP_FOURCC:
            wanted = int(value).to_bytes(4, "little").decode()
            if wanted not in {fourcc for fourcc, _ in self._modes}:
                return False
            self._fourcc = wanted
        sizes = [size for fourcc, size in self._modes if fourcc == self._fourcc]
        if what == cv2.CAP_PROP_FRAME_WIDTH:
            self._size = min(sizes, key=lambda size: abs(size[0] - value))
        if what == cv2.CAP_PROP_FRAME_HEIGHT:
            self._size = min(sizes, key=lambda size: abs(size[0] - self._size[0]) + abs(size[1] - value))
        if what == cv2.CAP_PROP_FPS:
            self._rate = value
        return True

    def get(self, what: int) -> float:
        most = self._modes[self.mode]
        found = {
            cv2.CAP_PROP_FRAME_WIDTH: self._size[0],
            cv2.CAP_PROP_FRAME_HEIGHT: self._size[1],
            cv2.CAP_PROP_FPS: min(most, self._rate or most),
        }
        return found[what]

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.005)
        if self.frames:
            return self.frames.pop(0)
        return True, PICTURE

    def release(self) -> None:
        self.released += 1


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> FakeCapture:
    made = FakeCapture()
    monkeypatch.setattr("edge.sources.v4l2._check_there", lambda path: None)
    monkeypatch.setattr(cv2, "VideoCapture", lambda path, api: made)
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.05)
    return made


@pytest.mark.parametrize(
    ("wanted", "fourcc", "settled"),
    [
        (SourceOptions(), "MJPG", (1280, 720, Fraction(30))),
        (SourceOptions(size_wh=(640, 480)), "YUYV", (640, 480, Fraction(30))),
        (SourceOptions(size_wh=(1280, 720), rate=Fraction(10)), "YUYV", (1280, 720, Fraction(10))),
        (SourceOptions(size_wh=(1280, 720), rate=Fraction(20)), "MJPG", (1280, 720, Fraction(20))),
        (SourceOptions(size_wh=(1280, 720), fourcc="YUYV"), "YUYV", (1280, 720, Fraction(10))),
        (SourceOptions(size_wh=(1920, 1080)), "MJPG", (1920, 1080, Fraction(30))),
    ],
)
def test_compressed_pictures_are_taken_where_they_come_faster(wanted: SourceOptions, fourcc: str, settled: Any) -> None:
    camera = FakeCapture()
    assert negotiate(camera, wanted) == settled
    assert camera.mode == (fourcc, settled[:2])


def test_more_than_the_rate_that_is_wanted_earns_nothing() -> None:
    """Some cameras have one rate for each format, whatever is asked."""
    camera = FakeCapture({("YUYV", (1280, 720)): 30.0, ("MJPG", (1280, 720)): 60.0})
    asked = camera.set
    camera.set = lambda what, value: what == cv2.CAP_PROP_FPS or asked(what, value)  # type: ignore[method-assign]
    assert negotiate(camera, SourceOptions(rate=Fraction(25))) == (1280, 720, Fraction(30))
    assert camera.mode[0] == "YUYV"


def test_a_camera_of_one_format_is_taken_as_it_is() -> None:
    only = FakeCapture({("YUYV", (800, 600)): 15.0})
    assert negotiate(only, SourceOptions()) == (800, 600, Fraction(15))
    compressed = FakeCapture({("MJPG", (800, 600)): 15.0})
    assert negotiate(compressed, SourceOptions(fourcc="YUYV")) == (800, 600, Fraction(15))


def test_pictures_of_a_camera_are_rgb(capture: FakeCapture) -> None:
    source = open_source("0", SourceOptions(limit=2))
    frames = list(source)
    source.close()
    assert source.info.name == "/dev/video0"
    assert source.info.live
    assert frames[0].pixels[0, 0].tolist() == [0, 0, 200]
    assert capture.released


def test_garbage_is_left_out_and_counted(capture: FakeCapture) -> None:
    garbage = [None, np.zeros((0,), np.uint8), PICTURE[:100], PICTURE.astype(np.uint16), PICTURE[:, :, 0]]
    capture.frames = [(True, PICTURE), *[(True, item) for item in garbage], (True, PICTURE)]
    health = SourceHealth()
    source = open_source("/dev/video3", SourceOptions(limit=3), health=health)
    assert all(frame.pixels.shape == (720, 1280, 3) for frame in source)
    source.close()
    assert (health.skipped, health.reconnects) == (5, 0)


def test_nothing_but_garbage_or_no_frame_at_all_opens_the_camera_again(capture: FakeCapture) -> None:
    for lost in ([(True, None)] * 31, [(False, None)]):
        capture.frames = [(True, PICTURE), *lost]
        health, said = SourceHealth(), list[str]()
        source = open_source("0", health=health, say=said.append)
        for _frame in source:
            if health.reconnects and not health.fault:
                break
        source.close()
        assert health.reconnects == 1
        assert "/dev/video0: " in said[0]


@pytest.mark.parametrize("spec", ["97", "/dev/video97"])
def test_a_camera_that_is_not_there_is_one_line_with_those_that_are(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Node("/dev/video2", "C920", "uvcvideo", "camera"), Node("/dev/video3", "C920", "uvcvideo", "metadata")]
    monkeypatch.setattr("edge.sources.v4l2.video_nodes", lambda: found)
    with pytest.raises(SourceError, match=r"^/dev/video97: .*No such file.*V4L2 cameras here: /dev/video2$"):
        open_source(spec)


def test_a_device_that_is_no_camera_is_refused() -> None:
    with pytest.raises(SourceError, match=r"^/dev/null: expected a camera"):
        open_source("/dev/null")


def test_auto_takes_the_first_camera_that_is_found(capture: FakeCapture, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Found("/dev/video2", "C920"), Found("/dev/video4", "C270")
    monkeypatch.setattr("edge.device.cameras.cameras", lambda: Search(found, ()))
    source = open_source("auto")
    source.close()
    assert source.info.name == "/dev/video2"


@pytest.mark.parametrize(
    ("spec", "wanted", "option"),
    [
        ("0", SourceOptions(loop=True), "loop"),
        ("rtsp://h/x", SourceOptions(start_s=3), "start_s"),
        ("http://h/x", SourceOptions(size_wh=(64, 64)), "size_wh"),
        ("demo", SourceOptions(rate=Fraction(5)), "rate"),
        ("demo", SourceOptions(fourcc="MJPG"), "fourcc"),
        ("-", SourceOptions(size_wh=(4, 4), realtime=True), "realtime"),
        ("-", SourceOptions(), "size_wh"),
        ("{pictures}", SourceOptions(realtime=True), "realtime.*rate"),
        ("{video}", SourceOptions(rate=Fraction(5)), "rate"),
        ("ftp://h/x", SourceOptions(), "rtsp, rtsps, http, https"),
    ],
)
def test_what_a_source_cannot_follow_is_refused(spec: str, wanted: SourceOptions, option: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), PICTURE[:8, :8])
    write_stream(tmp_path / "v.mp4", 3)
    with pytest.raises(UsageError, match=option):
        open_source(spec.format(pictures=tmp_path / "a.png", video=tmp_path / "v.mp4"), wanted)


@pytest.mark.parametrize(
    "values",
    [
        {"limit": 0},
        {"size_wh": (0, 5)},
        {"rate": Fraction(0)},
        {"rate": Fraction(2000)},
        {"fourcc": "JPEGX"},
        {"start_s": -1.0},
        {"start_s": float("nan")},
        {"timeout_s": 0.0},
        {"max_reconnects": -1},
    ],
)
def test_values_that_make_no_sense_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        SourceOptions(**values)


def write_stream(where: Any, count: int, rate: int = 25, form: str = "mp4", begin: int = 0) -> None:
    """Frames whose grey rises by 4 each."""
    with av.open(where if not isinstance(where, Path) else str(where), "w", format=form) as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": "5", "tune": "zerolatency"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(begin, begin + count):
            grey = np.full((48, 64, 3), 20 + 4 * (number % 50), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey)))
        container.mux(stream.encode())


class Camera(ThreadingHTTPServer):
    """A camera on the network: an endless MPEG transport stream at 25 frames a second, which can be cut or stall."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.cut, self.stalled, self.served, self.seen = threading.Event(), threading.Event(), 0, list[str]()
        made = io.BytesIO()
        write_stream(made, 250, form="mpegts")
        self.data = made.getvalue()
        self.address = f"http://127.0.0.1:{self.server_port}/live.ts"


class _Answer(BaseHTTPRequestHandler):
    server: Camera

    def do_GET(self) -> None:
        camera = self.server
        camera.seen.append(self.headers.get("Authorization", ""))
        if self.path.startswith("/refused"):
            self.send_error(401)
            return
        camera.served += 1
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        step = len(camera.data) // 250
        for start in range(0, len(camera.data), step):
            if camera.cut.is_set():
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            while camera.stalled.is_set():
                time.sleep(0.02)
            try:
                self.wfile.write(camera.data[start : start + step])
            except OSError:
                return
            time.sleep(0.04)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Camera]:
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.1)
    camera = Camera()
    thread = threading.Thread(target=camera.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield camera
    camera.cut.set()
    camera.stalled.clear()
    camera.shutdown()
    camera.server_close()


def test_a_stream_that_is_cut_comes_back(network: Camera) -> None:
    health, said, indices = SourceHealth(), list[str](), list[int]()

    def say(line: str) -> None:
        said.append(line)
        network.cut.clear()

    source = open_source(network.address, SourceOptions(timeout_s=PATIENCE_S), health=health, say=say)
    assert (source.info.size_wh, source.info.live) == ((64, 48), True)
    for frame in source:
        indices.append(frame.index)
        if len(indices) == 5:
            network.cut.set()
        if health.reconnects and not health.fault:
            break
    source.close()
    assert health.reconnects >= 1
    assert network.served == 1 + health.reconnects
    assert indices == sorted(set(indices))
    assert "broke off" in said[0] or "cannot be read" in said[0]
    assert said[-1].endswith("frames come again")


def test_a_stream_that_stalls_is_noticed_and_opened_again(network: Camera) -> None:
    health = SourceHealth()
    source = open_source(network.address, SourceOptions(timeout_s=0.8), health=health, say=lambda line: None)
    begin = time.monotonic()
    for count, _ in enumerate(source):
        if count == 3:
            network.stalled.set()
            threading.Timer(1.2, network.stalled.clear).start()
        if health.reconnects and not health.fault:
            break
    source.close()
    assert health.reconnects >= 1
    assert time.monotonic() - begin < PATIENCE_S


def test_no_message_says_the_password(network: Camera) -> None:
    address = network.address.replace("://", "://driver:s3cret@")
    said: list[str] = []
    source = open_source(address + "?token=s3cret", SourceOptions(max_reconnects=1, timeout_s=20), say=said.append)
    assert source.info.name == network.address + "?..."
    network.cut.set()
    with pytest.raises(SourceError) as lost:
        list(source)
    source.close()
    with pytest.raises(SourceError, match=r"wrong user or password$") as refused:
        open_source(address.replace("/live.ts", "/refused"), SourceOptions(timeout_s=20))
    with pytest.raises(SourceError, match="Connection refused") as nobody:
        open_source("http://driver:s3cret@127.0.0.1:9/x", SourceOptions(timeout_s=20))
    for caught in (lost, refused, nobody):
        error: BaseException | None = caught.value
        while error is not None:
            assert "s3cret" not in str(error)
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert said
    assert not any("s3cret" in line for line in said)


def test_raw_frames_come_whole_from_a_pipe_however_they_were_written() -> None:
    reading, writing = os.pipe()
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 64, 3), np.uint8)

    def write() -> None:
        data = pictures.tobytes()
        for start in range(0, len(data), 5000):
            os.write(writing, data[start : start + 5000])
            time.sleep(0.002)
        os.close(writing)

    threading.Thread(target=write).start()
    frames = list(StdinSource((64, 48), Fraction(10), descriptor=reading))
    os.close(reading)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert all(np.array_equal(frame.pixels, picture) for frame, picture in zip(frames, pictures, strict=True))


def test_raw_frames_that_end_within_one_are_an_error_that_doubts_the_size() -> None:
    reading, writing = os.pipe()
    os.write(writing, bytes(64 * 48 * 3 + 100))
    os.close(writing)
    with pytest.raises(SourceError, match=r"within frame 1 \(expected 9216 bytes, found 100\); is `size_wh` right"):
        list(StdinSource((64, 48), descriptor=reading))
    os.close(reading)


def test_an_input_without_a_byte_is_an_error() -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with pytest.raises(SourceError, match=r"expected frames of 64x48 \(rgb24, 9216 bytes each\), found none"):
        list(StdinSource((64, 48), descriptor=reading))
    os.close(reading)


def test_waiting_for_raw_frames_can_be_ended() -> None:
    reading, writing = os.pipe()
    source = StdinSource((64, 48), descriptor=reading)
    threading.Timer(0.2, source.close).start()
    assert list(source) == []
    os.close(reading)
    os.close(writing)


def test_a_file_can_be_looped_and_numbers_and_times_go_on(tmp_path: Path) -> None:
    write_stream(tmp_path / "v.mp4", 6)
    source = open_source(str(tmp_path / "v.mp4"), SourceOptions(loop=True, limit=15))
    frames = list(source)
    assert source.info.frame_count == 15
    assert [frame.index for frame in frames] == list(range(15))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(15)])
    assert open_source(str(tmp_path / "v.mp4"), SourceOptions(loop=True)).info.frame_count is None


def test_a_loop_that_begins_later_goes_on_without_a_pause(tmp_path: Path) -> None:
    write_stream(tmp_path / "v.mp4", 30)
    frames = list(open_source(str(tmp_path / "v.mp4"), SourceOptions(loop=True, start_s=1.0, limit=14)))
    assert [frame.index for frame in frames] == list(range(25, 39))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(25, 39)])
    assert [round((float(frame.pixels.mean()) - 20) / 4) for frame in frames] == [25, 26, 27, 28, 29] * 2 + [
        25,
        26,
        27,
        28,
    ]


@pytest.mark.parametrize("form", ["mp4", "matroska", "mpegts"])
def test_a_file_can_be_begun_later_and_keeps_its_numbers(tmp_path: Path, form: str) -> None:
    write_stream(tmp_path / "v", 30, form=form)
    source = open_source(str(tmp_path / "v"), SourceOptions(start_s=0.48, limit=3))
    frames = list(source)
    assert [frame.index for frame in frames] == [12, 13, 14]
    assert [round((float(frame.pixels.mean()) - 20) / 4) for frame in frames] == [12, 13, 14]
    whole = open_source(str(tmp_path / "v"), SourceOptions(start_s=0.48))
    assert whole.info.frame_count == len(list(whole)) == 18
    with pytest.raises(SourceError, match="has no frame after 60 s"):
        open_source(str(tmp_path / "v"), SourceOptions(start_s=60))


def test_pictures_and_the_demo_can_be_begun_later(tmp_path: Path) -> None:
    for number in range(6):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((8, 8, 3), 10 * number, np.uint8))
    source = open_source(str(tmp_path), SourceOptions(rate=Fraction(2), start_s=1.5))
    assert [int(frame.pixels.mean()) for frame in source] == [30, 40, 50]
    assert source.info.rate == 2
    whole = list(open_source("demo", limit=2))
    later = list(open_source("demo", SourceOptions(start_s=0.04, limit=1)))
    assert later[0].index == 1
    assert np.array_equal(later[0].pixels, whole[1].pixels)


def test_uneven_times_of_a_video_are_kept_in_real_time(tmp_path: Path) -> None:
    times_ms = [0, 40, 80, 380, 420, 460]
    with av.open(str(tmp_path / "v.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        for at in times_ms:
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))
            frame.pts, frame.time_base = at, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    source = open_source(str(tmp_path / "v.mkv"), SourceOptions(realtime=True))
    frames = list(source)
    sink = open_sink(str(tmp_path / "copy.mp4"), source.info)
    for given in frames:
        sink.write(Result(given, LabelMap(given.pixels[:, :, 0]), given.pixels))
    sink.close()
    with av.open(str(tmp_path / "copy.mp4")) as copy:
        copied = [float(frame.time or 0) for frame in copy.decode(video=0)]
    assert copied == pytest.approx([at / 1e3 for at in times_ms], abs=0.51 / float(source.info.rate or 1))
    assert [frame.time_s for frame in frames] == pytest.approx([at / 1e3 for at in times_ms])

    def is_on_time() -> bool:
        starts = [frame.t_capture_s for frame in open_source(str(tmp_path / "v.mkv"), SourceOptions(realtime=True))]
        return all(-0.001 <= at_s - starts[0] - at / 1e3 < 0.25 for at_s, at in zip(starts, times_ms, strict=True))

    assert any(is_on_time() for _ in range(20)), "a busy machine delays some of them, not all"


def test_a_pause_in_real_time_ends_when_the_source_is_closed(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), PICTURE[:8, :8])
    cv2.imwrite(str(tmp_path / "1.png"), PICTURE[:8, :8])
    source = open_source(str(tmp_path), SourceOptions(rate=Fraction(1, 60), realtime=True))
    threading.Timer(0.2, source.close).start()
    assert len(list(source)) == 1
