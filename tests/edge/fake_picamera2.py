"""The few calls of picamera2 that the kit makes, without a camera. `tests/pi` compares it with the real package."""

from __future__ import annotations

import threading
from typing import Any

import cv2
import numpy as np

RGB_FORMATS = {"BGR888": 3, "RGB888": 3, "XBGR8888": 4, "XRGB8888": 4}  # bytes a pixel
BUFFERS = 6
SCRIBBLE = 0xAA  # in the padding of rows, and over buffers that were given back


class Board:
    """What is attached, shared by all fakes of a test."""

    def __init__(self) -> None:
        self.cameras = [{"Model": "imx708", "Id": "/base/axi/pcie@1000120000/rp1/i2c@88000/imx708@1a", "Num": 0}]
        self.is_vc4 = False  # a Pi 4 or older
        self.main_format: str | None = None  # what libcamera makes of the format asked for
        self.frozen = threading.Event()
        self.scene = np.zeros((720, 1280, 3), np.uint8)  # RGB
        self.open: list[Picamera2] = []


board = Board()


class CompletedRequest:
    def __init__(self, picam2: Picamera2, number: int) -> None:
        self._picam2, self.number = picam2, number
        self.config = picam2.camera_config
        self._buffers = {name: expose(self.config[name]) for name in ("main", "lores") if self.config[name]}
        self.released = 0

    def make_array(self, name: str) -> np.ndarray:
        assert not self.released, "the buffer went back to the camera"
        return make_array(self._buffers[name], self.config[name])

    def release(self) -> None:
        self.released += 1
        assert self.released == 1
        self._picam2.lent -= 1
        for buffer in self._buffers.values():
            buffer[:] = SCRIBBLE


class Picamera2:
    @staticmethod
    def global_camera_info() -> list[dict[str, Any]]:
        return board.cameras

    def __init__(self, camera_num=0, verbose_console=None, tuning=None, allocator=None):
        if camera_num >= len(self.global_camera_info()):
            raise RuntimeError(f"No camera number {camera_num} found")
        if board.open:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.camera_config: dict[str, Any] = {}
        self.started = False
        self.frames = self.lent = 0
        self._jobs = 0
        board.open.append(self)

    def create_video_configuration(
        self,
        main={},  # noqa: B006 - as in the real one
        lores=None,
        raw={},  # noqa: B006
        transform=None,
        colour_space=None,
        buffer_count=6,
        controls={},  # noqa: B006
        display="main",
        encode="main",
        queue=True,
        sensor={},  # noqa: B006 - as in the real one
        use_case="video",
    ) -> dict[str, Any]:
        main = {"format": "XBGR8888", "size": (1280, 720), "preserve_ar": True} | main
        self.align_stream(main, optimal=False)
        if lores is not None:
            lores = {"format": "YUV420", "size": main["size"], "preserve_ar": False} | lores
            self.align_stream(lores, optimal=False)
        return {"main": main, "lores": lores, "controls": controls, "queue": queue, "colour_space": colour_space}

    @staticmethod
    def align_stream(stream_config, optimal=True) -> None:
        assert not optimal
        width, height = stream_config["size"]
        stream_config["size"] = (width - width % 2, height - height % 2)

    def configure(self, camera_config=None) -> None:
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        main, lores = camera_config["main"], camera_config["lores"]
        if lores is not None and (lores["size"][0] > main["size"][0] or lores["size"][1] > main["size"][1]):
            raise RuntimeError("lores stream dimensions may not exceed main stream")
        if lores is not None and board.is_vc4 and lores["format"] != "YUV420":
            raise RuntimeError("lores stream must be YUV")
        main["format"] = board.main_format or main["format"]
        for stream in filter(None, (main, lores)):
            stream["stride"] = stride(stream["format"], stream["size"][0])
        self.camera_config = camera_config

    def start(self, config=None, show_preview=False) -> None:
        self.started = True

    def stream_configuration(self, name="main") -> dict[str, Any]:
        return self.camera_config[name]

    def capture_request(self, wait=None, signal_function=None, flush=None) -> CompletedRequest:
        assert self.started
        if board.frozen.is_set() or self.lent == BUFFERS:
            self._jobs += 1
            raise TimeoutError
        self.frames += 1
        self.lent += 1
        return CompletedRequest(self, self.frames)

    def cancel_all_and_flush(self) -> None:
        self._jobs = 0

    def close(self) -> None:
        assert not self._jobs, "the real one waits for its pending jobs for ever"
        if self in board.open:
            board.open.remove(self)
        self.started = False


def stride(form: str, width: int) -> int:
    """Bytes a row, padded to 64 as on a Pi 5."""
    return -(-width * RGB_FORMATS.get(form, 1) // 64) * 64


def expose(config: dict[str, Any]) -> np.ndarray:
    """The scene as libcamera leaves it in a buffer: flat, rows padded."""
    (width, height), form = config["size"], config["format"]
    rgb = cv2.resize(board.scene, (width, height), interpolation=cv2.INTER_AREA)
    if form == "YUV420":
        flat = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420).reshape(-1)
        luma, u, v = np.split(flat, [width * height, width * height * 5 // 4])
        half = config["stride"] // 2
        planes = [padded(luma.reshape(height, width), config["stride"])]
        planes += [padded(plane.reshape(height // 2, width // 2), half) for plane in (u, v)]
        return np.concatenate([plane.reshape(-1) for plane in planes])
    order = {"BGR888": "RGB", "RGB888": "BGR", "XBGR8888": "RGBX", "XRGB8888": "BGRX"}[form]
    opaque = np.dstack([rgb, np.full((height, width), 255, np.uint8)])
    pixels = np.ascontiguousarray(opaque[:, :, ["RGBX".index(channel) for channel in order]])
    return padded(pixels.reshape(height, -1), config["stride"]).reshape(-1)


def padded(rows: np.ndarray, width: int) -> np.ndarray:
    made = np.full((rows.shape[0], width), SCRIBBLE, np.uint8)
    made[:, : rows.shape[1]] = rows
    return made


def make_array(buffer: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """A copy of a buffer as a picture: rows of RGB formats without their padding, planes of YUV with it."""
    (width, height), form = config["size"], config["format"]
    if form == "YUV420":
        return buffer.reshape(height * 3 // 2, config["stride"]).copy()
    channels = RGB_FORMATS[form]
    rows = buffer.reshape(height, config["stride"])[:, : width * channels]
    return np.ascontiguousarray(rows.reshape(height, width, channels)).copy()
