"""Reads and writes where an address says: this machine's files, or any storage that fsspec reaches.

Credentials are the environment's alone: an address that holds a password is refused, so that none is ever told.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from edge.address import public
from edge.errors import RoadliteError, RuntimeMissing, SinkError, UsageError
from edge.files import whole_file
from edge.requirements import install_extra
from edge.text import reason

_REMOTE = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<body>.*)", re.DOTALL)
_WHOLE_BY_NATURE = ("s3", "s3a", "gs", "gcs", "abfs", "az", "memory")  # an object is there when all of it is
_UNFINISHED = ".roadlite-part"


def normal(address: str) -> str:
    """Returns an address as it is kept: absolute for files of this machine, as it is for others, without a last slash.

    Raises UsageError where it holds a password, or is a chain of addresses.
    """
    found = _REMOTE.fullmatch(address)
    chain = "::" in address and "://" in address
    if found is None and not chain:
        return os.path.abspath(os.path.expanduser(address))
    if found is not None and found["scheme"].lower() == "file":
        return os.path.abspath(found["body"])
    if chain or found is None or ":" in found["body"].rpartition("@")[0]:
        raise UsageError(
            f"{public(address)}: expected an address without a password; credentials are read from the environment "
            "of the workers (docs/fleet.md has the variables)"
        )
    return address.rstrip("/")


def is_local(address: str) -> bool:
    """Returns whether a normal address is that of a file of this machine."""
    return _REMOTE.fullmatch(address) is None


def join(folder: str, *names: str) -> str:
    """Returns the address of what lies in a folder."""
    return "/".join((folder.rstrip("/"), *names))


def file_system(address: str) -> tuple[Any, str]:
    """Returns fsspec's file system of an address, and the path in it.

    Raises RuntimeMissing where its package is not installed, UsageError where no such storage is known.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError as exc:
        raise RuntimeMissing(f"storage needs fsspec: {install_extra('cluster')}") from exc
    try:
        system, path = url_to_fs(address)
    except ImportError as exc:
        raise RuntimeMissing(f"{public(address)}: {reason(exc)}") from exc
    except ValueError as exc:
        raise UsageError(f"{public(address)}: {reason(exc)}") from exc
    return system, str(path)


def troubles() -> tuple[type[Exception], ...]:
    """Returns what storage raises: OSError, and the roots of the errors of the packages that are loaded."""
    roots = (("botocore.exceptions", "BotoCoreError"), ("paramiko.ssh_exception", "SSHException"))
    loaded = [(sys.modules[module], name) for module, name in roots if module in sys.modules]
    return (OSError, *(getattr(module, name) for module, name in loaded))


@contextmanager
def told(address: str, error: type[RoadliteError]) -> Iterator[tuple[Any, str]]:
    """Yields `file_system(address)`; what the storage raises in the block becomes an `error` that names the address."""
    known = troubles()
    try:
        yield file_system(address)
    except RoadliteError:
        raise
    except (*known, *troubles()) as exc:  # the package may have been loaded in the block
        raise error(f"{public(address)}: {reason(exc)}") from exc


def identity(address: str, error: type[RoadliteError]) -> dict[str, object]:
    """Returns what tells a file from a later one of the same name: `size` in bytes, `version` as the storage has it."""
    with told(address, error) as (system, path):
        system.invalidate_cache()
        info = system.info(path)
    if info.get("type") != "file":
        raise error(f"{public(address)}: expected a file")
    version = next((info[key] for key in ("ETag", "etag", "mtime", "LastModified", "updated") if info.get(key)), "")
    return {"size": int(info["size"]), "version": str(version)}


def exists(address: str) -> bool:
    """Returns whether there is a file or a folder of that name. Raises SinkError where the storage cannot tell."""
    with told(address, SinkError) as (system, path):
        system.invalidate_cache()
        return bool(system.exists(path))


def names_in(folder: str) -> list[str]:
    """Returns the names of the files directly in a folder; none where there is no such folder. Raises SinkError."""
    with told(folder, SinkError) as (system, path):
        system.invalidate_cache()
        if not system.exists(path):
            return []
        return [name.rstrip("/").rpartition("/")[2] for name in system.ls(path, detail=False)]


def read(address: str) -> bytes | None:
    """Returns the bytes of a file; None where it is not there. Raises SinkError."""
    with told(address, SinkError) as (system, path):
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError:
            return None


def fetch(address: str, to: Path, error: type[RoadliteError]) -> None:
    """Copies a file to one of this machine."""
    with told(address, error) as (system, path):
        system.get_file(path, str(to))


def put(file: Path, address: str) -> None:
    """Copies a file of this machine to an address, where it appears whole or not at all, and stays when the power goes.

    Raises SinkError.
    """
    if is_local(address):
        final = Path(address)
        with told(address, SinkError):
            final.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(final) as part, file.open("rb") as data:
            shutil.copyfileobj(data, part)
            os.fsync(part.file.fileno())
        settle(final.parent)
        return
    with told(address, SinkError) as (system, path):
        system.makedirs(path.rpartition("/")[0], exist_ok=True)
        if address.partition("://")[0] in _WHOLE_BY_NATURE:
            system.put_file(str(file), path)
            return
        system.put_file(str(file), path + _UNFINISHED)
        system.mv(path + _UNFINISHED, path)


def settle(folder: Path) -> None:
    """Brings the names in a folder of this machine to the disk, on file systems that can do that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def remove(address: str) -> None:
    """Removes a file, or a folder with all that is in it, where it is there. Raises SinkError."""
    with told(address, SinkError) as (system, path):
        system.invalidate_cache()
        if system.exists(path):
            system.rm(path, recursive=True)
