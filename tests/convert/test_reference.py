from __future__ import annotations

from pathlib import Path

import nets
import numpy as np
import pytest

from convert.frames import normalised
from convert.graph import graphdef as graphs
from convert.graph.anatomy import discover
from convert.graph.graphdef import evaluate
from convert.reference import FrozenReference
from convert.tensorflow import tf
from edge.errors import GraphError, UsageError
from edge.preprocess import DEEPLAB, parse_normalisation, resize
from edge.upsample import Upsample

pytestmark = pytest.mark.tensorflow


def said(message: str) -> None:
    pytest.fail(f"nothing to say: {message}")


def written(tmp_path: Path, graph: graphs.GraphDef) -> str:
    path = tmp_path / "net.pb"
    path.write_bytes(graph.SerializeToString())
    return str(path)


def test_labels_are_those_of_the_graph_at_its_own_size(tmp_path: Path) -> None:
    graph = nets.net()
    anatomy = discover(graph, "net")
    reference = FrozenReference(written(tmp_path, graph), notice=said)
    assert (reference.name, len(reference.classes)) == ("net", anatomy.classes)
    for seed in range(2):
        pixels = nets.noise(70, 90, seed)
        logits = nets.stock_logits(graph, anatomy, resize(pixels, anatomy.crop_hw))[0]
        wanted = Upsample(logits.shape[:2], anatomy.crop_hw)(logits)
        found = reference(pixels)
        assert found.dtype == np.uint8
        assert found.shape == anatomy.crop_hw
        assert (found == wanted).mean() > 0.999
    reference.close()
    reference.close()


def test_a_graph_of_normalised_pictures_is_fed_as_it_is_told(tmp_path: Path) -> None:
    graph, unit = nets.net(), parse_normalisation("unit")
    nets.entrance(graph, [1, 33, 49, 3], tf.float32, tf.identity)
    model = written(tmp_path, graph)
    pixels = nets.noise(33, 49, 1)
    for told, norm in ((None, DEEPLAB), (unit, unit)):
        reference = FrozenReference(model, norm=told, notice=said)
        logits = evaluate(graph, ["logits/semantic/BiasAdd"], {"picture": normalised(pixels, norm)})[0][0]
        assert (reference(pixels) == Upsample(logits.shape[:2], (33, 49))(logits)).mean() > 0.999
        reference.close()


def test_a_graph_that_normalises_itself_is_not_told_how(tmp_path: Path) -> None:
    model, pixels = written(tmp_path, nets.net()), nets.noise(33, 49, 1)
    plain, told = (FrozenReference(model, norm=norm, notice=said) for norm in (None, parse_normalisation("unit")))
    assert np.array_equal(plain(pixels), told(pixels))
    plain.close()
    told.close()


def test_padded_pictures_keep_their_shape(tmp_path: Path) -> None:
    graph = nets.net()
    height, width = discover(graph, "net").crop_hw
    reference = FrozenReference(written(tmp_path, graph), fit="pad", notice=said)
    assert reference(nets.noise(height - 10, width - 20, 1)).shape == (height - 10, width - 20)
    assert reference(nets.noise(2 * height - 1, width, 1)).shape == (height, (width - 1) // 2 + 1)
    reference.close()


def test_an_answer_that_is_no_label_map_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = FrozenReference(written(tmp_path, nets.net()), notice=said)
    monkeypatch.setattr(reference, "_run", lambda feed: [np.zeros((1, 3, 3), np.float32)])
    with pytest.raises(GraphError, match=r"expected integer labels of \d+x\d+, got float32 \(1, 3, 3\)"):
        reference(nets.noise(70, 90, 1))
    reference.close()


@pytest.mark.parametrize(("model", "error"), [("nothing", UsageError), ("none.pb", GraphError)])
def test_what_is_no_graph_is_refused(model: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        FrozenReference(model, notice=said)
