from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from films import number_in, write_film
from waiting import PATIENCE_S, wait_for

from edge import Segmenter, open_source
from edge.data import Frame, SourceInfo
from edge.errors import ModelError, SourceError, UsageError
from edge.preprocess import DEEPLAB
from edge.sources.options import SourceHealth
from edge.sources.reconnect import ReconnectingSource


@pytest.fixture
def segmenter(tiny_model: Callable[..., bytes], tmp_path: Path) -> Segmenter:
    (tmp_path / "tiny.tflite").write_bytes(tiny_model())
    return Segmenter(tmp_path / "tiny.tflite", norm=DEEPLAB)


class Camera:
    """Gives frames with these indices, then waits until it is closed, or raises."""

    def __init__(self, indices: list[int], error: Exception | None = None) -> None:
        self.info = SourceInfo("camera", (32, 24), None, None, live=True)
        self.closed = threading.Event()
        self._indices, self._error = indices, error

    def __iter__(self) -> Iterator[Frame]:
        for index in self._indices:
            yield Frame(np.full((24, 32, 3), index, np.uint8), index, time.perf_counter())
        if self._error is not None:
            raise self._error
        self.closed.wait(PATIENCE_S)

    def close(self) -> None:
        self.closed.set()


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"read", "score"}


def test_a_film_gives_every_frame_with_the_labels_of_its_pixels(segmenter: Segmenter, tmp_path: Path) -> None:
    write_film(tmp_path / "film.mp4")
    results = list(segmenter.stream(str(tmp_path / "film.mp4")))
    assert [number_in(result.frame.pixels) for result in results] == list(range(25))
    assert [result.frame.index for result in results] == list(range(25))
    for result in results:
        np.testing.assert_array_equal(result.labels.ids, segmenter(result.frame.pixels).ids)
        times = result.times
        assert min(times.decode_s, times.preprocess_s, times.invoke_s, times.postprocess_s) > 0
        assert times.preprocess_s + times.invoke_s + times.postprocess_s <= result.age_s
        assert result.drops == 0
    assert not threads()


def test_drops_of_a_live_source_are_counted_from_the_first_frame_on(segmenter: Segmenter) -> None:
    camera = Camera([7, 8, 11, 12, 20])
    seen = []
    for result in segmenter.stream(camera):
        seen.append((result.frame.index, result.drops))
        if result.frame.index == 20:
            break
    assert seen == [(7, 0), (8, 0), (11, 2), (12, 2), (20, 9)]


def test_a_slow_loop_over_a_camera_counts_what_it_missed(segmenter: Segmenter) -> None:
    class Fast(Camera):
        def __iter__(self) -> Iterator[Frame]:
            for index in range(10_000):
                yield Frame(np.zeros((24, 32, 3), np.uint8), index, time.perf_counter())
                if self.closed.wait(0.005):
                    return

    health = SourceHealth()
    results = segmenter.stream(ReconnectingSource(lambda: Fast([]), timeout_s=5.0, health=health))
    for _ in range(5):
        result = next(results)
        time.sleep(0.05)
    assert result.drops >= 10
    assert result.frame.time_s is not None
    assert result.drops <= health.drops, "which counts those for the frame that is scored already, too"
    results.close()
    wait_for(lambda: not threads())


def test_the_cameras_own_small_picture_is_what_the_model_gets(segmenter: Segmenter) -> None:
    class TwoSizes(Camera):
        def __iter__(self) -> Iterator[Frame]:
            green, red = np.zeros((24, 32, 3), np.uint8), np.zeros((*segmenter.preprocess.size_hw, 3), np.uint8)
            green[..., 1] = red[..., 0] = 200
            yield Frame(green, 0, time.perf_counter(), small=red)

    (result,) = segmenter.stream(TwoSizes([]))
    assert set(np.unique(result.labels.ids)) == {0}
    assert set(np.unique(segmenter(result.frame.pixels).ids)) == {1}


def test_leaving_the_loop_closes_the_source_and_frees_the_model(segmenter: Segmenter) -> None:
    camera = Camera([0, 1])
    for _ in segmenter.stream(camera):
        break
    assert camera.closed.is_set()
    wait_for(lambda: not threads())
    assert segmenter(np.zeros((24, 32, 3), np.uint8)).ids.shape == (24, 32)


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_a_stream_that_nobody_began_closes_the_source_too(segmenter: Segmenter, how: str) -> None:
    camera = Camera([0, 1])
    results = segmenter.stream(camera)
    if how == "closed":
        results.close()
    del results
    assert camera.closed.is_set()
    assert not threads()


def test_an_error_in_the_loop_closes_the_source_too(segmenter: Segmenter) -> None:
    camera = Camera([0, 1])

    def work() -> None:
        for _ in segmenter.stream(camera):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
    wait_for(camera.closed.is_set)
    wait_for(lambda: not threads())


def test_what_fails_on_the_way_is_raised_after_the_frames_before_it(segmenter: Segmenter) -> None:
    results = segmenter.stream(Camera([0, 1], SourceError("unplugged")))
    assert [next(results).frame.index, next(results).frame.index] == [0, 1]
    with pytest.raises(SourceError, match="unplugged"):
        next(results)


def test_errors_of_the_model_reach_the_loop(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(x: object) -> object:
        raise ModelError("broken")

    monkeypatch.setattr(segmenter, "score", fails)
    with pytest.raises(ModelError, match="broken"):
        next(segmenter.stream(Camera([0])))


def test_smoothing_mixes_frames(segmenter: Segmenter) -> None:
    class Flicker(Camera):
        def __iter__(self) -> Iterator[Frame]:
            for index in range(4):
                pixels = np.full((24, 32, 3), 40, np.uint8)
                pixels[..., index % 2] = (200, 90)[index % 2]
                yield Frame(pixels, index, time.perf_counter())

    plain = [int(np.median(result.labels.ids)) for result in segmenter.stream(Flicker([]))]
    steady = [int(np.median(result.labels.ids)) for result in segmenter.stream(Flicker([]), smooth="two")]
    assert plain == [0, 1, 0, 1]
    assert steady == [0, 0, 0, 0]


def test_what_makes_no_sense_is_refused_at_once(segmenter: Segmenter) -> None:
    with pytest.raises(UsageError, match="between 0 and 1"):
        segmenter.stream("demo", smooth="3")
    with pytest.raises(SourceError, match="not found"):
        segmenter.stream("nowhere.mp4")


def test_a_source_of_the_demo_is_streamed(segmenter: Segmenter) -> None:
    results = list(segmenter.stream(open_source("demo", limit=2)))
    assert [result.labels.ids.shape for result in results] == [(720, 1280)] * 2
