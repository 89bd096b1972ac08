"""Takes model files to workers by their content, so that a model is never mistaken for another of its name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge.errors import ModelError
from edge.leftovers import TemporaryFolder


@contextmanager
def sent(client: Any, data: bytes, sha256: str) -> Iterator[None]:
    """Gives a model to all workers, those that come later too, until the block ends; `arrived` finds it there.

    `sha256` is that of the model.
    """
    from distributed.diagnostics.plugin import UploadFile

    name = f"roadlite-{sha256}-{uuid4().hex}"  # of this run alone: another one may have sent the same model
    with TemporaryFolder() as folder:
        path = Path(folder, file_name(sha256))
        path.write_bytes(data)
        client.register_plugin(UploadFile(str(path), load=False), name=name)
    try:
        yield
    finally:
        with suppress(OSError, TimeoutError, CancelledError):  # the scheduler may be gone, and the plugin with it
            client.unregister_worker_plugin(name)


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
