from __future__ import annotations

import pytest

import convert.tensorflow
from convert.graph.graphdef import GraphDef
from convert.tensorflow import LARGE, releasing_memory, tf

pytestmark = pytest.mark.tensorflow


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
