"""Pictures that move: animated WebP, GIF, PNG and AVIF."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from films import number_in, picture

from edge.errors import SourceError
from edge.sources import animation
from edge.sources.open import open_source
from edge.sources.options import SourceOptions

DURATIONS_MS = [40, 60, 80, 100, 120, 140, 160]
STARTS_S = [0.0, 0.04, 0.1, 0.18, 0.28, 0.4, 0.54]


def write_animation(path: Path, count: int = 7, channels: int = 3) -> Path:
    made = cv2.Animation()
    grey = [picture(4 * number) for number in range(count)]
    made.frames = [np.dstack([one, np.full((48, 64), 255, np.uint8)]) if channels == 4 else one for one in grey]
    made.durations = DURATIONS_MS[:count]
    assert cv2.imwriteanimation(str(path), made, [cv2.IMWRITE_WEBP_QUALITY, 100])  # 4.11 writes nothing beyond
    return path


needs_gif = pytest.mark.skipif(
    int(cv2.__version__.partition(".")[0]) < 5, reason="this OpenCV writes no animated GIF and AVIF"
)


@pytest.mark.parametrize(
    "name",
    ["a.webp", "a.png", pytest.param("a.gif", marks=needs_gif), pytest.param("a.avif", marks=needs_gif)],
)
def test_an_animation_plays_as_a_video(tmp_path: Path, name: str) -> None:
    source = open_source(str(write_animation(tmp_path / name)))
    frames = list(source)
    assert source.info.size_wh == (64, 48)
    assert [frame.index for frame in frames] == list(range(7))
    assert [number_in(frame.pixels) for frame in frames] == pytest.approx([4 * n for n in range(7)], abs=1)
    assert [frame.time_s for frame in frames] == pytest.approx(STARTS_S, abs=0.006)
    assert all(f.pixels.flags.c_contiguous and f.pixels.dtype == np.uint8 for f in frames)


@pytest.mark.parametrize("channels", [3, 4])
def test_an_animated_webp_is_limited_begun_later_and_repeated_like_any_video(
    tmp_path: Path, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(animation, "_AT_ONCE", 3 * 64 * 48)  # pixels: three pictures
    film = str(write_animation(tmp_path / "a.webp", channels=channels))
    source = open_source(film)
    assert source.info.frame_count == len(list(source)) == 7
    assert source.info.rate == Fraction(50, 3), "of those that were decoded first"
    assert [frame.index for frame in open_source(film, limit=4)] == [0, 1, 2, 3]
    later = open_source(film, SourceOptions(start_s=0.18))
    assert later.info.frame_count == 4
    assert [(frame.index, number_in(frame.pixels)) for frame in later] == [(3, 12), (4, 16), (5, 20), (6, 24)]
    assert [f.index for f in open_source(film, SourceOptions(loop=True, limit=16))] == list(range(16))
    with pytest.raises(SourceError, match=r"a\.webp: has no picture after 60 s"):
        open_source(film, SourceOptions(start_s=60))


def test_in_a_folder_the_first_picture_of_an_animation_counts(tmp_path: Path) -> None:
    for name in ("1.webp", "2.png"):
        write_animation(tmp_path / name)
    assert [number_in(frame.pixels) for frame in open_source(str(tmp_path))] == [0, 0]


def test_a_still_stays_a_picture(tmp_path: Path) -> None:
    for name in ("a.webp", "a.png"):
        cv2.imwrite(str(tmp_path / name), picture(3))
        source = open_source(str(tmp_path / name))
        assert (source.info.size_wh, source.info.frame_count) == (None, 1), "as pictures have it"


def test_a_damaged_or_huge_animated_webp_is_refused_in_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = write_animation(tmp_path / "a.webp").read_bytes()
    (tmp_path / "cut.webp").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "huge.webp").write_bytes(whole[:24] + b"\xff\xff\x00" * 2 + whole[30:])
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "huge.webp").write_bytes((tmp_path / "huge.webp").read_bytes())
    with pytest.raises(SourceError, match=r"cut\.webp: cannot be decoded; expected an animated WebP that is whole"):
        open_source(str(tmp_path / "cut.webp"))
    with pytest.raises(SourceError, match=r"huge\.webp: expected pictures of at most 64 megapixels, got 65536x65536"):
        open_source(str(tmp_path / "huge.webp"))
    with pytest.raises(SourceError, match=r"huge\.webp: expected a picture of at most 64 megapixels, got 65536x65536"):
        list(open_source(str(folder)))
    assert capfd.readouterr() == ("", "")
