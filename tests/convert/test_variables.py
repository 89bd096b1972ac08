from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from convert.graph.anatomy import discover
from convert.graph.graphdef import evaluate, parse
from convert.models.saved_model import freeze_saved_model
from convert.tensorflow import tf
from edge.errors import GraphError

pytestmark = [pytest.mark.tensorflow, pytest.mark.filterwarnings("ignore")]

v1 = tf.compat.v1
PICTURE = np.random.default_rng(1).uniform(0, 255, (1, 33, 49, 3)).astype(np.float32)


def partitioned(folder: Path, axis: int, *, use_resource: bool = True) -> Any:
    """Saves a network whose kernel TensorFlow 1 keeps in three parts along an axis; returns its scores of PICTURE."""
    with tf.Graph().as_default(), v1.Session() as session:
        picture = v1.placeholder(tf.float32, PICTURE.shape, "picture")
        with v1.variable_scope("net", partitioner=v1.fixed_size_partitioner(3, axis=axis)):
            random = v1.random_normal_initializer(seed=1)
            kernel = v1.get_variable("kernel", (3, 3, 3, 7), initializer=random, use_resource=use_resource)
        assert len(list(kernel)) == 3
        scores = tf.nn.conv2d(picture / 127.5 - 1, tf.convert_to_tensor(kernel), 2, "SAME")
        session.run(v1.global_variables_initializer())
        v1.saved_model.simple_save(session, str(folder), {"picture": picture}, {"scores": scores})
        return session.run(scores, {picture: PICTURE})


@pytest.mark.parametrize("use_resource", [True, False])
@pytest.mark.parametrize("axis", [0, 3])
def test_a_variable_in_parts_has_the_part_of_its_value_that_it_is(
    tmp_path: Path, axis: int, use_resource: bool
) -> None:
    expected = partitioned(tmp_path / "net", axis, use_resource=use_resource)
    graph = parse(freeze_saved_model(tmp_path / "net").graph_bytes, "net")
    anatomy = discover(graph, "net")
    found = evaluate(graph, [anatomy.labels], {anatomy.image: PICTURE})[0]
    assert found.shape == (1, 17, 25, 7)
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
    "part",
    [
        b"3 3 3 7 0,3:0,3:0,3:0,9",
        b"3 3 3 7 0,3:0,3:0,3:-1,3",
        b"3 3 3 7 0,3:0,3:0,3:7,0",
        b"3 3 3 7 0,3:0,3:0,3",
        b"3 3 3 8 0,3:0,3:0,3:0,3",
        b"3 3 3 7 " + b"9" * 5000,
        b"all of it",
        b"\xff",
    ],
)
def test_a_part_that_a_value_does_not_have_is_named(tmp_path: Path, part: bytes) -> None:
    partitioned(tmp_path / "net", 3)
    path = tmp_path / "net" / "saved_model.pb"
    written, whole = path.read_bytes(), b"3 3 3 7 0,3:0,3:0,3:0,3"
    assert whole in written
    saved = SavedModel.FromString(written)
    for node in saved.meta_graphs[0].graph_def.node:
        texts = node.attr["value"].tensor.string_val if "value" in node.attr else []
        for place, text in enumerate(texts):
            texts[place] = part if text == whole else text
    path.write_bytes(saved.SerializeToString())
    with pytest.raises(
        GraphError, match=r"whose variable net/kernel/part_0 is no part \(.*\) of \(3, 3, 3, 7\)"
    ) as refused:
        freeze_saved_model(tmp_path / "net")
    assert "\n" not in str(refused.value)
