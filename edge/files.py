"""Writes files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.errors import SinkError
from edge.leftovers import UnfinishedFile, left_behind

FILM = ".mp4"
ROWS = (".jsonl", ".csv")
_USEFUL = (FILM, *ROWS)  # unfinished: who writes the next of the kind gives them a name


@contextmanager
def whole_file(path: Path) -> Iterator[UnfinishedFile]:
    """Yields a file beside `path` to write to; it is renamed to `path` when the block ends, removed when it raises.

    Raises SinkError, naming `path`, for whatever the file system refuses.
    """
    try:
        if path.exists() and not path.is_file():  # a folder, or a device, which renaming would replace
            raise SinkError(f"{path}: cannot be written (it is there and no regular file)")
        part = UnfinishedFile(path)
        try:
            yield part
            part.finish()
        except BaseException:
            with suppress(OSError):
                part.discard()
            raise
    except OSError as exc:
        raise SinkError(f"{path}: cannot be written ({exc.strerror or exc})") from exc


def write_whole(path: Path, data: bytes, *, as_before: bool = False) -> None:
    """Writes a file in one go, atomically; `as_before` keeps the mode and, as far as this user may give files away, the
    owner and the group of the file that has the name. Raises SinkError.
    """
    with whole_file(path) as part:
        if as_before and path.exists():
            _take_over(part.file.fileno(), path.stat())  # before anything is in it that others could read
        part.write(data)
        os.fsync(part.file.fileno())


def _take_over(descriptor: int, before: os.stat_result) -> None:
    """Gives what is open the owner, the group and the mode of another file, as far as the system lets this user."""
    with suppress(OSError):
        os.fchown(descriptor, -1, before.st_gid)
    with suppress(OSError):
        os.fchown(descriptor, before.st_uid, -1)
    with suppress(OSError):  # after the others, which take bits off
        os.fchmod(descriptor, before.st_mode & 0o777)


def writable_folder(folder: Path) -> Path:
    """Makes sure, before long work, that files can be made in `folder`; makes it where it is not there.

    Unfinished files that killed processes have left there are removed, but for films and rows, which are of use.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # without a name where the system can do that: nothing to leave behind
            pass
    except OSError as exc:
        raise SinkError(f"{folder}: cannot be written to ({exc.strerror or exc}); choose another folder") from exc
    for part in left_behind(folder):
        if part.final.suffix.lower() not in _USEFUL:
            with suppress(OSError):
                part.discard()
    return folder


def sha256(path: Path) -> str | None:
    """Returns the sha256 of a file; None where it cannot be read, or is a pipe or a device, which may have no end."""
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
