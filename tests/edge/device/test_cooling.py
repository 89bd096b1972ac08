from __future__ import annotations

import threading
import time

import pytest
from waiting import wait_for

from edge.controls import Controls, RunDescription
from edge.device.cooling import Heat
from edge.sources.options import SourceHealth
from edge.status import Status
from edge.timing import Timing


class Stove:
    """A processor that rests make cooler."""

    def __init__(self) -> None:
        self.now_c: float | None = 60.0
        self.throttles: bool | None = False

    def heat(self, max_c: float | None) -> Heat:
        return Heat(max_c, every_s=3600, temperature=lambda: self.now_c, throttled=lambda: self.throttles)


def test_rests_grow_above_the_limit_and_shrink_below_it() -> None:
    stove = Stove()
    heat = stove.heat(70.0)
    rests = []
    for stove.now_c in (69.0, 71.0, 75.0, 75.0, 68.0, 60.0, 60.0, 60.0, 60.0):
        heat.look()
        rests.append(heat.rest_s)
    heat.close()
    assert rests[0] == 0
    assert 0 < rests[1] < rests[2] < rests[3] == rests[4] > rests[5] > rests[6]
    assert rests[-1] == 0


def test_rests_have_an_end() -> None:
    stove = Stove()
    heat = stove.heat(70.0)
    stove.now_c = 99.0
    for _ in range(100):
        heat.look()
    heat.close()
    assert heat.rest_s == 2.0


def test_without_a_limit_or_a_sensor_there_is_no_rest() -> None:
    stove = Stove()
    for max_c, now_c in ((None, 99.0), (70.0, None)):
        stove.now_c = now_c
        heat = stove.heat(max_c)
        heat.look()
        heat.close()
        assert (heat.rest_s, heat.temperature_c) == (0.0, now_c)


def test_the_board_is_watched_until_it_is_closed() -> None:
    looks = []
    heat = Heat(every_s=0.01, temperature=lambda: looks.append(1) or 50.0, throttled=lambda: None)
    wait_for(lambda: len(looks) > 3)
    heat.close()
    seen = len(looks)
    time.sleep(0.05)
    assert seen == len(looks)
    assert "heat" not in {thread.name for thread in threading.enumerate()}


def status(stove: Stove, health: SourceHealth, controls: Controls, timing: Timing) -> Status:
    heat = stove.heat(70.0)
    heat.close()
    heat.look()
    return Status(RunDescription("0.1.0", "m.tflite", "litert", 2, "cam"), timing, health, controls, heat)


def test_the_state_is_told_in_figures_and_in_a_line() -> None:
    stove, health, controls, timing = Stove(), SourceHealth(), Controls(), Timing()
    told = status(stove, health, controls, timing)
    assert told.now().state == "starting"
    timing.add("invoke", 0.008)
    timing.shown(time.perf_counter() - 0.05)
    health.drops, health.reconnects, health.skipped, health.jumps = 7, 2, 3, 4
    stove.now_c, stove.throttles = 82.0, True
    told = status(stove, health, controls, timing)
    stats = told.now()
    assert (stats.state, stats.run.model, stats.run.source) == ("running", "m.tflite", "cam")
    assert (stats.drops, stats.reconnects, stats.skipped, stats.jumps) == (7, 2, 3, 4)
    assert (stats.temperature_c, stats.throttled) == (82.0, True)
    assert stats.timing.frame_age_ms is not None
    assert stats.timing.frame_age_ms.median >= 50
    line = told.line()
    for part in (
        "invoke 8.0 ms",
        "7 dropped",
        "2 reconnects",
        "3 damaged",
        "4 clock jumps",
        "82 C",
        "THROTTLED",
        "above 70 C",
    ):
        assert part in line
    controls.paused = True
    assert told.state() == "paused"
    health.fault = "cam: no frame for 5 s"
    assert told.state() == "reconnecting"
    assert "no frame for 5 s" in told.log()


def test_a_flood_of_questions_is_answered_from_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    stove, timing = Stove(), Timing()
    for _ in range(8000):
        timing.add("invoke", 0.008)
    told = status(stove, SourceHealth(), Controls(), timing)
    told.now()
    asked: list[int] = []
    summary = timing.summary
    monkeypatch.setattr(timing, "summary", lambda: (asked.append(1), summary())[1])
    begin = time.perf_counter()
    for _ in range(1000):
        told.now()
    assert len(asked) <= 10 * (time.perf_counter() - begin) + 1, "so many a second, whoever asks"
