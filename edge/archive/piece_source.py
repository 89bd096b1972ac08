"""Reads the frames of a piece of a film."""

from __future__ import annotations

import time
from collections.abc import Iterator

import av

from edge.archive.cutting import Piece, opened
from edge.data import Frame, SourceInfo
from edge.errors import SourceError
from edge.sources.ffmpeg import ToRgb, packets, rate_of
from edge.sources.options import SourceHealth
from edge.sources.video import DECODERS


class PieceDiffers(SourceError):
    """A piece that does not hold what its place in the film promised: the film has to be read as a whole."""


class PieceSource:
    """A source of the frames of a piece, whose indices begin at 0 and whose times are those in the film.

    Iterating raises PieceDiffers where a frame is damaged, lacks its time, or is not where the piece begins: only
    reading the film from its beginning tells then which frames there are.
    """

    def __init__(self, address: str, piece: Piece) -> None:
        self._address, self._piece = address, piece
        with opened(address) as (_, stream):
            size, self._rate = (stream.width, stream.height), rate_of(stream)
        self.info = SourceInfo(address, size, self._rate, None)

    def __iter__(self) -> Iterator[Frame]:
        piece, health, index = self._piece, SourceHealth(), 0
        size: tuple[int, ...] | None = None
        with opened(self._address) as (container, stream):
            stream.thread_type, stream.codec_context.thread_count = "AUTO", DECODERS
            tick, to_rgb = stream.time_base, ToRgb(self._address, stream)
            assert tick is not None  # else it would not have been cut
            if piece.begin is not None:
                container.seek(piece.begin, stream=stream)
            begin = stream.start_time or 0
            for frame in self._shown(packets(self._address, container, stream, health)):
                if frame.pts is None or health.skipped:
                    raise self._differs("a frame is damaged")
                if index == 0 and piece.begin is not None and frame.pts != piece.begin:
                    raise self._differs("it does not begin at its key frame")
                if piece.end is not None and frame.pts >= piece.end:
                    return
                pixels = to_rgb(frame)
                if size not in (None, pixels.shape):
                    raise self._differs("its pictures change their size")
                size = pixels.shape
                yield Frame(pixels, index, time.perf_counter(), float((frame.pts - begin) * tick))
                index += 1

    def close(self) -> None:
        """Does nothing, since the file is open only while it is iterated."""

    def _shown(self, decoded: Iterator[list[av.VideoFrame] | None]) -> Iterator[av.VideoFrame]:
        for frames in decoded:
            if frames is None:
                raise self._differs("a frame is damaged")
            yield from frames

    def _differs(self, why: str) -> PieceDiffers:
        return PieceDiffers(f"{self._address}: piece {self._piece.number} cannot be read by itself: {why}")
