"""HEIC and AVIF pictures, as phones take them: whole, upright, or refused with the way out."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from still_files import encoded

from edge.errors import UnreadableFile
from edge.sources.images import read_picture
from edge.sources.open import open_source

KINDS = (".heic", ".avif")
LIBRARIES = ("pillow_heif", "PIL")


@pytest.fixture
def photo() -> np.ndarray:
    """300x400, of smooth colours and of other ones in each corner."""
    coarse = np.random.default_rng(3).integers(0, 256, (3, 4, 3), np.uint8)
    return cv2.resize(coarse, (400, 300), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def without_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the heif extra is not installed."""
    for name in (*LIBRARIES, "PIL.AvifImagePlugin"):
        monkeypatch.setitem(sys.modules, name, None)


def saved(folder: Path, data: bytes, name: str = "IMG_0001.HEIC") -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    return float(np.abs(found.astype(int) - expected).mean())


def test_a_photo_of_tiles_is_read_whole(photo: np.ndarray, tmp_path: Path) -> None:
    path = saved(tmp_path, encoded(".heic", photo, tile_size=128))
    assert difference(read_picture(path), photo) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", KINDS)
def test_a_photo_comes_upright(suffix: str, orientation: int, photo: np.ndarray, tmp_path: Path) -> None:
    turns = {3: 2, 4: 2, 5: 1, 6: 3, 7: 3, 8: 1}  # EXIF's numbers as quarter turns to the left, mirrored first
    mirrored = photo[:, ::-1] if orientation in (2, 4, 5, 7) else photo
    upright = np.rot90(mirrored, turns.get(orientation, 0))
    path = saved(tmp_path, encoded(suffix, photo, orientation=orientation))
    assert difference(read_picture(path), upright) < 2


@pytest.mark.parametrize("name", ["IMG_1.heic", "IMG_1.jpg", "IMG_1.avif"])
@pytest.mark.parametrize("suffix", [*KINDS, ".jpg"])
def test_what_a_file_holds_counts_and_not_its_suffix(suffix: str, name: str, photo: np.ndarray, tmp_path: Path) -> None:
    path = saved(tmp_path, encoded(suffix, photo), name)
    assert difference(read_picture(path), photo) < 4


@pytest.mark.usefixtures("without_libraries")
@pytest.mark.parametrize("kind", KINDS)
def test_a_plain_picture_needs_no_extra(
    kind: str, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as here:
        for name in (*LIBRARIES, "PIL.AvifImagePlugin"):
            here.delitem(sys.modules, name)
        path = saved(tmp_path, encoded(kind, photo))
    assert difference(read_picture(path), photo) < 4


@pytest.mark.parametrize(("suffix", "options"), [(".heic", {"tile_size": 128}), (".avif", {"orientation": 2})])
def test_without_the_extra_what_ffmpeg_reads_wrong_is_refused_with_the_way_out(
    suffix: str, options: dict[str, int], photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, encoded(suffix, photo, **options))
    for name in (*LIBRARIES, "PIL.AvifImagePlugin"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnreadableFile, match=r"IMG_0001\.HEIC: tiled, .* pip install .*heif") as caught:
        read_picture(path)
    assert str(path) not in caught.value.reason


@pytest.mark.parametrize("suffix", KINDS)
def test_grey_of_16_bits_and_alpha_come_as_rgb(suffix: str, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image", reason="needs the heif extra")
    ramp = np.tile(np.arange(0, 256, dtype=np.uint8), (64, 1))
    encoded(suffix, np.dstack([ramp] * 3))  # skips where it cannot be made
    form = {".heic": "HEIF", ".avif": "AVIF"}[suffix]
    clear = np.dstack([ramp, ramp, ramp, np.full_like(ramp, 255)])
    pictures = {"grey": image.fromarray(ramp), "alpha": image.fromarray(clear)}
    if suffix == ".heic":
        pictures["deep"] = image.fromarray(ramp.astype(np.uint16) * 257)
    for name, picture in pictures.items():
        picture.save(tmp_path / name, form, quality=95)
        assert difference(read_picture(tmp_path / name), np.dstack([ramp] * 3)) < 3, name


@pytest.mark.parametrize("suffix", KINDS)
def test_too_many_pixels_are_refused_before_they_are_decoded(
    suffix: str, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, encoded(suffix, photo))
    monkeypatch.setattr("edge.sources.heif.MAX_PIXELS", 400 * 300 - 1)
    with pytest.raises(UnreadableFile, match="400x300"):
        read_picture(path)


@pytest.mark.parametrize("suffix", KINDS)
def test_damaged_bytes_are_one_line_or_a_picture(
    suffix: str, photo: np.ndarray, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(suffix, photo, **({"tile_size": 128} if suffix == ".heic" else {}))
    random = np.random.default_rng(1)
    refused = list[str]()
    for _ in range(150):
        data = bytearray(whole)
        for place in random.integers(4, 1200, 3):
            data[place] = int(random.integers(256))
        try:
            assert read_picture(saved(tmp_path, bytes(data))).ndim == 3
        except UnreadableFile as exc:
            refused.append(str(exc))
    assert refused
    assert "\n" not in "".join(refused)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["IMG_1.HEIC", "a.heif", "b.avif"])
def test_a_single_photo_is_a_picture_and_no_video(name: str, photo: np.ndarray, tmp_path: Path) -> None:
    source = open_source(str(saved(tmp_path, encoded(Path(name).suffix.lower(), photo), name)))
    assert (source.info.frame_count, source.info.size_wh, source.info.rate) == (1, None, None)
    assert [frame.name for frame in source] == [Path(name).stem]


@pytest.mark.parametrize("part", [0.1, 0.4, 0.95])
def test_a_photo_of_tiles_that_is_cut_off_is_refused(part: float, photo: np.ndarray, tmp_path: Path) -> None:
    """The decoder would fill up what is missing."""
    whole = encoded(".heic", photo, tile_size=128)
    with pytest.raises(UnreadableFile, match=r"cut off|damaged"):
        read_picture(saved(tmp_path, whole[: int(len(whole) * part)]))
