from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from waiting import PATIENCE_S, wait_for

from edge.data import Frame, SourceInfo
from edge.errors import SourceError
from edge.sources import reconnect as newest
from edge.sources.options import SourceHealth
from edge.sources.reconnect import ReconnectingSource
from edge.threads import Beside, Ended, NotYet, ReadAhead, Slot

PICTURE = np.zeros((4, 6, 3), np.uint8)


class Fake:
    """A camera that lives through `life` once it is open: numbers of frames to give, then whatever it calls."""

    def __init__(self, life: Callable[[], Iterator[int]]) -> None:
        self.info = SourceInfo("cam", (6, 4), None, None, live=True)
        self.closed = threading.Event()
        self._life = life

    def __iter__(self) -> Iterator[Frame]:
        for index in self._life():
            yield Frame(PICTURE, index, time.perf_counter())

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "FIRST_WAIT_S", 0.02)
    monkeypatch.setattr(newest, "LONGEST_WAIT_S", 0.08)
    monkeypatch.setattr(newest, "_CLOSING_S", 0.1)


def steadily(count: int, every_s: float = 0.01) -> Iterator[int]:
    for index in range(count):
        yield index
        time.sleep(every_s)


class InStep:
    """Lives in which the next frame comes when whoever reads calls `taken`: none is dropped however slow that is."""

    def __init__(self) -> None:
        self._taken = threading.Semaphore(0)

    def taken(self) -> None:
        self._taken.release()

    def frames(self, count: int = 1000) -> Iterator[int]:
        for index in range(count):
            yield index
            self._taken.acquire(timeout=PATIENCE_S)

    def unplugged(self, count: int) -> Iterator[int]:
        yield from self.frames(count)
        raise SourceError("cam: gives no more frames; was it unplugged?")


def one_frame() -> Iterator[int]:
    yield 0
    raise SourceError("cam: gives no more frames; was it unplugged?")


def camera(
    *lives: Callable[[], Iterator[int]], busy: int = 0, **options: object
) -> tuple[ReconnectingSource, list[Fake]]:
    """A source that is one of `lives` after the other; opening fails `busy` times after the first life.

    Only a frame after the first of a life can be late, and only where `timeout_s` is given.
    """
    made: list[Fake] = []
    refusals = iter([False, *[True] * busy])

    def open_it() -> Fake:
        if next(refusals, False):
            raise SourceError("cam: is in use by another program")
        made.append(Fake(lives[min(len(made), len(lives) - 1)]))
        return made[-1]

    return ReconnectingSource(open_it, **{"timeout_s": PATIENCE_S} | options), made  # type: ignore[arg-type]


def test_the_newest_frame_is_given_and_the_others_are_counted() -> None:
    came, go = threading.Semaphore(0), threading.Semaphore(0)

    def bursts() -> Iterator[int]:
        for first in range(0, 40, 10):
            yield from range(first, first + 10)
            came.release()  # when all ten are there
            go.acquire(timeout=PATIENCE_S)

    health, indices = SourceHealth(), list[int]()
    source, _ = camera(bursts, health=health)
    came.acquire(timeout=PATIENCE_S)
    for frame in source:
        indices.append(frame.index)
        if len(indices) == 4:
            break
        go.release()
        came.acquire(timeout=PATIENCE_S)
    go.release()
    source.close()
    assert indices == [9, 19, 29, 39]
    assert health.drops == 27, "what came before nobody asked for"


@pytest.mark.parametrize("busy", [0, 3])
def test_a_camera_that_is_pulled_out_comes_back(busy: int) -> None:
    health, said, step = SourceHealth(), list[str](), InStep()
    source, made = camera(lambda: step.unplugged(3), step.frames, busy=busy, health=health, say=said.append)
    frames = []
    for frame in source:
        frames.append(frame)
        step.taken()
        if len(frames) == 8:
            break
    source.close()
    assert health.reconnects == 1 + busy
    assert health.fault == ""
    assert [frame.index for frame in frames] == list(range(8)), "numbers go on"
    assert [frame.time_s for frame in frames] == sorted(frame.time_s for frame in frames if frame.time_s is not None)
    assert "unplugged" in said[0]
    assert said[-1] == "cam: frames come again"
    assert len(said) == 2 + busy
    assert all(fake.closed.wait(PATIENCE_S) for fake in made)


