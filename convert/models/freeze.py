"""Freezes SavedModels and Keras models, in a process of its own: their files are programs that others wrote."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge.child import ask, death, is_starved
from edge.errors import ConversionError, GraphError

FREEZE_S = 600.0  # a hundred times what a network of 40 million weights takes
SAVED_MODEL = "saved_model.pb"
KERAS_SUFFIXES = (".keras", ".h5", ".hdf5")


@dataclass(frozen=True, slots=True)
class Frozen:
    """What came of a file that was frozen."""

    graph_bytes: bytes  # a serialized GraphDef without variables and functions
    remark: str  # what was decided for it, as a sentence; empty where nothing was


def saved_model_folder(path: Path) -> Path | None:
    """Returns the folder of the SavedModel that a path means: that folder, or its `saved_model.pb`."""
    if path.is_dir():
        return path if (path / SAVED_MODEL).is_file() else None
    return path.parent if path.name == SAVED_MODEL else None


def freeze(path: Path, where: str, notice: Callable[[str], None]) -> bytes:
    """Returns the frozen graph, as serialized GraphDef, of a SavedModel's folder or a Keras file; errors begin with
    `where`.

    Raises GraphError where the file is damaged, is no network for pictures or asks for more than that, ConversionError
    where TensorFlow is missing, MemoryError where it is most likely memory that ran out.
    """
    frozen = _answer(_ask(path, where), where)
    if frozen.remark:
        notice(f"{where}: {frozen.remark}")
    return frozen.graph_bytes


def _ask(path: Path, where: str) -> bytes:
    """Returns what the process says about a file. Raises what `freeze` does."""
    try:
        answer, code = ask("convert.models.freeze_process", str(path), within_s=FREEZE_S)
    except subprocess.TimeoutExpired as exc:
        raise GraphError(
            f"{where}: TensorFlow does not freeze it within {FREEZE_S:.0f} s; it is damaged, hostile or too large"
        ) from exc
    except OSError as exc:
        raise ConversionError(f"{where}: no process can be started to freeze it: {exc.strerror}") from exc
    if answer:
        return answer
    how = death(code, "")
    if is_starved(code):
        raise MemoryError(f"freezing {where} ended with {how}")
    raise GraphError(f"{where}: it ends TensorFlow ({how}): it is damaged or hostile; export it anew")


def _answer(answer: bytes, where: str) -> Frozen:
    """The answer is a line of JSON and, where that is no refusal, the graph. Raises what it says."""
    head, _, graph_bytes = answer.partition(b"\n")
    said = json.loads(head)
    if said["kind"] == "frozen":
        return Frozen(graph_bytes, said["text"])
    if said["kind"] == "memory":
        raise MemoryError(said["text"])
    if said["kind"] == "setup":
        raise ConversionError(said["text"])
    raise GraphError(f"{where}: {said['text']}")
