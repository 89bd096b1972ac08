"""Takes model files to workers by their content, so that a model is never mistaken for another of its name."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from edge.errors import ModelError
from edge.leftovers import TemporaryFolder


def send(client: Any, data: bytes) -> str:
    """Gives a model to all workers, those that come later too; returns its sha256, by which `arrived` finds it."""
    from distributed.diagnostics.plugin import UploadFile

    sha256 = hashlib.sha256(data).hexdigest()
    with TemporaryFolder() as folder:
        path = Path(folder, file_name(sha256))
        path.write_bytes(data)
        client.register_plugin(UploadFile(str(path), load=False), name=f"roadlite-{sha256}")
    return sha256


def file_name(sha256: str) -> str:
    return f"{sha256}.tflite"


def arrived(sha256: str) -> Path:
    """Returns a model that was sent to the worker that calls this.

    Raises ModelError where it is not there, or is not what was sent.
    """
    from distributed import get_worker

    worker = get_worker()
    path = Path(worker.local_directory, file_name(sha256))
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        raise ModelError(f"worker {worker.name}: the model {sha256[:12]} did not arrive ({exc.strerror})") from exc
    if found != sha256:
        raise ModelError(f"worker {worker.name}: expected the model {sha256[:12]}, {found[:12]} arrived")
    return path
