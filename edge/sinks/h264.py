"""Encodes what is shown as H.264 into an open container."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, Protocol

import av
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from edge.data import Frame, Pixels, Result
from edge.text import quiet

USUAL_RATE = Fraction(30)  # for pictures, which have none
_MAX_SIDE = 16384
_TICK_S = Fraction(1, 90_000)  # what video streams count in; the usual rates are whole numbers of it
_KEY_EVERY_S = 1.0
# Fastest by far of x264's presets at the same visible quality, for twice the file size of veryfast.
_ENCODING = {"preset": "ultrafast", "crf": "23", "forced-idr": "1"}


class Muxer(Protocol):
    """What takes the packets of an encoder: FFmpeg's container, or what stands for it."""

    def add_stream(self, *args: Any, **kwargs: Any) -> Any: ...

    def mux(self, packets: Any) -> None: ...


class H264:
    """An encoder of results into `container`. Its methods may raise OSError, ValueError and FFmpegError.

    All pictures get the size of the first: one of another size is scaled as a whole, with black beside or above it
    where its shape is another, and `say` told so, once.

    Frames keep the times that their source tells, at any spacing; where it tells none they stand at `rate`, and those
    that it left out leave a gap. About every second there is one that nothing before it is needed for. Pictures of odd
    width or height get one more column or row, as H.264 wants them even.
    """

    def __init__(
        self,
        container: Muxer,
        first: Result,
        rate: Fraction,
        *,
        prompt: bool = False,
        threads: int = 0,
        say: Callable[[str], None] = quiet,
    ) -> None:
        """`prompt` gives every frame at once, where somebody waits for it. The film depends on how many `threads`
        encode it; 0 takes what suits the machine.
        """
        height, width = first.picture.shape[:2]
        self._container, self._size_wh, self._rate = container, (width, height), rate
        self._say = say
        self._tick_s = 1 / rate if first.frame.time_s is None else _TICK_S
        self._last = self._key = -1 << 40  # ticks of the last frame, and of the last that stands alone
        options = {**_ENCODING, **({"tune": "zerolatency"} if prompt else {})}
        stream = self._stream = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.time_base = self._tick_s
        stream.thread_type = "AUTO"
        codec = stream.codec_context
        codec.thread_count = threads
        codec.time_base, codec.gop_size = self._tick_s, 1000
        codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
        codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709

    def write(self, result: Result) -> None:
        if max(self._size_wh) > _MAX_SIDE:
            found = "{}x{}".format(*self._size_wh)
            raise ValueError(f"H.264 takes pictures of at most {_MAX_SIDE} pixels a side, got {found}")
        self._last = max(self._last + 1, self._ticks(result.frame))
        frame = _yuv(self._of_first_size(result.picture))
        frame.pts, frame.time_base = self._last, self._tick_s
        if (self._last - self._key) * self._tick_s >= _KEY_EVERY_S:
            self._key, frame.pict_type = self._last, PictureType.I
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Writes what the encoder still holds; not to be called after an error of `write`, where FFmpeg crashes."""
        self._container.mux(self._stream.encode())

    def _ticks(self, frame: Frame) -> int:
        time_s = frame.index / self._rate if frame.time_s is None else Fraction(frame.time_s)
        return round(time_s / self._tick_s)

    def _of_first_size(self, picture: Pixels) -> Pixels:
        height, width = picture.shape[:2]
        if (width, height) == self._size_wh:
            return picture
        first = "{}x{}".format(*self._size_wh)
        self._say(f"a picture of {width}x{height} follows; it and all others are scaled to {first}, as the first was")
        self._say = quiet
        return fit_into(picture, self._size_wh)


def fit_into(picture: Pixels, size_wh: tuple[int, int]) -> Pixels:
    """Returns a whole picture scaled to this size, in the middle of black where its shape is another."""
    (height, width), (most_w, most_h) = picture.shape[:2], size_wh
    scale = min(most_w / width, most_h / height)
    inner_w, inner_h = (max(1, min(most, round(side * scale))) for side, most in ((width, most_w), (height, most_h)))
    fitted = np.zeros((most_h, most_w, 3), np.uint8)
    left, top = (most_w - inner_w) // 2, (most_h - inner_h) // 2
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    fitted[top : top + inner_h, left : left + inner_w] = cv2.resize(picture, (inner_w, inner_h), interpolation=how)
    return fitted


def _yuv(picture: Pixels) -> av.VideoFrame:
    """BT.709, limited range, of even width and height."""
    bottom, right = picture.shape[0] % 2, picture.shape[1] % 2
    even = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE) if bottom or right else picture
    rgb = av.VideoFrame.from_ndarray(even, format="rgb24")  # type: ignore[arg-type]
    return rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1)
