"""The networks of the model zoo beside MobileNetV2 and Xception65, small and with random weights: through discovery, to
their own size, to another, to another stride, and as float32 files against TensorFlow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import nets
import numpy as np
import pytest

from convert.cli.convert_model import main
from convert.graph.anatomy import Anatomy, discover
from convert.graph.graphdef import GraphDef, evaluate
from convert.graph.macs import macs
from convert.graph.retarget import RetargetedNetwork, retarget
from convert.graph.stride import stride_for
from convert.models.zoo import MODELS
from convert.networks import mobilenet_v3, resnet, xception
from convert.networks.mobilenet_v3 import MobileNetV3
from convert.networks.resnet import IMAGENET_MEAN, ResNet
from convert.networks.writer import Named
from convert.networks.xception import Xception
from convert.tflite.export import as_function, convert, save
from convert.tflite.recipes import RECIPES
from edge.classes import guess
from edge.evaluation.metrics import agreement
from edge.preprocess import DEEPLAB, Normalisation
from edge.segmenter import Segmenter

pytestmark = pytest.mark.tensorflow


@dataclass(frozen=True)
class Case:
    """A network, with a size and a stride that it can be moved to."""

    arch: Any
    other_hw: tuple[int, int]
    strides: tuple[int, ...]
    norm: Normalisation = DEEPLAB

    @property
    def module(self) -> Any:
        return {Xception: xception, ResNet: resnet, MobileNetV3: mobilenet_v3}[type(self.arch)]

    def graph(self, **changes: object) -> GraphDef:
        return self.module.build(replace(self.arch, **changes), weights(self.module.random_weights, self.arch))


def weights(draw: Callable[[Any, int], Named], arch: Any) -> Named:
    return DRAWN.setdefault(arch, draw(arch, 3)) if arch not in DRAWN else DRAWN[arch]


DRAWN: dict[Any, Named] = {}
SMALL: dict[str, Any] = {"width": 0.125, "classes": 5}
CASES = {
    "xception71": Case(Xception(71, middle_units=1, crop_hw=(65, 97), **SMALL), (97, 65), (16, 32)),
    "dpc": Case(Xception(71, "dpc", middle_units=1, crop_hw=(65, 97), **SMALL), (97, 65), (16,)),
    "resnet": Case(
        ResNet((2, 2, 2, 1), beta=False, crop_hw=(65, 97), **SMALL),
        (97, 65),
        (16, 32),
        Normalisation(IMAGENET_MEAN, 1.0),
    ),
    "resnet-beta": Case(ResNet((2, 2, 2, 1), crop_hw=(65, 97), **SMALL), (97, 65), (16, 32)),
    "mobilenetv3-large": Case(MobileNetV3("large", crop_hw=(161, 257), pooled_hw=(97, 129), **SMALL), (193, 161), ()),
    "mobilenetv3-small": Case(MobileNetV3("small", crop_hw=(161, 257), pooled_hw=(97, 129), **SMALL), (193, 161), ()),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def logits(body: RetargetedNetwork, picture: np.ndarray) -> np.ndarray:
    return evaluate(body.graph, [body.logits], {body.image: picture})[0]


def assert_native(case: Case, graph: GraphDef, anatomy: Anatomy, hw: tuple[int, int], stride: int) -> None:
    """Re-targeting gives what the exporter would have given for that size and stride."""
    native = case.graph(crop_hw=hw, output_stride=stride)
    parts = discover(native, "native")
    picture = np.random.default_rng(stride).integers(0, 256, (*hw, 3), np.uint8)
    expected = nets.stock_logits(native, parts, picture)
    nets.assert_same(nets.body_logits(retarget(graph, anatomy, hw, stride), anatomy, picture), expected)


def test_discovery_and_every_size_and_stride(case: Case) -> None:
    graph, own = case.graph(), case.arch.output_stride
    anatomy = discover(graph, "x")
    assert (anatomy.norm, anatomy.crop_hw, anatomy.output_stride) == (case.norm, case.arch.crop_hw, own)
    assert anatomy.classes == 5
    assert_native(case, graph, anatomy, case.arch.crop_hw, own)
    assert_native(case, graph, anatomy, case.other_hw, own)
    for stride in case.strides:
        assert_native(case, graph, anatomy, case.other_hw, stride)


V3 = MobileNetV3("large", 0.25, 5, (257, 385), pooled_hw=(193, 193))  # no narrower: a block would get a residual


@pytest.mark.parametrize("own_stride", [16, 32])
@pytest.mark.parametrize("hw", [(321, 449), (129, 257), (161, 161), (97, 65)])
def test_windows_of_mobilenetv3_are_those_of_its_builder(own_stride: int, hw: tuple[int, int]) -> None:
    """Also where the input is smaller than the region of a window, and where a step is longer than the map."""
    case = Case(replace(V3, output_stride=own_stride), hw, ())
    graph = case.graph()
    anatomy = discover(graph, "x")
    for stride in {own_stride, 32}:
        assert_native(case, graph, anatomy, hw, stride)


def test_a_window_that_was_cut_is_told_and_kept_in_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "v3.pb"
    path.write_bytes(Case(V3, (0, 0), ()).graph().SerializeToString())
    names, sentence = (
        str(_names(tmp_path)),
        "AvgPool2D/AvgPool averages over windows of 129x193 pixels instead of 193x193",
    )
    asked = ["--quantize", "float32", "--classes", names, "--verification-frames", "1", "--output", str(tmp_path)]
    for size, cut in (("129x257", True), ("193x257", False)):
        assert main([str(path), "--input-size", size, *asked]) == 0
        assert (sentence in " ".join(capsys.readouterr().err.split())) == cut
        told = Segmenter(tmp_path / f"v3-{size}-os32-float32.tflite").card.provenance
        assert [line.startswith(sentence) for line in told.get("retargeting", [])] == [True] * cut


def test_float32_file_labels_as_tensorflow_does(case: Case, tmp_path: Path) -> None:
    """From pixels to labels: the file and the kit's own preprocessing, at the baked size and smaller in its shape."""
    graph = case.graph()
    anatomy = discover(graph, "x")
    save(as_function(retarget(graph, anatomy, anatomy.crop_hw)), anatomy.crop_hw, tmp_path / "saved")
    path = tmp_path / "model.tflite"
    path.write_bytes(convert(tmp_path / "saved", RECIPES["float32"]))
    segment = Segmenter(path, norm=anatomy.norm, classes=guess(anatomy.classes), fit="pad")
    height, width = anatomy.crop_hw
    for hw in ((height, width), (height // 2, width - 3)):
        picture = np.random.default_rng(5).integers(0, 256, (*hw, 3), np.uint8)
        expected = evaluate(graph, [anatomy.labels], {anatomy.image: picture[None]})[0][0]
        assert agreement(segment(picture).ids, expected.astype(np.uint8)) >= 0.999


def test_means_of_each_channel_reach_the_files_and_the_runtime(tmp_path: Path) -> None:
    case = CASES["resnet"]
    path, frames = tmp_path / "resnet.pb", tmp_path / "frames"
    path.write_bytes(case.graph().SerializeToString())
    frames.mkdir()
    for seed in range(3):
        blurred = cv2.GaussianBlur(nets.noise(65, 97, seed), (0, 0), 5)
        cv2.imwrite(str(frames / f"{seed}.png"), blurred)
    sizes = ["--input-size", "65x97", "--calibration-frames", "2", "--verification-frames", "1", "--no-rescue"]
    places = ["--calibrate", str(frames), "--output", str(tmp_path), "--min-agreement", "0"]
    assert main([str(path), "--quantize", "float32,int8", "--classes", str(_names(tmp_path)), *sizes, *places]) == 0
    for recipe in ("float32", "int8"):
        file = tmp_path / f"resnet-65x97-os16-{recipe}.tflite"
        segment = Segmenter(file)
        assert segment.card.norm == case.norm
        if recipe == "float32":
            assert segment.card.provenance["verification"]["fidelity"] >= 0.999
        else:  # the input holds the darkest and the brightest value of every channel
            low, high = case.norm.limits
            spec = segment.engine.input
            assert (-128 - spec.zero_point) * spec.scale == pytest.approx(low, abs=spec.scale)
            assert (127 - spec.zero_point) * spec.scale == pytest.approx(high, abs=spec.scale)
        assert segment(nets.noise(65, 97)).ids.shape == (65, 97)


def _names(folder: Path) -> Path:
    path = folder / "names.txt"
    path.write_text("\n".join(f"class {i}" for i in range(5)))
    return path


OFFICIAL = {
    "mobilenetv3-large": MobileNetV3("large"),
    "mobilenetv3-small": MobileNetV3("small"),
    "xception71-dpc": Xception(71, "dpc"),
}


@pytest.mark.long
@pytest.mark.parametrize("name", OFFICIAL)
def test_official_sizes_cost_what_the_list_says(name: str) -> None:
    case, listed = Case(OFFICIAL[name], (0, 0), ()), MODELS[name]
    zeros = {key: np.zeros_like(value) for key, value in case.module.random_weights(case.arch, 0).items()}
    graph = case.module.build(case.arch, zeros)
    anatomy = discover(graph, name)
    for hw, expected in ((anatomy.crop_hw, listed.gmac), ((513, 1025), listed.gmac_513x1025)):
        body = retarget(graph, anatomy, hw, stride_for("auto", anatomy))
        assert macs(body.graph, body.image, body.logits, hw) / 1e9 == pytest.approx(expected, rel=0.005)
