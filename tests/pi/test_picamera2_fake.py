"""The fake of picamera2 that the tests use, call by call against the real package; no camera is needed."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "edge"))
import fake_picamera2 as fake

picamera2 = pytest.importorskip("picamera2", reason="needs picamera2 and libcamera, which only a Pi's Debian has")

CALLS = [
    ("Picamera2", name)
    for name in (
        "__init__",
        "global_camera_info",
        "create_video_configuration",
        "align_stream",
        "configure",
        "start",
        "stream_configuration",
        "capture_request",
        "cancel_all_and_flush",
        "close",
    )
] + [("CompletedRequest", "make_array"), ("CompletedRequest", "release")]


@pytest.mark.parametrize(("owner", "name"), CALLS)
def test_signatures_are_the_real_ones(owner: str, name: str) -> None:
    real, ours = (inspect.signature(getattr(getattr(module, owner), name)).parameters for module in (picamera2, fake))
    for parameter in ours.values():
        assert parameter.name in real, f"{owner}.{name} has no {parameter.name}"
        assert real[parameter.name].kind is parameter.kind
        assert (real[parameter.name].default is parameter.empty) == (parameter.default is parameter.empty)
        if isinstance(parameter.default, (int, str, bool)):
            assert real[parameter.name].default == parameter.default
    required = {name for name, parameter in real.items() if parameter.default is parameter.empty}
    assert required <= set(ours), "the real one wants more"


def test_every_call_of_the_fake_is_compared() -> None:
    names = {name for name, found in vars(fake.Picamera2).items() if callable(found) or isinstance(found, staticmethod)}
    assert names == {name for owner, name in CALLS if owner == "Picamera2"}


@pytest.mark.parametrize("form", ["BGR888", "RGB888", "XBGR8888", "XRGB8888", "YUV420"])
@pytest.mark.parametrize("size_wh", [(64, 32), (514, 258)])
def test_buffers_become_arrays_as_in_the_real_one(form: str, size_wh: tuple[int, int]) -> None:
    from picamera2.request import Helpers

    config = {"format": form, "size": size_wh, "stride": fake.stride(form, size_wh[0])}
    rows = size_wh[1] * 3 // 2 if form == "YUV420" else size_wh[1]
    buffer = np.random.default_rng(0).integers(0, 256, rows * config["stride"], np.uint8)
    real = Helpers(None).make_array(buffer.copy(), config)
    ours = fake.make_array(buffer.copy(), config)
    assert np.array_equal(real, ours)


@pytest.mark.parametrize("size_wh", [(1280, 720), (1281, 721), (513, 257)])
def test_sizes_become_even_as_in_the_real_one(size_wh: tuple[int, int]) -> None:
    real, ours = ({"format": "BGR888", "size": size_wh} for _ in range(2))
    picamera2.Picamera2.align_stream(real, optimal=False)
    fake.Picamera2.align_stream(ours, optimal=False)
    assert real == ours


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # picamera2 opens a pipe before it refuses
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_camera_that_is_not_there_is_refused_in_the_same_way() -> None:
    if picamera2.Picamera2.global_camera_info():
        pytest.skip("a camera is attached")
    with pytest.raises((RuntimeError, IndexError)):
        picamera2.Picamera2(0)


def test_the_colour_space_is_there() -> None:
    import libcamera

    space = libcamera.ColorSpace.Smpte170m()
    assert space.ycbcrEncoding == libcamera.ColorSpace.YcbcrEncoding.Rec601
    assert space.range == libcamera.ColorSpace.Range.Limited


def test_formats_mean_the_same_order_of_bytes() -> None:
    """BGR888 is R, G, B in memory: PIL, which gets the raw buffer, is told so."""
    from picamera2.request import Helpers

    orders = {form: Helpers(None)._get_pil_mode(form) for form in fake.RGB_FORMATS}
    assert orders == {"BGR888": "RGB", "RGB888": "BGR", "XBGR8888": "RGBX", "XRGB8888": "BGRX"}
