"""Reads the Raspberry Pi's own camera through picamera2."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Frame, Pixels, SourceInfo
from edge.device.cameras import IMPORT_ERRORS
from edge.errors import SourceError
from edge.sources.options import SourceOptions

DEFAULT_WH = (1280, 720)
DEFAULT_RATE = Fraction(30)

# libcamera names a format by its highest byte first, so that BGR888 lies in memory as R, G, B.
_TO_RGB = {
    "BGR888": None,
    "RGB888": cv2.COLOR_BGR2RGB,
    "XBGR8888": cv2.COLOR_RGBA2RGB,
    "XRGB8888": cv2.COLOR_BGRA2RGB,
    "YUV420": cv2.COLOR_YUV2RGB_I420,
}


class PiCamera:
    """A source of frames of the Pi camera `number`, each the next to come after it is asked for; none grows stale in a
    queue.

    Where the board allows, its image processor scales a second picture to the model's input size: in RGB on a Pi 5,
    in YUV 4:2:0 on older ones. Streams have even sides: of an odd input size the next even one is asked for and the
    last column or row left out. It becomes RGB only where the model takes it.

    Raises SourceError where picamera2 is missing, there is no such camera, or it is in use.
    """

    def __init__(self, number: int, options: SourceOptions) -> None:
        self._name, self._timeout_s = f"picamera2:{number}", options.timeout_s
        self._small_wh = options.small_wh
        self._camera = _open(number, self._name)
        try:
            rate = options.rate or DEFAULT_RATE
            self._has_small = _configure(self._camera, self._name, options.size_wh or DEFAULT_WH, rate, self._small_wh)
            self._camera.start()
            size_wh = tuple(self._camera.stream_configuration("main")["size"])
        except BaseException as exc:
            self._camera.close()
            if isinstance(exc, RuntimeError):
                raise SourceError(f"{self._name}: cannot be started ({_line(exc)})") from exc
            raise
        self.info = SourceInfo(self._name, size_wh, rate, frame_count=None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            try:
                request = self._camera.capture_request(wait=self._timeout_s)
            except (TimeoutError, RuntimeError) as exc:
                self._camera.cancel_all_and_flush()  # or closing it would wait for this request for ever
                raise SourceError(f"{self._name}: no frame for {self._timeout_s:g} s; is its cable loose?") from exc
            try:
                captured_s = time.perf_counter()
                pixels = np.ascontiguousarray(self._picture(request, "main"))
                small = self._small(request)
            finally:
                request.release()
            yield Frame(pixels, index, captured_s, small=small)
            index += 1

    def close(self) -> None:
        self._camera.close()

    def _picture(self, request: Any, stream: str) -> _Taken:
        """`make_array` copies it out of the camera's memory."""
        about = self._camera.stream_configuration(stream)
        return _Taken(request.make_array(stream), about["format"], tuple(about["size"]))

    def _small(self, request: Any) -> _Taken | None:
        if not self._has_small or self._small_wh is None:
            return None
        return replace(self._picture(request, "lores"), size_wh=self._small_wh)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What the camera gave, which becomes RGB when it is asked for: the model takes few frames of a fast camera."""

    array: NDArray[np.uint8]  # as make_array gives it
    form: str
    size_wh: tuple[int, int]  # of the picture in its upper left

    @property
    def shape(self) -> tuple[int, ...]:
        return (*self.size_wh[::-1], 3)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        return to_rgb(self.array, self.form, self.size_wh)


def to_rgb(array: NDArray[np.uint8], form: str, size_wh: tuple[int, int]) -> Pixels:
    """Returns what picamera2's make_array gives for a stream of format `form` as RGB, of which what is right of and
    below `size_wh` is left out: a view, contiguous or not.
    """
    code = _TO_RGB[form]
    pixels: Pixels = array if code is None else cv2.cvtColor(array, code)  # type: ignore[assignment]
    return pixels[: size_wh[1], : size_wh[0]]


def _open(number: int, name: str) -> Any:
    try:
        from picamera2 import Picamera2
    except IMPORT_ERRORS as exc:
        fix = "sudo apt install python3-picamera2, and a venv made with --system-site-packages"
        raise SourceError(f"{name}: picamera2 cannot be imported ({_line(exc)}); {fix}") from exc
    try:
        return Picamera2(number)
    except (RuntimeError, IndexError) as exc:
        hint = "`rpicam-hello --list-cameras` shows what is attached"
        raise SourceError(f"{name}: no such camera, or another program uses it ({_line(exc)}); {hint}") from exc


def _configure(camera: Any, name: str, size_wh: tuple[int, int], rate: Fraction, small_wh: Any) -> bool:
    """Sets both streams up, or the main one alone; whether there are both."""
    even = None if small_wh is None else tuple(side + side % 2 for side in small_wh)
    tries = [None] if even is None else [{"size": even, "format": form} for form in ("BGR888", "YUV420")] + [None]
    refused = ""
    for small in tries:
        frame_us = round(1e6 / rate)
        configuration = camera.create_video_configuration(
            main={"size": size_wh, "format": "BGR888"},
            lores=small,
            colour_space=_colour_space(),
            controls={"FrameDurationLimits": (frame_us, frame_us)},
            queue=False,
        )
        try:
            camera.configure(configuration)
        except RuntimeError as exc:  # a Pi 4 has no RGB here, a USB camera no second stream
            refused = _line(exc)
            continue
        if _usable(camera, small):
            return small is not None
        refused = "a pixel format that is not known here"
    raise SourceError(f"{name}: takes no configuration of {size_wh[0]}x{size_wh[1]} ({refused})")


def _colour_space() -> Any:
    """BT.601 in limited range, which OpenCV takes YUV for; RGB streams do not mind."""
    from libcamera import ColorSpace

    return ColorSpace.Smpte170m()


def _usable(camera: Any, small: dict[str, Any] | None) -> bool:
    """Whether the formats that the camera settled on are known, and the small stream has the size asked for."""
    if camera.stream_configuration("main")["format"] not in _TO_RGB:
        return False
    if small is None:
        return True
    stream = camera.stream_configuration("lores")
    return stream["format"] in _TO_RGB and tuple(stream["size"]) == small["size"]


def _line(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:200]
