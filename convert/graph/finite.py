"""Looks for numbers that are none in the weights of a graph.

What a network makes of them cannot be relied on: by processor, a Relu6 makes 0 or 6 of what is not a number, and
TensorFlow Lite's converter writes the largest number of a type for one that does not fit, without a word.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph.graphdef import NodeDef, Nodes, consumers
from convert.tensorflow import tf
from edge.errors import GraphError
from edge.text import counted

BOUNDING = frozenset({"Maximum", "Minimum", "PadV2"})  # operators to which infinity means what it says
DIVERGED = "where its training diverged, export an earlier checkpoint"


def check_weights(nodes: Nodes, needed: Collection[str]) -> None:
    """Raises GraphError where a constant among the nodes `needed` holds what is no finite number."""
    spoilt = list(_spoilt(nodes, needed))
    if not spoilt:
        return
    name, values = spoilt[0]
    nans, bad = int(np.isnan(values).sum()), int((~np.isfinite(values)).sum())
    more = f", and so are values of {counted(len(spoilt) - 1, 'other node')}" if spoilt[1:] else ""
    raise GraphError(
        f"node {name}: {bad:,} of {counted(values.size, 'value')} {'is' if bad == 1 else 'are'} not finite "
        f"({nans:,} not a number, {bad - nans:,} infinite){more}; expected finite weights: {DIVERGED}"
    )


def _spoilt(nodes: Nodes, needed: Collection[str]) -> Iterator[tuple[str, NDArray[Any]]]:
    """In the order of the graph."""
    readers = consumers(nodes)
    for name, node in nodes.items():
        if name not in needed or node.op != "Const" or not tf.as_dtype(node.attr["dtype"].type).is_floating:
            continue
        values = _values(node)
        bounds = all(nodes[reader].op in BOUNDING for reader in readers[name])
        if np.isnan(values).any() if bounds else not np.isfinite(values).all():
            yield name, values


def _values(node: NodeDef) -> NDArray[Any]:
    try:
        values: NDArray[Any] = tf.make_ndarray(node.attr["value"].tensor)
    except (ValueError, TypeError) as exc:
        raise GraphError(f"damaged graph: node {node.name} does not hold the values that it says ({exc})") from exc
    return values
