"""Opens the cluster that a text names: the cores of this machine, or the workers of a scheduler elsewhere."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psutil

from edge.address import public
from edge.errors import ClusterError, RuntimeMissing, UsageError
from edge.leftovers import TemporaryFolder
from edge.processors import available_processors
from edge.requirements import from_folder, install_extra
from edge.text import counted, reason
from edge.versions import installed

LOOPBACK = "127.0.0.1"
DEATHS = 2  # workers that a task may cost before it is set aside
_WORKER_MB = 600  # what a process takes beside the model: Python, the libraries, frames in flight
_MODEL_TIMES = 8  # of the size of its file: weights as they are computed with, and activations
_LOCAL = re.compile(r"local(?::(\d{1,3}))?")
# Those of Dask but for MALLOC_TRIM_THRESHOLD_, with which glibc asks the kernel anew for the memory of every picture:
# that took half of the time of scoring.
_WORKER_VARIABLES = {"OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1}
_PATIENCE_S = 10.0  # for a scheduler to answer


@dataclass(frozen=True, slots=True)
class LocalPlan:
    """How this machine's cores are shared: processes, and the threads that each gives its model."""

    processes: int
    threads: int


def local_plan(model_bytes: int, processes: int | None = None) -> LocalPlan:
    """Returns as many processes as there are cores, or as memory holds models of this size; cores left over become
    threads. Small models gain more from processes than from threads. Raises UsageError.
    """
    cores = available_processors()
    if processes is None:
        each = (_WORKER_MB << 20) + _MODEL_TIMES * model_bytes
        processes = max(1, min(cores, psutil.virtual_memory().available // each))
    if not 1 <= processes <= 256:
        raise UsageError(f"expected 1 to 256 processes, got {processes}", "cluster")
    return LocalPlan(processes, max(1, cores // processes))


def local_processes(spec: str) -> tuple[bool, int | None]:
    """Returns whether a text names this machine's cores, and how many processes it asks for.

    Raises UsageError where it names no cluster at all.
    """
    found = _LOCAL.fullmatch(spec)
    if found is None and not re.match(r"(tcp|tls)://[^/@?#]+:\d+/?$", spec):
        raise UsageError(
            f"expected local, local:N, tcp://HOST:8786 or tls://HOST:8786, got {public(spec)!r}", "cluster"
        )
    return found is not None, int(found[1]) if found and found[1] else None


def check_installed() -> None:
    """Raises RuntimeMissing where Dask is not installed."""
    try:
        import distributed  # noqa: F401
    except ImportError as exc:
        raise RuntimeMissing(f"clusters need Dask's distributed: {install_extra('cluster')}") from exc


@contextmanager
def open_cluster(spec: str, processes: int = 1, resources: Mapping[str, float] | None = None) -> Iterator[Any]:
    """Yields a `distributed.Client` of workers that have this version of Roadlite.

    `local` starts `processes` of one task each, which nothing outside this machine reaches and which offer `resources`,
    of which tasks may ask for a part. Raises ClusterError where
    a scheduler does not answer, has no workers, or one of another version; RuntimeMissing without Dask.
    """
    check_installed()
    import dask
    from distributed import Client, LocalCluster

    is_local, _ = local_processes(spec)
    for name in ("distributed", "distributed.client"):  # each has a level of its own; what is wrong is raised
        logging.getLogger(name).setLevel(logging.CRITICAL)
    settings = {
        "distributed.scheduler.allowed-failures": DEATHS - 1,
        "distributed.comm.timeouts.connect": f"{_PATIENCE_S}s",
        "distributed.admin.large-graph-warning-threshold": "1GB",
        "distributed.nanny.pre-spawn-environ": _WORKER_VARIABLES,
    }
    with dask.config.set(settings):
        if not is_local:
            with _connected(spec, Client) as client:
                check_versions(client)
                yield client
            return
        with (
            TemporaryFolder() as folder,
            LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                host=LOOPBACK,
                dashboard_address=f"{LOOPBACK}:0",
                local_directory=folder,
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                resources=dict(resources or {}),
            ) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client


@contextmanager
def _connected(spec: str, client_class: Any) -> Iterator[Any]:
    security = _security() if spec.startswith("tls") else None
    try:
        client = client_class(spec, timeout=_PATIENCE_S, set_as_default=False, security=security)
    except (OSError, ValueError, TypeError) as exc:
        raise ClusterError(
            f"{public(spec)}: no scheduler answers ({reason(exc)}); start one with `dask scheduler`"
        ) from exc
    with client:
        yield client


def _security() -> Any:
    """Returns Dask's own TLS settings, from its configuration or DASK_DISTRIBUTED__COMM__TLS__... variables."""
    from distributed.security import Security

    return Security(require_encryption=True)


def check_versions(client: Any) -> None:
    """Raises ClusterError where there is no worker, or one has no Roadlite or another version."""
    mine = installed("roadlite")
    answers = ask_all(client, _version)
    if not answers:
        raise ClusterError("the scheduler has no workers; start some with `dask worker` and its address")
    wrong = {address: found for address, found in answers.items() if found != mine}
    for address, found in wrong.items():
        raise other_version(address, found, mine, len(wrong) - 1)


def ask_all(client: Any, question: Callable[[], Any]) -> dict[str, Any]:
    """Returns what `question` returns on each worker, also on those that are at work, by their addresses.

    An answer is an exception where it raised one there, or where there is no Roadlite. Raises ClusterError where the
    scheduler is gone, or a worker does not answer.
    """

    async def ask(address: str) -> Any:
        return (await client.run(question, workers=[address], on_error="return"))[address]

    async def ask_them(addresses: list[str]) -> list[Any]:
        asked = [asyncio.wait_for(ask(address), _PATIENCE_S) for address in addresses]
        return await asyncio.gather(*asked, return_exceptions=True)

    try:
        addresses = list(client.nthreads())
        answers = client.sync(ask_them, addresses)
    except OSError as exc:
        raise ClusterError("the scheduler does not answer any more") from exc
    for address, answer in zip(addresses, answers, strict=True):
        if isinstance(answer, OSError | KeyError):  # it may have gone since
            raise ClusterError(f"worker {address} does not answer; end it, or start it again")
    return dict(zip(addresses, answers, strict=True))


def other_version(worker: str, found: object, mine: str, others: int = 0) -> ClusterError:
    """Returns the refusal of a worker where another version of Roadlite was `found`, or an exception: none at all."""
    has = "has no Roadlite" if isinstance(found, Exception) else f"has Roadlite {found or 'without a version'}"
    more = f" (and {counted(others, 'other')})" if others else ""
    return ClusterError(
        f"worker {worker}{more} {has}, this is {mine}; on it, at this version: {from_folder('cluster')}"
    )


def _version() -> str:
    """Runs on workers."""
    return installed("roadlite")


def slots(client: Any) -> int:
    """Returns how many tasks the workers take at a time."""
    return sum(client.nthreads().values())


def dashboard(client: Any) -> str | None:
    """Returns the address of Dask's dashboard; None where bokeh, which draws it, is not installed."""
    return str(client.dashboard_link) if installed("bokeh") else None
