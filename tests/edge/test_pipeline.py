from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from waiting import PATIENCE_S, wait_for

from edge import pipeline
from edge.controls import Controls
from edge.data import Frame, Result, SourceInfo
from edge.errors import ModelError, SinkError, SourceError
from edge.preprocess import DEEPLAB
from edge.renderer import Renderer
from edge.segmenter import Segmenter
from edge.sinks.base import Sink
from edge.sinks.fan_out import FanOut
from edge.timing import STAGES, Timing


class Kept(Sink):
    def __init__(self, full_after: int = 99) -> None:
        self.results: list[Result] = []
        self.closed = self.idles = 0
        self._full_after = full_after

    def write(self, result: Result) -> None:
        if len(self.results) == self._full_after:
            raise SinkError("disk is full")
        self.results.append(result)

    def idle(self) -> None:
        self.idles += 1

    def close(self) -> None:
        self.closed += 1


class Reel:
    """A source of so many frames, or of these; `then` is called after them."""

    def __init__(
        self, given: int | Iterable[Frame], then: Callable[[], None] = lambda: None, *, live: bool = False
    ) -> None:
        self._frames, self._then = frames(given) if isinstance(given, int) else given, then
        self.info = SourceInfo("reel", None, None, None, live)
        self.closed = threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        yield from self._frames
        self._then()

    def close(self) -> None:
        self.closed.set()


def frames(count: int) -> list[Frame]:
    random = np.random.default_rng(0)
    return [Frame(random.integers(0, 256, (48, 80, 3), dtype=np.uint8), i, time.perf_counter()) for i in range(count)]


@pytest.fixture
def segmenter(tiny_model: Callable[..., bytes], tmp_path: Path) -> Segmenter:
    (tmp_path / "tiny.tflite").write_bytes(tiny_model())
    return Segmenter(tmp_path / "tiny.tflite", norm=DEEPLAB)


def run(source: Any, segmenter: Segmenter, *sinks: Any, timing: Timing | None = None, **options: Any) -> None:
    renderer = Renderer(segmenter.card.classes, Controls())
    source = source if isinstance(source, Reel) else Reel(source)
    pipeline.run(source, segmenter, renderer, sinks, timing or Timing(), **options)


@pytest.fixture
def no_thread_is_left() -> Iterator[None]:
    """None but those that other tests have left to hang."""
    before = set(threading.enumerate())
    yield
    wait_for(lambda: not {t.name for t in set(threading.enumerate()) - before} & {"read", "score", "capture"})


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize("live", [False, True])
def test_every_sink_gets_every_frame_in_order(segmenter: Segmenter, live: bool) -> None:
    timing, sinks, given = Timing(), [Kept(), Kept()], frames(5)
    run(Reel(given, live=live), segmenter, *sinks, timing=timing)
    for sink in sinks:
        assert [r.frame.index for r in sink.results] == list(range(5))
        for frame, result in zip(given, sink.results, strict=True):
            assert (result.labels.ids == segmenter(frame.pixels).ids).all()
            assert result.picture.shape == frame.pixels.shape
    assert timing.frames == 5
    assert set(timing.summary().stages_ms) == set(STAGES) - {"move", "second model"} - ({"decode"} if live else set())


