"""Kills commands at random moments, and looks at what they leave and what the next run makes of it.

    python tests/fuzz/kills.py 50                  so often each of run-model and convert-model
    python tests/fuzz/kills.py 50 convert-model    one of them
    python tests/fuzz/kills.py --only run-model:7

Nothing half-written may bear a final name, every unfinished film must play where it holds a whole fragment, and the
next run must work, take away what was left, and recover the films.
"""

from __future__ import annotations

import argparse
import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from case import Case, chance_of
from judge import findings, frames_in, unfinished
from material import material
from play import lay_out, play, preload

PROGRAMS = ("run-model", "convert-model")
OUTPUTS = ("--output", "out/f.mp4", "--output", "labels:out/l", "--stats", "out/s.json")


def case(program: str, sources: Path) -> Case:
    """A command that takes about a second, or some, and writes all the while."""
    if program == "run-model":
        files = {"m.tflite": (sources / "tiny-scores.tflite").read_bytes()}
        files["f.mp4"] = (sources / "film.mp4").read_bytes()
        return Case(program, ["m.tflite", "--source", "f.mp4", "--loop", "--limit", "150", *OUTPUTS], files)
    arguments = [
        "g.pb",
        "--quantize",
        "float32,int8",
        "--input-size",
        "33x49",
        "--min-agreement",
        "0",
        "--output",
        "out",
    ]
    frames = ["--calibration-frames", "2", "--verification-frames", "1", "--no-rescue"]
    return Case(program, [*arguments, *frames], {"g.pb": (sources / "net.pb").read_bytes()})


def run(which: Case, folder: Path, kill_after_s: float | None = None) -> int:
    """Runs a case in its folder, until it is killed where a time is given. Returns what it ended with."""
    child = os.fork()
    if not child:
        os.setpgid(0, 0)
        play(which, folder)
    end = time.monotonic() + (float("inf") if kill_after_s is None else kill_after_s)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= end:
            os.kill(child, signal.SIGKILL)
            end = float("inf")
        time.sleep(0.002)


def left(folder: Path) -> Iterator[str]:
    """Yields what is wrong with what a killed run has left."""
    for found in unfinished(folder):
        if found.startswith("half-written"):
            yield found
    for part in folder.glob("out/*.mp4.*.part"):
        if b"mdat" in part.read_bytes() and b"moof" in part.read_bytes() and _fragments(part) and not frames_in(part):
            yield f"{part.name} does not play"


def _fragments(part: Path) -> bool:
    """Returns whether a film has a whole fragment: looked for by its boxes, in a copy."""
    from edge.sinks.video import cut_to_whole_fragments

    copy = part.with_name("copy")
    shutil.copyfile(part, copy)
    try:
        with copy.open("r+b", buffering=0) as file:
            return cut_to_whole_fragments(file)
    finally:
        copy.unlink()


def kill(program: str, number: int, seconds: float, sources: Path) -> tuple[str, list[str]]:
    """Kills a run at a moment of its usual seconds. Returns what was left, and what is wrong."""
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        folder, which = Path(scratch), case(program, sources)
        lay_out(which, folder)
        moment = chance_of(program, number).uniform(0, seconds)
        status = run(which, folder, moment)
        held = [path.name for path in folder.rglob("*") if "roadlite-" in path.name]
        kinds = "film" if any(".mp4." in name for name in held) else ("folder" if held else "nothing")
        wrong = list(left(folder)) if status == -signal.SIGKILL else []
        plays = any(_fragments(part) for part in folder.glob("out/*.mp4.*.part"))
        wrong += [f"the next run: {found}" for found in findings(folder, program, run(which, folder))]
        if plays != bool(list(folder.glob("out/f-recovered.mp4"))):
            wrong.append("the film was not recovered, or recovered from nothing")
        return f"left {kinds}" if status == -signal.SIGKILL else "had ended", wrong


def usual_s(program: str, sources: Path) -> float:
    """Returns how long a run takes that nobody kills."""
    with tempfile.TemporaryDirectory(prefix="kills-") as scratch:
        lay_out(case(program, sources), Path(scratch))
        begin = time.monotonic()
        code = run(case(program, sources), Path(scratch))
        if code:
            raise RuntimeError(f"{program}: {(Path(scratch) / 'stderr').read_text('utf-8', 'replace')}")
        return time.monotonic() - begin


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("times", nargs="?", type=int, default=50, help="how often each command is killed (default: 50)")
    parser.add_argument("program", nargs="?", choices=PROGRAMS, help="the one to kill (default: both)")
    parser.add_argument("--only", metavar="PROGRAM:N", help="kill once, at the moment that this number chooses")
    options = parser.parse_args()
    sources = material()
    preload({"graphs"})
    gc.freeze()
    failed = 0
    chosen, _, only = (options.only or options.program or "").partition(":")
    for program in [chosen] if chosen else PROGRAMS:
        seconds, outcomes = usual_s(program, sources), dict[str, int]()
        for number in [int(only)] if options.only else range(options.times):
            outcome, wrong = kill(program, number, seconds, sources)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            failed += bool(wrong)
            if wrong:
                again = f"python tests/fuzz/kills.py --only {program}:{number}"
                print(f"FOUND {program}:{number}: {', '.join(wrong)}; again: {again}", flush=True)
        print(f"{program}: killed within {seconds:.1f} s: {outcomes}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
