"""int8 of trained networks with hard swishes, squeeze-and-excite and averages over large windows."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from briefly_trained import train

from convert.conversion import Outcome, run
from convert.job import Job
from convert.models.load import FrozenGraph
from convert.networks import mobilenet_v3
from convert.networks.mobilenet_v3 import MobileNetV3
from convert.tflite import build
from convert.tflite.recipes import parse_recipes
from edge.classes import CITYSCAPES, ClassSet
from edge.engine.open import open_engine

HW = (129, 257)


@pytest.fixture(scope="module")
def graph() -> FrozenGraph:
    arch = MobileNetV3(crop_hw=HW, pooled_hw=(97, 97))
    trained = train(mobilenet_v3.build(arch, mobilenet_v3.random_weights(arch, 0)), "semantic", HW, steps=60)
    data = trained.SerializeToString()
    return FrozenGraph("large", data, sha256(data).hexdigest(), "trained for the test")


def int8(graph: FrozenGraph, folder: Path, classes: ClassSet | None = CITYSCAPES) -> Outcome:
    job = Job(
        parse_recipes("int8"),
        (257, 513),
        "auto",
        folder,
        ["demo"],
        classes=classes,
        calibration_frames=16,
        verification_frames=4,
        min_agreement=0.0,
    )
    (outcome,) = run(graph, job)
    assert outcome.rescued is None
    return outcome


@pytest.mark.long
@pytest.mark.tensorflow
def test_int8_of_a_large_one_needs_no_layers_in_float(graph: FrozenGraph, tmp_path: Path) -> None:
    """A minute of training makes channels hardly uneven, so that this one passes without `equalize` too."""
    made = int8(graph, tmp_path)
    assert made.verdict.fidelity > 0.95
    assert open_engine(made.path.read_bytes(), "large").partitions().outside == 1, "the windows"


@pytest.mark.tensorflow
def test_a_real_one_needs_them_where_its_channels_are_not_made_even(
    shared: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = shared("models/deeplab_mnv3small_road5_513x1025.pb").read_bytes()
    small = FrozenGraph("small", data, sha256(data).hexdigest(), "trained for a contest")
    assert int8(small, tmp_path, classes=None).verdict.fidelity > 0.96
    monkeypatch.setattr(build, "equalize", lambda model, *_: model)
    assert int8(small, tmp_path, classes=None).verdict.fidelity < 0.94
