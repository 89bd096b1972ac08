"""Reads cameras behind Video4Linux: USB cameras, and whatever else has a /dev/video node."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.data import Frame, SourceInfo
from edge.device.cameras import video_nodes
from edge.errors import SourceError
from edge.sources.options import SourceHealth, SourceOptions

DEFAULT_WH = (1280, 720)
MAX_BAD_IN_A_ROW = 30
_COMPRESSED = "MJPG"
_MAX_RATE = 1000


class Camera:
    """A source of frames of a V4L2 device, each read as it comes; the thread that iterates must keep up.

    Size, rate and pixel format are what the camera makes of what is asked for. Without a format asked for, MJPG is
    taken where it brings the size nearer or the rate higher than what the camera starts with, since a USB 2 link
    carries uncompressed pictures slowly.

    Raises SourceError where it is not there, refuses, or is in use.
    """

    def __init__(self, device: str, options: SourceOptions, health: SourceHealth | None = None) -> None:
        path = Path(f"/dev/video{device}" if device.isdecimal() else device)
        _check_there(path)
        self._health = health or SourceHealth()
        self._capture = _open(path)
        try:
            width, height, rate = negotiate(self._capture, options)
        except BaseException:
            self._capture.release()
            raise
        self._name, self._hw = str(path), (height, width)
        self.info = SourceInfo(name=self._name, size_wh=(width, height), rate=rate, frame_count=None, live=True)

    def __iter__(self) -> Iterator[Frame]:
        index, bad_in_a_row = 0, 0
        while True:
            came, bgr = self._capture.read()
            if not came:
                raise SourceError(f"{self._name}: gives no more frames; was it unplugged?")
            if not _is_picture(bgr, self._hw):
                bad_in_a_row += 1
                self._health.skipped += 1
                if bad_in_a_row > MAX_BAD_IN_A_ROW:
                    raise SourceError(f"{self._name}: more than {MAX_BAD_IN_A_ROW} damaged frames in a row")
                continue
            bad_in_a_row = 0
            captured_s = time.perf_counter()
            yield Frame(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), index, captured_s)
            index += 1

    def close(self) -> None:
        self._capture.release()


def negotiate(capture: Any, options: SourceOptions) -> tuple[int, int, Fraction | None]:
    """Returns the width, height and rate that a cv2.VideoCapture settles on, the best of its pixel formats chosen."""
    if options.fourcc is not None:
        return _apply(capture, options, options.fourcc)
    plain = _apply(capture, options, None)
    compressed = _apply(capture, options, _COMPRESSED)
    if _merit(compressed, options) > _merit(plain, options):
        return compressed
    return _apply(capture, options, "YUYV")


def _apply(capture: Any, options: SourceOptions, fourcc: str | None) -> tuple[int, int, Fraction | None]:
    width, height = options.size_wh or DEFAULT_WH
    if fourcc is not None:
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*fourcc))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, width)
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, height)
    if options.rate is not None:
        capture.set(cv2.CAP_PROP_FPS, float(options.rate))
    found_wh = round(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), round(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    rate = capture.get(cv2.CAP_PROP_FPS)
    known = 0 < rate <= _MAX_RATE
    return *found_wh, Fraction(rate).limit_denominator(1001) if known else None


def _merit(settled: tuple[int, int, Fraction | None], options: SourceOptions) -> tuple[int, Fraction]:
    """Bigger is better: as near to the size asked for as can be, then as fast as can be up to the rate asked for."""
    width, height = options.size_wh or DEFAULT_WH
    off = abs(settled[0] - width) + abs(settled[1] - height)
    rate = settled[2] or Fraction(0)
    return -off, rate if options.rate is None else min(rate, options.rate)


def _is_picture(bgr: Any, hw: tuple[int, int]) -> bool:
    return isinstance(bgr, np.ndarray) and bgr.dtype == np.uint8 and bgr.shape == (*hw, 3)


def _check_there(path: Path) -> None:
    """Says what OpenCV would not: that the device is missing, or refuses."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))
    except OSError as exc:
        if exc.errno == errno.EACCES:
            fix = "; add yourself to its group: sudo usermod -aG video $USER, then log in again"
        elif exc.errno == errno.EBUSY:
            fix = "; another program uses it"
        else:
            cameras = [node.device for node in video_nodes() if node.kind == "camera"]
            fix = f"; V4L2 cameras here: {', '.join(cameras) or 'none'}"
        raise SourceError(f"{path}: expected a camera, it cannot be opened ({exc.strerror}){fix}") from exc


def _open(path: Path) -> Any:
    capture = cv2.VideoCapture(str(path), cv2.CAP_V4L2)
    if not capture.isOpened():
        capture.release()
        raise SourceError(f"{path}: expected a camera; it is in use by another program or gives no pictures")
    return capture
