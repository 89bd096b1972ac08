"""`edge` runs where TensorFlow, the converter and the optional libraries are not, and imports go one way."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
EDGE, CONVERT = PROJECT / "edge", PROJECT / "convert"

# From the bottom up: a module imports only from the lines above its own, and within its own package.
LAYERS = (
    "edge.errors edge.leftovers edge.native_output edge.on_demand edge.processors edge.text edge.versions edge.cache",
    "edge.address edge.memory edge.requirements",
    "edge.child edge.data edge.threads edge.typed_json",
    "edge.classes edge.destinations edge.files edge.mp4 edge.preprocess edge.progress edge.regions edge.scene "
    "edge.smooth edge.upsample",
    "edge.class_lists edge.engine edge.region_store edge.shares edge.timing",
    "edge.card edge.controls edge.device edge.model_outputs edge.postprocess",
    "edge.model_description edge.motion edge.renderer edge.sources edge.trial edge.trial_process",
    "edge.labeller",
    "edge.streaming",
    "edge.segmenter edge.sinks edge.status",
    "edge.evaluation edge.events",
    "edge.second_model",
    "edge.pipeline",
    "edge.cluster",
    "edge.archive edge.compare",
    "edge.fleet",
    "edge.cli",
    "convert.ranges convert.suspicious_frames convert.tensorflow",
    "convert.graph convert.networks",
    "convert.models",
    "convert.frames convert.subprocesses convert.verdict convert.weak_frames",
    "convert.doubts convert.invoke_times convert.provenance convert.tflite",
    "convert.file_names convert.reference convert.verify",
    "convert.job",
    "convert.preparation",
    "convert.conversion",
    "convert.demo convert.entry convert.model_grid convert.conversion_process",
    "convert.on_cluster",
    "convert.cli",
)
COMMANDS = ("edge.cli", "convert.cli")  # which nothing else imports
DOOR = "edge.cli.workstation"  # the only module of edge that asks for what is in convert

BLOCKED = (
    "tensorflow",
    "convert",
    "matplotlib",
    "paho",
    "aiohttp",
    "dask",
    "distributed",
    "fsspec",
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
# Imported only where there is a page, which takes aiohttp, or a cluster, which takes Dask.
WITH_LIBRARY = ("edge.sinks.web.", "edge.cluster.kept_file")
WALK = f"""
import importlib, pkgutil
import edge

for module in pkgutil.walk_packages(edge.__path__, "edge."):
    if not module.name.startswith({WITH_LIBRARY}):
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
    """Dotted name of every module of edge and convert."""
    found = {}
    for path in (*EDGE.rglob("*.py"), *CONVERT.rglob("*.py")):
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


def imports_between_modules() -> dict[str, set[str]]:
    """Of each module the modules of ours that it imports, without the packages that they lie in."""
    known = set(modules())
    found = {}
    for name, path in modules().items():
        targets = imported(path) & known - {name}
        found[name] = {one for one in targets if not any(other.startswith(f"{one}.") for other in targets)}
    return found


def part(name: str) -> str:
    """`edge.sources.video` -> `edge.sources`."""
    return ".".join(name.split(".")[:2])


def misplaced(imports: Mapping[str, Collection[str]]) -> list[str]:
    """What imports from its own layer or from one above."""
    height = {noun: place for place, nouns in enumerate(LAYERS) for noun in nouns.split()}
    return [
        f"{name} imports {target}"
        for name, targets in imports.items()
        for target in targets
        if "." in name and "." in target and part(name) != part(target) and height[part(target)] >= height[part(name)]
    ]


def in_circles(imports: Mapping[str, Collection[str]]) -> set[str]:
    """The modules that import themselves by way of others."""
    left = {name: set(targets) for name, targets in imports.items()}
    while loose := left.keys() - set().union(*left.values()) | {
        n for n, targets in left.items() if not targets & left.keys()
    }:
        for name in loose:
            del left[name]
    return set(left)


def test_every_module_of_edge_imports_without_the_heavy_libraries() -> None:
    light = {name for name in modules() if name.startswith("edge.") and not name.startswith(WITH_LIBRARY)}
    assert set(child(WALK).split()) == light


def test_a_picture_is_labelled_without_the_heavy_libraries(int8_model: Path) -> None:
    assert child(LABEL, str(int8_model)) == "(48, 64) uint8\n"


@pytest.mark.parametrize("blocked", ["tensorflow", "convert"])
def test_edge_never_imports_what_belongs_to_the_workstation(blocked: str) -> None:
    for name, path in modules().items():
        offending = {found for found in imported(path) if found.partition(".")[0] == blocked}
        assert not (name.startswith("edge") and offending), f"{name} imports {offending}"
        asked = re.search(rf"""import_module\(\s*["']{blocked}""", path.read_text())
        assert asked is None or name == DOOR, f"{name} asks for {blocked}"


def test_imports_go_one_way() -> None:
    assert not misplaced(imports_between_modules())


def test_there_is_no_circle_of_modules() -> None:
    assert not in_circles(imports_between_modules())


def test_nothing_but_a_command_imports_a_command() -> None:
    for name, targets in imports_between_modules().items():
        used = {target for target in targets if target.startswith(COMMANDS)}
        assert not used or name.startswith(COMMANDS), f"{name} imports {used}"


def test_what_breaks_the_rules_is_seen() -> None:
    assert misplaced({"edge.files": {"edge.cli.main"}}) == ["edge.files imports edge.cli.main"]
    assert misplaced({"convert.graph.stride": {"convert.models.load"}}), "not from the same layer either"
    assert not misplaced({"convert.job": {"edge.files", "convert.verify"}, "edge.cli.start": {"edge.cli.main"}})
    assert in_circles({"a": {"b"}, "b": {"c"}, "c": {"b"}, "d": {"e"}, "e": set()}) == {"b", "c"}


def test_the_frame_path_imports_nothing_slow() -> None:
    """What every command pays before it says anything; the libraries named are loaded where they are needed."""
    loaded = set(child("from edge import Segmenter\nprint(*sys.modules)").split())
    assert not loaded & {"av", "rich", "psutil", "multiprocessing", "ai_edge_litert.interpreter", "asyncio"}


def test_a_candidate_needs_numpy_and_opencv_alone() -> None:
    """Its process may run in another interpreter, whose libraries are few: `compare-models --python` asks for two."""
    loaded = {
        name.partition(".")[0] for name in child("import edge.compare.worker_process\nprint(*sys.modules)").split()
    }
    assert {"numpy", "cv2"} <= loaded
    assert not loaded & {"av", "dacite", "natsort", "packaging", "platformdirs", "psutil", "rich"}


def test_importing_edge_takes_less_than_a_second() -> None:
    timed = "import time; start = time.process_time(); from edge import Segmenter; print(time.process_time() - start)"
    assert min(float(child(timed)) for _ in range(3)) < 1
