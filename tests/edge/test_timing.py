from __future__ import annotations

import time

import pytest

from edge.timing import STAGES, Timing, percentiles_ms


def test_every_stage_is_timed_for_itself() -> None:
    timing = Timing()
    for _ in range(3):
        with timing.stage("invoke"):
            time.sleep(0.02)
        with timing.stage("encode"):
            pass
    summary = timing.summary()
    assert summary["frames"] == 3
    assert list(summary["stages_ms"]) == ["invoke", "encode"]
    assert summary["stages_ms"]["invoke"]["median"] >= 20
    assert summary["stages_ms"]["encode"]["median"] < 10
    assert 0.06 <= timing.seconds < 5
    assert timing.fps == pytest.approx(3 / timing.seconds)


def test_a_stage_that_fails_is_not_counted() -> None:
    timing = Timing()
    with pytest.raises(ValueError, match="broken"), timing.stage("encode"):
        raise ValueError("broken")
    assert timing.frames == 0


def test_nothing_done_is_no_division_by_zero() -> None:
    timing = Timing()
    assert (timing.fps, timing.line(), timing.summary()["stages_ms"]) == (0, "", {})


def test_the_status_line_shows_the_last_frames_only() -> None:
    timing = Timing()
    for name in STAGES:
        timing.stages[name] = [9.0] * 100 + [0.01 if name == "invoke" else 0.002] * 15
    assert timing.line() == "invoke 10.0 ms   50.0 fps"


def test_percentiles_are_in_milliseconds() -> None:
    assert percentiles_ms([n / 1000 for n in range(101)]) == {"median": 50, "p90": 90, "p99": 99, "max": 100}
    assert percentiles_ms([0.25])["p99"] == 250
