"""Lets long work report that it moves on: the library calls a `Track`, the command line decides what is drawn."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from typing import Protocol, TypeVar

from edge.text import one_line

T = TypeVar("T")


class Track(Protocol):
    """A function that yields the items of `items` unchanged while it shows how far they are; `total` is None when
    unknown.
    """

    def __call__(self, items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]: ...


def silent(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Yields the items, and shows nothing."""
    yield from items


def bars(items: Iterable[T], what: str, total: int | None = None) -> Generator[T]:
    """Draws a bar on stderr while the items last; only a plain line where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console, what = Console(stderr=True), one_line(what)
    if not console.is_terminal:
        console.print(f"{what} ...", highlight=False, markup=False)
        yield from items
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(complete_style="blue"),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)
