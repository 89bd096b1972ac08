from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from convert.invoke_times import MOST_ROUNDS, in_turns, slower


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed, which only what runs adds to."""
    now = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_load_that_comes_and_goes_slows_all_of_them(clock: list[float]) -> None:
    """From the third round on the machine is three times as slow: one after the other the second would look so."""
    order: list[str] = []

    def run(name: str, seconds: float) -> Callable[[], None]:
        def work() -> None:
            clock[0] += seconds * (3 if len(order) > 6 else 1)
            order.append(name)

        return work

    found = in_turns({"float32": run("float32", 0.01), "int8": run("int8", 0.005)})
    assert [len(rounds) for rounds in found.values()] == [MOST_ROUNDS] * 2
    assert order[2:10] == ["float32", "float32", "int8", "int8", "int8", "int8", "float32", "float32"]
    for float_s, int8_s in list(zip(found["float32"], found["int8"], strict=True))[3:]:
        assert int8_s == pytest.approx(float_s / 2)
    assert slower(found) == []


def test_it_ends_with_its_time_and_does_not_begin_where_there_is_none(clock: list[float]) -> None:
    def work() -> None:
        clock[0] += 0.3

    assert [len(rounds) for rounds in in_turns({"a": work, "b": work}, budget_s=6.0).values()] == [5, 5]
    assert clock[0] == pytest.approx(0.6 + 5 * 1.2)
    assert in_turns({"a": work, "b": work}, budget_s=5.0) == {}, "four rounds are too few"
    spent = clock[0]
    assert in_turns({"a": work, "b": work}, budget_s=1.0) == {}
    assert clock[0] - spent == pytest.approx(0.6), "which the first runs tell"
    assert in_turns({}) == {}


def test_what_disturbs_one_run_of_a_turn_does_not_count(clock: list[float]) -> None:
    runs = [0]

    def work() -> None:
        runs[0] += 1
        clock[0] += 0.05 if runs[0] % 4 in (1, 2) else 0.01  # one of each two, in either place

    found = in_turns({"int8": work})
    assert found["int8"] == pytest.approx([0.01] * MOST_ROUNDS)


def test_what_is_slower_than_float32_is_said_with_the_ratio() -> None:
    times = {"float32": [0.010, 0.030, 0.011, 0.010, 0.012], "int8": [0.005] * 5}
    times["dynamic"] = [1.4 * seconds for seconds in times["float32"]]
    line = "dynamic is slower than float32 on this machine: an invoke takes 1.40 times as long"
    assert slower(times) == [line]
    assert slower({"float32": [0.01] * 5, "int8": [0.009, 0.011, 0.012, 0.009, 0.011]}) == [], "nobody can tell"
    assert slower({"int8": [0.01] * 5, "dynamic": [0.02] * 5}) == []
    assert slower({}) == []
