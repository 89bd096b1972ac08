"""A float32 model and the kit's postprocessing against what the frozen graph itself answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nets
import pytest

from convert.demo.publish import DEMO
from convert.graph.anatomy import answer, discover
from convert.graph.graphdef import GraphDef, parse, running
from convert.graph.retarget import retarget
from convert.networks.xception import Xception, build, random_weights
from convert.tensorflow import tf
from convert.tflite.export import as_function, convert, save
from convert.tflite.recipes import RECIPES
from edge.card import Card, attach
from edge.classes import guess
from edge.data import Pixels
from edge.evaluation.metrics import agreement
from edge.preprocess import DEEPLAB, resize
from edge.segmenter import Segmenter
from edge.sources.open import open_source

pytestmark = pytest.mark.tensorflow


def agreements(graph: GraphDef, pictures: list[Pixels], folder: Path) -> list[float]:
    anatomy = discover(graph, "graph")
    save(as_function(retarget(graph, anatomy, anatomy.crop_hw)), anatomy.crop_hw, folder / "saved")
    path = folder / "model.tflite"
    path.write_bytes(convert(folder / "saved", RECIPES["float32"]))
    card = Card("net", "float32", anatomy.crop_hw, 8, DEEPLAB, "logits", guess(anatomy.classes), {}, anatomy.upsampling)
    path.write_bytes(attach(path.read_bytes(), card))
    segment = Segmenter(path, fit="pad")
    with running(graph, [anatomy.labels]) as run:
        return [agreement(segment(picture).ids, answer(run, anatomy, picture)) for picture in pictures]


def shapes_of(picture: Pixels, crop_hw: tuple[int, int]) -> list[Pixels]:
    """Of the crop's size, smaller in its shape, upright, and flat."""
    height, width = crop_hw
    sizes = [crop_hw, (height // 2, width // 2 + 3), (height, width // 3), (height // 3 + 1, width)]
    return [resize(picture, size) for size in sizes]


@pytest.mark.parametrize("layout", ["demo", "mobilenetv2", "xception"])
def test_any_shape_within_the_crop_is_labelled_as_by_the_graph(layout: str, tmp_path: Path) -> None:
    if layout == "demo":
        graph = parse(DEMO.read_bytes(), "demo")
    elif layout == "mobilenetv2":
        graph = nets.net((65, 97), batch_norm="folded")
    else:
        arch = Xception(middle_units=2, width=0.1, classes=7, crop_hw=(65, 97))
        graph = build(arch, random_weights(arch, seed=3))
    frame = next(iter(open_source("demo", limit=1))).pixels
    pictures = shapes_of(frame, discover(graph, layout).crop_hw)
    assert min(agreements(graph, pictures, tmp_path)) >= 0.999


def unusual(graph: GraphDef, crop_hw: tuple[int, int]) -> GraphDef:
    """Half-pixel centres inside and behind, rates that differ, scores as the answer of a float picture."""
    for node in [n for n in graph.node if n.op == "ResizeBilinear"]:
        node.attr["align_corners"].b, node.attr["half_pixel_centers"].b = False, True
    map_hw = (crop_hw[0] - 1) // 8 + 1, (crop_hw[1] - 1) // 8 + 1
    nets.insert(graph, nets.LAST, 0, lambda x: nets.atrous(x, (2, 3), map_hw))
    nets.entrance(graph, [None, *crop_hw, 3], tf.float32, lambda x: x / 127.5 - 1.0)
    nets.ending(
        graph, lambda x: tf.nn.softmax(tf.raw_ops.ResizeBilinear(images=x, size=crop_hw, half_pixel_centers=True))
    )
    return graph


@pytest.mark.parametrize("crop_hw", [(64, 96), (65, 90)])
def test_graphs_of_unusual_parts_are_labelled_as_by_the_graph(crop_hw: tuple[int, int], tmp_path: Path) -> None:
    graph = unusual(nets.net(crop_hw), crop_hw)
    anatomy = discover(graph, "net.pb")
    assert (anatomy.upsampling, anatomy.kind) == ("half_pixel_centers", "scores")
    frame = next(iter(open_source("demo", limit=1))).pixels
    assert min(agreements(graph, shapes_of(frame, crop_hw), tmp_path)) >= 0.999


@pytest.mark.parametrize("name", ["deeplab_mnv2_voc21_513x513.pb", "deeplab_mnv3small_road5_513x1025.pb"])
def test_official_graphs_on_a_real_drive(name: str, shared: Callable[[str], Path], tmp_path: Path) -> None:
    graph = parse(shared(f"models/{name}").read_bytes(), name)
    frames = [f.pixels for f in open_source(str(shared("video/solidWhiteRight.mp4"))) if f.index in (40, 160)]
    pictures = [shape for frame in frames for shape in shapes_of(frame, discover(graph, name).crop_hw)]
    assert min(agreements(graph, pictures, tmp_path)) >= 0.999
