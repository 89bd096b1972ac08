import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from still_files import encoded

from edge.errors import SourceError, UsageError
from edge.sources import ffmpeg
from edge.sources.folders import IN_FOLDERS, SUFFIXES
from edge.sources.open import open_source
from edge.sources.options import SourceOptions

BARS = ((200, 30, 40), (30, 180, 60), (40, 50, 210), (128, 128, 128), (235, 220, 20), (10, 10, 10))
SHARED = Path(os.environ.get("ROADLITE_SHARED", Path(__file__).parents[3].with_name("shared")))


def numbered(number: int, size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A picture that says its number in the grey of its left half."""
    pixels = np.full((*size_hw, 3), 128, np.uint8)
    pixels[:, : size_hw[1] // 2] = 20 + 3 * number
    return pixels


def number_in(pixels: np.ndarray) -> int:
    return round((float(pixels[:, : pixels.shape[1] // 2 - 8].mean()) - 20) / 3)


def write_video(path: Path, count: int = 40, rate: Fraction | int = 25, codec: str = "libx264", **options: str) -> Path:
    muxing = {"movflags": options.pop("movflags")} if "movflags" in options else {}
    with av.open(str(path), "w", options=muxing) as container:
        stream = container.add_stream(codec, rate=rate, options={"g": "12"} | options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number))))
        container.mux(stream.encode())
    return path


def overwrite_packets(path: Path, numbers: range) -> None:
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    for number in numbers:
        start, size = places[number]
        data[start : start + size] = bytes(size)
    path.write_bytes(data)


def refusal(spec: Path | str) -> str:
    """The message with which `spec` is refused, at the latest when read to its end."""
    with pytest.raises(SourceError) as caught:
        list(open_source(str(spec)))
    message = str(caught.value)
    assert "\n" not in message.strip()
    assert str(spec) in message
    return message


@pytest.mark.parametrize("name", ["drive.mp4", "drive.mkv", "drive.avi", "drive.ts", "no_suffix"])
def test_every_frame_of_a_video_comes_in_order(tmp_path, name):
    made = write_video(tmp_path / ("drive.mp4" if name == "no_suffix" else name))
    source = open_source(str(made.rename(tmp_path / name)))
    assert source.info.size_wh == (64, 48)
    assert source.info.rate == 25
    assert source.info.frame_count in (40, 41)
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(40))
    assert [number_in(frame.pixels) for frame in frames] == list(range(40))
    assert all(f.pixels.flags.c_contiguous and f.pixels.dtype == np.uint8 for f in frames)
    times = [frame.t_capture_s for frame in frames]
    assert times == sorted(times)


def test_uneven_rates_stay_exact(tmp_path):
    made = write_video(tmp_path / "ntsc.mp4", count=10, rate=Fraction(30000, 1001))
    assert open_source(str(made)).info.rate == Fraction(30000, 1001)


def test_sound_is_ignored(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=8000)
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        for _ in range(40):
            container.mux(sound.encode(silence))
        for number in range(5):
            container.mux(video.encode(av.VideoFrame.from_ndarray(numbered(number))))
        container.mux([*video.encode(), *sound.encode()])
    assert open_source(str(path)).info.frame_count == 5
    assert [number_in(frame.pixels) for frame in open_source(str(path))] == list(range(5))


@pytest.mark.parametrize(("turn", "matrix"), [(-1, (0, 1, -1, 0)), (2, (-1, 0, 0, -1)), (1, (0, -1, 1, 0))])
def test_a_video_comes_upright_as_its_rotation_says(tmp_path, turn, matrix):
    made = write_video(tmp_path / "phone.mp4", count=3)
    data = bytearray(made.read_bytes())
    place = data.index(b"tkhd") + 44  # the display matrix of the track header
    a, b, c, d = (value << 16 for value in matrix)
    data[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    made.write_bytes(data)
    source = open_source(str(made))
    pixels = next(iter(source)).pixels
    expected = np.rot90(numbered(0), turn)
    assert source.info.size_wh == expected.shape[1::-1]
    assert pixels.flags.c_contiguous
    assert np.abs(pixels.astype(int) - expected).mean() < 3


@pytest.mark.parametrize(
    ("matrix", "height", "tagged", "full"),
    [
        ("601", 96, True, False),
        ("601", 96, True, True),
        ("709", 96, True, False),
        ("709", 96, True, True),
        ("601", 96, False, False),
        ("709", 720, False, False),
    ],
)
def test_colours_follow_the_matrix_and_range_of_the_video(tmp_path, matrix, height, tagged, full):
    kr, kb = {"601": (0.299, 0.114), "709": (0.2126, 0.0722)}[matrix]  # ITU-R BT.601 and BT.709
    luma = np.empty((height, 96), np.uint8)
    chroma = [np.empty((height // 2, 48), np.uint8) for _ in range(2)]
    for number, (red, green, blue) in enumerate(BARS):
        y = kr * red + (1 - kr - kb) * green + kb * blue
        u, v = (blue - y) / (2 * (1 - kb)), (red - y) / (2 * (1 - kr))
        luma[:, number * 16 : number * 16 + 16] = round(y if full else 16 + y * 219 / 255)
        for plane, value in zip(chroma, (u, v), strict=True):
            plane[:, number * 8 : number * 8 + 8] = round(128 + (value if full else value * 224 / 255))
    planes = np.concatenate([luma.ravel(), *(plane.ravel() for plane in chroma)]).reshape(height * 3 // 2, 96)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    path = tmp_path / "bars.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=5, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = 96, height, "yuv420p"
        if tagged:
            frame.colorspace = stream.codec_context.colorspace = {"601": 5, "709": 1}[matrix]
            frame.color_range = stream.codec_context.color_range = 2 if full else 1
        container.mux([*stream.encode(frame), *stream.encode()])
    pixels = next(iter(open_source(str(path)))).pixels
    seen = pixels[height // 2, 8::16].astype(int)
    assert np.abs(seen - BARS).max() <= 3


def test_iterating_again_starts_again(tmp_path):
    source = open_source(str(write_video(tmp_path / "a.mp4", count=8)))
    first = iter(source)
    next(first)
    assert [number_in(frame.pixels) for frame in source] == list(range(8))
    assert next(first).index == 1
    source.close()
    source.close()


def test_limit_ends_every_kind_of_source(tmp_path):
    video = write_video(tmp_path / "a.mp4", count=8)
    for number in range(5):
        cv2.imwrite(str(tmp_path / f"{number}.png"), numbered(number))
    for spec in (video, tmp_path, tmp_path / "*.png"):
        source = open_source(str(spec), limit=3)
        assert source.info.frame_count == 3
        assert [number_in(frame.pixels) for frame in source] == [0, 1, 2]
    assert len(list(open_source(str(video), limit=100))) == open_source(str(video), limit=100).info.frame_count == 8
    with pytest.raises(UsageError, match="limit"):
        open_source(str(video), limit=0)


def test_what_is_no_video_is_refused_in_one_line_and_quietly(tmp_path, capfd):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video\n" * 50)
    (tmp_path / "notes.txt").write_text("this is no video\n" * 50)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nhttp://localhost:9/a.ts\n#EXT-X-ENDLIST\n")
    (tmp_path / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    os.mkfifo(tmp_path / "pipe.mp4")
    for name in ("missing.mp4", "empty.mp4", "text.mp4", "notes.txt", "list.m3u8", "noise.mkv"):
        refusal(tmp_path / name)
    assert "a device or a pipe" in refusal(tmp_path / "pipe.mp4")
    assert capfd.readouterr() == ("", "")


def test_a_file_without_pictures_is_refused(tmp_path):
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        container.mux([*stream.encode(silence), *stream.encode()])
    assert "without a video stream" in refusal(path)


def test_the_cover_of_a_song_is_no_video(tmp_path):
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        sound = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        container.mux([*cover.encode(av.VideoFrame.from_ndarray(numbered(0))), *cover.encode()])
        container.mux([*sound.encode(silence), *sound.encode()])
    assert "without a video stream" in refusal(path)


def test_a_video_of_absurd_size_is_refused(tmp_path, monkeypatch):
    made = write_video(tmp_path / "big.mp4", count=3)
    monkeypatch.setattr("edge.sources.ffmpeg.MAX_PIXELS", 64 * 48 - 1)
    assert "64x48" in refusal(made)


def test_damaged_frames_are_left_out_and_the_others_keep_their_indices(tmp_path, capfd):
    made = write_video(tmp_path / "scratched.mp4", g="1")
    overwrite_packets(made, range(20, 25))
    frames = list(open_source(str(made)))
    assert [frame.index for frame in frames] == [*range(20), *range(25, 40)]
    assert [number_in(frame.pixels) for frame in frames] == [frame.index for frame in frames]
    assert capfd.readouterr() == ("", "")


def test_a_damaged_beginning_counts_too(tmp_path):
    made = write_video(tmp_path / "scratched.mp4", g="1")
    overwrite_packets(made, range(4))
    frames = list(open_source(str(made)))
    assert [number_in(frame.pixels) for frame in frames] == [frame.index for frame in frames] == list(range(4, 40))


def test_too_many_damaged_frames_end_the_source(tmp_path):
    made = write_video(tmp_path / "broken.mp4", count=60, g="1")
    overwrite_packets(made, range(10, 41))
    seen = []
    with pytest.raises(SourceError, match=r"broken\.mp4.*30 damaged frames"):
        seen.extend(frame.index for frame in open_source(str(made)))
    made = write_video(tmp_path / "scratched.mp4", count=60, g="1")
    overwrite_packets(made, range(5, 35))
    overwrite_packets(made, range(36, 50))
    assert [frame.index for frame in open_source(str(made))] == [*range(5), 35, *range(50, 60)]


def test_a_video_without_one_good_frame_is_refused(tmp_path):
    made = write_video(tmp_path / "broken.mp4", count=5)
    overwrite_packets(made, range(5))
    with pytest.raises(SourceError, match="no frame"):
        open_source(str(made))


def test_a_picture_comes_as_rgb_whatever_it_is_stored_as(tmp_path):
    rgb = np.zeros((20, 30, 3), np.uint8)
    rgb[:, :10], rgb[:, 10:20] = (250, 100, 0), (0, 50, 200)
    bgr = rgb[:, :, ::-1]
    alpha = np.full((20, 30, 1), 99, np.uint8)
    stored = {
        "a.png": bgr,
        "b.BMP": bgr,
        "c.tiff": bgr,
        "d.ppm": bgr,
        "alpha.png": np.concatenate([bgr, alpha], axis=2),
        "deep.png": bgr.astype(np.uint16) * 257,
        "deep.tif": bgr.astype(np.uint16) * 257,
    }
    for name, array in stored.items():
        assert cv2.imwrite(str(tmp_path / name), array)
        assert np.array_equal(next(iter(open_source(str(tmp_path / name)))).pixels, rgb), name
    for name in ("a.jpg", "b.jpeg", "c.webp"):
        assert cv2.imwrite(str(tmp_path / name), cv2.resize(bgr, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST))
        seen = next(iter(open_source(str(tmp_path / name)))).pixels
        assert np.abs(seen[80, 40::80].astype(int) - rgb[10, 5::10]).max() < 12, name
    for name in ("grey.png", "grey.pgm"):
        assert cv2.imwrite(str(tmp_path / name), rgb[:, :, 0])
        assert np.array_equal(next(iter(open_source(str(tmp_path / name)))).pixels, np.dstack([rgb[:, :, 0]] * 3))


def test_a_photo_comes_upright_as_its_exif_data_says(tmp_path):
    pixels = cv2.resize(numbered(0), (128, 96))
    jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
    exif = b"Exif\0\0MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)  # turn it 90 degrees clockwise
    (tmp_path / "photo.jpg").write_bytes(jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:])
    seen = next(iter(open_source(str(tmp_path / "photo.jpg")))).pixels
    assert np.abs(seen.astype(int) - np.rot90(pixels, -1)).mean() < 3


def bomb(suffix: str, width: int, height: int) -> bytes:
    """A small file whose header promises a huge picture."""
    if suffix == ".png":

        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        body = chunk(b"IDAT", zlib.compress(bytes(10_000_000)))
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body + chunk(b"IEND", b"")
    data = bytearray(cv2.imencode(suffix, numbered(0))[1].tobytes())
    if suffix == ".bmp":
        data[18:26] = struct.pack("<ii", width, height)
    if suffix == ".jpg":
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", height, width)
    if suffix == ".ppm":
        data = bytearray(b"P6\n%d %d\n255\n" % (width, height)) + bytes(5000)
    return bytes(data)


@pytest.mark.parametrize("size_wh", [(60000, 60000), (10000, 10000)])
@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".ppm"])
def test_a_picture_that_promises_to_be_huge_is_refused_before_it_is_unpacked(tmp_path, capfd, suffix, size_wh):
    path = tmp_path / f"bomb{suffix}"
    path.write_bytes(bomb(suffix, *size_wh))
    assert "64 megapixels" in refusal(path)
    assert capfd.readouterr() == ("", "")


def test_a_second_picture_behind_the_first_hides_no_bomb(tmp_path, capfd):
    harmless = cv2.imencode(".ppm", numbered(0))[1].tobytes()
    (tmp_path / "two.ppm").write_bytes(b"P6\n60000 60000\n255\n" + harmless)
    refusal(tmp_path / "two.ppm")
    assert capfd.readouterr() == ("", "")


def test_what_is_no_picture_is_refused_in_one_line_and_quietly(tmp_path, capfd):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.jpg").write_text("no picture\n" * 50)
    whole = cv2.imencode(".png", np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8))[1].tobytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "stub.png").write_bytes(whole[:20])
    write_video(tmp_path / "a.mp4", count=3).rename(tmp_path / "video.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("missing.png", "empty.png", "text.jpg", "cut.png", "stub.png", "video.jpg", "folder.jpg"):
        refusal(tmp_path / name)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_picture_that_is_cut_off_is_refused_quietly(tmp_path, capfd, suffix, part):
    noise = np.random.default_rng(0).integers(0, 255, (90, 90, 3), np.uint8)
    whole = encoded(suffix, noise)
    (tmp_path / f"cut{suffix}").write_bytes(whole[: int(len(whole) * part)])
    refusal(tmp_path / f"cut{suffix}")
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_read_in_natural_order_and_only_its_pictures(tmp_path):
    for number, name in enumerate(["frame2.png", "frame10.jpg", "frame100.PNG"]):
        cv2.imwrite(str(tmp_path / name), numbered(number))
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._frame3.png").write_text("left by a Mac")
    (tmp_path / "deeper.png").mkdir()
    source = open_source(str(tmp_path))
    assert source.info.frame_count == 3
    assert source.info.rate is None
    frames = list(source)
    assert [number_in(frame.pixels) for frame in frames] == [frame.index for frame in frames] == [0, 1, 2]


def test_a_pattern_is_read_in_natural_order(tmp_path):
    for number, name in enumerate(["a/1.png", "a/12.png", "b/c/2.png"]):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        cv2.imwrite(str(tmp_path / name), numbered(number))
    assert [number_in(frame.pixels) for frame in open_source(str(tmp_path / "**/*.png"))] == [0, 1, 2]
    assert [number_in(frame.pixels) for frame in open_source(str(tmp_path / "a/1[0-9].png"))] == [1]


def test_a_name_that_looks_like_a_pattern_is_still_a_name(tmp_path):
    cv2.imwrite(str(tmp_path / "shot[1].png"), numbered(7))
    assert [number_in(frame.pixels) for frame in open_source(str(tmp_path / "shot[1].png"))] == [7]


def test_nothing_to_read_is_said_at_once(tmp_path):
    (tmp_path / "notes.txt").write_text("not a picture")
    for spec in (tmp_path, tmp_path / "*.txt"):
        with pytest.raises(SourceError, match=r"\.png.*found none among 1 files"):
            open_source(str(spec))


@pytest.mark.parametrize("suffix", sorted(IN_FOLDERS))
def test_every_suffix_can_be_read(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(encoded(suffix, numbered(3)))
    assert [(frame.name, number_in(frame.pixels)) for frame in open_source(str(tmp_path))] == [("a", 3)]


def test_the_demo_is_ten_seconds_unless_limited():
    info = open_source("demo").info
    assert info.rate is not None
    assert (info.name, info.frame_count, info.size_wh) == ("demo", 10 * info.rate, (1280, 720))
    short = open_source("demo", limit=2)
    frames = list(short)
    assert short.info.frame_count == len(frames) == 2
    assert [(frame.index, frame.pixels.shape) for frame in frames] == [(0, (720, 1280, 3)), (1, (720, 1280, 3))]
    assert all(np.array_equal(a.pixels, b.pixels) for a, b in zip(frames, short, strict=True))


def test_real_dashcam_video():
    path = SHARED / "video" / "solidWhiteRight.mp4"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    source = open_source(str(path))
    assert (source.info.size_wh, source.info.rate, source.info.frame_count) == ((960, 540), 25, 221)
    frames = [(frame.index, frame.pixels.shape) for frame in source]
    assert frames == [(index, (540, 960, 3)) for index in range(221)]


def test_a_start_is_sought_not_decoded_to(tmp_path, monkeypatch):
    """Where a container has no index, a seek ends behind the key frame, and is tried again from farther before."""
    made = write_video(tmp_path / "a.ts", count=75, rate=1, g="5")
    converted = []
    decode = ffmpeg._decode
    monkeypatch.setattr(ffmpeg, "_decode", lambda packet: converted.append(packet.pts) or decode(packet))
    frames = list(open_source(str(made), SourceOptions(start_s=62.0)))
    assert [number_in(frame.pixels) for frame in frames] == [frame.index for frame in frames] == list(range(62, 75))
    assert len(converted) < 75
