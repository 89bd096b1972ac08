"""A comparison that was never run, for tests of what is made of one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.classes import CITYSCAPES
from edge.compare.answers import LoadedModel, MemoryUse
from edge.compare.comparison import Comparison, Settings
from edge.compare.layer_times import from_prefixes
from edge.compare.monitor import Monitor, Sample
from edge.compare.overlays import jpeg, overlay
from edge.compare.rows import STAGES, Accuracy, Candidate, ClassScore, Row, Turn
from edge.engine.base import Operator

LOADED = LoadedModel(
    size_bytes=961833,
    input_hw=(513, 1025),
    output_stride=16,
    recipe="int8",
    classes=("road", "car"),
    runtime="litert",
    runtime_version="2.3.0",
    threads=2,
    partitions=1,
    ops_outside=1,
    macs=1_784_528_336,
    reduced_layers=0,
    load_ms=53.8,
    first_invoke_ms=47.7,
    warm_up_ms=(46.9, 22.1),
)


def measured(name: str, ms: float, *, miou: float | None = None, rounds: int = 6, seed: int = 0, **loaded: Any) -> Row:
    """A row whose invokes take about `ms`, and frames 5 ms more."""
    chance = np.random.default_rng(seed)
    turns = []
    for turn in range(rounds):
        invoke = (ms * chance.uniform(0.99, 1.01, 10) / 1e3).tolist()
        stages = {stage: [5e-3 / 3] * 10 for stage in STAGES} | {"invoke": invoke}
        turns.append(Turn(turn, turn + 0.5, invoke, stages, 0.5, 0.9, 1500.0, []))
    accuracy = None if miou is None else Accuracy(16, miou, 0.9, 0.99, "float32.tflite")
    memory = MemoryUse(137.6, 132.0)
    return Row(Candidate(Path(f"{name}.tflite"), "litert", 2), replace(LOADED, **loaded), turns, memory, accuracy)


def comparison(rows: list[Row]) -> Comparison:
    made = Comparison(rows, Settings(), Monitor())
    made.monitor.samples = [Sample(0.0, 50.0, 1500.0, ()), Sample(1.0, 61.0, 1500.0, ("throttled",))]
    made.monitor.meter.source = "RAPL"
    return made


def full() -> Comparison:
    """Everything that a report can hold: a front, a disturbed row, a failed one, layers, pictures, classes."""
    rows = [measured("float32", 60.0, miou=0.50, recipe="float32"), measured("int8", 20.0, miou=0.48, seed=1)]
    rows.append(measured("slow", 90.0, miou=0.40, seed=2))
    rows.append(Row(Candidate(Path("gone.tflite"), "openvino", None), error="openvino cannot be imported <&>"))
    rows[2].invalid, rows[2].turns[0].disturbed = ["other processes took 40 %"], ["other processes took 40 %"]
    operators = [
        Operator("CONV_2D", "a;b", 10**9, delegated=True),
        Operator("ARG_MAX", "labels", 0, delegated=False),
    ]
    rounds = [[0.015 + i * 1e-5, 0.020 + i * 1e-5] for i in range(6)]
    rows[1].profile = from_prefixes(operators, [1, 2], rounds, [times[-1] for times in rounds])
    scores = ClassScore("road", 0.96, 0.7), ClassScore("car", 0.01, 0.3)
    grey, ids = np.full((90, 160, 3), 128, np.uint8), np.zeros((90, 160), np.uint8)
    for place, row in enumerate(rows[:3]):
        ids[: 20 * min(place, 1)] = CITYSCAPES.names.index("sky")
        row.overlay = overlay(grey, ids, CITYSCAPES)
        assert row.accuracy is not None
        row.accuracy.classes = scores
    made = comparison(rows)
    made.sample, made.sample_truth = jpeg(grey), overlay(grey, ids * 0 + 13, CITYSCAPES)
    return made
