"""What keeps a file on workers: a plugin of Dask, which is why this module is imported where Dask is there alone."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from distributed import WorkerPlugin

from edge.text import reason

_runs: Counter[Path] = Counter()  # of this worker: how many want a file
_troubles: dict[Path, str] = {}


class KeptFile(WorkerPlugin):  # type: ignore[misc]
    """Keeps a file on a worker from its start, or the worker's, until the plugin is taken back.

    Workers that do not offer `resource`, where one is named, are left alone. A worker that cannot keep it says so where
    the file is asked for.
    """

    def __init__(self, sha256: str, data: bytes, resource: str = "") -> None:
        self._sha256, self._data, self._resource = sha256, data, resource

    def setup(self, worker: Any) -> None:
        if self._resource and not worker.state.total_resources.get(self._resource):
            return
        path = file_in(worker, self._sha256)
        partial = path.with_suffix(".part")  # another run may read the file that it has sent before
        _runs[path] += 1
        try:
            partial.write_bytes(self._data)
            partial.replace(path)
        except OSError as exc:
            _troubles[path] = reason(exc)
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def teardown(self, worker: Any) -> None:
        path = file_in(worker, self._sha256)
        _runs[path] -= 1
        if _runs[path] <= 0:
            del _runs[path]
            _troubles.pop(path, None)
            with suppress(OSError):
                path.unlink(missing_ok=True)
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)  # where it has the names of its models


def file_in(worker: Any, sha256: str) -> Path:
    """Returns where a worker keeps a file."""
    return Path(worker.local_directory, f"{sha256}.tflite")


def trouble(path: Path) -> str:
    """Returns why a file could not be kept, so far as that is known."""
    return _troubles.get(path, "")
