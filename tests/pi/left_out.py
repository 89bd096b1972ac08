"""A plugin of pytest for the board: which tests are left out there and why, and what came of the others."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

# A test, one of its parameters or a file -> why it is left out.
SPEED = "measures speed, of which emulation tells nothing, for minutes"
DRAWS = "draws in floating point for minutes, and needs nothing of the board"
LEFT_OUT: dict[str, str] = {
    "tests/edge/cli/test_compare_models.py::test_the_kits_own_models": SPEED,
    "tests/edge/cli/test_compare_models.py::test_report_baseline_and_gate": SPEED,
    "tests/edge/cli/test_compare_models.py::test_tables_fit_80_columns": SPEED,
    "tests/edge/cli/test_compare_models.py::test_ctrl_c_shows_what_was_measured": SPEED,
    "tests/edge/test_scene.py::test_every_class_appears_over_some_seeds": DRAWS,
    "tests/edge/test_scene.py::test_a_drive_is_coherent_yet_moves": DRAWS,
    "tests/edge/test_render.py::test_any_size_and_any_text_can_be_drawn": DRAWS,
}
SHOWN = {"litert": "ai-edge-litert", "numpy": "numpy", "opencv": "opencv-python-headless", "av": "av"}


class Counted:
    """What came of the tests, into a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: Counter[str] = Counter()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        there = {name for item in items for name in names(item)}
        unknown = [name for name in LEFT_OUT if name not in there and name.partition("::")[0] in there]
        if unknown:
            raise pytest.UsageError(f"left_out.py names what is not there: {', '.join(unknown)}")
        left = [item for item in items if why_not(item)]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
        self.counts["deselected"] = len(left)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.counts[report.outcome] += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.outcome != "passed":  # a whole file that is skipped or cannot be imported
            self.counts[report.outcome] += 1

    def pytest_sessionfinish(self) -> None:
        versions = {"glibc": platform.libc_ver()[1]} | {name: metadata.version(dist) for name, dist in SHOWN.items()}
        self.path.write_text(json.dumps({**self.counts, "python": platform.python_version(), "versions": versions}))


def why_not(item: pytest.Item) -> str | None:
    if item.get_closest_marker("tensorflow"):
        return "needs TensorFlow"
    return next((LEFT_OUT[name] for name in names(item) if name in LEFT_OUT), None)


def names(item: pytest.Item) -> tuple[str, str, str]:
    """Of the file, the test, and the test with its parameters."""
    return item.nodeid.partition("::")[0], item.nodeid.partition("[")[0], item.nodeid


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Counted(Path(os.environ["ROADLITE_COUNTS"])))
