"""Loads a frozen graph: an official model, a file, or the demo graph that comes with the kit.

SavedModels and Keras models are frozen on the way.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from stat import S_ISREG

from convert.models.freeze import KERAS_SUFFIXES, SAVED_MODEL, freeze, saved_model_folder
from convert.models.kinds import is_saved_model, kind_of_content, kind_of_file
from convert.models.official import official_graph
from convert.models.tarball import read_graph
from convert.models.zoo import MODELS
from edge.address import public
from edge.errors import DownloadError, GraphError, UsageError
from edge.progress import Track, silent

__all__ = ["FrozenGraph", "load_frozen_graph"]

PROTOBUF_BYTES = 2 << 30  # no protobuf message can be longer
ARCHIVES = (".tar.gz", ".tgz", ".tar")
EXPECTED = (
    f"auto, demo, {', '.join(MODELS)}, or the path of a .pb, {', '.join((*ARCHIVES, *KERAS_SUFFIXES))} file or of a "
    "SavedModel's folder"
)


@dataclass(frozen=True, slots=True)
class FrozenGraph:
    """A serialized GraphDef, not looked into yet."""

    name: str  # what the files made from it are called
    graph_bytes: bytes
    sha256: str  # of graph_bytes, in hexadecimal
    origin: str  # an address or a file name, for people
    path: Path | None = None  # the user's own file that it was read from


def load_frozen_graph(model: str, *, track: Track = silent, notice: Callable[[str], None]) -> FrozenGraph:
    """Returns the graph that a text names: an official model, `demo`, a path, or `auto`.

    `auto` is the official MobileNetV2 or, where that cannot be had, the demo graph: then `notice` gets one line that
    says so. Nothing else falls back.

    Raises DownloadError where an official model cannot be fetched, GraphError where a file holds no graph that could
    be read or frozen, ConversionError where freezing needs TensorFlow and it is missing, MemoryError where freezing
    took more memory than there is, UsageError where `model` is none of these.
    """
    if model == "demo":
        return _demo()
    if model in MODELS:
        return _frozen(model, *official_graph(model, track))
    if model == "auto":
        try:
            return _frozen("mobilenetv2", *official_graph("mobilenetv2", track))
        except DownloadError as exc:
            notice(f"using the embedded demo graph, which is not the official model, because: {exc}")
            return _demo()
    if "://" in model:
        raise UsageError(f"{public(model)}: a graph is read from a file, not from a network; download it first")
    return _from_file(Path(model), notice)


def _frozen(name: str, graph_bytes: bytes, origin: str, path: Path | None = None) -> FrozenGraph:
    return FrozenGraph(name, graph_bytes, hashlib.sha256(graph_bytes).hexdigest(), origin, path)


def _demo() -> FrozenGraph:
    try:
        graph_bytes = resources.files("convert").joinpath("demo", "demo.pb").read_bytes()
    except OSError as exc:
        raise GraphError(f"demo: the embedded graph is missing ({exc.strerror}); reinstall roadlite") from exc
    return _frozen("demo", graph_bytes, "embedded demo graph")


def _from_file(path: Path, notice: Callable[[str], None]) -> FrozenGraph:
    suffixes = (".pb", *ARCHIVES, *KERAS_SUFFIXES)
    suffix = next((s for s in suffixes if path.name.lower().endswith(s) and len(path.name) > len(s)), None)
    try:
        regular = S_ISREG(path.stat().st_mode)
    except OSError as exc:
        if suffix is None:
            raise UsageError(f"unknown model {str(path)!r}: expected {EXPECTED}") from exc
        raise GraphError(f"{path}: {exc.strerror}; expected {EXPECTED}") from exc
    folder = saved_model_folder(path)
    if folder is not None and (not regular or _is_saved_model(path)):
        name = folder.resolve().name
        return _frozen(name or "saved_model", freeze(folder, str(path), notice), path.name or name)
    if not regular:
        what = f"a folder without a {SAVED_MODEL}" if path.is_dir() else "a device or a pipe"
        raise GraphError(f"{path}: {what}; expected {EXPECTED}")
    if suffix is None:
        if known := kind_of_file(path):
            raise GraphError(f"{path}: {known}")
        raise GraphError(f"{path}: not a kind of file a graph is kept in; expected {EXPECTED}")
    if suffix in KERAS_SUFFIXES:
        return _frozen(path.name[: -len(suffix)], freeze(path, str(path), notice), path.name)
    graph_bytes = _read_pb(path) if suffix == ".pb" else read_graph(path, str(path))
    if known := kind_of_content(graph_bytes):
        raise GraphError(f"{path}: {known}")
    return _frozen(path.name[: -len(suffix)], graph_bytes, path.name, path)


def _is_saved_model(path: Path) -> bool:
    """Whether a file of that name is a SavedModel, and not a frozen graph."""
    try:
        with path.open("rb") as file:
            return is_saved_model(file.read(2))
    except OSError:
        return False  # which is said where it is read


def _read_pb(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if not 0 < size <= PROTOBUF_BYTES:
            raise GraphError(f"{path}: {size:,} bytes; expected a frozen graph of 1 to {PROTOBUF_BYTES:,} bytes")
        return path.read_bytes()
    except OSError as exc:
        raise GraphError(f"{path}: cannot be read: {exc.strerror}; expected a frozen graph") from exc
