"""Defines how to open a source, and counters of what went wrong while reading it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fractions import Fraction

from edge.errors import UsageError
from edge.sources.left_out import LeftOut

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:/?#@\[\]]+)(:\d{1,5})?")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """The options of a source; None leaves it to the source. A source refuses what it cannot do.

    Raises UsageError where a value makes no sense.
    """

    size_wh: tuple[int, int] | None = None  # of cameras and raw frames
    rate: Fraction | None = None  # frames per second: of cameras, raw frames, and pictures
    fourcc: str | None = None  # of V4L2 cameras: YUYV, MJPG
    small_wh: tuple[int, int] | None = None  # the model's input size, for cameras that scale by themselves
    limit: int | None = None  # ends the source after so many frames
    start_s: float = 0.0  # where a file begins
    loop: bool = False  # a file begins again when it is at its end
    realtime: bool = False  # a file is given out at its own rate
    strict: bool = False  # a picture that cannot be read ends the source, instead of being left out
    timeout_s: float = 5.0  # a camera or stream without a frame for so long is opened again
    max_reconnects: int | None = None  # in a row, until it is given up; None: never
    allow_hosts: tuple[str, ...] = ()  # HOST or HOST:PORT that what comes by HTTP may refer to, beside its own

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"expected 1 frame or more, got {self.limit}", "limit")
        if self.size_wh is not None and not all(1 <= side <= 16384 for side in self.size_wh):
            raise UsageError("expected 1x1 to 16384x16384, got {}x{}".format(*self.size_wh), "size_wh")
        if self.rate is not None and not 0 < self.rate <= 1000:
            raise UsageError(f"expected a rate above 0 and up to 1000, got {float(self.rate):g}", "rate")
        if self.fourcc is not None and not (len(self.fourcc) == 4 and self.fourcc.isascii()):
            raise UsageError(f"expected a pixel format of four letters such as MJPG, got {self.fourcc!r}", "fourcc")
        if not 0 <= self.start_s < 1e7:
            raise UsageError(f"expected 0 seconds or more, got {self.start_s:g}", "start_s")
        if not 0.1 <= self.timeout_s <= 3600:
            raise UsageError(f"expected 0.1 to 3600 seconds, got {self.timeout_s:g}", "timeout_s")
        if self.max_reconnects is not None and self.max_reconnects < 0:
            raise UsageError(f"expected 0 or more, got {self.max_reconnects}", "max_reconnects")
        for host in self.allow_hosts:
            if not _HOST.fullmatch(host):
                given = host.rpartition("@")[2]  # no password
                raise UsageError(f"expected HOST or HOST:PORT, such as 10.0.0.5:8080, got {given!r}", "allow_hosts")


@dataclass(slots=True)
class SourceHealth:
    """Counters of what went wrong with a source so far.

    The thread that reads the source writes it, any other may read it.
    """

    drops: int = 0  # frames that came and were not taken in time
    reconnects: int = 0  # times that a camera or stream was opened again
    skipped: int = 0  # damaged frames left out
    jumps: int = 0  # times that a film's clock jumped, which was closed to one frame period
    left_out: LeftOut = field(default_factory=LeftOut)  # picture files left out
    fault: str = ""  # what is wrong at the moment; empty while frames come
