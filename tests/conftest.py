"""What many tests share: files beside the project, a small graph, and models made from it once per session."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from hashlib import sha256
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.engine.runtimes import RUNTIMES

os.environ.update(RUNTIMES["tensorflow"].variables)  # before a test imports TensorFlow or Keras
# Where a shell started this in the background, or nohup did, Ctrl-C or hang-ups are ignored here, and would be ignored
# by the commands under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

MODELS = os.environ.get("ROADLITE_TEST_MODELS")  # a folder with float32.tflite and int8.tflite, made elsewhere
SHARED = Path(os.environ.get("ROADLITE_SHARED", Path(__file__).parents[1].with_name("shared")))


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a user has in the cache changes no test, and no test leaves anything there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADLITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """`shared("models/x.pb")`: a real file from beside the project; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        if not (SHARED / name).exists():
            pytest.skip(f"needs {name} in $ROADLITE_SHARED or ../shared")
        return SHARED / name

    return find


@pytest.fixture(scope="session")
def random_graph() -> bytes:
    """A small DeepLab with random weights as a frozen graph: 19 classes, 129x257, output stride 8."""
    from convert.demo.random_weights import random_weights
    from convert.networks.architecture import Architecture
    from convert.networks.mobilenet import build

    arch = Architecture(width=0.25, classes=19, crop_hw=(129, 257), output_stride=8)
    data: bytes = build(arch, random_weights(arch, seed=1)).SerializeToString()
    return data


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 12 smooth random pictures, 96x160."""
    folder = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(4)
    for index in range(12):
        coarse = random.integers(0, 256, (6, 10, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{index}.png"), cv2.resize(coarse, (160, 96), interpolation=cv2.INTER_CUBIC))
    return folder


@pytest.fixture(scope="session")
def float_model(_models: dict[str, Path]) -> Path:
    """A float32 .tflite with its card: 65x129, output stride 16, 19 classes."""
    return _models["float32"]


@pytest.fixture(scope="session")
def int8_model(_models: dict[str, Path]) -> Path:
    """The same network as `float_model` in int8."""
    return _models["int8"]


@pytest.fixture(scope="session")
def _models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The models in $ROADLITE_TEST_MODELS, which need no TensorFlow here, or new ones.

    They are made of the trained demo graph where it is there: deep networks with random weights are chaotic in int8.
    """
    if MODELS:
        return {recipe: Path(MODELS, f"{recipe}.tflite") for recipe in ("float32", "int8")}
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs TensorFlow, or $ROADLITE_TEST_MODELS with models made on another machine")
    demo = resources.files("convert").joinpath("demo", "demo.pb")
    trained = demo.is_file()
    data = demo.read_bytes() if trained else request.getfixturevalue("random_graph")
    frames = "demo" if trained else str(request.getfixturevalue("pictures"))
    return make_models(data, frames, tmp_path_factory.mktemp("models"))


def make_models(graph: bytes, frames: str, folder: Path) -> dict[str, Path]:
    """The float32 and int8 models of a frozen graph, calibrated on frames."""
    from convert.conversion import run
    from convert.job import Job
    from convert.models.load import FrozenGraph
    from convert.tflite.recipes import parse_recipes

    job = Job(
        parse_recipes("float32,int8"),
        (65, 129),
        "auto",
        folder,
        calibrate=[frames],
        calibration_frames=8,
        verification_frames=4,
        min_agreement=0.0,
        classes=None,
    )
    outcomes = run(FrozenGraph("test", graph, sha256(graph).hexdigest(), "test"), job)
    return {outcome.recipe.name: outcome.path for outcome in outcomes}
