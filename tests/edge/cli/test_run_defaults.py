"""What `run-model` does when little is said."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from edge.cli import run_model
from edge.cli.options import parse_rate, source_options
from edge.cli.pace import pace_of
from edge.cli.run_model import build_parser, default_output, main, open_shown
from edge.data import SourceInfo
from edge.device.cameras import Search
from edge.errors import SinkError, UsageError
from edge.pipeline import Pace
from edge.sources.options import SourceOptions

CAMERA = SourceInfo("/dev/video0", (1280, 720), Fraction(30), None, live=True)


def options(*arguments: str) -> argparse.Namespace:
    return build_parser().parse_args(["m.tflite", *arguments])


@pytest.mark.parametrize(
    ("spec", "info", "output"),
    [
        ("drive/road.mkv", SourceInfo("road.mkv", (64, 48), Fraction(25), 40), "road-overlay.mp4"),
        ("demo", SourceInfo("demo", (64, 48), Fraction(25), 40), "demo-overlay.mp4"),
        ("a/street.png", SourceInfo("street.png", None, None, 1), "street-overlay.png"),
        ("a/street.png", SourceInfo("street.png", None, Fraction(5), 1), "street-overlay.png"),
        ("frames", SourceInfo("frames", None, None, 12), "frames-overlay/"),
        ("-", SourceInfo("stdin", (64, 48), None, None), "stdin-overlay.mp4"),
    ],
)
@pytest.mark.parametrize("shown_on", [None, ":0"])
def test_a_file_becomes_a_file_with_or_without_a_display(
    spec: str, info: SourceInfo, output: str, shown_on: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_model, "display", lambda: shown_on)
    assert default_output(spec, info) == output


def test_a_camera_is_shown_in_a_window_or_where_there_is_no_display_on_a_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_model, "display", lambda: ":0")
    assert default_output("auto", CAMERA) == "window"
    monkeypatch.setattr(run_model, "display", lambda: None)
    assert default_output("auto", CAMERA) == "web"


FILM = SourceInfo("road.mkv", (64, 48), Fraction(25), 40)


@pytest.mark.parametrize(
    ("arguments", "info", "pace"),
    [
        ((), CAMERA, Pace(ahead=True)),
        (("--view-rate", "camera"), CAMERA, Pace(ahead=True)),
        (("--view-rate", "labels"), CAMERA, Pace()),
        (("--label-every", "4"), CAMERA, Pace(4, ahead=True)),
        ((), FILM, Pace()),
        (("--label-every", "4"), FILM, Pace(4)),
    ],
)
def test_a_camera_is_shown_at_its_own_rate_and_a_film_frame_by_frame(
    arguments: tuple[str, ...], info: SourceInfo, pace: Pace
) -> None:
    assert pace_of(options(*arguments), info) == pace


def test_paces_that_make_no_sense_are_refused() -> None:
    with pytest.raises(
        UsageError, match=r"`view_rate`: expected a camera or a stream with it; road.mkv is shown frame"
    ):
        pace_of(options("--view-rate", "camera"), FILM)
    with pytest.raises(UsageError, match="`label_every`: expected `view_rate` camera with it"):
        pace_of(options("--view-rate", "labels", "--label-every", "2"), CAMERA)


def test_a_display_without_a_window_library_leads_to_the_page(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def opened(spec: str, info: SourceInfo, live: Any, notice: Any = None) -> str:
        if spec == "window":
            raise SinkError("window: this OpenCV has no windows")
        return spec

    monkeypatch.setattr(run_model, "open_sink", opened)
    assert open_shown("window", CAMERA, None) == "web"  # type: ignore[arg-type, comparison-overlap]
    assert "this OpenCV has no windows; showing the web page instead" in capsys.readouterr().err


def test_without_a_camera_it_is_said_where_one_was_looked_for(
    tiny_model: Callable[..., bytes],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "edge.device.cameras.cameras", lambda: Search((), ("picamera2: not installed", "/dev/video*: none"))
    )
    (tmp_path / "m.tflite").write_bytes(tiny_model())
    assert main([str(tmp_path / "m.tflite"), "--normalise", "deeplab"]) == 1
    assert "looked for: picamera2: not installed; /dev/video*: none. Attach one" in capsys.readouterr().err


def test_options_of_the_source_reach_it() -> None:
    said = options(
        "--width",
        "640",
        "--height",
        "480",
        "--fps",
        "29.97",
        "--fourcc",
        "MJPG",
        "--limit",
        "9",
        "--start",
        "1.5",
        "--loop",
        "--realtime",
        "--timeout",
        "3",
        "--max-reconnects",
        "4",
    )
    assert source_options(said, (257, 513)) == SourceOptions(
        size_wh=(640, 480),
        rate=Fraction(2997, 100),
        fourcc="MJPG",
        small_wh=(513, 257),
        limit=9,
        start_s=1.5,
        loop=True,
        realtime=True,
        timeout_s=3.0,
        max_reconnects=4,
    )
    assert source_options(options()) == SourceOptions()


@pytest.mark.parametrize("alone", [("--width", "640"), ("--height", "480")])
def test_a_size_has_two_sides(alone: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="`width`, `height`: expected both or neither"):
        source_options(options(*alone))


@pytest.mark.parametrize("text", ["fast", "", "1/0", "nan", "inf"])
def test_a_rate_is_a_number(text: str) -> None:
    with pytest.raises(UsageError, match="`fps`: expected a number"):
        parse_rate(text)
    assert (parse_rate("30"), parse_rate("30000/1001")) == (30, Fraction(30000, 1001))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--max-temp", "200"], "--max-temp: expected 30 to 120"),
        (["--timeout", "0"], "--timeout"),
        (["--max-reconnects", "-1"], "--max-reconnects"),
        (["--start", "-3"], "--start"),
        (["--smooth", "7"], "--smooth"),
        (["--fourcc", "MJPEG"], "--fourcc"),
        (["--width", "0", "--height", "5"], "--width, --height"),
        (["--fps", "0"], "--fps"),
        (["--label-every", "0"], "--label-every: expected 1 to 30 frames"),
        (["--label-every", "31"], "--label-every: expected 1 to 30 frames"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_loaded(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["no-such.tflite", *arguments]) == 2
    assert words in capsys.readouterr().err
