"""Xception: the same proofs as for MobileNetV2, on a net of the same layout with fewer and thinner units."""

from __future__ import annotations

from dataclasses import replace

import nets
import numpy as np
import pytest

from convert.graph.anatomy import discover
from convert.graph.graphdef import cut_at, evaluate
from convert.graph.int8_forms import for_integers
from convert.graph.macs import macs
from convert.graph.retarget import retarget
from convert.networks.architecture import Architecture, initial_weights
from convert.networks.mobilenet import build as build_mobilenet
from convert.networks.xception import Xception, build, random_weights
from convert.tflite.export import as_function, save
from edge.engine.open import open_engine
from edge.errors import GraphError
from edge.upsample import Upsample

pytestmark = pytest.mark.tensorflow
SMALL = Xception(middle_units=2, width=0.125, classes=5, crop_hw=(129, 257))
HW = (65, 129)


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return random_weights(SMALL, seed=0)


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (1, *HW, 3)).astype(np.float32)


@pytest.mark.long
def test_official_size() -> None:
    """41 M parameters, as published; 1388 G multiply-accumulates at the stock size."""
    official = Xception(crop_hw=(1025, 2049), output_stride=8)
    parameters = random_weights(official, seed=0)
    assert sum(value.size for value in parameters.values()) == pytest.approx(41.26e6, rel=0.001)
    graph = build(official, parameters)
    assert graph.ByteSize() == pytest.approx(165.6e6, rel=0.001)
    anatomy = discover(graph, "x")
    body = retarget(graph, anatomy, official.crop_hw)
    assert macs(body.graph, body.image, body.logits, body.input_hw) == pytest.approx(1388e9, rel=0.001)
    body = retarget(graph, anatomy, official.crop_hw, 16)
    assert macs(body.graph, body.image, body.logits, body.input_hw) == pytest.approx(418.6e9, rel=0.001)


@pytest.mark.parametrize("stride", [8, 16, 32])
@pytest.mark.parametrize("batch_norm", ["fused", "folded"])
def test_retargeted_equals_natively_built(
    stride: int, batch_norm: str, weights: dict[str, np.ndarray], picture: np.ndarray
) -> None:
    stock = build(replace(SMALL, batch_norm=batch_norm), weights)  # type: ignore[arg-type]
    body = retarget(stock, discover(stock, "x"), HW, stride)
    moved = evaluate(body.graph, [body.logits], {body.image: picture})[0]
    native = build(replace(SMALL, crop_hw=HW, output_stride=stride), weights)
    parts = discover(native, "native")
    cut = cut_at(native, parts.normalised, (1, *HW, 3), [parts.logits])
    expected = evaluate(cut, [parts.logits], {parts.normalised: picture})[0]
    np.testing.assert_allclose(moved, expected, atol=1e-4 * np.abs(expected).max())


def test_labels_are_the_frozen_graphs_own(weights: dict[str, np.ndarray]) -> None:
    graph = build(SMALL, weights)
    anatomy = discover(graph, "x")
    body = retarget(graph, anatomy, SMALL.crop_hw)
    image = np.random.default_rng(1).integers(0, 256, (1, *SMALL.crop_hw, 3), dtype=np.uint8)
    stock = evaluate(graph, [anatomy.labels], {anatomy.image: image})[0][0]
    logits = evaluate(body.graph, [body.logits], {body.image: (image / 127.5 - 1).astype(np.float32)})[0][0]
    ours = Upsample((logits.shape[0], logits.shape[1]), SMALL.crop_hw)(logits)
    assert (ours == stock).mean() >= 0.999


def test_a_way_around_that_cannot_shrink_is_named(weights: dict[str, np.ndarray]) -> None:
    """A 3x3 shortcut is nothing that Xception has."""
    wide = dict(weights)
    name = "xception_65/entry_flow/block3/unit_1/xception_module/shortcut/weights"
    wide[name] = np.tile(weights[name] / 9, (3, 3, 1, 1))
    graph = build(SMALL, wide)
    with pytest.raises(GraphError, match=r"block3/unit_1/xception_module/add: .* no 1x1 convolution"):
        retarget(graph, discover(graph, "x"), HW, 16)


def test_int8_form_is_the_same_network_and_stays_whole(
    weights: dict[str, np.ndarray], picture: np.ndarray, tmp_path_factory: pytest.TempPathFactory
) -> None:
    graph = build(SMALL, weights)
    body = retarget(graph, discover(graph, "x"), HW, 16)
    form = for_integers(body)
    assert len(form.graph.node) > len(body.graph.node)
    before, after = (evaluate(b.graph, [b.logits], {b.image: picture})[0] for b in (body, form))
    np.testing.assert_array_equal(before, after)
    parts = {}
    for name, each in (("plain", body), ("whole", form)):
        folder = tmp_path_factory.mktemp(name)
        save(as_function(each), HW, folder)
        parts[name] = open_engine(nets.int8(folder, [picture]), name).partitions()
    assert parts["plain"].outside > 4
    assert parts["whole"].outside == 0
    assert parts["whole"].delegated == 1


def test_macs_of_stock_mobilenet() -> None:
    arch = Architecture(crop_hw=(1025, 2049), output_stride=8)
    graph = build_mobilenet(arch, initial_weights(arch, 0))
    for stride, expected in ((8, 69.3e9), (16, 21.2e9)):
        body = retarget(graph, discover(graph, "x"), arch.crop_hw, stride)
        assert macs(body.graph, body.image, body.logits, body.input_hw) == pytest.approx(expected, rel=0.002)
