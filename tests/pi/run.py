"""Runs edge as on a Raspberry Pi: Debian for arm64 under qemu, with the real libcamera and picamera2, no TensorFlow.

`make test-pi` calls it with the project's own Python, with the convert extra, as root. What it downloads stays in the
cache; the systems are made anew every day, so that they have the newest of everything. What came of it is printed as a
table and written to out/matrix/pi.json.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from suites import CERTIFICATES, HERE, PROJECT, Stopped, Suite, key, on, say

PROGRAMS = ("debootstrap", "qemu-aarch64-static", "dpkg-deb", "apt-get", "unshare", "setpriv", "chroot")
SUMMARY = PROJECT / "out/matrix/pi.json"
BRIEF = ("tests/pi/test_on_the_board.py",)  # what the processor matters to, and the camera
FRAMES = ("tests/edge/sources", "tests/edge/sinks", "tests/edge/engine", "tests/edge/device")
REST = ("tests/edge", *(f"--ignore={path}" for path in FRAMES))
OWN_LIBRARIES = (
    "tests/edge/engine",
    "tests/edge/sources",
    "tests/edge/cli/test_run_model.py",
)  # what is built for glibc
PYTEST = shlex.split("python3 -m pytest -q -p no:cacheprovider -p left_out -o faulthandler_timeout=300 --durations=15")
NOT_RUN = "not run: picamera2 on bookworm, whose Debian has no python3-libcamera (Raspberry Pi OS brings its own)"


@dataclass(frozen=True)
class Leg:
    """Tests on a board."""

    board: str
    suite: Suite
    part: str
    tests: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.board}-{self.suite.name}-{self.part}"

    def run(self) -> dict[str, Any]:
        """Prints what pytest prints, each line with the leg's name, and returns what came of it."""
        say(f"{self.name} begins")
        begin = time.monotonic()
        counts = self.suite.root / f"opt/{self.name}.json"
        counts.unlink(missing_ok=True)
        settings = [f"ROADLITE_COUNTS=/opt/{counts.name}", "PYTHONPATH=tests/pi"]
        command = [*on(self.board, self.suite.root), "env", *settings, *PYTEST, *self.tests]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                print(f"{self.name}: {line}", end="", flush=True)
        found = json.loads(counts.read_text()) if counts.exists() else {}
        if process.returncode and not found.get("failed"):
            found["failed"] = 1  # it ended before it could count
        about = {"leg": self.name, "python": found.get("python", "?"), "resolution": "newest"}
        figures = {name: found.get(name, 0) for name in ("passed", "failed", "skipped", "deselected")}
        ran = figures["passed"] + figures["failed"]
        seconds = round(time.monotonic() - begin)
        return {**about, "ran": ran, **figures, "seconds": seconds, "versions": found.get("versions", {})}


def main() -> int:
    check()
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    cache = Path(os.environ.get("ROADLITE_CACHE") or users / "roadlite", "test-pi").resolve()
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock, tempfile.TemporaryDirectory() as scratch:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            raise Stopped(f"another run uses {cache}; wait for it") from exc
        trixie, bookworm = Suite("trixie", camera=True, cache=cache), Suite("bookworm", camera=False, cache=cache)
        lay_out((trixie, bookworm), cache, Path(scratch))
        legs = [  # all on one system, in two parts for two cores; on the other what may differ there
            Leg("pi5", trixie, "rest", REST),
            Leg("pi5", trixie, "frames", ("tests/pi", *FRAMES)),
            Leg("pi4", bookworm, "libraries", ("tests/pi", *OWN_LIBRARIES)),
            Leg("pi4", trixie, "brief", BRIEF),
            Leg("pi5", bookworm, "brief", BRIEF),
        ]
        with ThreadPoolExecutor(2) as both:
            rows = list(both.map(Leg.run, legs))
    return report(rows)


def check() -> None:
    if os.geteuid() != 0:
        raise Stopped("needs root for chroot, mounts and qemu's registration; run it as root, or: sudo make test-pi")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            raise Stopped(f"{program} is missing: apt-get install -y debootstrap qemu-user-static (on a Debian)")
    if not CERTIFICATES.exists():
        raise Stopped(f"{CERTIFICATES} is missing: apt-get install -y ca-certificates")


def lay_out(suites: tuple[Suite, ...], cache: Path, scratch: Path) -> None:
    """Both systems with the project as a user installs it, its tests, and what these need of the workstation's."""
    copy = scratch / "project"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(listing, cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True).stdout.split("\0")
    for name in filter(lambda name: name and (PROJECT / name).is_file(), listed):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, copy / name)
    here(cache / "wheel.log", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, copy)
    (wheel,) = scratch.glob("*.whl")
    with ThreadPoolExecutor(2) as both:
        made = [both.submit(suite.make, wheel) for suite in suites]
        material = both.submit(make_material, cache)
        for one in made:
            one.result()
    for name in ("edge", "convert", "build", "tests/convert"):
        shutil.rmtree(copy / name, ignore_errors=True)
    for suite in suites:
        for name, source in (("project", copy), ("material", material.result())):
            shutil.rmtree(suite.root / "opt" / name, ignore_errors=True)
            shutil.copytree(source, suite.root / "opt" / name)


def make_material(cache: Path) -> Path:
    """Models, pictures, and what x86 sees in them: remade when the code that makes them has changed."""
    code = [PROJECT / "pyproject.toml", PROJECT / "tests/conftest.py", HERE / "make_material.py"]
    code += sorted(path for half in ("convert", "edge") for path in (PROJECT / half).rglob("*.p[yb]"))
    made = cache / f"material-{key(*(path.read_bytes().hex() for path in code))}"
    if not made.is_dir():
        for old in cache.glob("material-*"):
            shutil.rmtree(old)
        say("making the models and what x86 sees with them ...")
        part = made.with_suffix(".part")
        here(cache / "material.log", HERE / "make_material.py", part)
        part.rename(made)
    return made


def here(log: Path, *arguments: object) -> None:
    """Runs this Python in the project."""
    with log.open("wb") as out:
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, cwd=PROJECT, env=environment, stdout=out, stderr=out, check=False)
    if done.returncode:
        tail = log.read_text(errors="replace").splitlines()[-5:]
        raise Stopped("\n".join([f"{' '.join(command)} failed; the end of {log}:", *tail]))


def report(rows: list[dict[str, Any]]) -> int:
    """Prints a table and writes the summary; 1 where a test failed."""
    columns = ("leg", "python", "passed", "failed", "skipped", "deselected", "seconds")
    versions = ("litert", "numpy", "opencv", "av", "glibc")
    table = [[*columns, *versions]]
    for row in rows:
        table.append([str(row[name]) for name in columns] + [row["versions"].get(name, "?") for name in versions])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    print()
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print(NOT_RUN)
    SUMMARY.parent.mkdir(parents=True, exist_ok=True)
    SUMMARY.write_text(json.dumps(rows, indent=1) + "\n")
    return int(any(row["failed"] for row in rows))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Stopped as exc:
        sys.exit(f"test-pi: {exc}")
