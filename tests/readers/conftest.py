"""What the tests of other programs that read our files share: the files, and a process in which such a program runs.

`make test` lays each program into a folder of `.venv/readers`, where it finds the versions that it wants before the
project's own; in the environment itself they would break each other.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from convert.tflite.ends import EndType
from edge.data import Pixels
from edge.sources.open import open_source
from edge.sources.options import SourceOptions

FOLDERS = Path(os.environ.get("ROADLITE_TEST_READERS", Path(sys.prefix, "readers")))

Reader = Callable[..., str]


@pytest.fixture(scope="session")
def reader() -> Reader:
    """`reader("mediapipe", *arguments)`: what read_mediapipe.py prints; skips where MediaPipe is not there."""

    def read(name: str, *arguments: object) -> str:
        marker = {"mediapipe": "mediapipe", "onnx": "tf2onnx", "tflite_support": "tflite_support"}[name]
        if not (FOLDERS / name / marker).is_dir():
            pytest.skip(f"{marker} is not in {FOLDERS}: `make test` installs it where it has wheels")
        script = Path(__file__).with_name(f"read_{name}.py")
        done = subprocess.run(
            [sys.executable, "-W", "ignore", script, *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(FOLDERS / name)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return read


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo at 513x1025 by kind of file: float32, and int8 that takes uint8."""
    return dict(zip(("float32", "uint8"), demo_files("float32,int8", "uint8", tmp_path_factory), strict=True))


@pytest.fixture(scope="session")
def other_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The other kinds."""
    kinds = "float16", "dynamic", "int8"
    return dict(zip(kinds, demo_files(",".join(kinds), None, tmp_path_factory), strict=True))


def demo_files(recipes: str, input_type: EndType | None, folders: pytest.TempPathFactory) -> list[Path]:
    pytest.importorskip("tensorflow")
    from convert.conversion import run
    from convert.job import Job
    from convert.models.load import FrozenGraph
    from convert.tflite.ends import Ends
    from convert.tflite.recipes import parse_recipes

    graph = resources.files("convert").joinpath("demo", "demo.pb").read_bytes()
    asked, ends, folder = parse_recipes(recipes), Ends(input_type), folders.mktemp("files")
    job = Job(asked, None, "auto", folder, ["demo"], 4, 1, 0.0, None, ends=ends)
    return [outcome.path for outcome in run(FrozenGraph("demo", graph, sha256(graph).hexdigest(), "demo"), job)]


@pytest.fixture(scope="session")
def street() -> Pixels:
    """A frame of the generated drive, 720x1280."""
    source = open_source("demo", SourceOptions(limit=1, start_s=9.0))
    pixels = next(iter(source)).pixels
    source.close()
    return np.ascontiguousarray(pixels)
