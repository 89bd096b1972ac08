"""`edge` runs where TensorFlow, the converter and the optional libraries are not, and imports go one way."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
EDGE = PROJECT / "edge"

# From the bottom up: a module imports only from the lines above its own.
LAYERS = (
    {"errors", "requirements", "wording"},
    {"board", "data", "memory", "newest", "progress", "statistics", "timing"},
    {"cameras", "classes", "evaluate", "files", "heat", "notify", "unit"},
    {"device", "live", "preprocess", "scene", "smooth"},
    {"card", "conflicts", "engine", "postprocess", "render"},
    {"profile", "segmenter", "sources", "web"},
    {"sinks"},
    {"labels"},
    {"mappings"},
    {"datasets", "outputs", "pipeline", "status"},
    {"examples"},
    {"score"},
    {"score_pictures"},
    {"score_files"},
)
COMMANDS = {"cli", "compare", "report"}  # on top; `compare` takes options as the commands do

BLOCKED = (
    "tensorflow",
    "convert",
    "matplotlib",
    "aiohttp",
    "openvino",
    "picamera2",
    "pooch",
    "requests",
    "tflite_runtime",
)
CHILD = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ImportError(f"{{name}} is blocked")

sys.meta_path.insert(0, Blocked())
"""
WALK = """
import importlib, pkgutil
import edge

for module in pkgutil.walk_packages(edge.__path__, "edge."):
    if not module.name.startswith("edge.web"):  # aiohttp's only user, imported only where there is a page
        print(importlib.import_module(module.name).__name__)
"""
LABEL = """
import numpy as np
from edge import Segmenter

ids = Segmenter(sys.argv[1])(np.zeros((48, 64, 3), np.uint8)).ids
print(ids.shape, ids.dtype)
"""


def child(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", CHILD + code, *arguments], capture_output=True, text=True, check=False, cwd=PROJECT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def modules() -> dict[str, Path]:
    """Dotted name of every module of edge."""
    found = {}
    for path in EDGE.rglob("*.py"):
        parts = path.relative_to(PROJECT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> set[str]:
    """Dotted names that a module imports, inside its functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def part(name: str) -> str:
    """`edge.sources.video` -> `sources`."""
    return name.split(".")[1] if "." in name else ""


def layer(name: str) -> int:
    place = {noun: height for height, nouns in enumerate(LAYERS) for noun in nouns}
    return len(LAYERS) if part(name) in COMMANDS else place[part(name)]


def test_every_module_of_edge_imports_without_the_heavy_libraries() -> None:
    assert set(child(WALK).split()) == {name for name in modules() if part(name) not in ("", "web")}


def test_a_picture_is_labelled_without_the_heavy_libraries(int8_model: Path) -> None:
    assert child(LABEL, str(int8_model)) == "(48, 64) uint8\n"


@pytest.mark.parametrize("blocked", ["tensorflow", "convert"])
def test_edge_never_imports_what_belongs_to_the_workstation(blocked: str) -> None:
    for name, path in modules().items():
        offending = {found for found in imported(path) if found.partition(".")[0] == blocked}
        assert not offending, f"{name} imports {offending}"


def test_imports_go_one_way() -> None:
    known = set(modules())
    for name, path in modules().items():
        if name == "edge":
            continue
        for target in imported(path) & known - {"edge"}:
            same = part(target) == part(name) or {part(target), part(name)} <= COMMANDS
            assert same or layer(target) < layer(name), f"{name} imports {target}"


def test_the_frame_path_imports_nothing_slow() -> None:
    """What every command pays before it says anything; the libraries named are loaded where they are needed."""
    loaded = set(child("from edge import Segmenter\nprint(*sys.modules)").split())
    assert not loaded & {"av", "rich", "psutil", "multiprocessing", "ai_edge_litert.interpreter", "asyncio"}


def test_importing_edge_takes_less_than_a_second() -> None:
    timed = "import time; start = time.process_time(); from edge import Segmenter; print(time.process_time() - start)"
    assert min(float(child(timed)) for _ in range(3)) < 1
