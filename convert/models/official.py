"""Gets the official models: they are downloaded once, kept in the user's cache folder, checked at every use."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from convert.models.tarball import read_graph
from convert.models.zoo import MODELS
from edge.address import HOW_TO_WRITE, parse_address, public
from edge.cache import cache_folder
from edge.errors import DownloadError, GraphError, SinkError, UsageError
from edge.files import writable_folder, write_whole
from edge.leftovers import TemporaryFolder
from edge.progress import Track
from edge.requirements import install_extra
from edge.text import reason

BASE_URL = "https://download.tensorflow.org/models/"


@dataclass(frozen=True, slots=True)
class _Record:
    """What the first use of a tarball found; nobody publishes a checksum.

    Kept beside it in a form that `sha256sum -c` reads: `<sha256>  <file name>`, then `# <origin>`.
    """

    sha256: str
    origin: str


def official_graph(name: str, track: Track) -> tuple[bytes, str]:
    """Returns (serialized GraphDef, where it came from) of a key of `MODELS`: from the cache, or downloaded into it.

    The cache is `$ROADLITE_CACHE` or else `roadlite` in the user's cache folder; the address is below
    `$ROADLITE_MODELS_URL` or else the official one.

    Raises DownloadError where it cannot be fetched or stored, or is not what it was at its first use, GraphError where
    a tarball put into the cache by hand holds no usable graph.
    """
    file_name = MODELS[name].file_name
    _check_libraries(name)
    folder = cache_folder()
    path, record_path = folder / file_name, folder / f"{file_name}.sha256"
    try:
        record = _read_record(record_path)
        if path.is_file():
            origin = record.origin if record else f"{file_name}, put into the cache by hand"
            graph, sha256 = _check(path, f"{path} (delete it to download it again)", record, record_path)
        else:
            graph, sha256, origin = _download(name, path, record, record_path, track)
        if record is None:
            write_whole(record_path, f"{sha256}  {file_name}\n# {origin}\n".encode())
    except (OSError, SinkError) as exc:
        why = f"cannot use the cache {folder}: {reason(exc)}"
        raise DownloadError(f"{name}: {why}; fix it or set ROADLITE_CACHE to another folder") from exc
    return graph, origin


def _check_libraries(name: str) -> None:
    """Says what the download needs before anything is tried. Raises DownloadError."""
    try:
        import pooch  # noqa: F401
        import requests  # noqa: F401
    except ImportError as exc:
        raise DownloadError(f"{name}: {exc.name} is missing: {install_extra('convert')}") from exc


def address(name: str) -> str:
    """Returns where an official model is downloaded from, with user and password written so that every library finds
    their end. Raises DownloadError.
    """
    text = (os.environ.get("ROADLITE_MODELS_URL") or BASE_URL).rstrip("/") + f"/{MODELS[name].file_name}"
    try:
        return parse_address(text).url
    except UsageError as exc:
        got = f"expected an https address, got {public(text)!r}"
        raise DownloadError(f"{name}: ROADLITE_MODELS_URL: {got}; {HOW_TO_WRITE}") from exc


def _download(name: str, path: Path, record: _Record | None, record_path: Path, track: Track) -> tuple[bytes, str, str]:
    """Fetches into `path`, which appears when it is whole and checked. Returns (GraphDef, sha256, origin)."""
    import pooch

    from convert.models.transfer import PIECE_BYTES, transfer

    url = address(name)
    checked: list[tuple[bytes, str]] = []

    def fetch(asked: str, part: str, _pooch: object) -> None:
        with transfer(asked, MODELS[name].most_bytes) as (size, pieces), open(part, "wb") as file:
            total = None if size is None else -(-size // PIECE_BYTES)
            for piece in track(pieces, f"downloading {name} (MiB)", total):
                file.write(piece)
        checked.append(_check(Path(part), "what came", record, record_path))

    pooch.get_logger().setLevel("WARNING")  # it prints to stderr otherwise
    try:
        with TemporaryFolder(within=writable_folder(path.parent)) as scratch:
            pooch.retrieve(url, known_hash=None, fname=path.name, path=scratch, downloader=fetch)
            Path(scratch, path.name).replace(path)
    except (DownloadError, GraphError) as exc:
        hint = f"try again, or get it in another way and pass its path, or put it into {path.parent}"
        raise DownloadError(f"{name}: cannot download {public(url)}: {exc}; {hint}") from exc
    return *checked[0], public(url)


def _check(path: Path, where: str, record: _Record | None, record_path: Path) -> tuple[bytes, str]:
    """(serialized GraphDef, sha256 of the tarball) when the tarball is whole and the recorded one."""
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    if record and sha256 != record.sha256:
        raise DownloadError(
            f"{where} has sha256 {sha256}, expected {record.sha256} as at its first download; "
            f"delete {record_path} if the change is expected"
        )
    return read_graph(path, where), sha256


def _read_record(path: Path) -> _Record | None:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    match = re.fullmatch(r"([0-9a-f]{64})  \S+\n# (.+)\n", text)
    if not match:
        raise DownloadError(f"{path}: expected a sha256 and an origin, got something else; delete it to start afresh")
    return _Record(match[1], match[2])