def test_reading_inference_and_writing_overlap(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a frame is written, the next one is scored and the one behind it is read."""
    count = 6
    read, scored = ([threading.Event() for _ in range(count)] for _ in range(2))

    class Slow(Kept):
        def write(self, result: Result) -> None:
            super().write(result)
            for began in (*read[: result.frame.index + 3], *scored[: result.frame.index + 2]):
                assert began.wait(PATIENCE_S), "it waits for the writing to end"

    def reading() -> Iterator[Frame]:
        for frame in frames(count):
            read[frame.index].set()
            yield frame

    invoke, runs = segmenter.engine.invoke, iter(scored)
    monkeypatch.setattr(segmenter.engine, "invoke", lambda x: (next(runs).set(), invoke(x))[1])
    sink = Slow()
    run(reading(), segmenter, sink)
    assert len(sink.results) == count


@pytest.mark.usefixtures("no_thread_is_left")
def test_the_last_working_sink_that_fails_ends_the_run(segmenter: Segmenter) -> None:
    source, first, second, said = Reel(20), Kept(full_after=2), Kept(full_after=4), list[str]()
    with pytest.raises(SinkError, match="disk is full"):
        run(source, segmenter, FanOut({"a.mp4": first, "b.mp4": second}, said.append))
    assert (len(first.results), len(second.results), first.closed) == (2, 4, 1)
    assert said == ["disk is full; going on without this output"]
    assert source.closed.is_set()


@pytest.mark.usefixtures("no_thread_is_left")
def test_what_fails_in_a_thread_reaches_the_caller_after_the_frames_before(segmenter: Segmenter) -> None:
    def broken() -> None:
        raise SourceError("the disc is scratched")

    sink = Kept()
    with pytest.raises(SourceError, match="scratched"):
        run(Reel(3, broken), segmenter, sink)
    assert len(sink.results) == 3


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_model_that_fails_reaches_the_caller(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(x: Any) -> Any:
        raise ModelError("cannot run")

    monkeypatch.setattr(segmenter.engine, "invoke", fail)
    with pytest.raises(ModelError, match="cannot run"):
        run(Reel(20), segmenter, Kept())


@pytest.mark.usefixtures("no_thread_is_left")
def test_the_end_can_be_wanted_while_no_frame_comes_and_sinks_stay_awake(segmenter: Segmenter) -> None:
    until = threading.Event()

    class Awake(Kept):
        def idle(self) -> None:
            super().idle()
            if self.idles >= 4 and len(self.results) == 2:
                until.set()

    source, sink = Reel(2, live=True), Awake()
    source._then = source.closed.wait  # type: ignore[assignment]
    run(source, segmenter, FanOut({"window": sink}, print), until=until)
    assert len(sink.results) == 2
    assert sink.idles >= 4


def test_a_source_that_hangs_does_not_keep_the_run_from_ending(segmenter: Segmenter) -> None:
    until, hang = threading.Event(), threading.Event()
    threading.Timer(0.3, until.set).start()
    start = time.monotonic()
    run(Reel(2, lambda: hang.wait(PATIENCE_S) and None), segmenter, Kept(), until=until)
    assert time.monotonic() - start < PATIENCE_S / 2, "while the source hangs"
    hang.set()


def test_nothing_is_taken_while_held(segmenter: Segmenter) -> None:
    source, sink, until = Reel(5), Kept(), threading.Event()
    threading.Timer(0.3, until.set).start()
    run(source, segmenter, sink, hold=lambda: source.closed.wait(PATIENCE_S) and None, until=until)
    assert sink.results == []


def test_the_cameras_small_picture_is_what_the_model_gets(segmenter: Segmenter) -> None:
    sink, height, width = Kept(), *segmenter.preprocess.size_hw
    picture = np.full((48, 80, 3), (250, 0, 0), np.uint8)
    small = np.full((height, width, 3), (0, 0, 250), np.uint8)
    other = np.full((height, width + 1, 3), (0, 0, 250), np.uint8)
    run([Frame(picture, i, 0.0, small=s) for i, s in enumerate((None, small, other))], segmenter, sink)
    assert [int(result.labels.ids.max()) for result in sink.results] == [0, 2, 0]


def test_smoothing_sees_scores_and_frames_in_order(segmenter: Segmenter) -> None:
    seen = []

    def smooth(scores: Any, frame: Frame) -> Any:
        seen.append((scores.shape, frame.index))
        return scores * 0

    sink = Kept()
    run(frames(3), segmenter, sink, smooth=smooth)
    assert seen == [((1, 5, 9, 3), 0), ((1, 5, 9, 3), 1), ((1, 5, 9, 3), 2)]
    assert all(result.labels.ids.max() == 0 for result in sink.results)
