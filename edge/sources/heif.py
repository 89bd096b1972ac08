"""Decodes HEIC and AVIF pictures, which phones take: often many tiles that only a whole decoder puts together."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import MAX_PIXELS, Pixels
from edge.errors import UnreadableFile
from edge.mp4 import boxes_of
from edge.requirements import install_extra

_HEIC = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"})
_AVIF = frozenset({b"avif", b"avis"})
_PARTS = frozenset({b"ftyp", b"meta", b"mdat"})  # the boxes that such a file needs whole
_NEEDS_MORE = (b"grid", b"iovl", b"clap", b"imir")  # tiles, layers, cropping and mirroring: FFmpeg reads over them


def is_heif(data: bytes) -> bool:
    """Returns whether a file says in its beginning that it is a HEIC or AVIF picture."""
    return bool(_brands(data) & (_HEIC | _AVIF))


def decode_heif(path: Path, data: bytes) -> Pixels:
    """Decodes the picture that a HEIC or AVIF file shows first, upright and whole.

    Without the libraries of the `heif` extra, FFmpeg does where the picture is neither tiled, cropped nor mirrored.

    Raises UnreadableFile where it is damaged, cut off, larger than 64 megapixels, or needs the extra.
    """
    for box in boxes_of(io.BytesIO(data)):
        if box.name in _PARTS and box.end > len(data):
            raise UnreadableFile(path, "the picture is cut off" if box.start else "the picture is damaged")
    avif = bool(_brands(data) & _AVIF)
    try:
        return _by_pillow(path, data) if avif else _by_libheif(path, data)
    except ImportError:  # missing, broken, or a Pillow without AVIF
        return _by_ffmpeg(path, data)
    except (ValueError, LookupError, SyntaxError, RuntimeError, EOFError, OSError) as exc:
        raise UnreadableFile(path, "the picture is damaged or of a kind that is not read") from exc


def _by_libheif(path: Path, data: bytes) -> Pixels:
    import pillow_heif

    opened = pillow_heif.open_heif(io.BytesIO(data))
    picture = opened[opened.primary_index]
    _check_size(path, picture.size)
    return _rgb(np.asarray(picture))


def _by_pillow(path: Path, data: bytes) -> Pixels:
    from PIL import AvifImagePlugin, ImageOps

    if not AvifImagePlugin.SUPPORTED:
        raise ImportError
    with AvifImagePlugin.AvifImageFile(io.BytesIO(data)) as picture:
        _check_size(path, picture.size)
        return _rgb(np.asarray(ImageOps.exif_transpose(picture)))


def _by_ffmpeg(path: Path, data: bytes) -> Pixels:
    from edge.sources.ffmpeg import first_picture

    contents = (box.start for box in boxes_of(io.BytesIO(data)) if box.name == b"mdat")
    header = data[: next(contents, len(data))]
    if any(needed in header for needed in _NEEDS_MORE):
        kind = "tiled, cropped or mirrored pictures, as phones take them,"
        raise UnreadableFile(path, f"{kind} need more: {install_extra('heif')}")
    picture = first_picture(str(path), data, main=True)
    if picture is None:
        raise UnreadableFile(path, f"the picture is damaged, or of a kind that needs more: {install_extra('heif')}")
    return picture


def _rgb(picture: NDArray[Any]) -> Pixels:
    """Returns grey or RGB of 8 or 16 bits, with or without alpha, as RGB of 8."""
    if picture.dtype == np.uint16:
        picture = (picture >> 8).astype(np.uint8)
    if picture.ndim == 2:
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB), np.uint8)
    if picture.shape[2] == 2:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(picture[:, :, 0]), cv2.COLOR_GRAY2RGB), np.uint8)
    return np.array(picture[:, :, :3], np.uint8, order="C")  # a copy: what it was is the decoder's


def _check_size(path: Path, size_wh: tuple[int, int]) -> None:
    width, height = size_wh
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 1_000_000
        raise UnreadableFile(path, f"expected a picture of at most {most} megapixels, found {width}x{height}")


def _brands(data: bytes) -> frozenset[bytes]:
    """Returns the brands in the file's first box, which say what it can be read as."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), 256, len(data))
    return frozenset([data[8:12], *(data[at : at + 4] for at in range(16, end, 4))])
