import io
import os
import resource
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from edge.classes import CITYSCAPES, VOC
from edge.controls import Controls, LivePipeline
from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.errors import SinkError, UsageError
from edge.sinks.open import open_sink
from edge.sinks.video import VideoFile
from edge.sources.open import open_source

ROOT = Path(__file__).parents[3]
BARS = ((200, 30, 40), (30, 180, 60), (40, 50, 210), (128, 128, 128), (235, 220, 20), (10, 10, 10))
NOISE = np.random.default_rng(5).integers(0, 256, (60, 120, 160, 3), np.uint8)


def info(rate: Fraction | None = Fraction(25), count: int | None = None) -> SourceInfo:
    return SourceInfo(name="drive", size_wh=None, rate=rate, frame_count=count)


def result(picture: np.ndarray, index: int = 0, ids: np.ndarray | None = None) -> Result:
    labels = np.zeros(picture.shape[:2], np.uint8) if ids is None else ids
    return Result(Frame(picture, index, 0.0), LabelMap(labels), picture)


def smooth(number: int, size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    picture = np.full((*size_hw, 3), (90, 120, 60), np.uint8)
    cv2.circle(picture, (5 + number, 20), 9, (200, 60, 40), -1)
    return cv2.GaussianBlur(picture, (0, 0), 2)


def write_video(path: Path, pictures: list[np.ndarray], rate: Fraction | None = Fraction(25)) -> None:
    with closing(open_sink(str(path), info(rate))) as sink:
        for index, picture in enumerate(pictures):
            sink.write(result(picture, index))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001), Fraction(5, 2), Fraction(60)])
def test_video_holds_every_frame_at_the_rate_of_the_source(tmp_path, rate):
    pictures = [smooth(number) for number in range(50)]
    write_video(tmp_path / "out.mp4", pictures, rate)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == rate
        frames = list(container.decode(stream))
    assert [Fraction(frame.pts) * frame.time_base for frame in frames] == [number / rate for number in range(50)]
    for frame, picture in zip(frames, pictures, strict=True):
        assert np.abs(frame.to_ndarray(format="rgb24").astype(int) - picture).mean() < 3


def test_pictures_without_a_rate_become_a_video_of_30_a_second(tmp_path):
    write_video(tmp_path / "out.mp4", [smooth(number) for number in range(10)], rate=None)
    assert open_source(str(tmp_path / "out.mp4")).info.rate == 30


def test_video_keeps_colours_and_says_how_they_are_stored(tmp_path):
    bars = np.repeat(np.array(BARS, np.uint8)[None], 64, axis=0).repeat(32, axis=1)
    write_video(tmp_path / "out.mp4", [bars] * 5)
    with av.open(str(tmp_path / "out.mp4")) as container:
        codec = container.streams.video[0].codec_context
        assert [codec.colorspace, codec.color_primaries, codec.color_trc, codec.color_range] == [1, 1, 1, 1]  # BT.709
        seen = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.abs(seen[32, 16::32].astype(int) - BARS).max() <= 4


