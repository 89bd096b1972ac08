"""Results as an H.264 video."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from io import FileIO
from pathlib import Path

import av
import cv2
from av.container import OutputContainer
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from edge.data import Frame, Pixels, Result
from edge.errors import SinkError
from edge.files import writable_folder

_MAX_SIDE = 16384
_USUAL_RATE = Fraction(30)  # for pictures, which have none
# Whole fragments of about a second: what is on disk plays, whenever the process dies.
_FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
# Fastest by far of x264's presets at the same visible quality, for twice the file size of veryfast.
_ENCODING = {"preset": "ultrafast", "crf": "23"}


class _Output:
    """The file that FFmpeg writes to. On files of its own it forgets an error that comes with the last bytes."""

    def __init__(self, path: Path) -> None:
        self._file = FileIO(path, "w")
        self.close = self._file.close

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        return len(data)


class VideoFile:
    """Encodes what is shown to `path`. Until `close` it is beside it as `NAME.part`, which plays too.

    Pictures of odd width or height get one more column or row, as H.264 wants them even. Frames that the source left
    out leave a gap in time.

    Raises:
        SinkError: the folder cannot be written to.
    """

    def __init__(self, path: Path, rate: Fraction | None) -> None:
        writable_folder(path.parent)
        if path.is_dir():
            raise SinkError(f"{path}: cannot be written, there is a folder of that name")
        self._path, self._part = path, path.with_name(path.name + ".part")
        self._rate = rate or _USUAL_RATE
        self._size_wh, self._last_pts = (0, 0), -1
        self._open: tuple[_Output, OutputContainer, av.VideoStream] | None = None
        self._closed = False

    def write(self, result: Result) -> None:
        if self._closed:
            raise SinkError(f"{self._path}: nothing more can be written, the video is closed")
        try:
            _, container, stream = self._open or self._start(result)
            self._check_size(result.picture)
            self._last_pts = max(self._last_pts + 1, self._slot(result.frame))
            frame = _yuv(result.picture)
            frame.pts, frame.time_base = self._last_pts, 1 / self._rate
            container.mux(stream.encode(frame))
        except (OSError, ValueError, av.error.FFmpegError) as exc:
            raise self._given_up(exc) from exc

    def close(self) -> None:
        if self._open is not None and not self._closed:
            file, container, stream = self._open
            try:
                container.mux(stream.encode())
                container.close()
                file.close()
                self._part.replace(self._path)
            except (OSError, ValueError, av.error.FFmpegError) as exc:
                raise self._given_up(exc) from exc
        self._closed = True

    def _start(self, result: Result) -> tuple[_Output, OutputContainer, av.VideoStream]:
        height, width = result.picture.shape[:2]
        self._size_wh = width, height
        file = _Output(self._part)
        container = av.open(file, "w", format="mp4", options=_FRAGMENTED)
        stream = container.add_stream("libx264", rate=self._rate, options=_ENCODING)
        self._open = file, container, stream
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        stream.time_base = 1 / self._rate
        stream.thread_type = "AUTO"
        codec = stream.codec_context
        codec.gop_size = max(1, round(self._rate))
        codec.colorspace, codec.color_range = Colorspace.ITU709, ColorRange.MPEG
        codec.color_primaries, codec.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return self._open

    def _slot(self, frame: Frame) -> int:
        """The place of a frame at an even rate: by its time where the source tells it, so that uneven ones stay."""
        return frame.index if frame.time_s is None else round(frame.time_s * self._rate)

    def _check_size(self, picture: Pixels) -> None:
        height, width = picture.shape[:2]
        if (width, height) != self._size_wh:
            first = "{}x{}".format(*self._size_wh)
            raise ValueError(f"a video needs pictures of one size, its first is {first}, this one {width}x{height}")
        if max(width, height) > _MAX_SIDE:
            raise ValueError(f"H.264 takes pictures of at most {_MAX_SIDE} pixels a side, got {width}x{height}")

    def _given_up(self, exc: Exception) -> SinkError:
        """Removes what is unfinished."""
        self._closed = True
        for opened in reversed(self._open[:2] if self._open is not None else ()):
            with suppress(OSError, ValueError, av.error.FFmpegError):
                opened.close()
        with suppress(OSError):
            self._part.unlink()
        return SinkError(f"{self._path}: cannot be written ({getattr(exc, 'strerror', None) or exc})")


def _yuv(picture: Pixels) -> av.VideoFrame:
    """BT.709, limited range, of even width and height."""
    bottom, right = picture.shape[0] % 2, picture.shape[1] % 2
    even = cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_REPLICATE) if bottom or right else picture
    rgb = av.VideoFrame.from_ndarray(even, format="rgb24")  # type: ignore[arg-type]
    return rgb.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG, threads=1)
