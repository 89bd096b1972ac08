from __future__ import annotations

from itertools import combinations

import nets
import numpy as np
import pytest

from convert.graph.branches import in_turns
from convert.graph.graphdef import GraphDef, ancestors, by_name, evaluate
from convert.networks.xception import Xception, build, random_weights

pytestmark = pytest.mark.tensorflow


def in_order(graph: GraphDef) -> bool:
    """Whether of any two atrous convolutions one waits for the other."""
    nodes = by_name(graph)
    begin = [name for name, node in nodes.items() if node.op == "SpaceToBatchND"]
    behind = {name: ancestors(nodes, [name]) for name in begin}
    return len(begin) > 3 and all(a in behind[b] or b in behind[a] for a, b in combinations(begin, 2))


def test_atrous_branches_wait_for_each_other_and_answer_the_same() -> None:
    small = Xception(middle_units=1, width=0.125, classes=5, crop_hw=(65, 97))
    graph = build(small, random_weights(small, 3))
    turned = in_turns(graph, "SemanticPredictions")
    assert in_order(turned)
    assert not in_order(graph)
    (found,), (expected,) = (
        evaluate(made, ["SemanticPredictions"], {"ImageTensor": nets.noise(65, 97)[None]}) for made in (turned, graph)
    )
    assert np.array_equal(found, expected)
    assert len(np.unique(found)) > 1


def test_an_order_that_control_edges_ask_for_stays() -> None:
    small = Xception(middle_units=1, width=0.125, classes=5, crop_hw=(65, 97))
    graph = build(small, random_weights(small, 3))
    first, last = "aspp1_depthwise/depthwise", "aspp3_depthwise/depthwise"
    nets.node(graph, f"{first}/SpaceToBatchND").input.append(f"^{last}/BatchToSpaceND")
    turned = in_turns(graph, "SemanticPredictions")
    assert f"{last}/BatchToSpaceND" in ancestors(by_name(turned), [f"{first}/SpaceToBatchND"])
    evaluate(turned, ["SemanticPredictions"], {"ImageTensor": nets.noise(65, 97)[None]})  # refuses a cycle
