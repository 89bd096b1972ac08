"""Writes files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.errors import SinkError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yields a name beside `path` to write to; it is renamed to `path` when the block ends, removed when it raises.

    Raises SinkError, naming `path`, for whatever the file system refuses.
    """
    part = path.parent / f"{path.name}.{os.getpid()}.part"  # two processes may write the same file
    try:
        if path.exists() and not path.is_file():  # a folder, or a device, which renaming would replace
            raise SinkError(f"{path}: cannot be written (it is there and no regular file)")
        yield part
        os.replace(part, path)
    except OSError as exc:
        raise SinkError(f"{path}: cannot be written ({exc.strerror or exc})") from exc
    finally:
        with suppress(OSError):
            part.unlink()


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file in one go, atomically. Raises SinkError."""
    with whole_file(path) as part, open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def writable_folder(folder: Path) -> Path:
    """Makes sure, before long work, that files can be made in `folder`; makes it where it is not there."""
    probe = folder / f".roadlite-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as exc:
        raise SinkError(f"{folder}: cannot be written to ({exc.strerror or exc}); choose another folder") from exc
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
