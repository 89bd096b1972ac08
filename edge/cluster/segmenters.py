"""Opens on workers the models that were opened where the work began, in the same way."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edge.classes import ClassSet
from edge.cluster.calls import worker_name
from edge.cluster.models import arrived
from edge.engine.delegates import Delegate
from edge.errors import RoadliteError
from edge.preprocess import Fit, Normalisation
from edge.segmenter import Segmenter


@dataclass(frozen=True, slots=True)
class SentModel:
    """A model as it travels: by the sha256 of its file, with what is said of it."""

    name: str
    sha256: str
    runtime: str  # the one to take, not `auto`: workers might find others
    threads: int | None  # None: as many as the worker's machine has, 4 at most
    norm: Normalisation | None = None
    classes: ClassSet | None = None
    output_tensor: str | None = None
    fit: Fit = "stretch"
    delegate: Delegate | None = None
    delegate_fallback: bool = False

    def open(self, path: Path | None = None) -> Segmenter:
        """Opens the model that was sent to the worker that calls this, or the file of this machine at `path`.

        Raises ModelError, RuntimeMissing.
        """
        file = path or arrived_as(self.name, self.sha256)
        try:
            return Segmenter(
                file,
                runtime=self.runtime,
                threads=self.threads,
                norm=self.norm,
                classes=self.classes,
                output_tensor=self.output_tensor,
                fit=self.fit,
                trial=True,
                delegate=self.delegate,
                delegate_fallback=self.delegate_fallback,
            )
        except RoadliteError as exc:
            where = f"worker {name}: " if (name := worker_name()) else ""
            raise type(exc)(f"{where}{exc}") from exc


def arrived_as(name: str, sha256: str) -> Path:
    """Returns a model that was sent to the worker that calls this, under the name of its file.

    Raises ModelError where it did not arrive.
    """
    path = arrived(sha256)
    named = path.with_suffix("") / Path(name).name
    named.parent.mkdir(exist_ok=True)
    with suppress(FileExistsError):
        os.symlink(path, named)
    return named
