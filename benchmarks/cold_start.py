"""From the shell to the first labelled frame, what importing costs, and the memory of a run; fresh processes in turns.

The first labelled frame is when run-model tells a service manager that it is ready: the frame is labelled, drawn and
given to its outputs. Files are in the page cache, as after the first start.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import networks
from processes import program, watch
from scenes import write_clip
from scoreboard import Row, aimed, benchmark, row, say

MOST_FIRST_FRAME_S, MOST_IMPORT_S, MOST_MB = 1.5, 0.3, 160.0
FRAMES = 100  # of the run whose memory counts
NOTHING, IMPORTS = "pass", ("import edge", "from edge import Segmenter")


def run_model(model: Path, clip: Path, limit: int) -> list[str]:
    return [program("run-model"), str(model), "--source", str(clip), "--limit", str(limit), "--output", "null"]


def python(code: str) -> float:
    """Seconds of a fresh interpreter."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def starts(model: Path, clip: Path, rounds: int) -> list[Row]:
    first, whole = [], []
    for _ in range(rounds):
        run = watch(run_model(model, clip, 1))
        assert run.ready_s is not None
        first.append(run.ready_s)
        whole.append(run.seconds)
    return [
        aimed(row("run-model, shell to first labelled frame", first, "s"), at_most=MOST_FIRST_FRAME_S),
        row("run-model --limit 1, shell to exit", whole, "s"),
    ]


def imports(rounds: int) -> list[Row]:
    times: dict[str, list[float]] = {code: [] for code in (NOTHING, *IMPORTS)}
    for _ in range(rounds):
        for code, found in times.items():
            found.append(python(code))
    bare = times[NOTHING]
    more = {code: [b - a for a, b in zip(bare, times[code], strict=True)] for code in IMPORTS}
    return [
        row(f"python -c {NOTHING!r}", bare, "s"),
        *(aimed(row(f"{code}, beyond that", more[code], "s"), at_most=MOST_IMPORT_S) for code in IMPORTS),
    ]


def memory(model: Path, clip: Path, rounds: int) -> Row:
    peaks = [watch(run_model(model, clip, FRAMES)).peak_mb for _ in range(rounds)]
    return aimed(row(f"run-model, {FRAMES} frames, resident at most", peaks, "MB"), at_most=MOST_MB)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    options = parser.parse_args()
    with benchmark("cold-start", "Cold start and memory") as entry, tempfile.TemporaryDirectory() as folder:
        entry.about = (
            "MobileNetV2 int8 513x1025, stride 16, on a 720p video, in fresh processes. The first frame counts when it "
            "is labelled, drawn and handed to the output. The files are in the page cache, as after an earlier start."
        )
        model = networks.files(networks.MOBILENET, (513, 1025), 16)["int8"]
        clip = write_clip(Path(folder, "clip.mp4"), FRAMES)
        say("starting")
        entry.rows += starts(model, clip, options.rounds)
        say("importing")
        entry.rows += imports(options.rounds)
        say("running")
        entry.rows.append(memory(model, clip, 3))


if __name__ == "__main__":
    main()
