"""Cameras told from the other nodes that drivers make."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from edge.device.cameras import Camera, Node, cameras, pi_cameras, query_capability, video_nodes

CAPTURE, OUTPUT, M2M_MPLANE, META, MEDIA_CONTROLLER, DEVICE_CAPS = 0x1, 0x2, 0x4000, 0x800000, 0x20000000, 0x80000000
UVC = CAPTURE | META | DEVICE_CAPS  # of both nodes of a webcam together

NODES = {
    "video2": (b"vivid", b"vivid", DEVICE_CAPS, OUTPUT),
    "video0": (b"uvcvideo", b"HD Pro Webcam C920", UVC, CAPTURE),
    "video1": (b"uvcvideo", b"HD Pro Webcam C920", UVC, META),
    "video10": (b"bcm2835-codec", b"bcm2835-codec-decode", DEVICE_CAPS, M2M_MPLANE),
    "video13": (b"bcm2835-isp", b"bcm2835-isp", DEVICE_CAPS, OUTPUT),
    "video14": (b"bcm2835-isp", b"bcm2835-isp", DEVICE_CAPS, CAPTURE),
    "video20": (b"rp1-cfe", b"rp1-cfe", DEVICE_CAPS, CAPTURE | META | MEDIA_CONTROLLER),
    "video30": (b"v4l2 loopback", b"Dummy", CAPTURE, 0),  # an old driver, that does not tell of single nodes
    "video31": (b"mxc-isi", b"mxc-isi-cap", DEVICE_CAPS, CAPTURE | MEDIA_CONTROLLER),
}


def answer(device: Path) -> bytes:
    driver, card, everything, node = NODES[device.name]
    return struct.pack("16s32s32s6I", driver, card, b"bus", 0x60C00, everything, node, 0, 0, 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "dev").mkdir()
    for name in (*NODES, "video-codec"):
        (tmp_path / "dev" / name).touch()
    return tmp_path


def test_only_cameras_are_called_cameras(root: Path) -> None:
    kinds = {node.device: node.kind for node in video_nodes(root, answer)}
    assert kinds == {
        "/dev/video0": "camera",
        "/dev/video1": "metadata",
        "/dev/video2": "output",
        "/dev/video10": "codec",
        "/dev/video13": "pipeline",
        "/dev/video14": "pipeline",
        "/dev/video20": "pipeline",
        "/dev/video30": "camera",
        "/dev/video31": "pipeline",
    }
    assert list(kinds) == [f"/dev/video{n}" for n in (0, 1, 2, 10, 13, 14, 20, 30, 31)]  # by number, not by name


def test_a_node_that_refuses_says_which_group_may(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(device: Path) -> bytes:
        if device.name == "video0":
            raise PermissionError(13, "Permission denied")
        raise OSError(19, "No such device")

    monkeypatch.setattr("grp.getgrgid", lambda _: SimpleNamespace(gr_name="video"))
    names = root / "sys/class/video4linux/video0"
    names.mkdir(parents=True)
    (names / "name").write_text("HD Pro Webcam C920\n")
    first, second, *_ = video_nodes(root, refuse)
    assert first == Node("/dev/video0", "HD Pro Webcam C920", "", "refused", "refuses: not in the group video")
    assert second == Node("/dev/video1", "", "", "refused", "No such device")


def test_the_kernel_is_asked() -> None:
    with pytest.raises(OSError, match=r"Inappropriate ioctl|Function not implemented"):  # the second from qemu
        query_capability(Path("/dev/null"))
    with pytest.raises(OSError, match="No such file"):
        query_capability(Path("/dev/video-none"))


def fake_picamera2(monkeypatch: pytest.MonkeyPatch, infos: list[dict[str, Any]]) -> None:
    module = ModuleType("picamera2")
    module.Picamera2 = SimpleNamespace(global_camera_info=lambda: infos)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)


def test_pi_cameras_are_numbered_as_picamera2_numbers_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sensor = {"Model": "imx708_wide", "Id": "/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a", "Num": 1}
    usb = {"Model": "C920", "Id": "/base/axi/pcie@120000/rp1/usb@200000-1:1.0-046d:082d", "Num": 0}
    fake_picamera2(monkeypatch, [sensor, usb, sensor])
    assert pi_cameras() == ([Camera("picamera2:0", "imx708_wide"), Camera("picamera2:2", "imx708_wide")], "")


def test_pi_camera_comes_before_usb(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.device.cameras.video_nodes", lambda _: video_nodes(root, answer))
    fake_picamera2(monkeypatch, [{"Model": "imx219", "Id": "/base/soc/i2c0mux/i2c@1/imx219@10"}])
    assert [camera.source for camera in cameras(root).cameras] == ["picamera2:0", "/dev/video0", "/dev/video30"]


def test_where_there_is_no_camera_it_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    found = cameras(tmp_path)
    assert found.cameras == ()
    pi, v4l2 = found.looked
    assert pi.startswith("picamera2: ")
    assert "picamera2" in pi.removeprefix("picamera2: ")
    assert v4l2 == "/dev/video*: none"


def test_a_picamera2_built_for_another_numpy_is_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "picamera2.py").write_text("raise ValueError('numpy.dtype size changed, may indicate binary')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "picamera2", raising=False)
    assert pi_cameras() == ([], "numpy.dtype size changed, may indicate binary")
