"""Graphs of quantization-aware training: what they rounded to, and the ranges that they learned."""

from __future__ import annotations

from pathlib import Path

import nets
import numpy as np
import pytest
from quantization_aware import quantization_aware

from convert.frames import collect
from convert.graph.anatomy import Anatomy, discover, remarks
from convert.graph.fake_quant import take_out
from convert.graph.graphdef import FAKE_QUANTS, GraphDef, by_name, constant
from convert.graph.picture import fed
from convert.graph.retarget import RetargetedNetwork, retarget
from convert.models.load import load_frozen_graph
from convert.ranges import Range
from convert.tensorflow import tf
from convert.tflite.build import GraphModels, ModelBuilder
from convert.tflite.recipes import RECIPES
from convert.verify import refer, verify
from edge.classes import guess
from edge.engine.open import open_engine
from edge.errors import GraphError

HW = (33, 49)
WEIGHTS = "MobilenetV2/Conv/weights"


def ops(graph: GraphDef) -> set[str]:
    return {node.op for node in graph.node}


def trained(graph: GraphDef, shrunk: float = 1) -> Anatomy:
    anatomy = discover(graph, "net.pb")
    feeds = [{anatomy.image: fed(nets.noise(*HW, seed), anatomy.feeding, anatomy.norm)} for seed in range(2)]
    quantization_aware(graph, anatomy.logits, feeds, shrunk)
    return discover(graph, "net.pb")


@pytest.fixture(scope="module")
def graph() -> GraphDef:
    return nets.net()


@pytest.fixture(scope="module")
def anatomy(graph: GraphDef) -> Anatomy:
    return trained(graph)


@pytest.fixture(scope="module")
def body(graph: GraphDef, anatomy: Anatomy) -> RetargetedNetwork:
    return retarget(graph, anatomy, HW)


def test_parts_are_found_through_the_rounding_and_it_is_said(graph: GraphDef, anatomy: Anatomy) -> None:
    plain = discover(nets.net(), "net.pb")
    assert (anatomy.image, anatomy.normalised, anatomy.crop_hw) == (plain.image, plain.normalised, plain.crop_hw)
    assert (anatomy.classes, anatomy.output_stride) == (plain.classes, plain.output_stride)
    assert anatomy.logits == plain.logits
    assert anatomy.fake_quants > 80
    assert any("trained for int8" in remark for remark in remarks(anatomy))
    assert not remarks(plain)


def test_the_retargeted_network_rounds_as_the_graph_does(graph: GraphDef, anatomy: Anatomy) -> None:
    body = retarget(graph, anatomy, HW)
    assert FAKE_QUANTS & ops(body.graph)
    picture = nets.noise(*HW, 7)
    nets.assert_same(nets.body_logits(body, anatomy, picture), nets.stock_logits(graph, anatomy, picture))


def test_without_rounding_the_weights_keep_what_they_were_rounded_to(body: RetargetedNetwork) -> None:
    bare, ranges = take_out(body)
    assert not FAKE_QUANTS & ops(bare.graph)
    before, after = by_name(body.graph), by_name(bare.graph)
    conv = next(node for node in after.values() if node.op == "Conv2D")
    rounded = constant(after, conv.input[1], conv.name)
    weights = constant(before, WEIGHTS, conv.name)
    step = (weights.max() - weights.min()) / 255
    assert 0 < np.abs(rounded - weights).max() <= 0.51 * step
    assert np.allclose(rounded / step, np.round(rounded / step), atol=1e-3)
    assert all(name in after for name in ranges)


def test_a_range_is_that_of_the_node_and_has_0_in_it(body: RetargetedNetwork) -> None:
    nodes, (_, ranges) = by_name(body.graph), take_out(body)
    known = [n for n in nodes.values() if n.op in FAKE_QUANTS and n.input[0] in ranges]
    assert len(known) > 30
    for node in known:
        low, high = (float(constant(nodes, name, node.name)) for name in node.input[1:3])
        assert ranges[node.input[0]] == Range(min(low, 0.0), max(high, 0.0))


def test_what_only_moves_values_takes_the_range_of_its_inputs() -> None:
    graph = nets.net()
    trained(graph)
    concat = next(node.name for node in graph.node if node.op == "ConcatV2")
    for node in graph.node:
        node.input[:] = [concat if name == f"{concat}/quant" else name for name in node.input]
    nets.without(graph, f"{concat}/quant")
    body = retarget(graph, discover(graph, "net.pb"), HW)
    _, ranges = take_out(body)
    before = [ranges[name] for name in by_name(take_out(body)[0].graph)[concat].input if name in ranges]
    assert len(before) == 2
    assert ranges[concat] == Range(min(r.low for r in before), max(r.high for r in before))


@pytest.mark.parametrize(("low", "high"), [(float("nan"), 1.0), (0.0, 0.0), (-1e38, 3e38)])
def test_a_range_that_is_none_is_refused_by_name(body: RetargetedNetwork, low: float, high: float) -> None:
    graph = tf.compat.v1.GraphDef()
    graph.CopyFrom(body.graph)
    nodes = by_name(graph)
    node = next(n for n in graph.node if n.op in FAKE_QUANTS and nodes[n.input[0]].op == "Relu6")
    for name, value in zip(node.input[1:3], (low, high), strict=True):
        nets.set_constant(graph, name, np.float32(value))
    with pytest.raises(GraphError, match=f"{node.name}: its range of"):
        take_out(RetargetedNetwork(graph, body.image, body.logits, body.input_hw, body.output_stride))


def test_int8_takes_the_trained_ranges_and_agrees_better_than_float(tmp_path: Path) -> None:
    """The shipped demo network, with ranges as narrow as training makes them."""
    graph = nets.parse(load_frozen_graph("demo", notice=print).graph_bytes, "demo")
    stock = discover(graph, "demo")
    hw = (257, 513)
    frames = collect(["demo"], hw, calibrate=4, verify=4, truths=None)
    feeds = [{stock.image: fed(sample.pixels, stock.feeding, stock.norm)} for sample in frames.calibration]
    quantization_aware(graph, stock.logits, feeds, shrunk=0.5)
    anatomy = discover(graph, "demo")
    body = retarget(graph, anatomy, hw, 16)
    builder = ModelBuilder(GraphModels(body, tmp_path), frames.calibration, anatomy.norm)
    references = refer(graph, anatomy, body, frames.held_out)
    found = {}
    for name in ("float32", "int8"):
        engine = open_engine(builder.make(RECIPES[name]), name)
        verdict = verify(engine, anatomy.norm, guess(anatomy.classes), frames.held_out, references)
        found[name] = verdict.fidelity
    assert found["int8"] >= 0.97
    assert found["float32"] < found["int8"] - 0.01