@pytest.mark.parametrize("size_hw", [(47, 64), (48, 63), (47, 63), (1, 1)])
def test_odd_sizes_are_filled_up(tmp_path, size_hw):
    height, width = size_hw
    squares = np.add.outer(np.arange(height) // 6, np.arange(width) // 6) % 2
    picture = np.dstack([(40 + 170 * squares).astype(np.uint8)] * 3)
    write_video(tmp_path / "out.mp4", [picture] * 3)
    seen = next(iter(open_source(str(tmp_path / "out.mp4")))).pixels
    assert seen.shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(seen[:height, :width].astype(int) - picture).mean() < 6
    assert np.abs(seen[-1].astype(int) - seen[height - 1]).mean() < 8, "filled with its own edge"


def test_frames_that_the_source_left_out_leave_a_gap(tmp_path):
    sink = open_sink(str(tmp_path / "out.mp4"), info())
    for index in (3, 4, 9, 9, 10):
        sink.write(result(smooth(index), index))
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [frame.time * 25 for frame in container.decode(video=0)]
    assert times == pytest.approx([0, 1, 6, 7, 8])


def test_video_gets_its_name_only_when_it_is_whole(tmp_path):
    (tmp_path / "out.mp4").write_text("what was there before")
    sink = open_sink(str(tmp_path / "out.mp4"), info())
    for index in range(30):
        sink.write(result(smooth(index), index))
    assert names(tmp_path) == ["out.mp4", f"out.mp4.roadlite-{os.getpid()}.part"]
    assert (tmp_path / "out.mp4").read_text() == "what was there before"
    sink.close()
    sink.close()
    assert names(tmp_path) == ["out.mp4"]
    assert len(list(open_source(str(tmp_path / "out.mp4")))) == 30
    with pytest.raises(SinkError, match="closed"):
        sink.write(result(smooth(0)))


def test_nothing_is_left_when_there_were_no_frames(tmp_path):
    open_sink(str(tmp_path / "out.mp4"), info()).close()
    assert names(tmp_path) == []


def marked(size_hw: tuple[int, int]) -> np.ndarray:
    """Red all over, with a green disc in the middle half as high as the picture."""
    picture = np.full((*size_hw, 3), (200, 30, 40), np.uint8)
    return cv2.circle(picture, (size_hw[1] // 2, size_hw[0] // 2), size_hw[0] // 4, (30, 180, 60), -1)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("size_hw", "rows", "columns"),
    [
        ((270, 480), range(180), range(320)),  # of the same shape
        ((90, 160), range(180), range(320)),
        ((240, 320), range(180), range(40, 280)),  # less wide: black on both sides
        ((100, 320), range(40, 140), range(320)),  # wider: black above and below
    ],
)
def test_pictures_of_another_size_go_on_in_the_size_of_the_first(tmp_path, size_hw, rows, columns):
    said = []
    sink = open_sink(str(tmp_path / "out.mp4"), info(), say=said.append)
    for index in range(12):
        sink.write(result(marked((180, 320) if index < 5 else size_hw), index))
    sink.close()
    assert said == [
        f"{tmp_path}/out.mp4: a picture of {size_hw[1]}x{size_hw[0]} follows; it and all others are scaled "
        "to 320x180, as the first was"
    ]
    frames = [frame.pixels for frame in open_source(str(tmp_path / "out.mp4"))]
    assert len(frames) == 12
    seen = frames[-1].astype(int)
    filled = seen.max(axis=2) > 60
    assert np.flatnonzero(filled[90]).tolist() == list(columns)
    assert np.flatnonzero(filled[:, 160]).tolist() == list(rows)
    disc = (seen[:, :, 1] > 110) & (seen[:, :, 0] < 110)
    high, wide = np.ptp(np.flatnonzero(disc[:, 160])), np.ptp(np.flatnonzero(disc[90]))
    assert abs(high - len(rows) / 2) < 4
    assert abs(wide - high) < 4, "a disc stays one"


def test_pictures_and_labels_keep_their_own_sizes(tmp_path):
    sinks = [open_sink(f"{tmp_path}/p/", info()), open_sink(f"labels:{tmp_path}/l", info())]
    for index, size_hw in enumerate([(48, 64), (30, 90)]):
        for sink in sinks:
            sink.write(result(smooth(0, size_hw), index))
    assert [cv2.imread(f"{tmp_path}/{name}/000001.png").shape[:2] for name in "pl"] == [(30, 90)] * 2


def test_two_runs_may_write_one_video_and_the_last_to_end_has_the_name(tmp_path):
    one, two = (open_sink(str(tmp_path / "out.mp4"), info()) for _ in range(2))
    for index in range(9):
        one.write(result(smooth(index), index))
        two.write(result(smooth(index + 20), index))
    one.close()
    assert np.abs(first_frame(tmp_path / "out.mp4") - smooth(0)).mean() < 3
    two.close()
    assert np.abs(first_frame(tmp_path / "out.mp4") - smooth(20)).mean() < 3
    assert names(tmp_path) == ["out.mp4"]


def test_what_another_run_has_written_is_not_written_over(tmp_path):
    sink = open_sink(str(tmp_path / "out.mp4"), info())
    left = tmp_path / f"out.mp4.roadlite-{os.getpid()}.part"  # another container may have the same numbers
    left.write_text("an hour of driving")
    sink.write(result(smooth(0)))
    sink.close()
    assert left.read_text() == "an hour of driving"


def test_a_killed_run_that_had_recorded_nothing_leaves_nothing(tmp_path):
    (tmp_path / "out.mp4.roadlite-1.part").write_bytes(b"\0\0\0\x08ftyp")
    assert open_sink(str(tmp_path / "out.mp4"), info()).notice == ""
    assert names(tmp_path) == []


def test_what_is_being_recorded_is_not_recovered(tmp_path):
    sink = open_sink(str(tmp_path / "out.mp4"), info())
    for index in range(30):
        sink.write(result(smooth(index), index))
    for _ in range(2):
        assert open_sink(str(tmp_path / "other.mp4"), info()).notice == ""
    sink.close()
    assert names(tmp_path) == ["out.mp4"]


def first_frame(path: Path) -> np.ndarray:
    return next(iter(open_source(str(path)))).pixels.astype(int)


def test_frames_keep_the_times_that_their_source_tells(tmp_path):
    times = [0.0, 0.04, 0.11, 0.5, 0.501, 0.5010001, 3.25, 3.75, 60.0]
    sink = open_sink(str(tmp_path / "out.mp4"), SourceInfo("camera", None, Fraction(30), None, live=True))
    for index, time_s in enumerate(times):
        sink.write(Result(Frame(smooth(index), index, 7.0, time_s), LabelMap(smooth(index)[..., 0]), smooth(index)))
    sink.close()
    with av.open(str(tmp_path / "out.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [float(frame.time) for frame in frames] == pytest.approx(times, abs=2e-5)
    assert [bool(frame.key_frame) for frame in frames] == [time_s in (0.0, 3.25, 60.0) for time_s in times]


def test_a_picture_too_large_for_the_codec_is_refused(tmp_path):
    with pytest.raises(SinkError, match=r"16384.*16400x2"):
        write_video(tmp_path / "out.mp4", [np.zeros((2, 16400, 3), np.uint8)])
    assert names(tmp_path) == []


KILLED = """
import sys, numpy as np
from fractions import Fraction
from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.sinks.open import open_sink
sink = open_sink(sys.argv[1], SourceInfo("drive", None, Fraction(25), None))
for index in range(140):
    picture = np.full((48, 64, 3), index, np.uint8)
    sink.write(Result(Frame(picture, index, 0.0), LabelMap(picture[:, :, 0]), picture))
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_video_is_recovered_after_its_writer_was_killed(tmp_path):
    command = [sys.executable, "-c", KILLED, str(tmp_path / "out.mp4")]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        child.send_signal(signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    assert names(tmp_path) == [f"out.mp4.roadlite-{child.pid}.part"]
    with (tmp_path / names(tmp_path)[0]).open("ab") as part:
        part.write(b"\0\0\1\0moof and no more of it")
    (tmp_path / "out-recovered.mp4").write_text("of an earlier run")
    assert open_sink(str(tmp_path / "next.mp4"), info()).notice.endswith("out-recovered-2.mp4")
    assert names(tmp_path) == ["out-recovered-2.mp4", "out-recovered.mp4"]
    frames = list(open_source(str(tmp_path / "out-recovered-2.mp4")))
    assert len(frames) >= 100, "at most the last second and what the encoder still held are lost"
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert all(abs(float(frame.pixels.mean()) - frame.index) < 4 for frame in frames)


@contextmanager
def file_limit(size: int):
    """Lets no file grow beyond so many bytes, as a full disk would: for any user, and without a disk of its own.

    It ends before pytest writes a word: that may go to a file too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("missing", [1, 2000, 200_000, 10_000_000])
def test_a_full_disk_ends_a_video_and_keeps_what_plays(tmp_path, missing):
    write_video(tmp_path / "whole.mp4", list(NOISE))
    size = (tmp_path / "whole.mp4").stat().st_size
    (tmp_path / "whole.mp4").unlink()
    with file_limit(max(0, size - missing)), pytest.raises(SinkError, match=r"out\.mp4.*File too large") as caught:
        write_video(tmp_path / "out.mp4", list(NOISE))
    if missing > size:
        assert names(tmp_path) == []
        return
    assert names(tmp_path) == ["out.mp4"]
    assert "kept" in str(caught.value)
    with av.open(str(tmp_path / "out.mp4")) as container:  # of fragments of 25 frames
        times = [round(frame.time * 25) for frame in container.decode(video=0)]
    assert times == list(range(len(times)))
    assert len(times) == (60 if missing == 1 else 50 if missing < 10_000 else 25)


@pytest.mark.parametrize("spec", ["out.png", "out.jpg", "out-%05d.png", "", "labels:"])
def test_a_full_disk_ends_pictures_and_leaves_nothing(tmp_path, spec):
    kind, _, name = spec.rpartition(":")
    sink = open_sink(f"{kind}:{tmp_path}" if kind else f"{tmp_path}/{name}", info())
    with file_limit(1000), pytest.raises(SinkError, match="File too large") as caught:
        sink.write(result(NOISE[0], 4, NOISE[0, :, :, 0].copy()))
    sink.close()
    assert str(tmp_path) in str(caught.value)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["out.mp4", "out.png", "out-%d.jpg", ""])
def test_what_cannot_be_written_is_said_before_the_first_frame(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match="file"):
        open_sink(f"{tmp_path}/file/{name}", info())
    with pytest.raises(SinkError, match="file"):
        open_sink(f"labels:{tmp_path}/file", info())


def test_a_folder_in_place_of_the_video_is_said_before_the_first_frame(tmp_path):
    (tmp_path / "out.mp4" / "kept").mkdir(parents=True)
    with pytest.raises(SinkError, match=r"out\.mp4.*folder"):
        VideoFile(tmp_path / "out.mp4", Fraction(25))


def test_missing_folders_are_made(tmp_path):
    for spec in ("a/b/out.mp4", "c/d/out.png", "e/f/", "g/out-%d.png"):
        sink = open_sink(f"{tmp_path}/{spec}", info())
        sink.write(result(smooth(0)))
        sink.close()
    sink = open_sink(f"labels:{tmp_path}/h/i", info())
    sink.write(result(smooth(0)))
    made = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    assert made == ["a/b/out.mp4", "c/d/out.png", "e/f/000000.png", "g/out-0.png", "h/i/000000.png"]


def test_pictures_keep_every_pixel_and_the_index_of_their_frame(tmp_path):
    specs = {"shots/": "000007.png", "shot-%05d.png": "shot-00007.png", "shot%d.PNG": "shot7.PNG", "one.png": "one.png"}
    for spec, name in specs.items():
        sink = open_sink(f"{tmp_path}/{spec}", info())
        sink.write(result(NOISE[7], 7))
        sink.close()
        path = tmp_path / "shots" / name if spec == "shots/" else tmp_path / name
        assert np.array_equal(next(iter(open_source(str(path)))).pixels, NOISE[7]), spec


def test_jpeg_pictures_look_the_same(tmp_path):
    for suffix in (".jpg", ".jpeg"):
        open_sink(f"{tmp_path}/one{suffix}", info()).write(result(smooth(5)))
        seen = next(iter(open_source(f"{tmp_path}/one{suffix}"))).pixels
        assert np.abs(seen.astype(int) - smooth(5)).mean() < 2


def test_an_existing_folder_needs_no_slash(tmp_path):
    sink = open_sink(str(tmp_path), info())
    for index in range(3):
        sink.write(result(smooth(index), index))
    assert names(tmp_path) == ["000000.png", "000001.png", "000002.png"]


def named(picture: np.ndarray, index: int, name: str | None) -> Result:
    return Result(Frame(picture, index, 0.0, name=name), LabelMap(picture[:, :, 0].copy()), picture)


@pytest.mark.parametrize("spec", ["out/", "labels:out", "labels:out?ids=labelIds"])
def test_pictures_in_a_folder_are_called_like_those_of_the_source(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    sink = open_sink(spec, info())
    for index, name in enumerate(["a", "b.jpg", None, "deep/er/c", "my.photo"]):
        sink.write(named(np.full((4, 5, 3), index, np.uint8), index, name))
    sink.close()
    made = {str(path.relative_to("out")) for path in Path("out").rglob("*.*")}
    assert made == {"a.png", "b.jpg.png", "000002.png", "deep/er/c.png", "my.photo.png"}
    if spec != "labels:out?ids=labelIds":
        assert cv2.imread("out/deep/er/c.png").max() == 3


def test_numbered_pictures_stay_numbered(tmp_path):
    open_sink(f"{tmp_path}/shot-%05d.png", info()).write(named(smooth(0), 7, "a"))
    assert names(tmp_path) == ["shot-00007.png"]


def test_a_folder_that_cannot_be_made_within_the_output_is_said(tmp_path):
    sink = open_sink(f"{tmp_path}/out/", info())
    (tmp_path / "out" / "deep").touch()
    with pytest.raises(SinkError, match="deep: cannot be written to"):
        sink.write(named(smooth(0), 0, "deep/a"))


def test_one_picture_holds_one_frame_only(tmp_path):
    with pytest.raises(UsageError, match=r"one\.png.*250 frames.*one-%05d\.png"):
        open_sink(f"{tmp_path}/one.png", info(count=250))
    open_sink(f"{tmp_path}/one.png", info(count=1))
    sink = open_sink(f"{tmp_path}/one.png", info(count=None))
    sink.write(result(smooth(0)))
    with pytest.raises(SinkError, match=r"one-%05d\.png"):
        sink.write(result(smooth(1), 1))
    sink.close()
    assert np.array_equal(next(iter(open_source(f"{tmp_path}/one.png"))).pixels, smooth(0))


def test_a_picture_too_large_for_its_format_is_refused(tmp_path):
    with pytest.raises(SinkError, match=r"wide\.jpg.*70000x1"):
        open_sink(f"{tmp_path}/wide.jpg", info()).write(result(np.zeros((1, 70000, 3), np.uint8)))
    assert names(tmp_path) == []


def test_labels_are_stored_as_they_are(tmp_path):
    ids = np.arange(256, dtype=np.uint8).reshape(8, 32).repeat(5, axis=0)
    sink = open_sink(f"labels:{tmp_path}/ids", info())
    for index in (0, 12, 1234567):
        sink.write(result(np.zeros((*ids.shape, 3), np.uint8), index, ids))
    sink.close()
    assert names(tmp_path / "ids") == ["000000.png", "000012.png", "1234567.png"]
    stored = cv2.imread(str(tmp_path / "ids" / "000012.png"), cv2.IMREAD_UNCHANGED)
    assert stored.dtype == np.uint8
    assert np.array_equal(stored, ids)


def stored_labels(folder: Path, spec: str, ids: np.ndarray) -> np.ndarray:
    sink = open_sink(f"labels:{folder}{spec}", info())
    sink.write(result(np.zeros((*ids.shape, 3), np.uint8), 12, ids))
    sink.close()
    found: np.ndarray = cv2.imread(str(folder / "000012.png"), cv2.IMREAD_UNCHANGED)
    return found


def test_labels_can_be_the_ids_of_cityscapes(tmp_path):
    ids = np.array([[0, 1, 2, 10, 13, 18, 19, 254, 255]], np.uint8)  # road, sidewalk, building, sky, car, bicycle, ...
    assert stored_labels(tmp_path / "own", "?ids=labelIds", ids).tolist() == [[7, 8, 11, 23, 26, 33, 0, 0, 0]]
    assert np.array_equal(stored_labels(tmp_path / "train", "?ids=trainIds", ids), ids)
    assert names(tmp_path) == ["own", "train"]
    with pytest.raises(UsageError, match=r"x\?ids=colours.*trainIds.*labelIds"):
        open_sink(f"labels:{tmp_path}/x?ids=colours", info())
    other = LivePipeline(VOC, Controls(), NotImplemented)
    with pytest.raises(UsageError, match="other classes"):
        open_sink(f"labels:{tmp_path}/x?ids=labelIds", info(), other)
    guessed = LivePipeline(CITYSCAPES, Controls(), NotImplemented, names_known=False)
    with pytest.raises(UsageError, match="is a guess; say so with `classes` cityscapes"):
        open_sink(f"labels:{tmp_path}/x?ids=labelIds", info(), guessed)


def test_labels_of_many_classes_take_16_bits(tmp_path):
    ids = np.array([[0, 255, 256, 65535]], np.uint16)
    stored = stored_labels(tmp_path / "wide", "", ids)
    assert (stored.dtype, stored.tolist()) == (np.uint16, ids.tolist())


def received(listener: socket.socket, seconds: float) -> bytes:
    listener.settimeout(seconds)
    found = b""
    with suppress(TimeoutError):
        while True:
            found += listener.recv(2000)
    return found


def sent_pictures(sent: bytes) -> list[np.ndarray]:
    with av.open(io.BytesIO(sent), format="mpegts") as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_video_is_sent_to_whoever_listens():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        sent = b""
        with closing(open_sink(f"udp://127.0.0.1:{listener.getsockname()[1]}", info())) as sink:
            for index in range(20):
                sink.write(result(smooth(index, (360, 640)), index))  # large enough to be given to several threads
                sent += received(listener, 0.03)
            assert len(sent_pictures(sent)) >= 18, "none is held back but the last ones, until the next comes"
        sent += received(listener, 0.2)
    frames = sent_pictures(sent)
    assert len(frames) == 20
    assert all(np.abs(f.astype(int) - smooth(i, (360, 640))).mean() < 5 for i, f in enumerate(frames))


def test_a_stream_that_changes_its_size_is_sent_on():
    said = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        address, sent = f"udp://127.0.0.1:{listener.getsockname()[1]}", b""
        with closing(open_sink(address, info(), say=said.append)) as sink:
            for index in range(12):
                sink.write(result(marked((180, 320) if index < 5 else (270, 480)), index))
                sent += received(listener, 0.03)
        sent += received(listener, 0.2)
    assert [picture.shape for picture in sent_pictures(sent)] == [(180, 320, 3)] * 12
    assert len(said) == 1
    assert said[0].startswith(f"{address}: a picture of 480x270 follows")


def test_sending_where_nobody_listens_goes_on():
    with closing(open_sink("udp://127.0.0.1:9", info())) as sink:
        for index in range(20):
            sink.write(result(smooth(index), index))


@pytest.mark.parametrize(
    "spec", ["udp://", "udp://host", "udp://host:x", "udp://:5000", "udp://h:5000/x", "udp://u@h:1"]
)
def test_an_address_to_send_to_has_a_host_and_a_port(spec):
    with pytest.raises(UsageError, match=r"udp://HOST:PORT"):
        open_sink(spec, info())


def test_null_keeps_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sink = open_sink("null", info())
    sink.write(result(smooth(0)))
    sink.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "spec", ["udp://me:S3cr3t@pi:5000", "web://me:S3cr3t@pi", "web://me:S3cr3t?@pi", "rtmp://me:S3cr3t@pi/road?x"]
)
def test_an_output_that_is_refused_shows_no_password(spec):
    with pytest.raises(UsageError, match="expected") as caught:
        open_sink(spec, info(), LivePipeline(VOC, Controls(), NotImplemented))
    assert "S3cr3t" not in str(caught.value)


@pytest.mark.parametrize("spec", ["", "out.avi", "nul", "labels:", "windows", "out.mp4.gz", "rtmp://pi/road"])
def test_an_unknown_output_lists_what_there_is(tmp_path, monkeypatch, spec):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"overlay\.mp4.*%05d\.png.*labels:FOLDER.*null") as caught:
        open_sink(spec, info())
    assert repr(spec) in str(caught.value)
    assert names(tmp_path) == []
