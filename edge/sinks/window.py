"""Shows results in a window of this machine's display."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import get_args

import cv2

from edge.controls import Controls, View
from edge.data import Pixels, Result
from edge.errors import SinkError
from edge.sinks.base import Sink
from edge.sinks.pictures import save

TITLE = "roadlite"
_MOST_WH = (1280, 720)  # of the window as it opens; it can be drawn larger
_TOLD_S = 3.0  # how long the title says what was done
_PROBE_S = 20.0
_PROBE = f"import cv2; cv2.namedWindow({TITLE!r}); cv2.waitKey(1); cv2.destroyAllWindows()"
_OTHERWISE = "or use `output` web"


class Window(Sink):
    """A sink that shows what is rendered, and lets its keys steer the pipeline.

    OpenCV's windows belong to one thread: everything here, opening included, is called from the same one. On Linux any
    thread will do; macOS wants the main one.

    Raises SinkError where there is no display, or OpenCV cannot open a window on it.
    """

    notice = "in the window: q quit, v view, + and - opacity, s snapshot, space pause"

    def __init__(self, controls: Controls) -> None:
        _check()
        try:
            cv2.namedWindow(TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        except cv2.error as exc:
            raise SinkError(f"window: cannot be opened ({exc.err}); choose another display, {_OTHERWISE}") from exc
        self._controls = controls
        self._picture: Pixels | None = None
        self._told_until_s, self._closed = 0.0, False

    def write(self, result: Result) -> None:
        if self._closed:
            raise SinkError("window: nothing more can be shown, it is closed")
        if self._controls.quit.is_set():
            return
        if self._picture is None:
            height, width = result.picture.shape[:2]
            scale = min(1.0, _MOST_WH[0] / width, _MOST_WH[1] / height)
            cv2.resizeWindow(TITLE, max(1, round(width * scale)), max(1, round(height * scale)))
        self._picture = result.picture
        try:
            cv2.imshow(TITLE, cv2.cvtColor(result.picture, cv2.COLOR_RGB2BGR))
        except cv2.error as exc:
            raise SinkError(f"window: cannot be drawn to ({exc.err})") from exc
        self.idle()

    def idle(self) -> None:
        """Obeys keys and the window's own button; keeps the window alive while no frames come."""
        if self._closed or self._controls.quit.is_set():
            return
        key = cv2.waitKey(1)
        if key >= 0:
            press(self._controls, chr(key & 0xFF))
        if self._picture is not None and not _visible():
            self._controls.quit.set()
            return
        if self._controls.snapshot and self._picture is not None:
            self._controls.snapshot = False
            self._tell(_kept(self._picture))
        elif self._told_until_s and time.monotonic() > self._told_until_s:
            self._tell("")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            with suppress(cv2.error):  # it may be gone already
                cv2.destroyAllWindows()
                cv2.waitKey(1)  # only now it is

    def _tell(self, what: str) -> None:
        self._told_until_s = time.monotonic() + _TOLD_S if what else 0.0
        cv2.setWindowTitle(TITLE, f"{TITLE} - {what}" if what else TITLE)


def _visible() -> bool:
    try:
        return cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) >= 1
    except cv2.error:  # what Qt says when the last window was closed
        return False


def press(controls: Controls, key: str) -> None:
    """Does what a key stands for."""
    views = get_args(View)
    match key:
        case "q":
            controls.quit.set()
        case "v":
            controls.view = views[(views.index(controls.view) + 1) % len(views)]
        case "+" | "=":
            controls.alpha = min(1.0, round(controls.alpha + 0.1, 1))
        case "-":
            controls.alpha = max(0.0, round(controls.alpha - 0.1, 1))
        case "s":
            controls.snapshot = True
        case " ":
            controls.paused = not controls.paused


def _kept(picture: Pixels) -> str:
    """Keeps a picture beside where the command was started, and says where, or why not."""
    name = time.strftime("roadlite-%Y%m%d-%H%M%S")
    path = Path(f"{name}.png").absolute()
    for number in range(2, 100):
        if not path.exists():
            break
        path = path.with_name(f"{name}-{number}.png")
    try:
        save(path, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    except SinkError as exc:
        return str(exc)
    return f"saved {path}"


def _check() -> None:
    framework = cv2.currentUIFramework()
    if not framework:
        raise SinkError(
            "window: this OpenCV cannot open windows; pip uninstall -y opencv-python-headless && "
            f"pip install opencv-python, {_OTHERWISE}"
        )
    on_x_or_wayland = framework.startswith(("QT", "GTK"))
    if on_x_or_wayland and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        raise SinkError(
            f"window: there is no display (DISPLAY and WAYLAND_DISPLAY are not set); start it there, {_OTHERWISE}"
        )
    if framework.startswith("QT"):
        _probe()


def _probe() -> None:
    """Where Qt cannot start it ends the process without a word that could be caught: so let it be another one."""
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _PROBE],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise SinkError(f"window: opening one takes longer than {_PROBE_S:.0f} s; {_OTHERWISE}") from exc
    if tried.returncode:
        said = next((line for line in tried.stderr.splitlines() if "qt" in line.lower()), "it gave no reason")
        raise SinkError(
            f"window: Qt cannot open one ({' '.join(said.split())}); check DISPLAY, and that no PyQt or PySide is "
            f"installed beside opencv-python, whose Qt plug-ins clash with theirs (check-device tells), {_OTHERWISE}"
        )
