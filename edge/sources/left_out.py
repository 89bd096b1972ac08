"""Remembers which files of a source were left out and why, and says it in few lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from edge.errors import SourceError, UnreadableFile
from edge.text import counted, shortened

_NAMED = 3  # files of one reason
_REASONS = 5  # lines
_LONGEST = 200  # letters of a reason


class LeftOut:
    """The files that a command was given and did not take.

    `unreadable` has (name, reason) of each picture that cannot be read, or whose label file cannot. `others` has (name,
    kind) of what else was not taken, the kind as a noun: files beside the pictures, such as a `.txt file`, folders that
    cannot be looked into, pictures that have no labels. `asked` is how many pictures were to be read. The thread that
    reads the source adds, any other may look.
    """

    def __init__(self) -> None:
        self.unreadable: list[tuple[str, str]] = []
        self.others: list[tuple[str, str]] = []
        self.asked = 0

    def add(self, name: str, error: SourceError) -> None:
        """Adds a picture that cannot be taken."""
        self.unreadable.append((name, error.reason if isinstance(error, UnreadableFile) else str(error)))

    def counts(self) -> dict[str, int]:
        """Returns how many files were left out for each reason; empty where everything was taken."""
        return dict(Counter(why for _, why in [*self.unreadable, *self.others]))

    def lines(self) -> list[str]:
        """Returns what to tell the user: files by reason, the first ones named; nothing where everything was taken."""
        return [*self.lines_of_others(), *self.lines_of_unreadable()]

    def lines_of_others(self) -> list[str]:
        """Returns one line for all other files, by kind."""
        kinds = list(_by_reason(self.others).items())
        texts = [f"{counted(len(files), kind)} ({_listed(files)})" for kind, files in kinds[:_REASONS]]
        more = sum(len(files) for _, files in kinds[_REASONS:])
        texts += [f"{counted(more, 'file')} of other kinds"] if more else []
        return [f"left out: {', '.join(texts)}"] if texts else []

    def lines_of_unreadable(self) -> list[str]:
        """Returns a line for each reason that pictures were left out for, and one that counts them."""
        reasons = list(_by_reason(self.unreadable).items())
        lines = [f"left out: {_listed(files)} ({shortened(why, _LONGEST)})" for why, files in reasons[:_REASONS]]
        more = sum(len(files) for _, files in reasons[_REASONS:])
        lines += [f"left out: {counted(more, 'picture')} more for other reasons"] if more else []
        if lines and self.asked > 1:
            were = "was" if len(self.unreadable) == 1 else "were"
            lines.append(f"{len(self.unreadable)} of {counted(self.asked, 'picture')} {were} left out")
        return lines

    def nothing_left(self, where: str) -> SourceError:
        """Returns the error to raise where not one picture of the source `where` could be taken."""
        if not self.unreadable:
            return SourceError(f"{where}: has no pictures")
        first = "{}: {}".format(*self.unreadable[0])
        if len(self.unreadable) == 1:
            return SourceError(f"{where}: its only picture cannot be taken; {first}")
        return SourceError(f"{where}: none of {len(self.unreadable)} pictures can be taken; the first is {first}")


def _by_reason(files: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for name, why in files:
        names.setdefault(why, []).append(name)
    return names


def _listed(files: Sequence[str]) -> str:
    more = len(files) - _NAMED
    return ", ".join(files[:_NAMED]) + (f" and {more} more" if more > 0 else "")
