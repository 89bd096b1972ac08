"""int8 on kernels that add products in 16 bits, which every x86 processor has: a process may be held to them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.device import board
from edge.engine.open import open_engine
from edge.engine.openvino_saturation import reduced

CAPS = ("", "AVX2")  # the processor's own kernels; those without VNNI, where it is no Arm, which heeds no cap
on_x86 = pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="kernels of x86 processors")

INVOKE = """
import sys
import numpy as np
from edge.device import board
from edge.engine.open import open_engine
engine = open_engine(open("model.tflite", "rb").read(), "x.tflite", runtime="openvino", threads=1)
np.save("outputs.npy", np.stack([engine.invoke(x) for x in np.load("inputs.npy")]))
"""


def capped(cap: str, *command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A process of Python whose OpenVINO uses no more of the processor than `cap`, nor its environment says."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_MAX_CPU_ISA")}
    environment |= {"PYTHONPATH": str(Path(__file__).parents[3])} | ({"ONEDNN_MAX_CPU_ISA": cap} if cap else {})
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def on_openvino(model: bytes, inputs: list[np.ndarray], cap: str, folder: Path) -> np.ndarray:
    (folder / "model.tflite").write_bytes(model)
    np.save(folder / "inputs.npy", np.stack(inputs))
    done = capped(cap, "-c", INVOKE, folder=folder)
    assert done.returncode == 0, done.stderr[-2000:]
    found: np.ndarray = np.load(folder / "outputs.npy")
    return found


def on_litert(model: bytes, inputs: list[np.ndarray]) -> np.ndarray:
    engine = open_engine(model, "x", runtime="litert", threads=1)
    return np.stack([engine.invoke(x) for x in inputs])


def signs(*shape: int) -> Any:
    """Weights that are all as large as they can be in int8, most of them positive: nearly every pair overflows."""
    from convert.tensorflow import tf

    return tf.constant(np.where(np.random.default_rng(0).random(shape) < 0.8, 1.0, -1.0), tf.float32)


def layer(kind: str) -> Callable[[Any], Any]:
    from convert.tensorflow import tf

    def first(x: Any) -> Any:
        return tf.nn.relu(tf.nn.conv2d(x, signs(3, 3, 3, 48), 2, "SAME"))

    def product(x: Any) -> Any:  # of activations alone
        rows = tf.reshape(tf.nn.conv2d(x, signs(3, 3, 3, 48), 2, "SAME"), (1, 99, 48))
        return tf.reshape(tf.matmul(tf.nn.relu(rows), tf.transpose(rows, (0, 2, 1))), (1, 9, 11, 99))

    return {
        "convolution": first,
        "pointwise": lambda x: tf.nn.conv2d(first(x), signs(1, 1, 48, 16), 1, "SAME"),
        "by groups": lambda x: tf.nn.conv2d(first(x), signs(3, 3, 12, 48), 1, "SAME"),
        "depthwise": lambda x: tf.nn.depthwise_conv2d(first(x), signs(3, 3, 48, 1), (1, 1, 1, 1), "SAME"),
        "two outputs a channel": lambda x: tf.nn.depthwise_conv2d(first(x), signs(3, 3, 48, 2), (1, 1, 1, 1), "SAME"),
        "transposed": lambda x: tf.nn.conv2d_transpose(first(x), signs(3, 3, 8, 48), (1, 17, 21, 8), 2, "SAME"),
        "fully connected": lambda x: tf.tensordot(first(x), signs(48, 32), 1),
        "product": product,
    }[kind]


@cache
def quantized(kind: str) -> bytes:
    """int8: a picture of 17x21 through the layer, behind a convolution where it is not one itself."""
    from convert.ranges import Range
    from convert.tensorflow import tf
    from convert.tflite.export import convert, save
    from convert.tflite.export import quantized as by_recipe
    from convert.tflite.quantize import measure_ranges
    from convert.tflite.recipes import RECIPES

    with tempfile.TemporaryDirectory() as folder:
        save(tf.function(layer(kind)), (17, 21), Path(folder))
        model = convert(Path(folder), RECIPES["float32"])
    picture = np.random.default_rng(0).uniform(-1, 1, (1, 17, 21, 3)).astype(np.float32)
    return by_recipe(model, measure_ranges(model, [picture], Range(-1.0, 1.0)), RECIPES["int8"])


def noise(count: int) -> list[np.ndarray]:
    chance = np.random.default_rng(1)
    return [chance.integers(-128, 128, (1, 17, 21, 3)).astype(np.int8) for _ in range(count)]


@pytest.mark.tensorflow
@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize(
    "kind",
    ["convolution", "pointwise", "by groups", "depthwise", "two outputs a channel", "transposed", "fully connected"],
)
def test_openvino_computes_the_largest_weights_as_litert_does(kind: str, cap: str, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model = quantized(kind)
    ours, theirs = on_litert(model, noise(3)).astype(int), on_openvino(model, noise(3), cap, tmp_path).astype(int)
    assert np.ptp(ours) > 100
    assert np.abs(ours - theirs).max() <= 1


@on_x86
@pytest.mark.tensorflow
def test_what_is_asked_of_openvino_elsewhere_holds_without_vnni_too(
    float_model: Path, int8_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    for model, name in ((float_model, "float32"), (int8_model, "int8")):
        (tmp_path / f"{name}.tflite").write_bytes(model.read_bytes())
    monkeypatch.setenv("ROADLITE_TEST_MODELS", str(tmp_path))
    tests = str(Path(__file__).with_name("test_engine.py"))
    wanted = "openvino and (same_file or depthwise or int8)"
    done = capped("AVX2", "-m", "pytest", "-q", "-p", "no:cacheprovider", tests, "-k", wanted, folder=tmp_path)
    assert "3 passed" in done.stdout, done.stdout[-2000:]


def centred(model: bytes) -> bytes:
    """With zeros at 0, as symmetric quantization has them: OpenVINO multiplies such activations in int8."""
    from ai_edge_litert.tools import flatbuffer_utils

    parsed = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    for tensor in parsed.subgraphs[0].tensors:
        if tensor.quantization is not None and tensor.quantization.zeroPoint is not None:
            tensor.quantization.zeroPoint = [0] * len(tensor.quantization.zeroPoint)
    return bytes(flatbuffer_utils.convert_object_to_bytearray(parsed))


@on_x86
@pytest.mark.tensorflow
def test_a_product_of_activations_which_nothing_makes_smaller_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "model.tflite").write_bytes(centred(quantized("product")))
    np.save(tmp_path / "inputs.npy", np.stack(noise(1)))
    said = capped("AVX2", "-c", INVOKE, folder=tmp_path).stderr.strip().splitlines()[-1]
    assert said.startswith("edge.errors.ModelError: x.tflite: openvino adds int8 products in 16 bits")
    assert said.endswith("use `runtime` litert")


@pytest.fixture(scope="module")
def demo_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo graph at 129x257 in float32 and int8."""
    from convert.conversion import run
    from convert.job import Job
    from convert.models.load import load_frozen_graph
    from convert.tflite.recipes import parse_recipes

    job = Job(
        parse_recipes("float32,int8"),
        (129, 257),
        "auto",
        tmp_path_factory.mktemp("demo"),
        calibrate=["demo"],
        calibration_frames=16,
        verification_frames=4,
        min_agreement=0.0,
        classes=None,
    )
    outcomes = run(load_frozen_graph("demo", notice=lambda _: None), job)
    return {outcome.recipe.name: outcome.path for outcome in outcomes}


