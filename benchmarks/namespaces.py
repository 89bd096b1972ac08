"""What happens to `label-archive` when the network fails: three workers with addresses of their own.

One is cut off in mid-run for good, and one has a slow way to the scheduler and to nothing else. Each worker is a
process in a network namespace of its own, joined to the scheduler's by a bridge, as three boards are by a switch. Films
and outputs are on a disk that all share. It needs root and the package `iproute2`.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from archive import clip
from networks import MOBILENET, files
from scoreboard import benchmark, row, say

SIZE_HW, FILMS, FILM_S = (129, 257), 12, 20
SUBNET, PORT = "10.213.77", 8786
BRIDGE, NAME = "rlbridge", "rlboard{}"
KBIT = 256  # the slow way: a camera's uplink in the country


def ip(*words: object) -> None:
    subprocess.run(["ip", *map(str, words)], check=True)


@contextmanager
def switch() -> Iterator[str]:
    """A bridge of this machine; gives its address."""
    ip("link", "add", BRIDGE, "type", "bridge")
    try:
        ip("address", "add", f"{SUBNET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        yield f"{SUBNET}.1"
    finally:
        ip("link", "delete", BRIDGE)


@contextmanager
def board(number: int) -> Iterator[str]:
    """A network namespace on the bridge; gives its name, which is that of its way on this side, too."""
    name = NAME.format(number)
    ip("netns", "add", name)
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", name, "master", BRIDGE, "up")
        ip("-n", name, "address", "add", f"{SUBNET}.{10 + number}/24", "dev", "eth0")
        ip("-n", name, "link", "set", "eth0", "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name
    finally:
        ip("netns", "delete", name)


@contextmanager
def program(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    """A service that ends with the block."""
    with subprocess.Popen(list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def dask(*words: object) -> list[object]:
    return [sys.executable, "-m", "distributed.cli.dask_" + str(words[0]), *words[1:]]


def label(address: str, films: Path, model: Path, out: Path) -> tuple[float, int]:
    """Seconds of the command, and its exit code."""
    code = "import sys; from edge.cli.start import label_archive; sys.exit(label_archive())"
    where = [str(model), str(films), "--output", f"labels:{out / 'labels'}", "--output", f"overlay:{out / 'films'}"]
    how = ["--cluster", address, "--threads", "1"]
    start_s = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *where, *how], check=False)
    return time.perf_counter() - start_s, done.returncode


def digest(folder: Path) -> str:
    """Of all labels and films, and their names."""
    sums = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in (".png", ".mp4")):
        sums.update(str(path.relative_to(folder)).encode())
        sums.update(path.read_bytes())
    return sums.hexdigest()


def cut(name: str, after: Path, frames: int) -> None:
    """Pulls the plug as soon as so many films are done."""
    while not after.exists() or len(after.read_text().splitlines()) < frames:
        time.sleep(0.1)
    say(f"{name} is cut off")
    ip("link", "set", name, "down")


def run(films: Path, model: Path, out: Path, *, faults: bool) -> tuple[float, int, list[str]]:
    """Seconds, exit code, and the workers that are named in the manifest."""
    with ExitStack() as stack:
        here = stack.enter_context(switch())
        boards = [stack.enter_context(board(number)) for number in range(3)]
        stack.enter_context(program(*dask("scheduler", "--host", here, "--port", PORT, "--no-dashboard")))
        address = f"tcp://{here}:{PORT}"
        for name in boards:
            stack.enter_context(
                program(
                    "ip", "netns", "exec", name, *dask("worker", address, "--nthreads", 1, "--name", name, "--no-nanny")
                )
            )
        time.sleep(8)
        manifest = out / "labels" / "manifest.jsonl"
        if faults:
            subprocess.run(
                [
                    "tc",
                    "qdisc",
                    "add",
                    "dev",
                    boards[1],
                    "root",
                    "tbf",
                    "rate",
                    f"{KBIT}kbit",
                    "burst",
                    "10k",
                    "latency",
                    "1s",
                ],
                check=True,
            )
            threading.Thread(target=cut, args=(boards[0], manifest, 1), daemon=True).start()
        seconds, code = label(address, films, model, out)
        named = {worker for line in manifest.read_text().splitlines() for worker in json.loads(line)["workers"]}
        return seconds, code, sorted(named)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("tc") is None:
        raise SystemExit("this needs root and iproute2: apt-get install -y iproute2")
    with (
        benchmark("namespaces", "Workers on a network that fails") as entry,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        model = folder / "model.tflite"
        shutil.copy(files(MOBILENET, SIZE_HW, 16, "int8")["int8"], model)
        first = clip(folder / "in" / "0.mp4", FILM_S)
        for number in range(1, FILMS):
            shutil.copy(first, first.with_name(f"{number}.mp4"))
        found = {}
        for way, faults in (("three sound workers", False), ("one cut off after the first film, one slow", True)):
            out = folder / way.replace(" ", "-")
            seconds, code, workers = run(folder / "in", model, out, faults=faults)
            found[way] = digest(out)
            entry.rows.append(
                row(
                    way,
                    [seconds],
                    "s",
                    exit_code=str(code),
                    films=f"{len(list((out / 'films').iterdir()))} of {FILMS}",
                    workers=", ".join(workers),
                )
            )
        same = len(set(found.values())) == 1
        entry.about = (
            f"{FILMS} films of {FILM_S} s, a piece each, labels and overlay; the slow way has {KBIT} kbit/s. The "
            f"outputs of both are {'the same, byte by byte' if same else 'NOT THE SAME'}."
        )


if __name__ == "__main__":
    main()
