"""Makes picture files of every kind that is read, as bytes."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest

HEIC, AVIF = (".heic", ".heif", ".hif"), (".avif",)


def encoded(suffix: str, rgb: np.ndarray, **options: Any) -> bytes:
    """A picture as the bytes of a file; `tile_size` and `orientation`, as EXIF counts it, are for HEIC and AVIF.

    The test that asks for a kind whose library is not here is skipped.
    """
    if suffix in HEIC:
        return _heic(rgb, **options)
    if suffix in AVIF:
        return _avif(rgb, **options)
    if suffix == ".gif":
        return gif([rgb])
    shown = rgb[:, :, 0] if suffix == ".pgm" else rgb[:, :, ::-1]
    return cv2.imencode({".jpe": ".jpg", ".jfif": ".jpg"}.get(suffix, suffix), shown)[1].tobytes()


def _heic(rgb: np.ndarray, tile_size: int = 0, orientation: int = 1) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the heif extra")
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    _pillow(rgb, orientation).save(file, "HEIF", quality=95, **({"tile_size": tile_size} if tile_size else {}))
    return file.getvalue()


def _avif(rgb: np.ndarray, orientation: int = 1) -> bytes:
    pytest.importorskip("PIL", reason="needs the heif extra")
    file, picture = io.BytesIO(), _pillow(rgb, orientation)
    picture.save(file, "AVIF", quality=95, exif=picture.getexif())
    return file.getvalue()


def _pillow(rgb: np.ndarray, orientation: int) -> Any:
    from PIL import Image

    picture = Image.fromarray(rgb)
    if orientation != 1:
        picture.getexif()[0x0112] = orientation
    return picture


def gif(pictures: list[np.ndarray]) -> bytes:
    """An animated GIF, or one of a single picture, of few colours."""
    return _ffmpeg("gif", "gif", "rgb8", pictures)


def _ffmpeg(form: str, codec: str, layout: str, pictures: list[np.ndarray]) -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream: Any = container.add_stream(codec, rate=5)
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], layout
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return file.getvalue()


def apng(pictures: list[np.ndarray]) -> bytes:
    return _ffmpeg("apng", "apng", "rgb24", pictures)


def animated_webp(pictures: list[np.ndarray]) -> bytes:
    return _ffmpeg("webp", "libwebp_anim", "bgra", pictures)
