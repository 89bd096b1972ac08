"""The way of frames where not every one is labelled: each so many, or the newest beside a view that goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motion_scenes import scene
from test_pipeline import Kept, Reel, no_thread_is_left  # noqa: F401 - a fixture
from waiting import PATIENCE_S, wait_for

from edge import pipeline
from edge.controls import Controls
from edge.data import Frame
from edge.errors import ModelError, SinkError, SourceError
from edge.pipeline import Pace
from edge.preprocess import DEEPLAB
from edge.renderer import Renderer
from edge.segmenter import Segmenter
from edge.smooth import Smoother
from edge.timing import Timing

AHEAD = Pace(ahead=True)


@pytest.fixture
def segmenter(tiny_model: Callable[..., bytes], tmp_path: Path) -> Segmenter:
    (tmp_path / "tiny.tflite").write_bytes(tiny_model())
    return Segmenter(tmp_path / "tiny.tflite", norm=DEEPLAB)


@pytest.fixture
def invokes(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When the model began."""
    invoke, began = segmenter.engine.invoke, list[float]()
    monkeypatch.setattr(segmenter.engine, "invoke", lambda x: (began.append(time.monotonic()), invoke(x))[1])
    return began


def frames(count: int) -> list[Frame]:
    return [Frame(scene(40 + 3 * i)[0], i, time.perf_counter(), time_s=i / 30) for i in range(count)]


def run(
    source: Reel, segmenter: Segmenter, *sinks: Kept, pace: Pace, timing: Timing | None = None, **more: Any
) -> None:
    renderer = Renderer(segmenter.card.classes, Controls())
    pipeline.run(source, segmenter, renderer, sinks, timing or Timing(), pace=pace, **more)


def indices(sink: Kept) -> list[int]:
    return [result.frame.index for result in sink.results]


class Asleep:
    """An engine that does not answer before it is woken, for each answer once; `asked` are its questions."""

    def __init__(self, segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, awake: int = 0) -> None:
        self._invoke, self._awake, self.asked = segmenter.engine.invoke, threading.Semaphore(awake), 0
        monkeypatch.setattr(segmenter.engine, "invoke", self)

    def __call__(self, x: Any) -> Any:
        self.asked += 1
        assert self._awake.acquire(timeout=PATIENCE_S)
        return self._invoke(x)

    def wake(self, times: int = 1) -> None:
        self._awake.release(times)


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize(("every", "labelled"), [(1, 10), (2, 5), (3, 4), (4, 3), (30, 1)])
def test_each_so_many_frames_are_labelled_and_all_are_shown_in_order(
    segmenter: Segmenter, invokes: list[float], every: int, labelled: int
) -> None:
    sink, timing, given = Kept(), Timing(), frames(10)
    run(Reel(given), segmenter, sink, pace=Pace(every), timing=timing)
    assert indices(sink) == list(range(10))
    assert len(invokes) == labelled
    for result in sink.results[::every]:
        assert (result.labels.ids == segmenter(result.frame.pixels).ids).all(), "its own, as they are"
    summary = timing.summary()
    if every == 1:
        assert (summary.label_age_ms, summary.moved, summary.held) == (None, None, None)
    else:
        assert summary.label_age_ms is not None
        assert summary.moved == pytest.approx(1 - labelled / 10)
        assert summary.held == 0


def test_a_cut_between_labelled_frames_is_counted(segmenter: Segmenter) -> None:
    timing = Timing()
    given = [Frame(scene(60, seed=0 if i < 2 else 9)[0], i, 0.0) for i in range(8)]
    run(Reel(given), segmenter, Kept(), pace=Pace(4), timing=timing)
    assert (timing.summary().moved, timing.summary().held) == (0.5, 0.25)
    assert "50% moved, 25% held" in timing.line()