def test_waits_grow_and_end(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    source, _ = camera(one_frame, busy=5, max_reconnects=5, say=said.append)
    with pytest.raises(SourceError, match="in use by another program; given up after 5 reconnects"):
        list(source)
    assert [line.rpartition(" in ")[2] for line in said] == ["0.02 s", "0.04 s", "0.08 s", "0.08 s", "0.08 s"]
    source.close()


def test_a_camera_that_freezes_is_opened_again() -> None:
    thawed, step = threading.Event(), InStep()

    def frozen() -> Iterator[int]:
        yield 0
        thawed.wait(PATIENCE_S)

    health = SourceHealth()
    source, _ = camera(frozen, step.frames, health=health, timeout_s=0.3, start_s=PATIENCE_S)
    start, times = time.monotonic(), []
    for _frame in source:
        times.append(time.monotonic() - start)
        if len(times) == 2:
            break
    thawed.set()
    step.taken()
    source.close()
    assert health.reconnects == 1
    assert 0.3 < times[1] < PATIENCE_S / 2, "while the read hangs"


def test_a_read_that_hangs_for_ever_is_left_behind() -> None:
    for_ever, said, step = threading.Event(), list[str](), InStep()

    def hangs() -> Iterator[int]:
        yield 0
        for_ever.wait(PATIENCE_S)

    source, _ = camera(hangs, step.frames, say=said.append, timeout_s=2, start_s=PATIENCE_S)
    indices = []
    for frame in source:
        indices.append(frame.index)
        if len(indices) == 4:
            break
        if len(indices) > 1:  # of the life after the one that hangs
            step.taken()
    assert indices == [0, 1, 2, 3]
    assert "no frame for 2 s" in said[0]
    start = time.monotonic()
    source.close()
    assert time.monotonic() - start < PATIENCE_S / 2, "while a read hangs"
    for_ever.set()
    step.taken()


def test_a_driver_that_hangs_again_and_again_is_an_error() -> None:
    for_ever = threading.Event()

    def hangs() -> Iterator[int]:
        yield 0
        for_ever.wait(PATIENCE_S)

    source, _ = camera(hangs, timeout_s=0.3, start_s=PATIENCE_S)
    with pytest.raises(SourceError, match="4 reads of it hang, start again"):
        list(source)
    for_ever.set()


def test_hangs_that_resolved_are_not_held_against_a_camera() -> None:
    """A camera that stalls once a week must not end the run after a month."""

    def stalls() -> Iterator[int]:
        yield 0
        time.sleep(0.5)  # longer than closing waits, shorter than until the next one

    health = SourceHealth()
    step = InStep()
    source, _ = camera(*[stalls] * 7, step.frames, health=health, timeout_s=0.3, start_s=PATIENCE_S)
    for _frame in source:
        if health.reconnects == 7 and not health.fault:
            break
    step.taken()
    source.close()
    assert health.reconnects == 7


def test_opening_that_hangs_is_an_error_in_time() -> None:
    for_ever = threading.Event()

    def open_it() -> Fake:
        for_ever.wait(PATIENCE_S)
        raise AssertionError

    with pytest.raises(SourceError, match=r"did not open within 0\.3 s"):
        ReconnectingSource(open_it, timeout_s=0.1, start_s=0.3)
    for_ever.set()


def test_what_is_not_there_at_the_start_is_said_at_once() -> None:
    def open_it() -> Fake:
        raise SourceError("/dev/video7: expected a camera")

    with pytest.raises(SourceError, match="video7"):
        ReconnectingSource(open_it, timeout_s=5)


def test_an_error_of_ours_is_not_taken_for_a_lost_camera() -> None:
    def broken() -> Iterator[int]:
        yield 0
        raise ZeroDivisionError

    source, _ = camera(broken)
    with pytest.raises(ZeroDivisionError):
        list(source)
    source.close()


def test_closing_ends_an_iteration_in_another_thread_and_closes_the_camera() -> None:
    source, made = camera(lambda: steadily(100_000))
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    time.sleep(0.1)
    source.close()
    source.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()
    assert made[0].closed.wait(PATIENCE_S)


def test_closing_ends_the_wait_for_a_camera_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newest, "FIRST_WAIT_S", 600.0)
    monkeypatch.setattr(newest, "LONGEST_WAIT_S", 600.0)
    health = SourceHealth()
    source, _ = camera(one_frame, health=health)
    reader = threading.Thread(target=lambda: list(source))
    reader.start()
    wait_for(lambda: health.fault)
    source.close()
    reader.join(PATIENCE_S)
    assert not reader.is_alive()


