"""Runs in a process of its own: freezes the SavedModel or Keras file that is named, for the process that asks."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from convert.models.freeze import KERAS_SUFFIXES, Frozen
from edge import memory
from edge.child import end_with_parent, offer_to_the_oom_killer
from edge.errors import ConversionError, GraphError, RoadliteError

MEMORY_BYTES = 12 << 30  # several copies of the 2 GiB that a GraphDef may have, and TensorFlow itself


def main() -> None:
    """Writes a line of JSON and the frozen graph to stdout. Where native code ends the process, nothing is written."""
    end_with_parent(int(sys.argv[2]), signal.SIGKILL)
    offer_to_the_oom_killer()
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    kind, text, graph_bytes = _frozen(Path(sys.argv[1]))
    with os.fdopen(answers, "wb") as pipe:
        pipe.write(json.dumps({"kind": kind, "text": text}).encode() + b"\n" + graph_bytes)
    os._exit(0)


def _frozen(path: Path) -> tuple[str, str, bytes]:
    try:
        made = freeze_here(path)
    except GraphError as exc:
        return "refused", str(exc), b""
    except ConversionError as exc:
        return "setup", str(exc), b""
    except Exception as exc:  # noqa: BLE001 - libraries raise anything over a damaged file
        if memory.cause(exc):
            return "memory", str(exc), b""
        said = " ".join(str(exc).split()) if isinstance(exc, RoadliteError | OSError | ValueError) else ""
        return "refused", f"damaged, or not made for this TensorFlow: {type(exc).__name__} {said:.200}".rstrip(), b""
    return "frozen", made.remark, made.graph_bytes


def freeze_here(path: Path) -> Frozen:
    """Freezes a SavedModel's folder or a Keras file in this process. Raises GraphError, ConversionError, and whatever
    libraries raise over damaged files.
    """
    if path.name.lower().endswith(KERAS_SUFFIXES) and not path.is_dir():
        from convert.models.keras_file import freeze_keras

        return freeze_keras(path, _confine)
    from convert.models.saved_model import freeze_saved_model

    _confine()
    return freeze_saved_model(path)


def _confine() -> None:
    """From here on this process writes no file, and takes no more memory than a network needs."""
    try:
        import resource
    except ImportError:  # not POSIX: nothing limits a process
        return
    for limit, value in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, MEMORY_BYTES),
    ):
        _, hard = resource.getrlimit(limit)
        lower = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(limit, (lower, lower))
