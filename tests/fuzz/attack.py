"""Attacks the commands with damaged inputs, and reports each case that breaks the rule of `judge`.

    python tests/fuzz/attack.py --seconds 180                     as many cases of every kind as fit
    python tests/fuzz/attack.py models=10000 graphs=2000          so many of these
    python tests/fuzz/attack.py --only models:123                 one case again, its folder kept and its command shown

A case is chosen by its kind and number alone. Each runs in a process forked from this one, which has all imports.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import itertools
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import addresses
import files
import model_cards
import models
from case import Case, Make, chance_of
from judge import HARNESS, findings
from material import KEPT, material
from play import lay_out, play, preload


def _graph(chance: random.Random, sources: Path) -> Case:
    import graphs  # brings TensorFlow

    return graphs.make(chance, sources)


KINDS: dict[str, tuple[Make, int]] = {  # and how many of twenty cases are of it
    "models": (models.make, 6),
    "sources": (models.source, 1),
    "graphs": (_graph, 4),
    "cards": (model_cards.make, 2),
    "pictures": (files.picture, 1),
    "films": (files.film, 1),
    "labels": (files.label, 1),
    "mappings": (files.mapping, 1),
    "names": (files.class_names, 1),
    "archives": (files.archive, 1),
    "addresses": (addresses.make, 1),
}
FOUND = KEPT / "found"  # what the cases that broke the rule have said
PATIENCE_S = 120.0  # for one case: nothing here takes more than seconds on a machine that is not busy


@dataclass(slots=True)
class Running:
    """A case in its process."""

    kind: str
    number: int
    folder: Path
    end: float  # of our patience, by the monotonic clock


@dataclass(slots=True)
class Attack:
    """Runs cases side by side, and counts what came of them."""

    jobs: int
    scratch: Path
    material: Path
    running: dict[int, Running] = field(default_factory=dict)
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)

    def run(self, cases: Iterator[tuple[str, int]], until: float) -> None:
        """Runs the cases that begin before `until`, by the monotonic clock."""
        for kind, number in cases:
            if time.monotonic() > until:
                break
            while len(self.running) >= self.jobs:
                self._wait()
            self._start(kind, number)
        while self.running:
            self._wait()

    def _start(self, kind: str, number: int) -> None:
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        sys.stdout.flush()
        child = os.fork()
        if not child:
            make_and_play(kind, number, folder, self.material)
        self.running[child] = Running(kind, number, folder, time.monotonic() + PATIENCE_S)

    def _wait(self) -> None:
        for child, case in list(self.running.items()):
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                self._ended(child, case, os.waitstatus_to_exitcode(status))
            elif time.monotonic() > case.end:
                self._ended(child, case, None)
        time.sleep(0.002)

    def _ended(self, child: int, case: Running, status: int | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)  # it, where it hangs, and whatever it left running
        if status is None:
            os.waitpid(child, 0)
        del self.running[child]
        program = (case.folder / "command").read_text().split()[0] if (case.folder / "command").exists() else ""
        wrong = list(findings(case.folder, program, status))
        self.outcomes[case.kind, "FOUND" if wrong else f"exit {status}"] += 1
        if wrong:
            said = (case.folder / "stderr").read_text("utf-8", "replace")
            last = "".join(said.strip().splitlines()[-1:])[-160:]
            self.found.append(f"{case.kind}:{case.number} {program}: {', '.join(wrong)} ({last})")
            print(f"FOUND {self.found[-1]}", flush=True)
            FOUND.mkdir(exist_ok=True)
            (FOUND / f"{case.kind}-{case.number}.txt").write_text(said, "utf-8")
        if self.outcomes.total() % 500 == 0:
            print(f"{self.outcomes.total()} cases", flush=True)
        shutil.rmtree(case.folder, ignore_errors=True)


def make_and_play(kind: str, number: int, folder: Path, sources: Path) -> NoReturn:
    """Makes a case and plays it in this process, a leader of its group."""
    try:
        os.setpgid(0, 0)
        case = KINDS[kind][0](chance_of(kind, number), sources)
        lay_out(case, folder)
    except BaseException:  # noqa: BLE001 - a case that cannot be made is a fault of the attack
        (folder / "stderr").write_text(traceback.format_exc())
        os._exit(HARNESS)
    play(case, folder)


def mixed(start: int) -> Iterator[tuple[str, int]]:
    """Yields cases of every kind for ever, in turn."""
    turn = [kind for kind, (_, share) in KINDS.items() for _ in range(share)]
    counts = dict.fromkeys(KINDS, start)
    for place in itertools.count():
        kind = turn[place * 7 % len(turn)]  # 7 and 20 have no common divisor: each place comes once a round
        yield kind, counts[kind]
        counts[kind] += 1


def counted(wanted: list[str], start: int) -> Iterator[tuple[str, int]]:
    """Yields the cases that `KIND=N` asks for, kinds in turn."""
    rows = [[(kind, start + i) for i in range(int(number))] for kind, _, number in (w.partition("=") for w in wanted)]
    return (case for turn in itertools.zip_longest(*rows) for case in turn if case is not None)


def again(which: str, sources: Path) -> int:
    """Plays one case in a folder that is kept, and shows what came of it."""
    kind, _, number = which.partition(":")
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{kind}-{number}-"))
    child = os.fork()
    if not child:
        make_and_play(kind, int(number), folder, sources)
    status, end = None, time.monotonic() + PATIENCE_S
    while status is None and time.monotonic() < end:
        ended, found = os.waitpid(child, os.WNOHANG)
        status = os.waitstatus_to_exitcode(found) if ended else None
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    program = (folder / "command").read_text()
    wrong = list(findings(folder, program.split()[0], status))
    print(f"cd {folder}; {program}\nexit {status}\n{(folder / 'stderr').read_text('utf-8', 'replace')}")
    print(", ".join(wrong) or "as it should be")
    return 1 if wrong else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("counts", nargs="*", metavar="KIND=N", help=f"of {', '.join(KINDS)}")
    parser.add_argument("--seconds", type=float, default=180.0, help="begin no case after so long (default: 180)")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="the number of the first case (default: 0)")
    parser.add_argument("--jobs", type=int, default=2, help="cases side by side")
    parser.add_argument("--only", metavar="KIND:N", help="play one case again, and keep its folder")
    options = parser.parse_args()
    kinds = {text.partition(mark)[0] for text, mark in [*((c, "=") for c in options.counts), (options.only or "", ":")]}
    kinds = kinds - {""} or set(KINDS)
    if unknown := kinds - set(KINDS):
        parser.error(f"expected some of {', '.join(KINDS)}, got {', '.join(unknown)}")
    sources = material(graphs_only=kinds == {"graphs"})
    preload(kinds)
    if options.only:
        return again(options.only, sources)
    gc.freeze()  # a collection in a forked process would copy all pages of this one
    begin = time.monotonic()
    until = float("inf") if options.counts else begin + options.seconds
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        attack = Attack(options.jobs, Path(scratch), sources)
        attack.run(counted(options.counts, options.start) if options.counts else mixed(options.start), until)
    print(f"{attack.outcomes.total()} cases in {time.monotonic() - begin:.0f} s, from number {options.start} on")
    for (kind, outcome), count in sorted(attack.outcomes.items()):
        print(f"  {kind:10} {outcome:8} {count}")
    for line in attack.found:
        print(f"FOUND {line}; again: python tests/fuzz/attack.py --only {line.partition(' ')[0]}")
    return 1 if attack.found else 0


if __name__ == "__main__":
    sys.exit(main())
