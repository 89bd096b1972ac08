"""Films of the kinds that the field has: joined, cut off, of oblong pixels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

GREY, STEP = 20, 3  # of the first picture, and from one to the next
MUXERS = ("movflags", "mpegts_copyts")


def picture(number: int, size_hw: tuple[int, int] = (48, 64)) -> np.ndarray:
    """A picture that says its number, up to 75, in its grey."""
    return np.full((*size_hw, 3), GREY + STEP * number, np.uint8)


def number_in(pixels: np.ndarray) -> int:
    return round((float(pixels.mean()) - GREY) / STEP)


def write_film(
    path: Path,
    numbers: range = range(25),
    *,
    size_hw: tuple[int, int] = (48, 64),
    begin_s: float = 0.0,
    times_s: list[float] | None = None,
    pixel: Fraction | None = None,
    codec: str = "libx264",
    **options: str,
) -> Path:
    """Writes pictures at 25 a second from `begin_s` on, or at `times_s`; `pixel` is their shape, width to height."""
    muxing = {name: options.pop(name) for name in MUXERS if name in options}
    with av.open(str(path), "w", options=muxing) as container:
        stream: Any = container.add_stream(codec, rate=25, options={"g": "12", **options})
        stream.height, stream.width = size_hw
        stream.pix_fmt, tick = "yuv420p", Fraction(1, 1000 if times_s else 25)
        stream.time_base = stream.codec_context.time_base = tick
        if pixel is not None:
            stream.codec_context.sample_aspect_ratio = pixel
        for place, number in enumerate(numbers):
            frame = av.VideoFrame.from_ndarray(picture(number, size_hw))
            frame.pts = round((times_s[place] if times_s else begin_s + place / 25) / tick)
            frame.time_base = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def join(path: Path, *parts: Path) -> Path:
    """What `cat` makes of recordings."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def write_joined(folder: Path, begins_s: tuple[float, ...], sizes_hw: tuple[tuple[int, int], ...] = ()) -> Path:
    """Joins MPEG-TS recordings of a second, 25 pictures each, whose clocks begin at these times."""
    parts = []
    for place, begin_s in enumerate(begins_s):
        numbers = range(25 * place, 25 * place + 25)
        size_hw = sizes_hw[place] if sizes_hw else (48, 64)
        part = folder / f"part{place}.ts"
        parts.append(write_film(part, numbers, begin_s=begin_s, size_hw=size_hw, mpegts_copyts="1"))
    return join(folder / "joined.ts", *parts)
