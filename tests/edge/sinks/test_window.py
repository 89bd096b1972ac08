"""The window with a display of paper: the few calls of OpenCV that it makes, and a keyboard."""

from __future__ import annotations

import re
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edge.classes import CITYSCAPES
from edge.controls import Controls, LivePipeline
from edge.data import Frame, LabelMap, Result, SourceInfo
from edge.errors import SinkError
from edge.sinks import window
from edge.sinks.base import Sink
from edge.sinks.open import open_sink

INFO = SourceInfo("camera", None, None, None, live=True)


class Display:
    """What OpenCV's windows do, on paper."""

    def __init__(self) -> None:
        self.keys: list[str] = []  # pressed, not yet read
        self.shown: list[np.ndarray] = []  # BGR
        self.titles: list[str] = []
        self.size_wh, self.visible, self.framework = (0, 0), 0.0, "GTK3"

    def named(self, name: str, flags: int) -> None:
        self.visible = 1.0

    def resize(self, name: str, width: int, height: int) -> None:
        self.size_wh = width, height

    def show(self, name: str, picture: np.ndarray) -> None:
        assert self.visible, "this would open the window anew"
        self.shown.append(picture)

    def wait(self, delay_ms: int) -> int:
        assert delay_ms > 0, "0 waits for ever"
        return ord(self.keys.pop(0)) if self.keys else -1

    def property(self, name: str, which: int) -> float:
        assert which == cv2.WND_PROP_VISIBLE
        return self.visible

    def destroy(self) -> None:
        self.visible = 0.0

    def title(self, name: str, text: str) -> None:
        self.titles.append(text)


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Display:
    made = Display()
    monkeypatch.setenv("DISPLAY", ":0")
    calls = {
        "currentUIFramework": lambda: made.framework,
        "namedWindow": made.named,
        "resizeWindow": made.resize,
        "imshow": made.show,
        "waitKey": made.wait,
        "getWindowProperty": made.property,
        "setWindowTitle": made.title,
        "destroyAllWindows": made.destroy,
    }
    for name, call in calls.items():
        monkeypatch.setattr(cv2, name, call)
    return made


def opened(controls: Controls | None = None) -> Any:
    made: Sink = open_sink("window", INFO, LivePipeline(CITYSCAPES, controls or Controls(), NotImplemented))
    return made


def result(size_hw: tuple[int, int] = (48, 64)) -> Result:
    picture = np.full((*size_hw, 3), (200, 100, 50), np.uint8)
    return Result(Frame(picture, 0, 0.0), LabelMap(picture[..., 0].copy()), picture)


def test_pictures_are_shown_in_their_colours_and_fit_the_screen(display: Display) -> None:
    with closing(opened()) as sink:
        sink.write(result((2160, 3840)))
        assert display.shown[0][0, 0].tolist() == [50, 100, 200]
        assert display.size_wh == (1280, 720)
    assert not display.visible
    with closing(opened()) as sink:
        sink.write(result())
        assert display.size_wh == (64, 48), "small ones are not blown up"


def test_keys_steer_the_pipeline(display: Display) -> None:
    controls = Controls()
    with closing(opened(controls)) as sink:

        def press(key: str) -> Controls:
            display.keys.append(key)
            sink.write(result())
            return controls

        assert [press("v").view for _ in range(3)] == ["mask", "side-by-side", "overlay"]
        assert [press("+").alpha for _ in range(6)] == [0.6, 0.7, 0.8, 0.9, 1.0, 1.0]
        assert [press("-").alpha for _ in range(11)][-2:] == [0.0, 0.0]
        assert press(" ").paused
        assert press("x") == controls
        assert not press(" ").paused
        assert not controls.quit.is_set()
        assert press("q").quit.is_set()


def test_keys_work_while_no_frames_come(display: Display) -> None:
    controls = Controls(paused=True)
    with closing(opened(controls)) as sink:
        display.keys = [" "]
        sink.idle()
        assert not controls.paused


@pytest.mark.parametrize("toolkit", ["GTK", "Qt"])
def test_its_own_button_ends_the_run(display: Display, monkeypatch: pytest.MonkeyPatch, toolkit: str) -> None:
    controls = Controls()

    def no_window(*given: object) -> None:
        raise cv2.error("NULL guiReceiver (please create a window)")

    with closing(opened(controls)) as sink:
        sink.write(result())
        display.visible = 0.0
        if toolkit == "Qt":
            for name in ("getWindowProperty", "destroyAllWindows"):
                monkeypatch.setattr(cv2, name, no_window)
        sink.idle()
        assert controls.quit.is_set()
        sink.write(result())  # the pipeline had one more
        assert len(display.shown) == 1


def test_a_snapshot_is_kept_under_the_time_and_said(
    display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(window, "_TOLD_S", 0.05)
    monkeypatch.setattr(time, "strftime", lambda given: given.replace("%Y%m%d-%H%M%S", "20260801-120000"))
    with closing(opened()) as sink:
        display.keys = ["s", "s"]
        sink.write(result())
        sink.idle()  # paused: the picture on the screen is meant
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "roadlite-20260801-120000-2.png",
            "roadlite-20260801-120000.png",
        ]
        kept = cv2.imread(str(tmp_path / "roadlite-20260801-120000.png"))
        assert kept is not None
        assert kept[0, 0].tolist() == [50, 100, 200]
        assert display.titles[0] == f"roadlite - saved {tmp_path}/roadlite-20260801-120000.png"
        time.sleep(0.06)
        sink.idle()
        assert display.titles[-1] == "roadlite"


def test_a_snapshot_that_cannot_be_kept_is_said_and_the_run_goes_on(
    display: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(window, "save", lambda path, picture: (_ for _ in ()).throw(SinkError(f"{path}: disk full")))
    with closing(opened()) as sink:
        display.keys = ["s"]
        sink.write(result())
        assert re.match(r"roadlite - .*disk full", display.titles[0])
        sink.write(result())


def test_an_opencv_without_windows_names_the_way_out(display: Display) -> None:
    display.framework = ""
    with pytest.raises(
        SinkError, match=r"pip uninstall -y opencv-python-headless && pip install opencv-python, .*`output` web"
    ):
        opened()


def test_without_a_display_the_web_page_is_named(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for display.framework in ("QT", "GTK3"):
        with pytest.raises(SinkError, match=r"no display.*`output` web"):
            opened()


def test_a_qt_that_cannot_start_does_not_take_the_run_with_it(
    display: Display, monkeypatch: pytest.MonkeyPatch
) -> None:
    display.framework = "QT5"
    said = (
        "import sys, os\nprint('qt.qpa.xcb: could not connect to display :9', file=sys.stderr, flush=True)\nos.abort()"
    )
    monkeypatch.setattr(window, "_PROBE", said)
    with pytest.raises(SinkError, match=r"could not connect to display :9.*PyQt or PySide.*check-device.*web"):
        opened()
    monkeypatch.setattr(window, "_PROBE", "pass")
    opened().close()
    monkeypatch.setattr(window, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(window, "_PROBE_S", 0.2)
    with pytest.raises(SinkError, match=r"takes longer"):
        opened()


def test_a_display_that_goes_away_is_an_error_of_this_output(display: Display, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*given: object) -> None:
        raise cv2.error("no display")

    with closing(opened()) as sink:
        monkeypatch.setattr(cv2, "imshow", gone)
        with pytest.raises(SinkError, match="window: cannot be drawn to"):
            sink.write(result())
    monkeypatch.setattr(cv2, "namedWindow", gone)
    with pytest.raises(SinkError, match="window: cannot be opened"):
        opened()
