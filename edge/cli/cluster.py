"""What the commands that work on a cluster share: the option, and a cluster that has the models."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.cli.main import say
from edge.cli.options import classes, normalisation
from edge.cluster.models import sent
from edge.cluster.opening import check_installed, local_plan, local_processes, open_cluster, slots
from edge.cluster.segmenters import SentModel
from edge.errors import UsageError
from edge.segmenter import Segmenter, read_model
from edge.text import counted


def add_cluster_option(made: argparse.ArgumentParser, what: str, *, here: bool) -> None:
    """Adds `--cluster`; `here` is whether the processes of this machine make a cluster that makes sense."""
    local = "local or local:N (processes on this machine), or " if here else ""
    made.add_argument(
        "--cluster",
        metavar="C",
        help=f"{what}: {local}a Dask scheduler, tcp://HOST:8786 or tls://HOST:8786 (docs/fleet.md)",
    )


def check_cluster(spec: str | None) -> None:
    """Checks what is asked for before long work. Raises UsageError, RuntimeMissing."""
    if spec is not None:
        local_processes(spec)
        check_installed()


@contextmanager
def open_fleet(spec: str) -> Iterator[Any]:
    """Yields the client of a cluster of other machines. Raises what `open_cluster` raises, and UsageError."""
    if local_processes(spec)[0]:
        raise UsageError(f"expected a scheduler's address such as tcp://HOST:8786, got {spec}", "cluster")
    with open_cluster(spec) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Opened:
    """A cluster that has models: `sha256` of each, and the threads that a model gets where this machine is shared."""

    client: Any
    sha256: dict[Path, str]
    threads: int | None

    @property
    def about(self) -> str:
        return counted(slots(self.client), "worker")


@contextmanager
def cluster_with(spec: str, models: Sequence[Path]) -> Iterator[Opened]:
    """Yields a cluster whose workers have these model files. Raises what `open_cluster` raises, and ModelError."""
    here, asked = local_processes(spec)
    data = {path: read_model(path) for path in models}
    plan = local_plan(sum(map(len, data.values())), asked)
    digests = {path: hashlib.sha256(model).hexdigest() for path, model in data.items()}
    contents = {digests[path]: model for path, model in data.items()}
    with open_cluster(spec, plan.processes) as client, ExitStack() as stack:
        for sha256, model in contents.items():
            stack.enter_context(sent(client, model, sha256))
        opened = Opened(client, digests, plan.threads if here else None)
        say(f"on {opened.about}{' of this machine' if here else ''}")
        yield opened


def sent_model(
    model: Segmenter, sha256: str, threads: int | None, options: argparse.Namespace, *, on_cpu: bool = False
) -> SentModel:
    """Returns a model that was opened here as workers are to open it: on the same runtime, without a delegate where it
    is to run `on_cpu`. Raises UsageError, CardError.
    """
    return SentModel(
        model.path.name,
        sha256,
        model.engine.runtime,
        threads,
        normalisation(options),
        classes(options),
        options.output_tensor,
        options.fit,
        None if on_cpu else options.delegate,
        not on_cpu and options.delegate_fallback,
    )
