from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest

from convert.graph.anatomy import discover
from convert.graph.graphdef import evaluate
from convert.graph.int8_forms import for_integers
from convert.graph.retarget import RetargetedNetwork, retarget
from convert.tensorflow import tf
from convert.tflite.export import as_function, save
from edge.engine.open import open_engine

pytestmark = pytest.mark.tensorflow

Change = Callable[[Any], Any]
CHANNELS = 512  # of what the last but one convolution reads
PICTURE = np.random.default_rng(0).uniform(-1, 1, (1, 65, 65, 3)).astype(np.float32)


def changed(change: Change) -> RetargetedNetwork:
    """A network with a change in front of its last but one convolution."""
    graph = nets.net()
    nets.insert(graph, "concat_projection/Conv2D", 0, change, "change")
    return retarget(graph, discover(graph, "net.pb"), (65, 65), 16)


def joined(network: RetargetedNetwork) -> list[str]:
    return [node.name for node in network.graph.node if node.name.endswith("/scaled")]


def numbers(low: float = 0.5) -> Any:
    """One a channel of what the changed convolution reads."""
    return np.random.default_rng(1).uniform(low, 2, CHANNELS).astype(np.float32)


def batch_norm(x: Any) -> Any:
    """As Keras writes it, behind a Relu; its constants follow from others, and one of its channels is dead."""
    gamma = numbers()
    gamma[0] = 0
    scale = tf.constant(gamma) * tf.math.rsqrt(tf.constant(numbers()) + 1e-3)
    return tf.nn.relu(x) * scale + (tf.constant(numbers(-2)) - tf.constant(numbers(-1)) * scale)


def other_way_round(x: Any) -> Any:
    """Constants first, with four dimensions."""
    size = (1, 1, 1, CHANNELS)
    return numbers(-2).reshape(size) + numbers().reshape(size) * tf.nn.relu(x)


@pytest.mark.parametrize("change", [batch_norm, other_way_round])
def test_a_scale_and_a_shift_become_one_operator(tmp_path: Path, change: Change) -> None:
    body = changed(change)
    form = for_integers(body)
    before, after = (evaluate(b.graph, [b.logits], {b.image: PICTURE})[0] for b in (body, form))
    nets.assert_same(after, before)
    assert len(joined(form)) == 1
    found = {}
    for name, each in (("plain", body), ("form", form)):
        save(as_function(each), (65, 65), tmp_path / name)
        operators = open_engine(nets.int8(tmp_path / name, [PICTURE]), name).operators()
        found[name] = operators["MUL"], operators["ADD"], operators["DEPTHWISE_CONV_2D"]
    _, adds, depthwise = found["plain"]
    assert found["plain"][0] == 1
    assert found["form"] == (0, adds - 1, depthwise + 1)


def read_twice(x: Any) -> Any:
    product = tf.nn.relu(x) * numbers()
    return product + numbers() + product


LEFT: dict[str, Change] = {
    "one number for all": lambda x: tf.nn.relu(x) * 0.5 + 0.25,
    "a number for each row": lambda x: tf.nn.relu(x) * numbers() + np.ones((1, 5, 1, 1), np.float32),
    "a product that others read": read_twice,
    "a product of the picture": lambda x: tf.nn.relu(x) * x + numbers(),
    "more channels than before": lambda x: tf.nn.relu(x)[..., :1] * numbers() + numbers(),
    "behind a convolution": lambda x: (
        tf.nn.conv2d(x, np.ones((1, 1, CHANNELS, CHANNELS), np.float32), 1, "SAME") * numbers() + numbers()
    ),
}


@pytest.mark.parametrize("case", LEFT)
def test_what_is_no_such_pair_or_is_folded_anyway_stays(case: str) -> None:
    body = changed(LEFT[case])
    assert not joined(for_integers(body))
