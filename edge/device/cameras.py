"""Finds the cameras that are attached, as sources name them."""

from __future__ import annotations

import errno
import fcntl
import grp
import os
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edge.device.board import ROOT

# What `import picamera2` raises: all but the first where a package of it was built for another numpy or libcamera.
IMPORT_ERRORS = (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera; `source` is the name that opens it: `picamera2:0` or `/dev/video0`."""

    source: str
    name: str  # what the camera or its sensor calls itself


@dataclass(frozen=True, slots=True)
class Node:
    """A /dev/video node. Only one of kind `camera` gives pictures without being set up piece by piece."""

    device: str  # /dev/video0
    name: str
    driver: str  # empty where the node could not be asked
    kind: Literal["camera", "metadata", "codec", "pipeline", "output", "refused"]
    reason: str = ""  # why it was refused


@dataclass(frozen=True, slots=True)
class Search:
    """The cameras that were found, the Pi's first, and one line for each place that was looked in."""

    cameras: tuple[Camera, ...]
    looked: tuple[str, ...]


def cameras(root: Path = ROOT) -> Search:
    """Returns every camera that can be opened, the best first; it opens none of them.

    The source `auto` is `cameras[0].source`, and shows `looked` where there is none.
    """
    pi, why = pi_cameras()
    nodes = video_nodes(root)
    usb = [Camera(node.device, node.name) for node in nodes if node.kind == "camera"]
    others = [f"{node.device} {node.reason or node.kind}" for node in nodes if node.kind != "camera"]
    v4l2 = f"/dev/video*: {', '.join([camera.source for camera in usb] + others) or 'none'}"
    return Search((*pi, *usb), (f"picamera2: {why or ', '.join(camera.name for camera in pi) or 'no camera'}", v4l2))


def pi_cameras() -> tuple[list[Camera], str]:
    """Returns the cameras on the Pi's own connectors, and why they could not be asked for, empty where they could.

    The number in `picamera2:N` is that of `Picamera2(N)`. USB cameras, which libcamera lists too, are left to V4L2.
    """
    try:
        from picamera2 import Picamera2

        infos = Picamera2.global_camera_info()
    except IMPORT_ERRORS as exc:
        return [], f"{' '.join(str(exc).split()):.120}" or type(exc).__name__
    attached = [
        Camera(f"picamera2:{number}", str(info.get("Model", "unnamed")))
        for number, info in enumerate(infos)
        if "/usb" not in str(info.get("Id", ""))
    ]
    return attached, ""


# linux/videodev2.h: the request number, struct v4l2_capability, and flags of its device_caps.
_QUERYCAP = 0x80685600
_CAPABILITY = struct.Struct("16s32s32s6I")
_CAPTURE, _M2M = 0x1001, 0xC000  # single or multi-planar
_METADATA, _MEDIA_CONTROLLER, _HAS_DEVICE_CAPS = 0x08800000, 0x20000000, 0x80000000

# Nodes of these drivers are pieces of a pipeline that only libcamera puts together.
_PIPELINES = ("unicam", "bcm2835-isp", "rp1-cfe", "pispbe")

Query = Callable[[Path], bytes]
"""Answers VIDIOC_QUERYCAP for a node; raises OSError."""


def query_capability(device: Path) -> bytes:
    """Returns the struct v4l2_capability of a video node. Raises OSError."""
    handle = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(handle, _QUERYCAP, bytes(_CAPABILITY.size))
    finally:
        os.close(handle)


def video_nodes(root: Path = ROOT, query: Query = query_capability) -> list[Node]:
    """Returns all /dev/video nodes in the order of their numbers, and what each is for."""
    devices = [path for path in root.glob("dev/video*") if re.fullmatch(r"video\d+", path.name)]
    return [_node(root, device, query) for device in sorted(devices, key=lambda path: int(path.name[5:]))]


def _node(root: Path, device: Path, query: Query) -> Node:
    name = f"/dev/{device.name}"
    try:
        driver, card, _, _, anything, this_node, *_ = _CAPABILITY.unpack(query(device))
    except OSError as exc:
        reason = f"refuses: not in the group {_group(device)}" if exc.errno == errno.EACCES else str(exc.strerror)
        return Node(name, _sysfs_name(root, device), "", "refused", reason)
    flags = this_node if anything & _HAS_DEVICE_CAPS else anything
    return Node(name, _text(card), _text(driver), _kind(flags, _text(driver)))


def _kind(flags: int, driver: str) -> Literal["camera", "metadata", "codec", "pipeline", "output"]:
    if flags & _M2M:
        return "codec"
    if flags & _MEDIA_CONTROLLER or driver.startswith(_PIPELINES):
        return "pipeline"
    if flags & _CAPTURE:
        return "camera"
    return "metadata" if flags & _METADATA else "output"


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode("utf-8", "replace")


def _sysfs_name(root: Path, device: Path) -> str:
    try:
        return (root / "sys/class/video4linux" / device.name / "name").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def _group(device: Path) -> str:
    try:
        return grp.getgrgid(device.stat().st_gid).gr_name
    except (OSError, KeyError):
        return "video"
