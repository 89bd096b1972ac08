"""Decodes what files and network streams share: packets to frames to RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import cv2
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import Colorspace

from edge.data import MAX_PIXELS, Pixels
from edge.errors import SourceError
from edge.sources.options import SourceHealth

MAX_BAD_IN_A_ROW = 30
# For `av.open`: a title that is no UTF-8 hides no film. PyAV 19 reads every title, and has no such argument any more.
ANY_TITLE: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.partition(".")[0]) < 19 else {}
_MAX_RATE = 1000
_MOST_OBLONG = 4  # the most that is in use is 128:45, of half the width of a 16:9 broadcast
_UNSPECIFIED = 2  # AVCOL_SPC_UNSPECIFIED
_HD_HEIGHT = 720  # from here on, players take a video that does not say its colour matrix for BT.709
_UPRIGHT = {
    -90: cv2.ROTATE_90_CLOCKWISE,
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    -180: cv2.ROTATE_180,
}


def video_stream(where: str, container: InputContainer) -> av.VideoStream:
    """Returns the stream to decode; `where` names the container in messages. Raises SourceError where there is none."""
    if container.format.name == "tty":
        raise SourceError(f"{where}: expected a video, found text")
    stream = container.streams.best("video")
    if not isinstance(stream, av.VideoStream) or stream.disposition & Disposition.attached_pic:
        raise SourceError(f"{where}: expected a video, found a file without a video stream")
    if not can_be_decoded(stream):
        kind = container.format.name.removesuffix("_pipe")
        raise SourceError(f"{where}: expected a video, found {kind}, which cannot be decoded")
    check_size(where, stream.width, stream.height)
    return stream


def check_size(where: str, width: int, height: int) -> None:
    """Raises SourceError for frames with more pixels than are taken."""
    if width * height > MAX_PIXELS:
        most = MAX_PIXELS // 1_000_000
        raise SourceError(f"{where}: expected frames of at most {most} megapixels, got {width}x{height}")


def can_be_decoded(stream: av.VideoStream) -> bool:
    """Returns whether FFmpeg has a decoder for a stream; one without lacks its size and most other attributes."""
    return getattr(stream, "codec_context", None) is not None


def first_picture(where: str, data: bytes, *, main: bool = False) -> Pixels | None:
    """Decodes the first picture of a file in memory, as RGB and upright; the one marked as the file's own if `main`.

    None where there is no such picture, or it cannot be decoded or is too large.
    """
    try:
        with av.open(io.BytesIO(data), "r", **ANY_TITLE) as container:
            streams = [one for one in container.streams.video if not main or one.disposition & Disposition.default]
            if not streams or not can_be_decoded(streams[0]):
                return None
            streams[0].codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            frame = next(container.decode(streams[0]), None)
            return None if frame is None else ToRgb(where, streams[0])(frame)
    except (av.error.FFmpegError, SourceError):
        return None


def packets(
    where: str, container: InputContainer, stream: av.VideoStream, health: SourceHealth, is_cut: bool = False
) -> Iterator[list[av.VideoFrame] | None]:
    """Yields the frames that each packet completes, None for a damaged packet, which `health` counts, or a torn one.
    `is_cut` tells that packets are missing at the end.

    Raises SourceError where more than 30 damaged packets in a row, or the container cannot be read on.
    """
    bad_in_a_row = 0
    try:
        for packet in whole_packets(container, stream, is_cut):
            if packet is None:
                yield None
                continue
            frames = _decode(packet)
            bad_in_a_row = 0 if frames is not None else bad_in_a_row + 1
            health.skipped += frames is None
            if bad_in_a_row > MAX_BAD_IN_A_ROW:
                raise SourceError(f"{where}: more than {MAX_BAD_IN_A_ROW} damaged frames in a row {_at(packet)}")
            yield frames
    except av.error.FFmpegError as exc:
        raise SourceError(f"{where}: cannot be read to its end ({exc.strerror})") from exc


def whole_packets(
    container: InputContainer, stream: av.VideoStream, is_cut: bool = False
) -> Iterator[av.Packet[av.VideoStream] | None]:
    """Yields the packets of a stream; None for a torn one at its end, and for what is missing of one that is cut off.

    Decoders of several threads lose frames before a torn one. A packet is marked as torn where streams were joined,
    too, and is whole there.
    """
    torn: av.Packet[av.VideoStream] | None = None
    for packet in container.demux(stream):
        if torn is not None:
            yield torn if packet.size else None
        if is_cut and not packet.size:  # which ends the stream: between the frames that follow, others may be missing
            yield None
        torn = packet if packet.is_corrupt else None
        if torn is None:
            yield packet


def _decode(packet: av.Packet[av.VideoStream]) -> list[av.VideoFrame] | None:
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return None


def _at(packet: av.Packet[av.VideoStream]) -> str:
    if packet.pts is None or packet.time_base is None:
        return "at its end"
    return f"at {float(packet.pts * packet.time_base):.1f} s"


class ToRgb:
    """A converter of the frames of `stream` to RGB: upright, as the rotation of the video says, and in square pixels.

    Where pixels are not square, the side that is shown too short is made longer. `where` names the stream in messages.
    """

    def __init__(self, where: str, stream: av.VideoStream) -> None:
        self._where, self._codec = where, stream.codec_context
        self._shape = stream.sample_aspect_ratio or Fraction(1)  # of a pixel, width to height; the container's counts
        self._coded_shape = self._codec.sample_aspect_ratio
        self._held_back = 0  # frames that came out since the decoder read another shape, and do not have it yet

    def __call__(self, frame: av.VideoFrame) -> Pixels:
        """Raises SourceError for frames that have no RGB, or too many pixels."""
        check_size(self._where, frame.width, frame.height)
        if self._codec.sample_aspect_ratio != self._coded_shape:  # where streams were joined
            self._follow(is_key_frame=frame.key_frame)
        width, height = square(frame.width, frame.height, self._shape)
        unnamed_hd = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT
        matrix = Colorspace.ITU709 if unnamed_hd else None
        try:  # one thread: FFmpeg's scaler slows down when its threads meet the decoder's
            made = frame.reformat(width, height, "rgb24", src_colorspace=matrix, threads=1)
        except (av.error.FFmpegError, ValueError) as exc:
            raise SourceError(f"{self._where}: cannot convert {frame.format.name} frames to RGB ({exc})") from exc
        pixels: Pixels = made.to_ndarray()  # type: ignore[assignment]
        turn = _UPRIGHT.get(frame.rotation)
        return pixels if turn is None else cv2.rotate(pixels, turn)  # type: ignore[return-value]

    def _follow(self, is_key_frame: bool) -> None:
        """Takes the new shape of pixels from the key frame on that brought it; decoders hold some before it back."""
        if is_key_frame and self._held_back >= self._codec.reorder_depth:
            self._held_back, self._coded_shape = 0, self._codec.sample_aspect_ratio
            self._shape = self._coded_shape or Fraction(1)
        else:
            self._held_back += 1


def square(width: int, height: int, shape: Fraction) -> tuple[int, int]:
    """Returns the width and height that show pixels of this shape (width to height) in square ones.

    No side becomes shorter. A shape that no camera has, or that makes a picture too large, is not believed.
    """
    if shape == 1 or not 1 / _MOST_OBLONG <= shape <= _MOST_OBLONG:
        return width, height
    size = (round(width * shape), height) if shape > 1 else (width, round(height / shape))
    return size if size[0] * size[1] <= MAX_PIXELS else (width, height)


def rate_of(stream: av.VideoStream) -> Fraction | None:
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate is not None and 0 < rate <= _MAX_RATE else None
