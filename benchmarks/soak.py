"""Weeks in a car, in minutes: `run-model` on a looped video at full speed, watched from outside.

Wanted after warm-up: resident memory grows by less than 1 MB a minute, threads and descriptors stay as many, and the
last minute is at most 5 % slower than the first. Exits with 1 where one of these is missed.

    python benchmarks/soak.py demo-257x513-os16-int8.tflite --minutes 20 --output null
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
from scenes import write_clip

WARM_UP_S = 60.0
EVERY_S = 2.0
MOST_MB_A_MINUTE, MOST_SLOWDOWN = 1.0, 0.05
COMMAND = "import sys; from edge.cli.run_model import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Look:
    """The process at one moment."""

    at_s: float  # since it was ready
    frames: int  # shown since it was ready
    rss_mb: float
    threads: int
    descriptors: int
    cpu_s: float  # used by the process so far


def watch(model: Path, clip: Path, minutes: float, outputs: list[str]) -> list[Look]:
    """Runs the command and looks at it every two seconds; frames are counted from the service's status."""
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"{folder}/notify")
        environment = os.environ | {"NOTIFY_SOCKET": f"{folder}/notify", "WATCHDOG_USEC": str(int(EVERY_S * 2e6))}
        named = [word for output in outputs for word in ("--output", output.replace("{tmp}", folder))]
        command = [sys.executable, "-c", COMMAND, str(model), "--source", str(clip), "--loop", *named]
        child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return look(psutil.Process(child.pid), manager, minutes)
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(30)


def look(process: psutil.Process, manager: socket.socket, minutes: float) -> list[Look]:
    looks: list[Look] = []
    begin: float | None = None
    while not looks or looks[-1].at_s < minutes * 60:
        status = manager.recv(4096).decode()
        now = time.monotonic()
        begin = now if begin is None else begin
        shown = re.search(r"(\d+) frames", status)
        assert shown is not None, status
        with process.oneshot():
            times = process.cpu_times()
            cpu_s, rss_mb = times.user + times.system, process.memory_info().rss / 1e6
            threads, descriptors = process.num_threads(), process.num_fds()
        looks.append(Look(now - begin, int(shown[1]), rss_mb, threads, descriptors, cpu_s))
    return looks


def judge(looks: list[Look], warm_up_s: float) -> bool:
    warm = [seen for seen in looks if seen.at_s >= warm_up_s]
    minutes = np.array([seen.at_s for seen in warm]) / 60
    slope = float(np.polyfit(minutes, [seen.rss_mb for seen in warm], 1)[0])
    span_s = min(60.0, (warm[-1].at_s - warm[0].at_s) / 2)
    first = [seen for seen in warm if seen.at_s <= warm[0].at_s + span_s]
    last = [seen for seen in warm if seen.at_s >= warm[-1].at_s - span_s]
    slower = 1 - rate(last) / rate(first)
    dearer = cost(last) / cost(first) - 1
    steady = all(held(last, what) <= held(first, what) for what in ("threads", "descriptors"))
    verdicts = (slope < MOST_MB_A_MINUTE, steady, min(slower, dearer) <= MOST_SLOWDOWN)
    print(f"{warm[-1].at_s / 60:.1f} minutes, {looks[-1].frames} frames, {warm_up_s:g} s of warm-up left out")
    print(f"memory {warm[0].rss_mb:.1f} -> {warm[-1].rss_mb:.1f} MB, {slope:+.3f} MB a minute", word(verdicts[0]))
    print(
        f"threads {spread([seen.threads for seen in warm])}, descriptors {spread([seen.descriptors for seen in warm])}",
        word(verdicts[1]),
    )
    print(
        f"first to last minute: {rate(first):.1f} -> {rate(last):.1f} frames a second ({-slower:+.1%}); processor time "
        f"{cost(first) * 1e3:.2f} -> {cost(last) * 1e3:.2f} ms a frame ({dearer:+.1%})",
        word(verdicts[2]),
    )
    return all(verdicts)


def rate(looks: list[Look]) -> float:
    return (looks[-1].frames - looks[0].frames) / (looks[-1].at_s - looks[0].at_s)


def cost(looks: list[Look]) -> float:
    """Processor seconds a frame: what the frame rate would tell on a machine that does nothing else."""
    return (looks[-1].cpu_s - looks[0].cpu_s) / (looks[-1].frames - looks[0].frames)


def held(looks: list[Look], what: str) -> int:
    """The most there were: a video that begins again has its decoder and its file for a moment twice, or not yet."""
    return max(getattr(seen, what) for seen in looks)


def spread(numbers: list[int]) -> str:
    return f"{min(numbers)}" if min(numbers) == max(numbers) else f"{min(numbers)}..{max(numbers)}"


def word(good: bool) -> str:
    return "ok" if good else "MISSED"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=WARM_UP_S, help="seconds")
    parser.add_argument("--output", action="append", help="as run-model takes it; {tmp} is a folder that goes away")
    parser.add_argument("--clip", type=Path, help="a video instead of generated scenes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or Path(folder, "clip.mp4")
        if not options.clip:
            write_clip(clip, 50)
        looks = watch(options.model, clip, options.minutes, options.output or ["null"])
    return 0 if judge(looks, options.warm_up) else 1


if __name__ == "__main__":
    sys.exit(main())
