from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nets
import numpy as np
import pytest

from convert.graph.anatomy import discover
from convert.graph.graphdef import evaluate, parse
from convert.graph.int8_forms import for_integers
from convert.graph.retarget import retarget
from convert.tensorflow import tf
from convert.tflite.export import as_function, save
from edge.engine.open import open_engine

pytestmark = pytest.mark.tensorflow


def hard_swish(x: object) -> object:
    """As the exporter of MobileNetV3 writes it."""
    gate = tf.raw_ops.Relu6(features=tf.raw_ops.AddV2(x=x, y=tf.constant(3.0)))
    return tf.raw_ops.Mul(x=tf.raw_ops.Mul(x=x, y=gate), y=tf.constant(1 / 6))


def test_hard_swish_is_spelt_in_what_the_delegate_takes(tmp_path: Path) -> None:
    graph = nets.net()
    nets.insert(graph, "concat_projection/Conv2D", 0, hard_swish, "swish")
    anatomy = discover(graph, "net.pb")
    body = retarget(graph, anatomy, (65, 65), 16)
    form = for_integers(body)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 65, 65, 3)).astype(np.float32)
    before, after = (evaluate(b.graph, [b.logits], {b.image: x})[0] for b in (body, form))
    nets.assert_same(after, before)
    found = {}
    for name, each in (("plain", body), ("form", form)):
        save(as_function(each), (65, 65), tmp_path / name)
        engine = open_engine(nets.int8(tmp_path / name, [x]), name)
        found[name] = engine.operators()["HARD_SWISH"], engine.partitions().outside
    assert found == {"plain": (1, 1), "form": (0, 0)}


def test_a_product_that_others_read_stays_what_it_is() -> None:
    def swish_beside_its_product(x: object) -> object:
        gate = tf.raw_ops.Relu6(features=tf.raw_ops.AddV2(x=x, y=tf.constant(3.0)))
        product = tf.raw_ops.Mul(x=x, y=gate)
        return tf.raw_ops.AddV2(x=tf.raw_ops.Mul(x=product, y=tf.constant(1 / 6)), y=product)

    graph = nets.net()
    nets.insert(graph, "concat_projection/Conv2D", 0, swish_beside_its_product, "swish")
    body = retarget(graph, discover(graph, "net.pb"), (65, 65), 16)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 65, 65, 3)).astype(np.float32)
    before, after = (evaluate(b.graph, [b.logits], {b.image: x})[0] for b in (body, for_integers(body)))
    nets.assert_same(after, before)


def test_forms_leave_other_networks_alone() -> None:
    graph = nets.net()
    body = retarget(graph, discover(graph, "net.pb"), (65, 65), 16)
    assert for_integers(body).graph == body.graph


def test_real_mobilenet_v3(shared: Callable[[str], Path]) -> None:
    data = shared("models/deeplab_mnv3small_road5_513x1025.pb").read_bytes()
    graph = parse(data, "mnv3")
    body = retarget(graph, discover(graph, "mnv3"), (513, 1025))
    form = for_integers(body)
    x = np.random.default_rng(0).uniform(-1, 1, (1, 513, 1025, 3)).astype(np.float32)
    before, after = (evaluate(b.graph, [b.logits], {b.image: x})[0] for b in (body, form))
    nets.assert_same(after, before)
    changed = [n.name for n, m in zip(form.graph.node, body.graph.node, strict=False) if n != m]
    assert len(changed) == 2 * 18, "18 hard-swishes, two nodes each"