def test_the_next_is_labelled_while_the_frames_before_are_shown(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Asleep(segmenter, monkeypatch, awake=99)

    class Slow(Kept):
        def write(self, result: Any) -> None:
            super().write(result)
            wait_for(lambda: engine.asked >= min(3, result.frame.index // 4 + 2))

    run(Reel(frames(12)), segmenter, Slow(), pace=Pace(4))


@pytest.mark.parametrize("pace", [Pace(4), AHEAD])
@pytest.mark.usefixtures("no_thread_is_left")
def test_what_fails_while_frames_are_read_is_raised_after_those_before(segmenter: Segmenter, pace: Pace) -> None:
    def broken() -> None:
        raise SourceError("the disc is scratched")

    sink = Kept()
    with pytest.raises(SourceError, match="scratched"):
        run(Reel(frames(6), broken, live=pace.ahead), segmenter, sink, pace=pace)
    assert indices(sink) == list(range(6))


@pytest.mark.parametrize("pace", [Pace(4), AHEAD])
@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize("after", [0, 1])
def test_a_model_that_fails_ends_the_run(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, pace: Pace, after: int
) -> None:
    invoke, calls = segmenter.engine.invoke, iter(range(99))

    def fail(x: Any) -> Any:
        if next(calls) < after:
            return invoke(x)
        raise ModelError("cannot run")

    monkeypatch.setattr(segmenter.engine, "invoke", fail)
    source = Reel(steadily(), live=pace.ahead)
    with pytest.raises(ModelError, match="cannot run"):
        run(source, segmenter, Kept(), pace=pace)
    assert source.closed.is_set()


@pytest.mark.usefixtures("no_thread_is_left")
@pytest.mark.parametrize("then", ["the end", "nothing"])
def test_a_model_that_fails_while_no_frame_comes_ends_the_run(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    invoke, calls, failed, stalled = segmenter.engine.invoke, iter(range(99)), threading.Event(), threading.Event()
    sink = Kept()

    def fail(x: Any) -> Any:
        if next(calls) == 0:
            return invoke(x)
        wait_for(lambda: len(sink.results) == 3)
        failed.set()
        raise ModelError("unplugged")

    class Stalls(Reel):
        def close(self) -> None:
            super().close()
            stalled.set()

    def after() -> None:
        assert failed.wait(PATIENCE_S)
        if then == "nothing":
            assert stalled.wait(PATIENCE_S), "the run is still waiting"

    monkeypatch.setattr(segmenter.engine, "invoke", fail)
    with pytest.raises(ModelError, match="unplugged"):
        run(Stalls(frames(3), after, live=True), segmenter, sink, pace=AHEAD)


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_slow_view_shows_what_is_newest_then(segmenter: Segmenter) -> None:
    """A view of 50 ms over a camera of 10: what it shows was captured a camera's frame before, not a view's."""

    class Slow(Kept):
        def write(self, result: Any) -> None:
            super().write(result)
            ages.append(time.perf_counter() - result.frame.t_capture_s)
            time.sleep(0.05)

    class Newest(Reel):
        def __iter__(self) -> Iterator[Frame]:
            for index in range(20):
                yield Frame(given[index].pixels, index, time.perf_counter())

    ages, given = list[float](), frames(20)
    run(Newest(0, live=True), segmenter, Slow(), pace=AHEAD)
    assert np.median(ages) < 0.05


def test_large_frames_have_labels_of_their_size(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are moved are made at half of it."""
    sizes, made = list[Any](), segmenter.postprocess

    def noted(scores: Any, size_hw: Any) -> Any:
        sizes.append(size_hw)
        return made(scores, size_hw)

    monkeypatch.setattr(segmenter, "postprocess", noted)
    sink = Kept()

    def in_step() -> Iterator[Frame]:
        for index in range(3):
            yield Frame(scene(100 + index, size_hw=(540, 960))[0], index, time.perf_counter())
            wait_for(lambda: len(sizes) > index)  # noqa: B023 - called at once

    run(Reel(in_step(), live=True), segmenter, sink, pace=AHEAD)
    assert [result.labels.ids.shape for result in sink.results] == [(540, 960)] * 3
    assert sizes == [(540, 960), (270, 480), (270, 480)]


def steadily() -> Iterator[Frame]:
    """Frames without end, as a camera gives them."""
    given = frames(20)
    for index in range(10**6):
        time.sleep(0.01)
        yield Frame(given[index % 20].pixels, index, time.perf_counter())


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_sink_that_fails_ends_the_view(segmenter: Segmenter) -> None:
    source = Reel(steadily(), live=True)
    with pytest.raises(SinkError, match="disk is full"):
        run(source, segmenter, Kept(full_after=3), pace=AHEAD)
    assert source.closed.is_set()


@pytest.mark.usefixtures("no_thread_is_left")
def test_every_frame_is_shown_while_the_engine_sleeps(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, sink, timing = Asleep(segmenter, monkeypatch, awake=1), Kept(), Timing()

    def all_are_shown() -> None:
        wait_for(lambda: len(sink.results) == 30)
        engine.wake(9)

    run(Reel(frames(30), all_are_shown, live=True), segmenter, sink, pace=AHEAD, timing=timing)
    assert indices(sink) == list(range(30)), "all of them by one invoke"
    assert (sink.results[0].labels.ids == segmenter(sink.results[0].frame.pixels).ids).all()
    assert timing.summary().moved == pytest.approx(29 / 30, abs=1e-4)


@pytest.mark.usefixtures("no_thread_is_left")
def test_labels_that_took_many_frames_are_moved_too(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, sink, timing, made = Asleep(segmenter, monkeypatch, awake=1), Kept(), Timing(), list[Any]()
    postprocess = segmenter.postprocess
    monkeypatch.setattr(segmenter, "postprocess", lambda *given: (made.append(1), postprocess(*given))[1])

    def slowly() -> Iterator[Frame]:
        for frame in frames(20):
            if frame.index == 15:
                engine.wake()
                wait_for(lambda: len(made) >= 2)
            yield frame
            index = frame.index
            wait_for(lambda: len(sink.results) > index and engine.asked >= min(index + 1, 2))  # noqa: B023 - at once

    run(Reel(slowly(), lambda: engine.wake(9), live=True), segmenter, sink, pace=AHEAD, timing=timing)
    assert timing.summary().held == 0


@pytest.mark.usefixtures("no_thread_is_left")
def test_the_model_takes_the_newest_frame_and_never_waits_for_the_view(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A view that hangs: what was offered before is labelled, and its labels need nobody to take them."""
    seen, labelled = list[int](), threading.Event()
    score = segmenter.preprocess

    class Hangs(Kept):
        def write(self, result: Any) -> None:
            super().write(result)
            if len(self.results) == 5:
                wait_for(lambda: 4 in seen)
                labelled.set()

    given = frames(5)

    def noted(pixels: Any) -> Any:
        seen.extend(i for i in range(5) if pixels is given[i].pixels)
        return score(pixels)

    noted.size_hw, noted.fit = score.size_hw, score.fit  # type: ignore[attr-defined]
    monkeypatch.setattr(segmenter, "preprocess", noted)
    run(Reel(given, live=True), segmenter, Hangs(), pace=AHEAD)
    assert labelled.is_set()
    assert seen == sorted(seen)


@pytest.mark.usefixtures("no_thread_is_left")
def test_the_end_can_be_wanted_before_the_first_labels_and_sinks_stay_awake(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, until = Asleep(segmenter, monkeypatch), threading.Event()

    class Awake(Kept):
        def idle(self) -> None:
            super().idle()
            if self.idles == 3:
                until.set()
                engine.wake()

    sink = Awake()
    run(Reel(steadily(), live=True), segmenter, sink, pace=AHEAD, until=until)
    assert sink.results == []


def test_a_model_that_hangs_does_not_keep_the_view_from_ending(
    segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, until, sink = Asleep(segmenter, monkeypatch, awake=1), threading.Event(), Kept()
    ended = ending(until, lambda: sink.results)
    run(Reel(steadily(), live=True), segmenter, sink, pace=AHEAD, until=until)
    assert time.monotonic() - ended[0] < PATIENCE_S / 2
    engine.wake(9)


def ending(until: threading.Event, there: Callable[[], object]) -> list[float]:
    """Sets the event when something is there; returns a list that takes the time of that."""
    ended = [0.0]

    def end() -> None:
        wait_for(there)
        ended[0] = time.monotonic()
        until.set()

    threading.Thread(target=end).start()
    return ended


@pytest.mark.usefixtures("no_thread_is_left")
def test_no_frame_is_taken_in_a_pause(segmenter: Segmenter) -> None:
    sink, until = Kept(), threading.Event()
    ending(until, lambda: sink.idles)
    source = Reel(steadily(), live=True)
    run(source, segmenter, sink, pace=AHEAD, pause=lambda: source.closed.wait(PATIENCE_S) and None, until=until)
    assert sink.results == []
    assert sink.idles


@pytest.mark.usefixtures("no_thread_is_left")
def test_a_rest_holds_the_model_and_not_the_view(segmenter: Segmenter, invokes: list[float]) -> None:
    cool, holds = threading.Event(), list[int]()

    def hold() -> None:
        holds.append(1)
        if len(holds) > 1:
            cool.wait(PATIENCE_S)

    sink = Kept()
    run(Reel(frames(20), cool.set, live=True), segmenter, sink, pace=AHEAD, hold=hold)
    assert len(sink.results) == 20
    assert len(invokes) <= 2


def test_the_view_labels_each_so_many_of_the_frames_that_come(segmenter: Segmenter, invokes: list[float]) -> None:
    sink = Kept()

    def in_step() -> Iterator[Frame]:
        for frame in frames(9):
            yield frame
            index = frame.index
            wait_for(lambda: len(sink.results) > index and len(invokes) > index // 4)  # noqa: B023 - called at once

    run(Reel(in_step(), live=True), segmenter, sink, pace=Pace(4, ahead=True))
    assert len(sink.results) == 9
    assert len(invokes) == 3


def test_smoothing_sees_the_labelled_frames_in_order(segmenter: Segmenter) -> None:
    seen, smoother = list[int](), Smoother("two")

    def smooth(scores: Any, frame: Frame) -> Any:
        seen.append(frame.index)
        return smoother(scores, frame)

    run(Reel(frames(9)), segmenter, Kept(), pace=Pace(4), smooth=smooth)
    assert seen == [0, 4, 8]
    run(Reel(steadily_for(30), live=True), segmenter, Kept(), pace=AHEAD, smooth=smooth)
    assert len(seen) > 4
    assert seen[3:] == sorted(seen[3:])


def steadily_for(count: int) -> Iterator[Frame]:
    for frame, _ in zip(steadily(), range(count), strict=False):
        yield frame


def test_moved_labels_follow_the_scene(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model's first answer, moved by as much as the scene, against the same held in place."""
    engine, sink = Asleep(segmenter, monkeypatch, awake=1), Kept()

    def all_are_shown() -> None:
        wait_for(lambda: len(sink.results) == 10)
        engine.wake(9)

    given = [Frame(np.roll(scene(100)[0], 4 * i, 1), i, 0.0) for i in range(10)]
    run(Reel(given, all_are_shown, live=True), segmenter, sink, pace=AHEAD)
    first, last = (sink.results[at].labels.ids[:, 60:-60] for at in (0, -1))
    there = np.roll(sink.results[0].labels.ids, 36, 1)[:, 60:-60]
    assert (last == there).mean() > 0.9
    assert (last == there).mean() > (last == first).mean()
