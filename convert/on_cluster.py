"""Spreads conversions over the workers of a cluster: each makes one recipe of a network at one size and stride.

Networks and frames travel by their content; files come back whole, and are written where the work began. This module
is imported by workers, and needs TensorFlow only where it converts.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pickle
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.conversion_process import ANSWER, ASKED
from convert.job import Job
from edge.child import command, death
from edge.cluster.calls import is_wanted, worker_name
from edge.cluster.models import arrived, sent
from edge.cluster.opening import ask_all
from edge.cluster.spread import spread
from edge.errors import ClusterError, ConversionError, RoadliteError
from edge.files import write_whole
from edge.leftovers import TemporaryFolder
from edge.progress import Track, silent
from edge.requirements import from_folder
from edge.text import quiet

if TYPE_CHECKING:
    from convert.conversion import Outcome
    from convert.models.load import FrozenGraph
    from convert.tflite.source import TfliteSource

MEMORY = "memory"  # what Dask calls the resource that workers offer, in bytes
NEEDED = ("tensorflow", "litert_quantizer")  # modules of the extra `convert`
_BASE_BYTES = 2_000_000_000  # what TensorFlow, the frames and a small network take
_TIMES = 25  # of the bytes of a network, which passes through as many copies: Xception65, of 165 MB, takes 6 GB
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """A conversion by one recipe; network and frames are sent by their sha256."""

    source: str
    samples: str
    job: Job


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a recipe, what was said meanwhile, and the file; None where it is not good enough."""

    outcome: Outcome
    notices: tuple[str, ...]
    data: bytes | None


def memory_needed(source_bytes: int) -> int:
    """Returns how many bytes of memory converting a network of a size may take."""
    return _BASE_BYTES + _TIMES * source_bytes


def source_data(source: FrozenGraph | TfliteSource) -> bytes:
    """Returns a network in a form that travels."""
    return pickle.dumps(source)


def check_workers(client: Any, needed: int) -> None:
    """Raises ClusterError where no worker offers so much memory, or one that offers memory has no converter."""
    lacking = ask_all(client, missing)
    try:
        infos = client.scheduler_info(n_workers=-1)["workers"]
    except OSError as exc:
        raise ClusterError("the scheduler went away") from exc
    offers = {address: info.get("resources", {}).get(MEMORY, 0) for address, info in infos.items()}
    if not any(offers.values()):
        raise ClusterError(
            f"no worker says how much memory a conversion may take; start them with --resources {MEMORY}=8e9, or so"
        )
    for address, offered in offers.items():
        if offered and lacking.get(address):
            raise ClusterError(
                f"worker {infos[address].get('name', address)} offers {MEMORY} and has no {lacking[address]}; on it: "
                f"{from_folder('cluster,convert')}"
            )
    if max(offers.values()) < needed:
        raise ClusterError(
            f"this network may take {needed / 1e9:.1f} GB of memory, the workers offer {max(offers.values()) / 1e9:.1f}"
            f" GB at most; start one with --resources {MEMORY}={needed / 1e9:.1f}e9"
        )


def missing() -> str:
    """Runs on workers: returns the first module that converting needs and is not there."""
    return next((name for name in NEEDED if importlib.util.find_spec(name) is None), "")


def convert_on_cluster(
    client: Any,
    source: FrozenGraph | TfliteSource,
    jobs: Sequence[Job],
    track: Track = silent,
    notice: Callable[[str], None] = quiet,
) -> Iterator[list[Outcome]]:
    """Yields what `convert.conversion.run` returns for each job, in order, and writes the same files.

    Raises what it raises, and ClusterError where workers cannot convert, or are lost.
    """
    from convert.preparation import frames_for  # brings TensorFlow

    data = source_data(source)
    needed = memory_needed(len(data))
    check_workers(client, needed)
    there: set[str] = set()
    with ExitStack() as stack:

        def send(content: bytes) -> str:
            sha256 = hashlib.sha256(content).hexdigest()
            if sha256 not in there:
                stack.enter_context(sent(client, content, sha256, MEMORY))
                there.add(sha256)
            return sha256

        network, tasks = send(data), list[Task]()
        for job in jobs:
            samples = send(pickle.dumps(frames_for(source, job, track, notice)))
            tasks += [Task(network, samples, replace(job, recipes=[recipe])) for recipe in job.recipes]
        calls = spread(client, "converting", make, tasks, where={"resources": {MEMORY: needed}})
        outcomes, failure = _collected(track(calls, "converting", len(tasks)), jobs, notice)
    yield from outcomes  # when nothing else is at work here, since whoever gets them measures their times
    if failure is not None:
        raise failure


def _collected(
    calls: Iterator[Made], jobs: Sequence[Job], notice: Callable[[str], None]
) -> tuple[list[list[Outcome]], RoadliteError | KeyboardInterrupt | None]:
    """Returns what became of jobs, their files written, until one failed or the user ended it; and how that was."""
    outcomes: list[list[Outcome]] = []
    try:
        for job in jobs:
            outcomes.append([])
            for _ in job.recipes:
                outcomes[-1].append(_taken(next(calls), job, notice))
        next(calls, None)  # so that it ends
    except (RoadliteError, KeyboardInterrupt) as exc:
        return [made for made in outcomes if made], exc
    return outcomes, None


def _taken(made: Made, job: Job, notice: Callable[[str], None]) -> Outcome:
    """Writes a file under its final name. Raises SinkError."""
    for line in made.notices:
        notice(line)
    outcome = replace(made.outcome, path=job.output_dir / made.outcome.path.name)
    if made.data is not None:
        write_whole(outcome.path, made.data)
    return outcome


def make(task: Task) -> Made:
    """Converts on the worker that calls this, in a process that ends when nobody waits for it any more.

    Raises ConversionError where the process ends early, and what the conversion raises.
    """
    with TemporaryFolder() as name:
        folder = Path(name)
        job = replace(task.job, output_dir=folder)
        (folder / ASKED).write_bytes(pickle.dumps((arrived(task.source), arrived(task.samples), job)))
        _run_in(folder)
        answer = pickle.loads((folder / ANSWER).read_bytes())
        if isinstance(answer, RoadliteError):
            raise answer
        (outcome,), notices = answer
        return Made(outcome, tuple(notices), outcome.path.read_bytes() if outcome.passed else None)


def _run_in(folder: Path) -> None:
    """Runs `convert.conversion_process` in a folder until it has ended with an answer there."""
    words = [*command("convert.conversion_process"), str(folder), str(os.getpid())]
    said = folder / "stderr"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=os.environ | {"TMPDIR": str(folder)},
            start_new_session=True,
        )
        try:
            while process.poll() is None:
                time.sleep(_POLL_S)
                if not is_wanted():
                    raise ClusterError("converting: nobody waits for it any more")
        finally:
            process.kill()
            process.wait()
    if not (folder / ANSWER).exists():
        lines = said.read_text("utf-8", "replace").strip().splitlines()
        why = death(process.returncode, lines[-1] if lines else "")
        raise ConversionError(f"worker {worker_name()}: the process that converts ended early ({why})")
