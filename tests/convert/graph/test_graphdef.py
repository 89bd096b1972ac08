from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nets
import numpy as np
import pytest

from convert.graph.graphdef import by_name, evaluate, parse, running, strides, topological
from edge.errors import GraphError

TESTS = Path(__file__).parents[2]

pytestmark = pytest.mark.tensorflow


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda data: b"#!/bin/sh\necho this is no graph\n" * 20, "not a frozen TensorFlow graph"),
        (lambda data: b"", "it has no nodes"),
        (lambda data: data[:-1000], "not a frozen TensorFlow graph"),
        (lambda data: data + data, "two nodes have the same name"),
    ],
    ids=["text", "empty", "truncated", "twice"],
)
def test_what_is_no_graph_is_refused(change: Callable[[bytes], bytes], reason: str) -> None:
    with pytest.raises(GraphError, match=reason) as caught:
        parse(change(nets.net().SerializeToString()), "net.pb")
    assert str(caught.value).startswith("net.pb: ")
    assert "\n" not in str(caught.value)


def test_strides_follow_the_deepest_path_and_leave_out_the_image_pooling() -> None:
    nodes = by_name(nets.net((65, 129), 16))
    found = strides(nodes, "sub_7", "logits/semantic/BiasAdd")
    assert found["MobilenetV2/Conv/Relu6"] == 2
    assert found["MobilenetV2/expanded_conv_3/output"] == 8
    assert found["logits/semantic/BiasAdd"] == 16
    assert "AvgPool2D/AvgPool" not in found
    assert "ResizeBilinear_1" not in found


def test_topological_order_puts_every_node_behind_its_inputs() -> None:
    nodes = by_name(nets.net())
    order = topological(nodes, ["SemanticPredictions"], frozenset())
    place = {name: i for i, name in enumerate(order)}
    assert all(place[i.split(":")[0]] < place[name] for name in order for i in nodes[name].input)
    nodes["aspp0/Conv2D"].input[0] = "concat"
    with pytest.raises(GraphError, match="cycle"):
        topological(nodes, ["SemanticPredictions"], frozenset())


def test_failure_in_a_session_names_the_node_and_the_reason() -> None:
    graph = nets.net()
    nets.set_constant(graph, "stack/0", -5)
    with pytest.raises(GraphError, match=r"^[^\n]*must be non-negative[^\n]*\(node Pad\)$"):
        evaluate(graph, ["sub_7"], {"ImageTensor": np.zeros((1, 1, 1, 3), np.uint8)})
    with running(nets.net(), ["sub_7"]) as run, pytest.raises(GraphError, match="Cannot feed"):
        run({"ImageTensor": np.zeros((2, 2), np.uint8)})


def test_malformed_graphs_are_refused_and_nothing_else() -> None:
    """In processes of their own: what a graph does to TensorFlow could end one, or take forever."""
    done = subprocess.run(
        [sys.executable, TESTS / "fuzz" / "attack.py", "graphs=40"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "PYTHONPATH": str(TESTS.parent)},
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    counts = {code: int(count) for code, count in re.findall(r"graphs +exit (\d) +(\d+)", done.stdout)}
    assert sum(counts.values()) == 40
    assert counts["1"] > 10, "damage must reach what is refused"
    assert counts["0"] > 2, "and leave some graphs whole"
