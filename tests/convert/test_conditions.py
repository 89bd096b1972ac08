from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convert.graph.anatomy import discover
from convert.graph.graphdef import GraphDef, evaluate, parse
from convert.models.conditions import without_conditions
from convert.models.saved_model import freeze_saved_model
from convert.tensorflow import tf
from edge.errors import GraphError

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]

v1 = tf.compat.v1
PICTURE = np.random.default_rng(1).uniform(0, 255, (1, 33, 49, 3)).astype(np.float32)
KERNEL = np.random.default_rng(0).normal(size=(3, 3, 3, 4)).astype(np.float32)
Condition = Callable[[Any], Any]


@pytest.fixture(params=["If", "Switch"])
def control_flow(request: pytest.FixtureRequest) -> Iterator[str]:
    """Conditions as TensorFlow 2 writes them, and as TensorFlow 1 did."""
    before = v1.control_flow_v2_enabled()
    (v1.enable_control_flow_v2 if request.param == "If" else v1.disable_control_flow_v2)()
    yield request.param
    (v1.enable_control_flow_v2 if before else v1.disable_control_flow_v2)()


def saved(folder: Path, condition: Condition) -> Any:
    """Saves a network that is in training where a condition on its scores holds; returns its scores of PICTURE where it
    is not.
    """
    with tf.Graph().as_default(), v1.Session() as session:
        picture = v1.placeholder(tf.float32, PICTURE.shape, "picture")
        kernel = v1.get_variable("kernel", initializer=KERNEL, use_resource=True)
        plain = tf.nn.conv2d(picture / 127.5 - 1, kernel, 2, "SAME")
        holds = condition(plain)
        dropped = tf.cond(holds, lambda: plain * tf.round(tf.random.uniform(tf.shape(plain))), lambda: plain * 3)
        shift = tf.cond(holds, lambda: tf.constant(7.0), lambda: tf.cond(holds, lambda: 5.0, lambda: 2.0))
        scores = tf.identity(dropped + shift, "scores")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"picture": picture}, {"scores": scores})
        return session.run(plain, {picture: PICTURE}) * 3 + 2


def frozen(folder: Path) -> GraphDef:
    return parse(freeze_saved_model(folder).graph_bytes, "net")


CONSTANT: dict[str, Condition] = {
    "a constant": lambda _: tf.constant(False),
    "a learning phase": lambda _: v1.placeholder_with_default(False, ()),
    "what follows from it": lambda _: tf.logical_and(v1.placeholder_with_default(False, ()), True),
    "a variable": lambda _: v1.get_variable("training", initializer=False, dtype=tf.bool, use_resource=True),
    "the size of the picture": lambda scores: tf.shape(scores)[1] > 1000,
}


@pytest.mark.usefixtures("control_flow")
@pytest.mark.parametrize("case", CONSTANT)
def test_the_way_that_is_always_gone_is_what_is_left(tmp_path: Path, case: str) -> None:
    expected = saved(tmp_path / "net", CONSTANT[case])
    graph = frozen(tmp_path / "net")
    anatomy = discover(graph, "net")
    found = evaluate(graph, [anatomy.labels], {anatomy.image: PICTURE})[0]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert not {node.op for node in graph.node} & {"Switch", "Merge", "If", "RandomUniform"}


@pytest.mark.usefixtures("control_flow")
def test_the_way_of_a_condition_that_holds_is_the_other_one(tmp_path: Path) -> None:
    saved(tmp_path / "net", lambda _: v1.placeholder_with_default(True, ()))
    with pytest.raises(
        GraphError, match="is a RandomUniform: the graph draws random numbers, as dropout does in training"
    ):
        discover(frozen(tmp_path / "net"), "net")


VARYING: dict[str, tuple[Condition, str]] = {
    "the picture": (lambda scores: tf.reduce_mean(scores) > 0, "depends on picture, a Placeholder"),
    "an input": (
        lambda _: v1.placeholder(tf.bool, (), "phase"),
        "goes one of two ways by phase, which depends on phase",
    ),
    "chance": (lambda _: tf.random.uniform(()) > 0.5, "a RandomUniform"),
}


@pytest.mark.usefixtures("control_flow")
@pytest.mark.parametrize("case", VARYING)
def test_a_condition_that_is_not_constant_is_named(tmp_path: Path, case: str) -> None:
    condition, reason = VARYING[case]
    saved(tmp_path / "net", condition)
    with pytest.raises(GraphError, match=rf"{reason}.*for inference, with training=False") as refused:
        frozen(tmp_path / "net")
    assert "\n" not in str(refused.value)


def test_a_condition_within_a_function_of_tensorflow_2_is_decided(tmp_path: Path) -> None:
    made = tf.Module()
    made.kernel, made.training = tf.Variable(KERNEL), tf.Variable(False)

    def call(picture: Any) -> Any:
        scores = tf.nn.conv2d(picture / 127.5 - 1, made.kernel, 2, "SAME")
        return tf.cond(made.training, lambda: scores * 2, lambda: scores - 1)

    made.call = tf.function(call, input_signature=[tf.TensorSpec((None, 33, 49, 3), tf.float32, name="picture")])
    tf.saved_model.save(made, str(tmp_path / "net"), signatures=made.call)
    graph = frozen(tmp_path / "net")
    anatomy = discover(graph, "net")
    found = evaluate(graph, [anatomy.labels], {anatomy.image: PICTURE})[0]
    assert np.abs(found - call(PICTURE)).max() <= 1e-4


def test_damaged_conditions_are_named() -> None:
    with tf.Graph().as_default() as scope:
        way = tf.raw_ops.Switch(data=tf.constant(1.0, name="image"), pred=tf.constant(True))
        lost = tf.identity(way.output_false, "lost")
        tf.raw_ops.Merge(inputs=[way.output_true, tf.constant(2.0)], name="both")
        tf.identity(tf.raw_ops.Merge(inputs=[lost], name="none").output, "nothing")
        graph = scope.as_graph_def()
    for root, reason in {"both": "both ways to both are gone", "nothing": "no way leads to its answer"}.items():
        with pytest.raises(GraphError, match=f"^a net of a damaged graph: {reason}"):
            without_conditions(graph, "image", [root], "a net")
