from __future__ import annotations

import random
import threading
import time

import numpy as np
import pytest
from waiting import PATIENCE_S

from edge.data import Way
from edge.timing import Percentiles, Samples, Timing, percentiles


def test_every_stage_is_timed_for_itself() -> None:
    timing = Timing()
    for _ in range(3):
        captured = time.perf_counter()
        with timing.stage("invoke"):
            time.sleep(0.02)
        with timing.stage("encode"):
            pass
        timing.shown(captured)
    summary = timing.summary()
    assert summary.frames == 3
    assert list(summary.stages_ms) == ["invoke", "encode"]
    assert summary.stages_ms["invoke"].median >= 20
    assert summary.stages_ms["encode"].median < 10
    assert summary.frame_age_ms is not None
    assert summary.frame_age_ms.median >= 20
    assert 0.06 <= timing.seconds < PATIENCE_S
    assert timing.fps == pytest.approx(3 / timing.seconds)


def test_a_stage_that_fails_is_not_counted() -> None:
    timing = Timing()
    with pytest.raises(ValueError, match="broken"), timing.stage("encode"):
        raise ValueError("broken")
    assert timing.summary().stages_ms == {}


def test_nothing_done_is_no_division_by_zero() -> None:
    timing = Timing()
    assert (timing.fps, timing.fps_now(), timing.line(), timing.summary().stages_ms) == (0, 0, "", {})


def test_the_status_line_shows_the_last_frames_only(monkeypatch: pytest.MonkeyPatch) -> None:
    timing = Timing()
    for seconds in [9.0] * 100 + [0.01] * 15:
        timing.add("invoke", seconds)
    clock = iter([*np.arange(0, 100, 0.5), *np.arange(100, 110, 0.02), 109.98])
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    for _ in range(700):
        timing.shown(0.0)
    assert timing.line() == "invoke 10.0 ms   50.0 fps"


def test_the_rate_falls_when_nothing_is_shown_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    timing, now = Timing(), [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    for now[0] in (0.0, 0.1, 0.2):
        timing.shown(0.0)
    rates = []
    for now[0] in (0.2, 1.0, 10.0, 100.0):
        rates.append(timing.fps_now())
    assert rates == sorted(rates, reverse=True)
    assert rates[0] == pytest.approx(10)
    assert rates[-1] < 0.05


def test_a_slow_model_has_a_rate_too(monkeypatch: pytest.MonkeyPatch) -> None:
    timing, now = Timing(), [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    for now[0] in (0.0, 20.0, 40.0):
        timing.shown(0.0)
    assert timing.fps_now() == pytest.approx(1 / 20)


def test_weeks_fit_in_bounded_memory_and_percentiles_are_those_of_the_whole_run() -> None:
    samples, rng, every = Samples(most=1000), random.Random(1), []
    for number in range(200_000):
        every.append(rng.expovariate(1) * (1 if number < 100_000 else 3))
        samples.add(every[-1])
    assert 500 <= len(samples.kept()) <= 1000
    assert samples.count == 200_000
    assert samples.max == max(every)
    for percent in (10, 50, 90):
        assert np.percentile(samples.kept(), percent) == pytest.approx(np.percentile(every, percent), rel=0.15)


def test_a_short_run_is_exact() -> None:
    samples = Samples()
    for number in range(8000):
        samples.add(float(number))
    assert samples.kept() == [float(number) for number in range(8000)]


def test_reading_while_another_thread_writes() -> None:
    timing, end = Timing(), threading.Event()

    def write() -> None:
        while not end.is_set():
            timing.add("invoke", 0.01)
            timing.shown(time.perf_counter())

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(200):
            timing.summary()
            assert "fps" in timing.line() or timing.frames < 2
    finally:
        end.set()
        writer.join()
    assert timing.summary().frames > 0


def test_percentiles_are_in_milliseconds() -> None:
    assert percentiles([n / 1000 for n in range(101)]) == Percentiles(50, 90, 99, 100)
    assert percentiles([0.25]).p99 == 250
    assert percentiles([0.25], 0.5).max == 500


def test_labels_of_earlier_frames_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    timing = Timing()
    clock = iter([10.0, 10.1, 10.2, 10.3, 10.4])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    timing.add("invoke", 0.25)
    ways: tuple[Way, ...] = ("own", "moved", "moved", "held")
    for index, way in enumerate(ways):
        timing.shown(9.98 + index / 10, 0.0 if way == "own" else 0.3, way)
    found = timing.summary()
    assert (found.moved, found.held) == (0.5, 0.25)
    assert found.label_age_ms is not None
    assert (found.label_age_ms.median, found.label_age_ms.max) == (320.0, 320.0)
    assert timing.line().endswith("labels 320 ms old, 50% moved, 25% held")


def test_where_every_frame_has_its_own_labels_nothing_is_told_of_their_age() -> None:
    timing = Timing()
    timing.add("invoke", 0.25)
    timing.shown(time.perf_counter())
    found = timing.summary()
    assert (found.label_age_ms, found.moved, found.held) == (None, None, None)
    assert "labels" not in timing.line()
