"""The Pi camera against a fake of picamera2, which `tests/pi` compares with the real one."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import cv2
import fake_picamera2 as fake
import numpy as np
import pytest

from edge.data import TensorSpec
from edge.errors import SourceError, UsageError
from edge.labeller import fitting
from edge.preprocess import DEEPLAB, Preprocess
from edge.sources.open import open_source
from edge.sources.options import SourceOptions
from edge.sources.picamera import PiCamera, to_rgb


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> fake.Board:
    made = fake.Board()
    made.scene = cv2.resize(np.random.default_rng(1).integers(0, 256, (9, 16, 3), np.uint8), (1280, 720))
    monkeypatch.setattr(fake, "board", made)
    module = types.ModuleType("picamera2")
    module.Picamera2 = fake.Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    library = types.ModuleType("libcamera")
    library.ColorSpace = types.SimpleNamespace(Smpte170m=lambda: "BT.601")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "libcamera", library)
    return made


def first(wanted: SourceOptions | None = None) -> tuple[np.ndarray, np.ndarray | None]:
    camera = PiCamera(0, wanted or SourceOptions())
    try:
        frame = next(iter(camera))
        assert frame.pixels.shape[1::-1] == camera.info.size_wh
        return frame.pixels, None if frame.small is None else np.array(frame.small)
    finally:
        camera.close()


@pytest.mark.parametrize("form", ["BGR888", "RGB888", "XBGR8888", "XRGB8888"])
@pytest.mark.parametrize("size_wh", [(1280, 720), (1000, 562)])
def test_pictures_are_rgb_without_padding_and_survive_their_buffer(
    board: fake.Board, form: str, size_wh: tuple[int, int]
) -> None:
    board.main_format = form
    pixels, _ = first(SourceOptions(size_wh=size_wh))
    assert np.array_equal(pixels, cv2.resize(board.scene, size_wh, interpolation=cv2.INTER_AREA))
    assert pixels.flags.c_contiguous


@pytest.mark.parametrize("is_vc4", [False, True])
@pytest.mark.parametrize("small_wh", [(513, 257), (512, 256), (321, 321)])
def test_the_board_scales_to_the_models_size(board: fake.Board, is_vc4: bool, small_wh: tuple[int, int]) -> None:
    board.is_vc4 = is_vc4
    _, small = first(SourceOptions(small_wh=small_wh))
    assert small is not None
    assert small.shape == (*small_wh[::-1], 3)
    expected = cv2.resize(board.scene, small_wh, interpolation=cv2.INTER_AREA)
    assert np.abs(small.astype(int) - expected).mean() < 5  # chroma has half the pixels


@pytest.mark.parametrize("is_vc4", [False, True])
def test_the_boards_picture_becomes_rgb_only_where_the_model_takes_it(
    board: fake.Board, is_vc4: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    board.is_vc4 = is_vc4
    converted: list[tuple[int, int]] = []

    def counted(array: np.ndarray, form: str, size_wh: tuple[int, int]) -> np.ndarray:
        converted.append(size_wh)
        return to_rgb(array, form, size_wh)

    monkeypatch.setattr("edge.sources.picamera.to_rgb", counted)
    spec = TensorSpec("picture", (1, 257, 513, 3), np.dtype("int8"), 1 / 127.5, -1)
    preprocess = Preprocess(spec, DEEPLAB)
    camera = PiCamera(0, SourceOptions(small_wh=(513, 257)))
    frames = iter(camera)
    shown, taken = next(frames), next(frames)
    assert converted == [(1280, 720)] * 2
    x = preprocess(fitting(taken, preprocess))
    assert converted == [*[(1280, 720)] * 2, (513, 257)]
    camera.close()
    assert shown.small is not None
    assert np.array_equal(x, preprocess(np.ascontiguousarray(taken.small)))
    assert np.abs(x[0].astype(int) + 128 - np.asarray(taken.small)).max() == 0


def test_a_model_larger_than_the_picture_goes_without(board: fake.Board) -> None:
    pixels, small = first(SourceOptions(size_wh=(640, 360), small_wh=(1025, 513)))
    assert pixels.shape == (360, 640, 3)
    assert small is None


def test_yuv_is_asked_for_in_the_matrix_that_opencv_converts_from(board: fake.Board) -> None:
    board.is_vc4 = True
    camera = PiCamera(0, SourceOptions(small_wh=(513, 257)))
    assert board.open[0].camera_config["colour_space"] == "BT.601"
    camera.close()


def test_no_frame_is_kept_back_to_grow_stale() -> None:
    camera = PiCamera(0, SourceOptions())
    assert fake.board.open[0].camera_config["queue"] is False
    camera.close()


def test_buffers_go_back_to_the_camera() -> None:
    camera = PiCamera(0, SourceOptions())
    frames = [frame.index for frame, _ in zip(camera, range(20), strict=False)]
    camera.close()
    assert frames == list(range(20))


def test_the_rate_is_asked_for() -> None:
    camera = PiCamera(0, SourceOptions(rate=25))  # type: ignore[arg-type]
    assert fake.board.open[0].camera_config["controls"] == {"FrameDurationLimits": (40000, 40000)}
    assert camera.info.rate == 25
    camera.close()


def test_the_camera_is_released_on_every_exit(board: fake.Board, monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source("picamera2:0", SourceOptions(limit=3))
    assert len(list(source)) == 3
    source.close()
    assert board.open == []
    source = open_source("auto")
    frames = iter(source)
    next(frames)
    source.close()
    assert board.open == []
    monkeypatch.setattr(fake.Picamera2, "start", lambda self: (_ for _ in ()).throw(RuntimeError("no power")))
    with pytest.raises(SourceError, match=r"picamera2:0: cannot be started \(no power\)"):
        open_source("picamera2")
    assert board.open == []


def test_a_camera_that_freezes_is_closed_without_hanging_and_comes_back(
    board: fake.Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.sources.reconnect.FIRST_WAIT_S", 0.05)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        board.frozen.clear()

    source = open_source("picamera2", SourceOptions(timeout_s=1), say=say)
    frames = iter(source)
    before = next(frames).index
    board.frozen.set()
    while len(said) < 2:
        after = next(frames).index
    source.close()
    assert after > before
    assert said == [
        "picamera2:0: no frame for 1 s; is its cable loose?; opening it again in 0.05 s",
        "picamera2:0: frames come again",
    ]
    assert board.open == []


def test_what_is_wrong_is_said_in_one_line(board: fake.Board, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"picamera2:1: no such camera.*No camera number 1 found"):
        open_source("picamera2:1")
    in_use = fake.Picamera2(0)
    with pytest.raises(SourceError, match="another program uses it"):
        open_source("picamera2")
    in_use.close()
    board.main_format = "NV12"
    monkeypatch.setitem(fake.RGB_FORMATS, "NV12", 1)
    with pytest.raises(SourceError, match="pixel format"):
        open_source("picamera2")
    with pytest.raises(UsageError, match="`fourcc`: makes no sense"):
        open_source("picamera2", SourceOptions(fourcc="MJPG"))
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match="apt install python3-picamera2"):
        open_source("picamera2")


def test_auto_takes_the_pi_camera_first(board: fake.Board) -> None:
    source = open_source("auto")
    assert source.info.name == "picamera2:0"
    assert source.info.live
    source.close()


@pytest.mark.parametrize(
    "error", ["AttributeError", "OSError", "RuntimeError", "SystemError", "TypeError", "ValueError"]
)
def test_a_picamera2_that_cannot_be_imported_is_one_line(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "picamera2.py").write_text(f"raise {error}('built for another libcamera')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2")
    with pytest.raises(SourceError, match=r"picamera2 cannot be imported \(built for another libcamera\); sudo apt"):
        PiCamera(0, SourceOptions())
