"""Finds which runtime runs a model fastest on this machine: it is measured once, then remembered in the user's cache
folder.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from edge.cache import cache_folder
from edge.compare.estimates import Estimate, ratio
from edge.compare.frames import prepare
from edge.compare.rows import Candidate, ModelOptions, Row
from edge.compare.worker import Worker
from edge.data import Ids
from edge.device import board
from edge.engine.open import default_threads
from edge.engine.runtimes import RUNTIMES
from edge.errors import SinkError
from edge.evaluation.metrics import agreement
from edge.files import sha256, writable_folder, write_whole
from edge.leftovers import TemporaryFolder
from edge.progress import Track, silent
from edge.versions import installed

# The first is what the others must beat. tflite-runtime and tensorflow have LiteRT's kernels, older or after seconds of
# loading; openvino-bf16 computes less exactly than the file says.
CANDIDATES = ("litert", "openvino")
MARGIN = 0.95  # of the first's time: less gain is not worth other roundings
AGREEMENT = 0.99  # of the pixels, with the first
ROUNDS = 5, 15  # at least; and at most, while it is not sure on which side of MARGIN a runtime is
RUNS = 3  # invokes in a round
PICTURES = 2
ANSWER_S = 60.0  # a runtime that is silent for so long is not fast
MAX_MEMORY = 1 << 12  # bytes of a file that remembers


@dataclass(slots=True)
class Trial:
    """What was measured of one runtime; `row.error` says why it was not."""

    row: Row
    rounds_s: list[float] = field(default_factory=list)  # median seconds of an invoke, per round
    agreement: float = 1.0  # share of pixels labelled as the first candidate labels them

    @property
    def runtime(self) -> str:
        return self.row.candidate.runtime

    def against(self, first: Trial) -> Estimate:
        return ratio(self.rounds_s, first.rounds_s)


def fastest_runtime(
    model: Path,
    threads: int | None,
    options: ModelOptions = ModelOptions(),  # noqa: B008 - it is frozen
    *,
    say: Callable[[str], None] = lambda _: None,
    track: Track = silent,
) -> str:
    """Returns the runtime to take; `auto` where there is no choice, or the file is for `open_engine` to refuse.

    Remembered for these bytes, threads, processor and versions. `say` is told what was found when it is measured, which
    happens in processes of their own: a runtime that crashes there is not taken.
    """
    versions = {name: found for name in CANDIDATES if (found := installed(RUNTIMES[name].distribution))}
    digest = sha256(model)
    if len(versions) < 2 or digest is None:
        return "auto"
    memory = cache_folder("runtimes") / f"{_key(digest, threads or default_threads(), versions)}.json"
    known = recall(memory)
    if known in versions:
        return known
    trials = measure(model, list(versions), threads, options, track)
    chosen = choose(trials)
    if chosen is None:
        return "auto"
    say(findings(trials, chosen))
    remember(memory, model, trials, chosen)
    return chosen.runtime


def measure(
    model: Path,
    runtimes: Sequence[str],
    threads: int | None,
    options: ModelOptions,
    track: Track = silent,
) -> list[Trial]:
    """Measures invokes in rounds, the runtimes taking turns, and labels the demo's frames."""
    trials = [Trial(Row(Candidate(model, runtime, threads))) for runtime in runtimes]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryFolder()))
        prepare("demo", folder, PICTURES)
        pairs = [(trial, stack.enter_context(Worker(trial.row, answer_s=ANSWER_S))) for trial in trials]
        for _, worker in pairs:
            worker.ready()
        for _, worker in pairs:
            worker.load(folder, options)
        for turn in track(range(ROUNDS[1]), "measuring runtimes", ROUNDS[1]):
            for trial, worker in pairs[turn % len(pairs) :] + pairs[: turn % len(pairs)]:
                trial.rounds_s.append(float(np.median(worker.invoke(0.0, RUNS) or [np.inf])))
            if turn + 1 >= ROUNDS[0] and _decided(trials):
                break
        labelled = [_labels(worker) for _, worker in pairs]
    for trial, ids in zip(trials, labelled, strict=True):
        if ids and labelled[0]:
            trial.agreement = float(np.mean([agreement(*both) for both in zip(ids, labelled[0], strict=True)]))
    return trials


def _decided(trials: Sequence[Trial]) -> bool:
    if any(trial.row.error for trial in trials):
        return True
    return not any(trial.against(trials[0]).holds(MARGIN) for trial in trials[1:])


def _labels(worker: Worker) -> list[Ids]:
    with TemporaryFolder() as folder:
        return [np.load(Path(folder, name)) for name in worker.label(Path(folder))]


def choose(trials: Sequence[Trial]) -> Trial | None:
    """Returns the first that runs, or the fastest of those that beat it; None where none runs."""
    running = [trial for trial in trials if not trial.row.error]
    if not running:
        return None
    first = running[0]
    better = [t for t in running[1:] if t.against(first).value < MARGIN and t.agreement >= AGREEMENT]
    return min(better, key=lambda trial: float(np.median(trial.rounds_s)), default=first)


def findings(trials: Sequence[Trial], chosen: Trial) -> str:
    """Returns what was found in one line."""
    return f"fastest here: {chosen.runtime} ({'; '.join(map(_finding, trials))}); remembered for this model"


def _finding(trial: Trial) -> str:
    if trial.row.error:
        return f"{trial.runtime} fails: {trial.row.error}"
    otherwise = f", {1 - trial.agreement:.1%} of the pixels otherwise" if trial.agreement < AGREEMENT else ""
    return f"{trial.runtime} {np.median(trial.rounds_s) * 1e3:.1f} ms an invoke{otherwise}"


def _key(digest: str, threads: int, versions: dict[str, str]) -> str:
    """Returns a hash of all that a measurement holds for."""
    parts = (digest, threads, installed("roadlite"), versions, *board.processor())
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def recall(memory: Path) -> str | None:
    """Returns the runtime that a file names; None where it is not there or damaged."""
    try:
        if not memory.is_file():
            return None
        with memory.open("rb") as file:
            remembered = json.loads(file.read(MAX_MEMORY))
    except (OSError, ValueError, RecursionError):
        return None
    runtime = remembered.get("runtime") if isinstance(remembered, dict) else None
    return runtime if isinstance(runtime, str) else None


def remember(memory: Path, model: Path, trials: Sequence[Trial], chosen: Trial) -> None:
    """Writes the choice to a file; where it cannot be written, it is measured again."""
    times = {t.runtime: round(float(np.median(t.rounds_s)) * 1e3, 2) for t in trials if not t.row.error}
    text = json.dumps({"runtime": chosen.runtime, "model": model.name, "invoke_ms": times}, indent=1)
    with suppress(OSError, SinkError):
        writable_folder(memory.parent)
        write_whole(memory, f"{text}\n".encode())
