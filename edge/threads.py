"""Hands one item at a time from thread to thread, and iterates in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
U = TypeVar("U")

POLL_S = 0.05  # how soon a wait notices that it is to end


class Ended(Exception):
    """Says that no item is left and none will come. It stays between the threads of a pipeline."""


class NotYet(Exception):
    """Says that no item came within the time that was given. It stays between the threads of a pipeline."""


class Slot(Generic[T]):
    """Room for one item between a thread that puts and one that takes. Both are safe from any thread."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: list[T] = []
        self._closed = False
        self._error: BaseException | None = None
        self.drops = 0  # items replaced before anybody took them

    def put(self, item: T) -> bool:
        """Puts an item in place of the one that is there, and returns True; False, and puts nothing, when the slot is
        closed.
        """
        with self._changed:
            if self._closed:
                return False
            self.drops += len(self._items)
            self._items = [item]
            self._changed.notify_all()
            return True

    def wait_empty(self) -> bool:
        """Waits until the item was taken, and returns True; False when the slot is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or not self._items)
            return not self._closed

    def take(self, timeout_s: float | None = None) -> T:
        """Returns the item, as soon as there is one.

        Raises NotYet where none came in time, Ended where none is left and the slot is closed, and the error that the
        slot was closed with, once none is left.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._items, timeout_s):
                raise NotYet
            if self._items:
                self._changed.notify_all()
                return self._items.pop()
            raise self._error or Ended

    def check(self) -> None:
        """Raises the error that the slot was closed with, if any."""
        with self._changed:
            if self._error is not None:
                raise self._error

    def close(self, error: BaseException | None = None) -> None:
        """Lets nothing more in; `take` raises `error`, if any, after the last item. The first call counts."""
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
                self._changed.notify_all()


class ReadAhead(Iterator[T]):
    """An iterator that works through `items` in a thread of its own, at most one item ahead of whoever iterates.

    What is raised there is raised here, after the items before it. The next item is begun when the one before was
    taken; without `ahead` when it is asked for, so that it is the newest then. `until` ends the iteration early, `idle`
    is called all the while no item comes. Whoever made it closes it, and joins it after everything that it may wait for
    is closed too.
    """

    def __init__(
        self,
        items: Iterable[T],
        name: str,
        until: threading.Event | None = None,
        idle: Callable[[], None] = lambda: None,
        *,
        ahead: bool = True,
    ) -> None:
        self._slot: Slot[T] = Slot()
        self._asked = None if ahead else threading.Semaphore(0)
        self._until, self._idle = until or threading.Event(), idle
        self._thread = threading.Thread(target=self._work, args=(iter(items),), name=name, daemon=True)
        self._thread.start()

    def __next__(self) -> T:
        if self._asked is not None:
            self._asked.release()
        while not self._until.is_set():
            try:
                return self._slot.take(POLL_S)
            except NotYet:
                self._idle()
            except Ended:
                break
        raise StopIteration

    def close(self) -> None:
        self._slot.close()
        if self._asked is not None:
            self._asked.release()

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread, and returns whether it ended. It does not keep the process from ending."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self, items: Iterator[T]) -> None:
        error: BaseException | None = None
        try:
            while (self._asked is None or self._asked.acquire()) and self._slot.wait_empty():
                self._slot.put(next(items))
        except StopIteration:
            pass
        except BaseException as exc:  # noqa: BLE001 - raised again where the items are wanted
            error = exc
        finally:
            if isinstance(items, Generator):
                items.close()
            self._slot.close(error)


class Beside(Generic[T, U]):
    """Works in a thread of its own on the newest item that was offered, and keeps the newest outcome.

    Neither side waits for the other: an item gives way to a newer one until it is begun, an outcome until it is taken.
    What is raised there is raised by `newest` and `check`. Whoever made it closes it, and joins it after.
    """

    def __init__(self, work: Callable[[Callable[[], T]], U], name: str) -> None:
        """`work` makes an outcome of one item, which it takes by calling what it gets."""
        self._offered: Slot[T] = Slot()
        self._done: Slot[U] = Slot()
        self._thread = threading.Thread(target=self._run, args=(work,), name=name, daemon=True)
        self._thread.start()

    def offer(self, item: T) -> None:
        self._offered.put(item)

    def newest(self, timeout_s: float = 0.0) -> U | None:
        """Returns the newest outcome that nobody has taken, None where none comes in time or the work was closed."""
        try:
            return self._done.take(timeout_s)
        except (NotYet, Ended):
            return None

    def check(self) -> None:
        """Raises what was raised there, if anything, however many outcomes there are before it."""
        self._done.check()

    def close(self) -> None:
        self._offered.close()
        self._done.close()

    def join(self, timeout_s: float) -> bool:
        """Waits for the thread, and returns whether it ended. It does not keep the process from ending."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self, work: Callable[[Callable[[], T]], U]) -> None:
        error: BaseException | None = None
        try:
            while self._done.put(work(self._offered.take)):
                pass
        except Ended:
            pass
        except BaseException as exc:  # noqa: BLE001 - raised again where the outcomes are wanted
            error = exc
        finally:
            self._done.close(error)