LABEL = """
import sys
import numpy as np
from edge.segmenter import Segmenter
segment = Segmenter(sys.argv[1], runtime="openvino", threads=1)
np.save("labels.npy", np.stack([segment(picture).ids for picture in np.load("pictures.npy")]))
"""


@pytest.mark.tensorflow
@pytest.mark.parametrize("cap", CAPS)
@pytest.mark.parametrize("source", ["demo", "video"])
def test_labels_are_as_near_to_float32_as_litert_labels_are(
    demo_models: dict[str, Path], source: str, cap: str, tmp_path: Path, shared: Callable[[str], Path]
) -> None:
    pytest.importorskip("openvino")
    from edge.compare.frames import prepare
    from edge.segmenter import Segmenter

    pictures = prepare("demo" if source == "demo" else str(shared("video/solidWhiteRight.mp4")), tmp_path, 12)
    whole = np.stack([np.load(tmp_path / name) for name in pictures.names])
    np.save(tmp_path / "pictures.npy", whole)
    exact, ours = (
        np.stack([segment(picture).ids for picture in whole])
        for segment in (Segmenter(demo_models[name], runtime="litert", threads=1) for name in ("float32", "int8"))
    )
    done = capped(cap, "-c", LABEL, str(demo_models["int8"]), folder=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = np.load(tmp_path / "labels.npy")
    assert np.mean(theirs == exact) >= np.mean(ours == exact) - 0.002


@on_x86
def test_kernels_are_asked_whether_they_lose_anything(tmp_path: Path) -> None:
    """A processor without VNNI says yes on its own; one with it only where the user holds it back."""
    pytest.importorskip("openvino")
    ask = "from edge.engine.openvino_saturation import saturates; print(saturates())"
    assert capped("AVX2", "-c", ask, folder=tmp_path).stdout == "True\n"
    if {"avx512_vnni", "amx_int8"} & set(board.cpu_features()):
        assert capped("", "-c", ask, folder=tmp_path).stdout == "False\n"


@pytest.mark.parametrize(
    ("shape", "outputs", "inputs", "by_group"),
    [
        ((16, 64, 1, 1), (0,), 1, False),  # convolutions: out, in, h, w
        ((16, 3, 3, 3), (0,), 1, False),
        ((64, 16, 3, 3), (1,), 0, False),  # transposed
        ((4, 8, 16, 3, 3), (0, 1), 2, True),  # groups, out, in, h, w
        ((32, 48), (0,), 1, False),  # fully connected
        ((48, 32), (1,), 0, False),
    ],
)
def test_no_pair_of_smaller_weights_overflows_and_channels_keep_their_sums(
    shape: tuple[int, ...], outputs: tuple[int, ...], inputs: int, by_group: bool
) -> None:
    weights = np.clip(np.random.default_rng(0).normal(scale=50, size=shape), -128, 127).astype(np.int8)
    small, factors = reduced(weights, outputs, inputs, by_group=by_group)
    moved = np.moveaxis(small.astype(int), inputs, 0)
    if by_group:
        rows = np.sort(small.reshape(shape[0] * shape[1], -1).astype(int), axis=1)
        pairs = np.abs([rows[:, :2].sum(1), rows[:, -2:].sum(1)])
    else:
        pairs = np.abs(moved[0 : len(moved) - 1 : 2] + moved[1::2])
    assert pairs.max() <= 128  # 255 times that is the most that 16 bits hold
    assert (factors > 1.2).any()
    assert np.abs(small * factors - weights).max() <= factors.max()
    others = tuple(axis for axis in range(len(shape)) if axis not in outputs)
    off = np.abs((small * factors).sum(axis=others) - weights.sum(axis=others, dtype=int))
    assert (off <= 0.51 * factors.max()).all()


def test_weights_that_fit_are_left_alone() -> None:
    weights = np.random.default_rng(0).integers(-64, 65, (8, 16, 3, 3)).astype(np.int8)
    weights[0, 0, 0, 0], weights[0, 1, 0, 0] = 127, -127  # these do not add up
    small, factors = reduced(weights, (0,), 1)
    assert np.array_equal(small, weights)
    assert (factors == 1).all()
