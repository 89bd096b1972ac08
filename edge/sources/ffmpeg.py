"""Decodes what files and network streams share: packets to frames to RGB."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction

import av
import cv2
from av.container import InputContainer
from av.stream import Disposition
from av.video.reformatter import Colorspace

from edge.data import MAX_PIXELS, Pixels
from edge.errors import SourceError
from edge.sources.options import SourceHealth

MAX_BAD_IN_A_ROW = 30
_MAX_RATE = 1000
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
    if stream.width * stream.height > MAX_PIXELS:
        raise SourceError(
            f"{where}: expected frames of at most {MAX_PIXELS // 1_000_000} megapixels, "
            f"got {stream.width}x{stream.height}"
        )
    return stream


def can_be_decoded(stream: av.VideoStream) -> bool:
    """Returns whether FFmpeg has a decoder for a stream; one without lacks its size and most other attributes."""
    return getattr(stream, "codec_context", None) is not None


def first_picture(where: str, data: bytes, *, main: bool = False) -> Pixels | None:
    """Decodes the first picture of a file in memory, as RGB and upright; the one marked as the file's own if `main`.

    None where there is no such picture, or it cannot be decoded or is too large.
    """
    try:
        with av.open(io.BytesIO(data), "r", metadata_errors="replace") as container:
            streams = [one for one in container.streams.video if not main or one.disposition & Disposition.default]
            if not streams or not can_be_decoded(streams[0]):
                return None
            streams[0].codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            frame = next(container.decode(streams[0]), None)
            return None if frame is None else rgb(where, frame)
    except (av.error.FFmpegError, SourceError):
        return None


def packets(
    where: str, container: InputContainer, stream: av.VideoStream, health: SourceHealth
) -> Iterator[list[av.VideoFrame] | None]:
    """Yields the frames that each packet completes, None for a damaged packet, which `health` counts.

    Raises SourceError where more than 30 damaged packets in a row, or the container cannot be read on.
    """
    bad_in_a_row = 0
    try:
        for packet in container.demux(stream):
            frames = _decode(packet)
            bad_in_a_row = 0 if frames is not None else bad_in_a_row + 1
            health.skipped += frames is None
            if bad_in_a_row > MAX_BAD_IN_A_ROW:
                raise SourceError(f"{where}: more than {MAX_BAD_IN_A_ROW} damaged frames in a row {_at(packet)}")
            yield frames
    except av.error.FFmpegError as exc:
        raise SourceError(f"{where}: cannot be read to its end ({exc.strerror})") from exc


def _decode(packet: av.Packet[av.VideoStream]) -> list[av.VideoFrame] | None:
    try:
        return packet.decode()
    except av.error.FFmpegError:
        return None


def _at(packet: av.Packet[av.VideoStream]) -> str:
    if packet.pts is None or packet.time_base is None:
        return "at its end"
    return f"at {float(packet.pts * packet.time_base):.1f} s"


def rgb(where: str, frame: av.VideoFrame) -> Pixels:
    """Returns a frame in RGB, upright, as the rotation of the video says.

    Raises SourceError for frames that have no RGB.
    """
    unnamed_hd = frame.colorspace == _UNSPECIFIED and frame.height >= _HD_HEIGHT
    try:  # one thread: FFmpeg's scaler slows down when its threads meet the decoder's
        made = frame.reformat(format="rgb24", src_colorspace=Colorspace.ITU709 if unnamed_hd else None, threads=1)
    except (av.error.FFmpegError, ValueError) as exc:
        raise SourceError(f"{where}: cannot convert {frame.format.name} frames to RGB ({exc})") from exc
    pixels: Pixels = made.to_ndarray()  # type: ignore[assignment]
    turn = _UPRIGHT.get(frame.rotation)
    return pixels if turn is None else cv2.rotate(pixels, turn)  # type: ignore[return-value]


def rate_of(stream: av.VideoStream) -> Fraction | None:
    rate = stream.average_rate or stream.guessed_rate
    return rate if rate is not None and 0 < rate <= _MAX_RATE else None
