"""Runs the tests in fresh environments: every promised Python that is here, newest and lowest dependencies.

    .venv/bin/python tests/matrix/run.py [--legs NAME,...] [--jobs N]

It runs in the project's own environment with the convert and dev extras, as `make test-matrix` does. Results are
printed as a table and kept in `out/matrix/`: a log for each leg and `results.json`. The exit code is 1 where a leg
failed. An interpreter that is not on this machine is named, and is no failure.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
OUT = PROJECT / "out" / "matrix"
UV = Path(sys.executable).with_name("uv")
BOARDS = OUT / "pi.json"  # what `make test-pi` leaves: the emulated boards, as results of the same form

OWN_CODE = ("tests/convert/demo", "tests/convert/networks")  # minutes of TensorFlow that `make test` has spent already
LIBRARIES = ("tests/edge/engine", "tests/edge/sources", "tests/edge/sinks", "tests/edge/cli/test_run_model.py")
EDGE_EXTRAS = ("dev", "heif", "mqtt", "openvino", "report")


@dataclass(frozen=True)
class Leg:
    """One environment, and what is run in it."""

    python: str
    resolution: str  # uv's: highest, or lowest-direct for the lower bounds in pyproject.toml
    extras: tuple[str, ...] = EDGE_EXTRAS
    promised: bool = True  # whether a dependency without a wheel for this Python is a failure
    between: bool = False  # between the oldest and the newest, which run everything

    @property
    def converts(self) -> bool:
        return "convert" in self.extras

    @property
    def name(self) -> str:
        versions = "lowest" if self.resolution == "lowest-direct" else "newest"
        return f"{self.python}-{versions}{'-convert' if self.converts else ''}"

    @property
    def tests(self) -> tuple[str, ...]:
        if self.converts:
            return ("tests/convert", *(f"--ignore={path}" for path in OWN_CODE), "-m", "not long")
        edge = LIBRARIES if self.between else ("tests/edge",)
        return (*edge, "tests/test_imports.py", "-m", "not tensorflow and not long")


# The longest first, so that the last to end is a short one. The converter's dependencies raise those of `edge`, which
# is why each has legs of its own.
LEGS = (
    Leg("3.13", "highest", (*EDGE_EXTRAS, "convert")),
    Leg("3.11", "lowest-direct", (*EDGE_EXTRAS, "convert")),
    Leg("3.11", "lowest-direct", (*EDGE_EXTRAS, "cluster")),
    Leg("3.13", "highest", (*EDGE_EXTRAS, "cluster")),
    Leg("3.11", "highest", between=True),
    Leg("3.12", "highest", between=True),
    Leg("3.14", "highest", promised=False),
)


@dataclass
class Result:
    """What came of a leg."""

    leg: str
    python: str
    resolution: str
    ran: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    versions: dict[str, str] = field(default_factory=dict)
    machine: str = ""  # the processor, and what it has for int8
    trouble: str = ""  # which step failed
    not_run: str = ""  # why it could not be run here

    @property
    def ok(self) -> bool:
        return bool(self.not_run) or (self.passed > 0 and not self.failed and not self.trouble)


Command = Sequence[str | Path]
Env = Mapping[str, str]


class Failed(Exception):
    """A step of a leg that did not end with 0; the log says more."""


class NotThere(Exception):
    """What a leg that is not promised lacks here."""


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "results.json").unlink(missing_ok=True)
    legs = [leg for leg in LEGS if not options.legs or leg.name in options.legs]
    results: list[Result] = []
    try:
        wheel = build_wheel()
        material = make_material()
        with ThreadPoolExecutor(options.jobs) as pool:
            runs = [pool.submit(run, leg, wheel, material) for leg in legs]
            for done in as_completed(runs):
                results.append(done.result())
                say(summary(results[-1]))
    finally:
        boards = [of_board(found) for found in json.loads(BOARDS.read_text())] if BOARDS.is_file() else []
        results = sorted(results, key=lambda result: [leg.name for leg in LEGS].index(result.leg)) + boards
        (OUT / "results.json").write_text(json.dumps([asdict(result) for result in results], indent=1) + "\n")
    say("\n".join(table(results)))
    for result in results:
        if result.not_run:
            say(f"not run: {result.leg}: {result.not_run}")
        if not result.ok:
            say(f"FAILED: {result.leg}: {result.trouble or 'tests'}; see {os.path.relpath(log_of(result.leg))}")
    return 0 if all(result.ok for result in results) and any(result.passed for result in results) else 1


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    names = ", ".join(leg.name for leg in LEGS)
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--legs", type=lambda text: text.split(","), help=f"only these: {names}")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="legs at a time (default: processors)")
    options = parser.parse_args(argv)
    unknown = set(options.legs or ()) - {leg.name for leg in LEGS}
    if unknown:
        parser.error(f"unknown leg {', '.join(sorted(unknown))}: expected some of {names}")
    return options


def of_board(found: dict[str, Any]) -> Result:
    """What `make test-pi` left of one leg, in an earlier run."""
    known = ("leg", "python", "resolution", "passed", "failed", "skipped", "seconds", "versions")
    return Result(**{name: found[name] for name in known}, ran="emulated board", machine="emulated aarch64")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


def interpreter(version: str) -> Path | None:
    """Where Python `version` is: pyenv's newest, or on the PATH. A pyenv shim that leads nowhere does not count."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    found = sorted(pyenv.glob(f"{version}.*/bin/python"), key=lambda path: int(path.parts[-3].split(".")[2]))
    on_path = shutil.which(f"python{version}")
    for path in (*reversed(found), *([Path(on_path)] if on_path else [])):
        asked = subprocess.run(
            [path, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
            capture_output=True,
            text=True,
            check=False,
        )
        if asked.returncode == 0 and asked.stdout.strip() == version:
            return path
    return None


def build_wheel() -> Path:
    """Of the working tree as it is."""
    say("building the wheel ...")
    folder = OUT / "dist"
    shutil.rmtree(folder, ignore_errors=True)
    command: Command = [UV, "build", "--quiet", "--wheel", "--out-dir", folder, PROJECT]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    return next(folder.glob("*.whl"))


def make_material() -> Path:
    """What the environments without TensorFlow test with, made in this one as for the emulated boards."""
    say("converting the demo for tests without TensorFlow ...")
    folder = OUT / "material"
    shutil.rmtree(folder, ignore_errors=True)
    command: Command = [sys.executable, PROJECT / "tests/pi/make_material.py", folder]
    with log_of("material").open("wb") as log:
        done = subprocess.run(
            command, cwd=PROJECT, env={**os.environ, "PYTHONPATH": str(PROJECT)}, stdout=log, stderr=log, check=False
        )
    if done.returncode:
        raise SystemExit(f"the demo cannot be converted, see {os.path.relpath(log_of('material'))}")
    return folder


def log_of(leg: str) -> Path:
    return OUT / f"{leg}.log"


def run(leg: Leg, wheel: Path, material: Path) -> Result:
    """Makes the environment anew and runs everything in it; what fails is in the result."""
    result = Result(leg.name, leg.python, leg.resolution)
    began_s = time.monotonic()
    log_of(leg.name).write_bytes(b"")
    try:
        env = install(leg, wheel)
        device = survey(leg, env)
        result.versions, result.machine = versions(device), f"{device['cpu']} ({', '.join(device['features'])})"
        pictures(leg, env, material, result)
        tests(leg, env, material, result)
    except Failed as exc:
        result.trouble = str(exc)
    except NotThere as exc:
        result.not_run = str(exc)
    result.seconds = round(time.monotonic() - began_s)
    return result


def step(
    leg: Leg, what: str, command: Command, *, expected: int = 0, cwd: Path = PROJECT, env: Env | None = None
) -> str:
    """Runs a command into the leg's log and returns what it printed there. Raises Failed."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**inherited, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    with log_of(leg.name).open("ab") as log:
        log.write(f"\n$ {' '.join(map(str, command))}\n".encode() + done.stdout + f"exit {done.returncode}\n".encode())
    if done.returncode != expected:
        raise Failed(f"{what} ended with {done.returncode}")
    return done.stdout.decode(errors="replace")


def install(leg: Leg, wheel: Path) -> Path:
    """The wheel with what it asks for, from wheels alone, as on a Pi, where nothing can be compiled."""
    found = interpreter(leg.python)
    if found is None:
        raise NotThere(f"no Python {leg.python} is on this machine")
    env = OUT / leg.name
    shutil.rmtree(env, ignore_errors=True)
    step(leg, "making the environment", [UV, "venv", "--quiet", "--seed", "--python", found, env])
    python = env / "bin" / "python"
    if leg.promised and leg.resolution == "highest" and not leg.converts:
        known_versions_install(leg, python)
    pip: Command = [UV, "pip", "install", "--python", python, "--only-binary", ":all:"]
    extras = [word for extra in leg.extras for word in ("--extra", extra)]
    try:
        needs: Command = ["--resolution", leg.resolution, *extras, "--requirement", PROJECT / "pyproject.toml"]
        step(leg, "installing", [*pip, *needs])
    except Failed:
        if leg.promised:
            raise
        raise NotThere(f"not every dependency has a wheel for Python {leg.python} yet") from None
    step(leg, "installing the wheel", [*pip, "--no-deps", wheel])
    return env


def known_versions_install(leg: Leg, python: Path) -> None:
    """Whether pip takes constraints.txt: uv, which wrote it, does not heed that a package is for older Pythons only."""
    wanted = f"{PROJECT}[cluster,convert,dev,heif,mqtt,openvino,report]"
    command = ["-m", "pip", "install", "--quiet", "--dry-run", "--constraint", str(PROJECT / "constraints.txt"), wanted]
    step(leg, "resolving constraints.txt", [python, *command])


def survey(leg: Leg, env: Path) -> dict[str, Any]:
    """What `check-device` finds in the environment, and on this machine."""
    found: dict[str, Any] = json.loads(step(leg, "check-device", [env / "bin" / "check-device", "--json"]))
    return found


def versions(device: dict[str, Any]) -> dict[str, str]:
    packages = {**device["runtimes"], **device["libraries"]}
    found = {name: package["version"] for name, package in packages.items() if package is not None}
    return {"python": device["python"], **found}


def pictures(leg: Leg, env: Path, material: Path, result: Result) -> None:
    """One picture through each command, as they are installed, outside the project's folder."""
    folder = OUT / f"{leg.name}-pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("pictures", "truth"):
        shutil.copytree(material / name, folder / name)
    model = material / "models" / "int8.tflite"
    for command, made in commands(model, leg.converts):
        program = env / "bin" / command[0]
        step(leg, command[0], [program, *command[1:]], cwd=folder, expected=0)
        if made and not any(path.stat().st_size for path in folder.glob(made)):
            raise Failed(f"{command[0]} wrote no {made}")
    if not leg.converts:
        said = step(leg, "convert-model", [env / "bin" / "convert-model", "demo"], cwd=folder, expected=1)
        if "TensorFlow" not in said or "Traceback" in said:
            raise Failed("convert-model without TensorFlow does not say so")
    result.ran = "pictures"


def commands(model: Path, converts: bool) -> Iterator[tuple[list[str], str]]:
    """Arguments, and a pattern of what they must leave."""
    yield ["run-model", str(model), "--source", "pictures/0.png", "--output", "overlay.png"], "overlay.png"
    yield ["run-model", str(model), "--source", "pictures", "--output", "labels:ids/"], "ids/*.png"
    scores = ["--source", "pictures", "--labels", "truth", "--output", "scores"]
    yield ["evaluate-model", str(model), *scores], "scores/*.json"
    report = ["--source", "pictures/0.png", "--seconds", "0.2", "--output", "report"]
    yield ["compare-models", str(model), "--runtime", "litert,openvino", *report], "report/*.html"
    yield ["inspect-model", str(model)], ""
    if converts:
        sizes = ["--input-size", "65x129", "--calibrate", "pictures", "--min-agreement", "0"]
        yield ["convert-model", "demo", "--quantize", "float32,int8", *sizes], "demo-65x129-*-int8.tflite"


def tests(leg: Leg, env: Path, material: Path, result: Result) -> None:
    """Counts stay in the result where tests failed, too."""
    counts = OUT / f"{leg.name}.xml"
    counts.unlink(missing_ok=True)
    pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", str(counts), *leg.tests]
    made_here = {} if leg.converts else {"ROADLITE_TEST_MODELS": str(material / "models")}
    try:
        step(leg, "tests", [env / "bin" / "python", *pytest], env=made_here)
    finally:
        if counts.exists():
            count(ET.parse(counts).getroot().find("testsuite"), result)
            result.ran += ", tests of convert" if leg.converts else ", tests of edge"


def count(suite: ET.Element | None, result: Result) -> None:
    assert suite is not None
    found = {name: int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")}
    result.failed, result.skipped = found["failures"] + found["errors"], found["skipped"]
    result.passed = found["tests"] - result.failed - result.skipped


def summary(result: Result) -> str:
    if result.not_run:
        return f"{result.leg}: not run, {result.not_run}"
    state = "passed" if result.ok else "FAILED"
    return f"{result.leg}: {state}, {result.passed} tests in {result.seconds:.0f} s"


def table(results: Sequence[Result]) -> Iterator[str]:
    """One line a leg, for a terminal of any width."""
    yield ""
    yield from sorted({result.machine for result in results if result.machine})
    head = ("leg", "passed", "failed", "skipped", "seconds", "ran", "versions")
    rows = [head]
    for result in results:
        found = ", ".join(f"{name} {version}" for name, version in result.versions.items())
        counts = (str(result.passed), str(result.failed), str(result.skipped), f"{result.seconds:.0f}")
        rows.append((result.leg, *counts, result.ran or result.not_run or result.trouble, found))
    widths = [max(len(row[column]) for row in rows) for column in range(len(head) - 1)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True)]
        yield "  ".join([*cells, row[-1]]).rstrip()


if __name__ == "__main__":
    sys.exit(main())
