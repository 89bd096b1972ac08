"""Unfinished files and temporary folders, and what is left of them by processes that were killed.

Whoever makes one holds a lock on it (flock), which goes when the process does, however it ends. Numbers of processes
would not tell: they are given again, and another container or another machine on a share has its own. Where a file
system has no locks, what is left stays.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from io import FileIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

try:
    import fcntl
except ImportError:  # not POSIX: nothing is locked, and nothing swept
    fcntl = None  # type: ignore[assignment]

_PART = re.compile(r"(.+)\.roadlite-\d+(?:-\d+)?\.part", re.DOTALL)
_FOLDER = re.compile(r"roadlite-[a-z0-9_]{8}\.tmp")


class UnfinishedFile:
    """A file beside `final`, called `NAME.roadlite-PID.part`, until it gets that name.

    `file` is open to read and write. Raises OSError, as all its methods do.
    """

    def __init__(self, final: Path) -> None:
        """Makes a file that nobody else writes to, and that no killed process has left."""
        self.final = final
        for number in count(1):
            again = f"-{number}" if number > 1 else ""
            self.path = final.with_name(f"{final.name}.roadlite-{os.getpid()}{again}.part")
            with suppress(FileExistsError):
                self.file = FileIO(self.path, "x+")
                if _lock(self.file.fileno()) is not False and _is_there(self.file.fileno(), self.path):
                    break
                self.file.close()  # somebody who sweeps was faster than the lock

    @classmethod
    def left(cls, path: Path) -> UnfinishedFile | None:
        """Takes over an unfinished file of this user; None where it is another kind of file, or its process lives."""
        name = _PART.fullmatch(path.name)
        file = _open_left(path, os.O_RDWR, stat.S_ISREG) if name else None
        if file is None or name is None:
            return None
        made = cls.__new__(cls)
        made.path, made.final, made.file = path, path.with_name(name[1]), FileIO(file, "r+")
        return made

    def write(self, data: ReadableBuffer) -> int:
        """Writes all of it, and returns how many bytes that are."""
        rest = memoryview(data).cast("B")
        length = rest.nbytes
        while rest:
            rest = rest[self.file.write(rest) :]
        return length

    def finish(self) -> None:
        """Closes it, and gives it its final name in place of a file that has it."""
        lock = os.dup(self.file.fileno())  # held until it has its name
        try:
            self.file.close()  # which on some file systems is when they tell what went wrong
            self.path.replace(self.final)
        finally:
            os.close(lock)

    def discard(self) -> None:
        """Removes it."""
        try:
            self.path.unlink(missing_ok=True)
        finally:
            self.file.close()

    def keep_as(self, name: str) -> Path:
        """Closes it under a name in the same folder, numbered where that is taken: NAME.mp4, NAME-2.mp4, ..."""
        try:
            for number in count(1):
                path = self.path.with_name(name)
                path = path.with_stem(f"{path.stem}-{number}") if number > 1 else path
                with suppress(FileExistsError):
                    self._move(path)
                    return path
        finally:
            self.file.close()
        raise AssertionError

    def _move(self, path: Path) -> None:
        """Renames it unless the name is taken."""
        try:
            os.link(self.path, path)
            self.path.unlink()
        except FileExistsError:
            raise
        except OSError:  # no links on this file system
            path.touch(exist_ok=False)
            self.path.replace(path)


def left_behind(folder: Path) -> Iterator[UnfinishedFile]:
    """Yields the unfinished files in a folder that this user's killed processes have left."""
    try:
        names = sorted(name for name in os.listdir(folder) if _PART.fullmatch(name))
    except OSError:
        return
    for name in names:
        part = UnfinishedFile.left(folder / name)
        if part is not None:
            try:
                yield part
            finally:
                part.file.close()


def recovered(folder: Path, suffixes: Collection[str], cut: Callable[[FileIO], bool]) -> Iterator[Path]:
    """Gives the files of these kinds that this user's killed processes have left in a folder a name, and yields them:
    `NAME-recovered.mp4`, after `cut` has cut them to what is whole. Where it finds nothing that is, nothing is left.
    """
    for part in left_behind(folder):
        if part.final.suffix.lower() in suffixes:
            with suppress(OSError):
                if cut(part.file):
                    yield part.keep_as(f"{part.final.stem}-recovered{part.final.suffix}")
                else:
                    part.discard()


def kept_notice(files: Iterable[Path]) -> str:
    """Returns the sentence that names what was recovered; empty where nothing was."""
    names = ", ".join(map(str, files))
    return f"kept what a killed run had recorded: {names}" if names else ""


class TemporaryFolder(tempfile.TemporaryDirectory[str]):
    """A folder in `within`, or else the system's for such; gone when the block ends.

    One that a killed process has left there goes when the next is made. Raises OSError.
    """

    def __init__(self, within: Path | None = None) -> None:
        place = Path(within or tempfile.gettempdir())
        _sweep_folders(place)
        while True:
            super().__init__(prefix="roadlite-", suffix=".tmp", dir=place)
            try:
                self._held = os.open(self.name, os.O_RDONLY)
            except FileNotFoundError:  # somebody who sweeps was faster
                place.lstat()  # unless the place itself is gone
            else:
                if _lock(self._held) is not False and _is_there(self._held, Path(self.name)):
                    break
                os.close(self._held)
            super().cleanup()  # which forgets it

    def cleanup(self) -> None:
        """Removes the folder."""
        super().cleanup()
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def _sweep_folders(place: Path) -> None:
    try:
        names = [name for name in os.listdir(place) if _FOLDER.fullmatch(name)]
    except OSError:
        return
    for name in names:
        held = _open_left(place / name, os.O_RDONLY | os.O_DIRECTORY, stat.S_ISDIR)
        if held is not None:
            shutil.rmtree(place / name, ignore_errors=True)
            os.close(held)


def _open_left(path: Path, flags: int, is_kind: Callable[[int], bool]) -> int | None:
    """Opens and locks what a process of this user has left; None where it is not that, or the process lives.

    Links are not followed, and a file with a second name is none of ours: others may write to the folder, too.
    """
    try:
        if not is_kind(path.lstat().st_mode):
            return None
        opened = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    status = os.fstat(opened)
    ours = is_kind(status.st_mode) and status.st_uid == os.geteuid()
    alone = stat.S_ISDIR(status.st_mode) or status.st_nlink == 1
    if ours and alone and _lock(opened) and _is_there(opened, path):
        return opened
    os.close(opened)
    return None


def _lock(descriptor: int) -> bool | None:
    """Locks what is open, until all who have it open close it; False where it is locked, None where nothing can be."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_there(descriptor: int, path: Path) -> bool:
    """Returns whether the name still is that of what is open: it may have been swept, or got its final name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except OSError:
        return False
