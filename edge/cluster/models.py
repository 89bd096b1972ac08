"""Takes model files to workers by their content, so that a model is never mistaken for another of its name."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from edge.errors import ClusterError, ModelError

_PATIENCE_S = 10.0  # with a worker that hangs, when its file is taken back


@contextmanager
def sent(client: Any, data: bytes, sha256: str, resource: str = "") -> Iterator[None]:
    """Gives a file to all workers, those that come later too, until the block ends; `arrived` finds it there.

    `sha256` is that of the file. Where a `resource` is named, only workers that offer it get the file. Raises
    ClusterError where the scheduler goes away.
    """
    from edge.cluster.kept_file import KeptFile  # brings Dask

    name = f"roadlite-{sha256}-{uuid4().hex}"  # of this run alone: another one may have sent the same file
    try:
        try:
            client.register_plugin(KeptFile(sha256, data, resource), name=name)
        except (OSError, CancelledError) as exc:
            raise ClusterError("the scheduler went away while it was sent a model") from exc
        yield
    finally:
        # The scheduler may be gone, not know the file yet, or wait for a worker that hangs.
        with suppress(OSError, ValueError, CancelledError):
            client.sync(client.scheduler.unregister_worker_plugin, name=name, callback_timeout=_PATIENCE_S)


def arrived(sha256: str) -> Path:
    """Returns a model that was sent to the worker that calls this.

    Raises ModelError where it is not there, or is not what was sent.
    """
    from distributed import get_worker

    from edge.cluster.kept_file import file_in, trouble

    worker = get_worker()
    path = file_in(worker, sha256)
    why = trouble(path)
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as exc:
        raise ModelError(
            f"worker {worker.name}: the model {sha256[:12]} did not arrive ({why or exc.strerror})"
        ) from exc
    if found != sha256:
        raise ModelError(f"worker {worker.name}: expected the model {sha256[:12]}, {found[:12]} arrived")
    return path
