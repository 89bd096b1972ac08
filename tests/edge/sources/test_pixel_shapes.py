"""Films whose pixels are not square, as those of DVDs, broadcasts and old cameras."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from films import join, number_in, write_film

from edge.data import Frame
from edge.errors import SourceError
from edge.sources.ffmpeg import square
from edge.sources.open import open_source


@pytest.mark.parametrize(
    ("size_wh", "shape", "shown_wh"),
    [
        ((720, 576), Fraction(64, 45), (1024, 576)),
        ((720, 576), Fraction(16, 15), (768, 576)),
        ((720, 480), Fraction(8, 9), (720, 540)),
        ((1440, 1080), Fraction(4, 3), (1920, 1080)),
        ((352, 576), Fraction(128, 45), (1001, 576)),
        ((64, 48), Fraction(1), (64, 48)),
        ((64, 48), Fraction(0), (64, 48)),
        ((64, 48), Fraction(-2), (64, 48)),
        ((64, 48), Fraction(5), (64, 48)),
        ((64, 48), Fraction(1, 5), (64, 48)),
        ((64, 48), Fraction(1, 1_000_000), (64, 48)),
        ((64, 48), Fraction(1_000_000), (64, 48)),
        ((7000, 7000), Fraction(2), (7000, 7000)),  # 98 megapixels
    ],
)
def test_square_pixels_show_the_same_and_no_side_gets_shorter(
    size_wh: tuple[int, int], shape: Fraction, shown_wh: tuple[int, int]
) -> None:
    assert square(*size_wh, shape) == shown_wh


def write_disc(path: Path, pixel: Fraction | None, size_hw: tuple[int, int] = (144, 180)) -> Path:
    """A film of a disc, which is stored squeezed as its pixels are shown."""
    height, width = size_hw
    wide = round(width * (pixel or 1))
    shown = cv2.circle(np.full((height, wide, 3), 40, np.uint8), (wide // 2, height // 2), 50, (230,) * 3, -1)
    stored = np.asarray(cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        if pixel is not None:
            stream.codec_context.sample_aspect_ratio = pixel
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(stored)))
        container.mux(stream.encode())
    return path


def disc_hw(pixels: np.ndarray) -> tuple[int, int]:
    bright = pixels[:, :, 1] > 130
    return int(bright.any(axis=1).sum()), int(bright.any(axis=0).sum())


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_a_disc_is_round_whatever_its_pixels_are(tmp_path: Path, name: str) -> None:
    source = open_source(str(write_disc(tmp_path / name, Fraction(64, 45))))
    frames = list(source)
    assert source.info.size_wh == (256, 144)
    assert [frame.pixels.shape for frame in frames] == [(144, 256, 3)] * 3
    high, wide = disc_hw(frames[0].pixels)
    assert high == pytest.approx(101, abs=2)
    assert wide == pytest.approx(high, abs=3)


def test_a_disc_is_round_where_the_film_is_turned_too(tmp_path: Path) -> None:
    film = write_disc(tmp_path / "phone.mp4", Fraction(64, 45))
    data = bytearray(film.read_bytes())
    place = data.index(b"tkhd") + 44  # the display matrix of the track header
    data[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    film.write_bytes(data)
    source = open_source(str(film))
    pixels = next(iter(source)).pixels
    assert source.info.size_wh == pixels.shape[1::-1] == (144, 256)
    high, wide = disc_hw(pixels)
    assert wide == pytest.approx(high, abs=3)


@pytest.mark.parametrize("shape", [(1, 1_000_000), (1_000_000, 1), (0, 0), (0, 1), (1, 0), (2**31, 2**31 - 1)])
def test_pixels_that_no_camera_has_are_taken_for_square(tmp_path: Path, shape: tuple[int, int]) -> None:
    film = write_disc(tmp_path / "a.mp4", Fraction(64, 45))
    data = bytearray(film.read_bytes())
    place = data.index(b"pasp") + 4
    data[place : place + 8] = struct.pack(">II", *shape)
    film.write_bytes(data)
    width, height = open_source(str(film)).info.size_wh or (0, 0)
    assert height == 144
    assert width in (180, 256), "as the container says or, where that is none, the codec"


def test_the_shape_of_pixels_may_change_where_recordings_were_joined(tmp_path: Path) -> None:
    shapes = [Fraction(1), Fraction(64, 45), Fraction(16, 11)]
    parts = [
        write_film(tmp_path / f"{n}.ts", range(25 * n, 25 * n + 25), pixel=shape) for n, shape in enumerate(shapes)
    ]
    frames = list(open_source(str(join(tmp_path / "joined.ts", *parts))))
    assert [number_in(frame.pixels) for frame in frames] == list(range(75))
    widths = [frame.pixels.shape[1] for frame in frames]
    assert widths == [64] * 25 + [91] * 25 + [93] * 25


def test_a_stream_that_grows_beyond_what_is_taken_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = write_film(tmp_path / "small.ts")
    large = write_film(tmp_path / "large.ts", size_hw=(96, 128))
    film = join(tmp_path / "joined.ts", small, large)
    monkeypatch.setattr("edge.sources.ffmpeg.MAX_PIXELS", 100 * 100)
    seen: list[Frame] = []
    with pytest.raises(SourceError, match=r"joined\.ts: expected frames of at most .*, got 128x96"):
        seen.extend(open_source(str(film)))
    assert len(seen) >= 20
