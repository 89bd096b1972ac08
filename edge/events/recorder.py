"""Records what is shown while rules are met, from some seconds before they were."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.video.stream import VideoStream

from edge.data import Result
from edge.errors import SinkError
from edge.events.event import Event, Receiver
from edge.events.log import file_time
from edge.files import writable_folder
from edge.leftovers import KEPT, UnfinishedFile, end_early, kept_notice
from edge.sinks.h264 import H264, USUAL_RATE
from edge.sinks.video import FRAGMENTED, cut_to_whole_fragments, recover

_TROUBLE = (OSError, ValueError, av.error.FFmpegError)


@dataclass(frozen=True, slots=True)
class _Packet:
    data: bytes
    ticks: int
    is_key: bool


class _Memory:
    """Stands for a container: keeps the packets of an encoder, those of the last seconds and since a key frame."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        # It gives the headers that MP4 wants, and gets no packet.
        self._nowhere: OutputContainer = av.open(io.BytesIO(), "w", format="mp4", options=FRAGMENTED)
        self._started = False
        self.tick_s = Fraction(1)
        self.packets: deque[_Packet] = deque()
        self.new: list[_Packet] = []  # of the last frame

    def add_stream(self, *args: Any, **kwargs: Any) -> VideoStream:
        stream: VideoStream = self._nowhere.add_stream(*args, **kwargs)
        self.stream = stream
        return stream

    def mux(self, packets: Iterable[Any]) -> None:
        packets = list(packets)
        if packets and not self._started:  # only now the encoder has told its headers
            self._nowhere.start_encoding()
            self._started, self.tick_s = True, packets[0].time_base
        self.new = [_Packet(bytes(packet), packet.pts or 0, packet.is_keyframe) for packet in packets]
        self.packets.extend(self.new)
        while (second := self._second_key()) and self.ticks_since(self.packets[second].ticks) >= self._seconds:
            for _ in range(second):
                self.packets.popleft()

    def ticks_since(self, ticks: int) -> float:
        """Seconds from then to the newest packet."""
        return float((self.packets[-1].ticks - ticks) * self.tick_s)

    def _second_key(self) -> int:
        return next((at for at, packet in enumerate(self.packets) if at and packet.is_key), 0)


class EventRecorder(Receiver):
    """Records each event into `folder` as `TIME-RULE.mp4`, from `before_s` before it was told to `after_s` after no
    rule is met any more; what is met in between goes on in the same film.

    All that is shown is encoded, and its last seconds are kept in memory: a recording begins at a key frame, up to a
    second earlier than is asked. Until it is finished it has another name and plays, as films do, and what killed
    processes have left becomes `NAME-recovered.mp4`, which `notice` says.

    Raises SinkError where the folder cannot be written to.
    """

    def __init__(
        self, folder: Path, rate: Fraction | None, before_s: float, after_s: float, say: Callable[[str], None]
    ) -> None:
        self._folder, self._rate, self._say = writable_folder(folder), rate or USUAL_RATE, say
        self._before_s, self._after_s = before_s, after_s
        self._encoder: tuple[_Memory, H264] | None = None
        self._wanted: str | None = None  # the name of the recording that is to begin with the next frame
        self._open: tuple[UnfinishedFile, OutputContainer, VideoStream] | None = None
        self._met_ticks = 0  # when a rule was met last
        self.notice = kept_notice(recover(folder))

    def take(self, event: Event, slug: str, result: Result) -> None:
        if event.state == "begun" and self._open is None and self._wanted is None:
            self._wanted = f"{file_time(event.clock)}-{slug}.mp4"

    def follow(self, result: Result, met: bool) -> None:
        try:
            if self._encoder is None:
                memory = _Memory(self._before_s)
                self._encoder = memory, H264(memory, result, self._rate, prompt=True, say=self._say)
            memory, encoder = self._encoder
            encoder.write(result)
            if not memory.packets:
                return
            if met:
                self._met_ticks = memory.packets[-1].ticks
            self._go_on(memory)
            if self._open is not None and not met and memory.ticks_since(self._met_ticks) >= self._after_s:
                self._finish()
        except _TROUBLE as exc:
            raise self._ended(exc) from exc

    def close(self) -> None:
        """Finishes the recording that is on, with what the encoder still holds."""
        try:
            if self._encoder is not None and (self._open is not None or self._wanted is not None):
                memory, encoder = self._encoder
                encoder.finish()
                self._go_on(memory)
            self._finish()
        except _TROUBLE as exc:
            raise self._ended(exc) from exc

    def _go_on(self, memory: _Memory) -> None:
        """Adds the packets of the last frame to the recording that is on, or begins the one that is to."""
        if self._wanted is not None:
            self._begin(memory, self._wanted)
        elif self._open is not None:
            self._add(memory, memory.new)

    def _begin(self, memory: _Memory, name: str) -> None:
        self._wanted, self._met_ticks = None, memory.packets[-1].ticks
        file = UnfinishedFile(self._folder / name)
        container = av.open(file, "w", format="mp4", options=FRAGMENTED)
        stream = container.add_stream_from_template(memory.stream)
        self._open = file, container, stream
        self._add(memory, memory.packets)

    def _add(self, memory: _Memory, packets: Iterable[_Packet]) -> None:
        assert self._open is not None
        _, container, stream = self._open
        for kept in packets:
            packet = av.Packet(kept.data)
            packet.pts = packet.dts = kept.ticks  # the container takes the first one's off all
            packet.time_base = memory.tick_s
            packet.is_keyframe, packet.stream = kept.is_key, stream
            container.mux(packet)

    def _finish(self) -> None:
        if self._open is not None:
            file, container, _ = self._open
            container.close()
            file.finish()
            self._open = None
            self._say(f"recorded {file.final}")

    def _ended(self, exc: Exception) -> SinkError:
        """Finishes what plays. Nothing more is asked of an encoder that has failed."""
        self._encoder = self._wanted = None
        file = None
        if self._open is not None:
            file, container, _ = self._open
            self._open = None
            with suppress(*_TROUBLE):
                container.close()
        why, kept = end_early(file, cut_to_whole_fragments, exc)
        where = f"{KEPT} in {file.final.name}" if file is not None and kept else ""
        return SinkError(f"{self._folder}: cannot be recorded into ({why}){where}")