def test_a_slot_never_blocks_who_puts_and_ends_who_takes() -> None:
    slot: Slot[int] = Slot()
    assert [slot.put(number) for number in (1, 2, 3)] == [True, True, True]
    assert (slot.take(), slot.drops) == (3, 2)
    with pytest.raises(NotYet):
        slot.take(0.01)
    slot.put(4)
    slot.close(ValueError("broken"))
    slot.close()
    assert not slot.put(5)
    assert slot.take() == 4
    with pytest.raises(ValueError, match="broken"):
        slot.take()
    empty: Slot[int] = Slot()
    threading.Timer(0.05, empty.close).start()
    with pytest.raises(Ended):
        empty.take()


def test_working_ahead_begins_an_item_when_the_one_before_is_taken() -> None:
    begun = []

    def items() -> Iterator[int]:
        for number in range(9):
            begun.append(number)
            yield number

    ahead = ReadAhead(items(), "read")
    for number in range(3):
        assert next(ahead) == number
        wait_for(lambda expected=number + 2: len(begun) >= expected)
        time.sleep(0.05)  # for one too many
        assert begun == list(range(number + 2))
    ahead.close()
    assert ahead.join(PATIENCE_S)


@pytest.mark.parametrize("error", [TimeoutError("late"), ValueError("broken"), KeyError("x")])
def test_working_ahead_raises_what_was_raised_after_the_items_before(error: Exception) -> None:
    def items() -> Iterator[int]:
        yield 1
        yield 2
        raise error

    ahead = ReadAhead(items(), "read")
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(type(error)):
        next(ahead)
    assert ahead.join(PATIENCE_S)


def test_beside_works_on_the_newest_and_keeps_the_newest_outcome() -> None:
    begun, go, worked = threading.Semaphore(0), threading.Semaphore(0), list[int]()

    def work(take: Callable[[], int]) -> int:
        item = take()
        worked.append(item)
        begun.release()
        go.acquire(timeout=PATIENCE_S)
        return item * 10

    beside = Beside(work, "beside")
    assert beside.newest() is None
    beside.offer(1)
    begun.acquire(timeout=PATIENCE_S)
    for item in (2, 3, 4):
        beside.offer(item)
    go.release()
    begun.acquire(timeout=PATIENCE_S)  # with 4, though nobody has taken what 1 gave
    go.release()
    wait_for(lambda: beside._done._items == [40])
    assert beside.newest(PATIENCE_S) == 40
    assert beside.newest() is None, "each is taken once"
    assert worked == [1, 4]
    beside.close()
    assert beside.join(PATIENCE_S)


def test_what_fails_beside_is_raised_where_outcomes_are_wanted() -> None:
    def work(take: Callable[[], int]) -> int:
        if take() > 1:
            raise SourceError("too much")
        return 1

    beside = Beside(work, "beside")
    beside.offer(1)
    assert beside.newest(PATIENCE_S) == 1
    beside.offer(2)
    with pytest.raises(SourceError, match="too much"):
        beside.newest(PATIENCE_S)
    assert beside.join(PATIENCE_S)
    beside.offer(3)  # nobody is there, and nothing hangs


def test_beside_that_is_closed_gives_nothing_and_ends() -> None:
    beside: Beside[int, int] = Beside(lambda take: take(), "beside")
    beside.close()
    assert beside.newest(PATIENCE_S) is None
    assert beside.join(PATIENCE_S)
