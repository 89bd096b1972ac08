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
SPEED = "holds times against each other or a limit; under emulation they are neither short nor steady"
LONG = "takes minutes under emulation, and little of it is the board's"
DRAWN = "knows the figures of pictures as x86 draws them; floating point differs there by up to 2 levels of 255"
GRAPH = "runs a frozen graph, which needs TensorFlow"
QEMU = "under qemu a program that cannot be started is one that ends with 127"
MEMORY = "limits its address space, which qemu does not pass on: it needs far more itself"
COMPARE, EVALUATE = "tests/edge/cli/test_compare_models.py::", "tests/edge/cli/test_evaluate_model.py::"
FAULTS, RUN = "tests/edge/cli/test_run_faults.py::", "tests/edge/cli/test_run_model.py::"
LEFT_OUT = {
    COMPARE + "test_the_kits_own_models": LONG,
    COMPARE + "test_report_baseline_and_gate": LONG,
    COMPARE + "test_tables_fit_80_columns": LONG,
    COMPARE + "test_ctrl_c_shows_what_was_measured": SPEED,
    EVALUATE + "test_demo_gives_the_miou_that_conversion_measured": DRAWN,
    EVALUATE + "test_against_the_frozen_graph_is_what_conversion_calls_stock": GRAPH,
    EVALUATE + "test_bad_input_is_one_line[arguments11-2-unknown model 'nothing']": GRAPH,
    EVALUATE + "test_bad_input_is_one_line[arguments12-1-text: not a frozen]": GRAPH,
    EVALUATE + "test_documented_command_runs[evaluate-model int8.tflite --source drive.mp4 --reference mobilenetv2.pb "
    "--frames ::25]": GRAPH,
    EVALUATE + "test_documented_command_runs[evaluate-model float32.tflite int8.tflite --source demo --frames ::10 "
    "--output scores/]": LONG,
    FAULTS + "test_signals_end_a_run_in_time_with_its_outputs_finished": SPEED,
    FAULTS + "test_a_source_that_waits_for_ever_does_not_keep_a_signal_waiting": SPEED,
    FAULTS + "test_an_output_that_hangs_does_not_keep_a_signal_waiting": SPEED,
    FAULTS + "test_a_small_disk_that_fills_up": LONG,
    RUN + "test_interrupted_run_keeps_what_is_done": SPEED,
    "tests/edge/cli/test_start.py": MEMORY,
    "tests/edge/compare/test_compare.py::test_an_interpreter_that_cannot_run_the_kit_is_a_row": QEMU,
    "tests/edge/compare/test_compare.py::test_two_models_in_turns": SPEED,
    "tests/edge/compare/test_compare.py::test_peak_memory_is_the_childs_own": LONG,
    "tests/edge/compare/test_compare.py::test_pictures_have_as_many_frames_before_them_as_their_age_asks_for": LONG,
    f"{COMPARE}test_every_fourth_frame_labelled_is_a_row_with_its_accuracy": LONG,
    "tests/edge/engine/test_engine.py::test_no_damaged_byte_of_a_small_model_crashes_the_loader": LONG,
    "tests/edge/test_class_lists.py::test_a_file_of_millions_of_lines_takes_seconds_at_most": SPEED,
    "tests/edge/test_trial.py::test_where_no_process_can_be_started_the_model_is_not_tried": QEMU,
    "tests/edge/test_renderer.py::test_any_size_and_any_text_can_be_drawn": LONG,
    "tests/edge/test_scene.py::test_a_drive_is_coherent_yet_moves": LONG,
    "tests/edge/test_scene.py::test_every_class_appears_over_some_seeds": LONG,
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
