"""Pictures of which some cannot be read, and what a picture file may hold instead of one."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from still_files import animated_webp, apng, encoded, gif

from edge.errors import SourceError, UnreadableFile
from edge.sources.images import read_picture
from edge.sources.open import open_source
from edge.sources.options import SourceHealth, SourceOptions

EMPTY = "expected a picture, found an empty file"


def grey(shade: int) -> np.ndarray:
    return np.full((48, 64, 3), shade, np.uint8)


def shade_in(pixels: np.ndarray) -> int:
    return round(float(pixels.mean()))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures, of which the second is empty and the fourth cut off."""
    (tmp_path / "drive").mkdir()
    for number in range(1, 6):
        cv2.imwrite(str(tmp_path / "drive" / f"{number}.png"), grey(40 * number))
    (tmp_path / "drive" / "2.png").write_bytes(b"")
    fourth = tmp_path / "drive" / "4.png"
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    fourth.write_bytes(encoded(".png", noise)[:2000])
    return tmp_path / "drive"


@pytest.mark.parametrize("pattern", ["", "*.png", "[1-5].png"])
def test_pictures_that_cannot_be_read_are_left_out_and_named(folder: Path, pattern: str) -> None:
    health = SourceHealth()
    spec = f"{folder}/{pattern}" if pattern else str(folder)
    frames = list(open_source(spec, health=health))
    assert [(frame.index, frame.name, shade_in(frame.pixels)) for frame in frames] == [
        (0, "1", 40),
        (2, "3", 120),
        (4, "5", 200),
    ]
    assert health.left_out.unreadable == [("2.png", EMPTY), ("4.png", "the picture is cut off")]
    assert health.left_out.counts() == {EMPTY: 1, "the picture is cut off": 1}


def test_strict_ends_with_the_first_that_cannot_be_read(folder: Path) -> None:
    seen: list[int] = []
    with pytest.raises(UnreadableFile, match=r"2\.png: expected a picture, found an empty file"):
        seen.extend(frame.index for frame in open_source(str(folder), SourceOptions(strict=True)))
    assert seen == [0], "after every picture before it"


def test_a_limit_counts_pictures_that_came(folder: Path) -> None:
    assert [frame.name for frame in open_source(str(folder), limit=2)] == ["1", "3"]


def test_what_is_left_out_is_told_once_however_often_a_folder_is_played(folder: Path) -> None:
    health = SourceHealth()
    source = open_source(str(folder), SourceOptions(loop=True, rate=Fraction(1000)), limit=8, health=health)
    frames = list(source)
    assert [frame.index for frame in frames] == [0, 2, 4, 5, 7, 9, 10, 12]
    assert {frame.name for frame in frames} == {None}, "each turn would overwrite what was made in the one before"
    assert len(health.left_out.unreadable) == 2


def test_where_nothing_is_left_it_is_an_error(folder: Path) -> None:
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(SourceError, match=r"none of 5 pictures can be taken; the first is 1\.png: .* empty file"):
        list(open_source(str(folder)))


def test_a_picture_named_by_itself_that_cannot_be_read_is_an_error(folder: Path) -> None:
    with pytest.raises(UnreadableFile, match=r"2\.png: expected a picture"):
        list(open_source(str(folder / "2.png")))


def test_a_folder_tells_what_else_is_in_it(folder: Path) -> None:
    (folder / "film.MP4").touch()
    (folder / "Makefile").touch()
    for number in range(5):
        (folder / f"{number}.txt").touch()
    (folder / ".hidden.txt").touch()
    said: list[str] = []
    health = SourceHealth()
    open_source(str(folder), health=health, say=said.append)
    assert said == [
        "left out: 5 .txt files (0.txt, 1.txt, 2.txt and 2 more), 1 suffixless file (Makefile), 1 .mp4 file (film.MP4)"
    ]
    assert health.left_out.counts() == {".txt file": 5, ".mp4 file": 1, "suffixless file": 1}


@pytest.mark.parametrize("name", ["anim.gif", "anim.webp", "anim.png"])
def test_of_animated_pictures_in_a_folder_the_first_one_is_taken(name: str, tmp_path: Path) -> None:
    pictures = [grey(shade) for shade in (219, 0, 146)]
    made = {"anim.gif": gif, "anim.webp": animated_webp, "anim.png": apng}[name](pictures)
    (tmp_path / name).write_bytes(made)
    frames = list(open_source(str(tmp_path)))
    assert [frame.pixels.shape for frame in frames] == [(48, 64, 3)]
    assert abs(shade_in(frames[0].pixels) - 219) < 4


def test_an_animated_webp_that_promises_to_be_huge_is_refused(tmp_path: Path) -> None:
    data = bytearray(animated_webp([grey(9), grey(99)]))
    data[24:30] = (16383).to_bytes(3, "little") * 2
    (tmp_path / "bomb.webp").write_bytes(data)
    with pytest.raises(UnreadableFile, match="64 megapixels"):
        read_picture(tmp_path / "bomb.webp")


def _svg(path: Path) -> None:
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>')


def _text(path: Path) -> None:
    path.write_text("a text\n" * 9)


def _pdf(path: Path) -> None:
    path.write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n")


def _film(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        stream: Any = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(grey(1))), *stream.encode()])


def _song_with_cover(path: Path) -> None:
    with av.open(str(path), "w", format="mp4") as container:
        cover: Any = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        sound: Any = container.add_stream("aac", rate=8000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.rate = 8000
        container.mux([*cover.encode(av.VideoFrame.from_ndarray(grey(0))), *cover.encode()])
        container.mux([*sound.encode(silence), *sound.encode()])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_svg, "expected a picture, found svg, which cannot be decoded; save it as PNG or JPEG"),
        (_text, "expected a picture, found "),
        (_pdf, "expected a picture, found "),
        (_film, "expected a picture, found QuickTime / MOV"),
        (_song_with_cover, "expected a picture, found QuickTime / MOV"),
    ],
)
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".heic"])
def test_what_is_no_picture_says_so(make: Any, words: str, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    make(path)
    with pytest.raises(UnreadableFile) as caught:
        read_picture(path)
    assert str(caught.value).startswith(f"{path}: {words}")


def test_a_drawing_is_no_film(tmp_path: Path) -> None:
    _svg(tmp_path / "drawing.svg")
    with pytest.raises(SourceError, match=r"drawing\.svg: expected a video, found svg, which cannot be decoded"):
        open_source(str(tmp_path / "drawing.svg"))


@pytest.mark.parametrize("form", ["avi", "matroska", "mp4"])
def test_a_title_that_is_no_utf8_hides_no_film(form: str, tmp_path: Path) -> None:
    path = tmp_path / "film"
    with av.open(str(path), "w", format=form) as container:
        container.metadata["title"] = "Strasse"
        stream: Any = container.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux([*stream.encode(av.VideoFrame.from_ndarray(grey(1))), *stream.encode()])
    data = path.read_bytes()
    assert b"Strasse" in data
    path.write_bytes(data.replace(b"Strasse", b"Stra\xdfe."))
    assert len(list(open_source(str(path)))) == 1
    with pytest.raises(UnreadableFile, match="expected a picture"):
        read_picture(path)
