from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import convert.tensorflow
from convert.graph.graphdef import GraphDef
from convert.tensorflow import LARGE, releasing_memory, tf

pytestmark = pytest.mark.tensorflow
ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("size", "times"), [(LARGE // 8, 0), (LARGE, 1)])
@pytest.mark.parametrize("fails", [False, True])
def test_memory_is_given_back_after_a_large_graph(
    size: int, times: int, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Collecting takes longer than most work on a small one."""
    released = []
    monkeypatch.setattr(convert.tensorflow, "release_memory", lambda: released.append(1))
    graph = tf.compat.v1.GraphDef()
    graph.node.add().attr["value"].tensor.tensor_content = bytes(size)

    @releasing_memory
    def nodes(graph: GraphDef) -> int:
        if fails:
            raise ValueError("broken")
        return len(graph.node)

    if fails:
        with pytest.raises(ValueError, match="broken"):
            nodes(graph)
    else:
        assert nodes(graph) == 1
    assert len(released) == times


ATROUS = """
import numpy as np
from convert.tensorflow import tf
with tf.compat.v1.Graph().as_default(), tf.compat.v1.Session() as session:
    made = tf.raw_ops.DepthwiseConv2dNative(
        input=np.ones((1, 9, 9, 3), np.float32), filter=np.ones((3, 3, 3, 1), np.float32),
        strides=[1, 1, 1, 1], padding="SAME", dilations=[1, 2, 2, 1],
    )
    print(session.run(made)[0, 4, 4])
"""


@pytest.mark.parametrize("first", ["", "from edge.engine.runtimes import import_runtime; import_runtime('tensorflow')"])
def test_atrous_convolutions_run_on_every_processor_whoever_imports_tensorflow_first(first: str) -> None:
    """TensorFlow leaves oneDNN, which has them, out where a processor multiplies no 8-bit integers."""
    as_there = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-c", first + ATROUS], env=as_there, capture_output=True, text=True, check=False
    )
    assert ran.stdout.split() == ["[9.", "9.", "9.]"], ran.stderr


@pytest.mark.skipif(platform.machine() != "x86_64", reason="elsewhere TensorFlow is built in another way")
def test_a_tensorflow_without_them_that_is_there_already_is_refused() -> None:
    as_there = {**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", "PYTHONPATH": str(ROOT)}
    code = "import tensorflow\n" + ATROUS
    ran = subprocess.run([sys.executable, "-c", code], env=as_there, capture_output=True, text=True, check=False)
    assert "import convert first, or set TF_ENABLE_ONEDNN_OPTS=1" in ran.stderr
