from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import numpy as np
import pytest
from test_picture import labels_agree

from convert.graph.anatomy import answer, discover, remarks
from convert.graph.graphdef import GraphDef, running
from convert.tensorflow import tf
from edge.errors import GraphError

pytestmark = pytest.mark.tensorflow

CROP = (33, 49)
LOGITS = "logits/semantic/BiasAdd"


def resized(x: Any, *, half_pixel: bool = False, corners: bool = True) -> Any:
    return tf.raw_ops.ResizeBilinear(
        images=x, size=CROP, align_corners=corners and not half_pixel, half_pixel_centers=half_pixel
    )


def flattened_softmax(x: Any) -> Any:
    return tf.reshape(tf.nn.softmax(tf.reshape(x, [-1, 5])), [1, *CROP, 5])


@pytest.mark.parametrize(
    ("make", "logits"),
    [
        (lambda x: x, LOGITS),
        (resized, LOGITS),
        (tf.nn.softmax, LOGITS),
        (lambda x: tf.nn.softmax(resized(x)), LOGITS),
        (lambda x: flattened_softmax(resized(x)), LOGITS),
        (lambda x: resized(tf.nn.softmax(x)), "answer/Softmax"),
        (lambda x: tf.squeeze(resized(x), [0]), LOGITS),
    ],
    ids=["map", "full", "map softmax", "full softmax", "old softmax", "softmax resized", "squeezed"],
)
def test_graphs_that_end_in_scores(make: Callable[[Any], Any], logits: str) -> None:
    graph = nets.net(CROP)
    nets.ending(graph, make)
    anatomy = discover(graph, "net.pb")
    assert (anatomy.kind, anatomy.logits) == ("scores", logits)
    assert remarks(anatomy) == [f"it ends in the scores {anatomy.labels}, without an ArgMax: the highest one wins"]
    labels_agree(graph, anatomy)


@pytest.mark.parametrize(
    ("rule", "flags"),
    [
        ("half_pixel_centers", {"half_pixel": True}),
        ("asymmetric", {"corners": False}),
        ("align_corners", {}),
    ],
)
def test_scores_are_enlarged_by_the_rule_of_the_graph(rule: str, flags: dict[str, bool]) -> None:
    graph = nets.net(CROP)
    nets.ending(graph, lambda x: tf.argmax(resized(x, **flags), 3))
    anatomy = discover(graph, "net.pb")
    assert anatomy.upsampling == rule
    assert any(rule in remark for remark in remarks(anatomy)) == (rule != "align_corners")
    labels_agree(graph, anatomy)


def test_rules_that_are_mixed_are_refused() -> None:
    graph = nets.net(CROP)
    nets.ending(graph, lambda x: tf.argmax(resized(resized(x), half_pixel=True), 3))
    with pytest.raises(
        GraphError, match="expected one rule by which scores are enlarged, found half_pixel_centers in "
    ):
        discover(graph, "net.pb")


def test_of_several_argmax_the_one_that_leads_to_the_answer_is_taken() -> None:
    graph = nets.net(CROP)
    nets.add(graph, "small", lambda x: tf.argmax(x, 3), LOGITS)
    nets.add(graph, "other", lambda x: tf.cast(tf.argmax(-x, 3), tf.float32) * 2.0, LOGITS)
    assert discover(graph, "net.pb") == discover(nets.net(CROP), "net.pb")


def test_without_the_usual_name_the_only_labels_are_taken() -> None:
    graph = nets.net(CROP)
    nets.ending(graph, lambda x: tf.cast(tf.argmax(resized(x), 3), tf.int32))
    nets.add(graph, "mask", lambda x: tf.cast(tf.argmax(-x, 3), tf.float32) * 2.0, LOGITS)
    anatomy = discover(graph, "net.pb")
    assert anatomy.labels == "answer"
    labels_agree(graph, anatomy)


def test_of_the_same_labels_at_two_sizes_the_large_ones_are_taken() -> None:
    graph = nets.net(CROP)
    nets.ending(graph, lambda x: tf.argmax(x, 3), "small")
    nets.add(graph, "large", lambda x: tf.argmax(resized(x), 3), LOGITS)
    assert discover(graph, "net.pb").labels == "large"


def test_answers_that_differ_are_listed_by_name() -> None:
    graph = nets.net(CROP)
    nets.ending(graph, lambda x: tf.argmax(resized(x), 3), "one")
    nets.add(graph, "two", lambda x: tf.argmax(tf.concat([x, x], 3), 3), LOGITS)
    with pytest.raises(GraphError, match=r"found 2 of them \(one/ArgMax, two/ArgMax\); freeze the graph again with"):
        discover(graph, "net.pb")
    graph = nets.net(CROP)
    nets.ending(graph, resized, "one")
    nets.add(graph, "two", lambda x: x * 2.0, LOGITS)
    with pytest.raises(GraphError, match="expected one ArgMax or one output of scores, found one, two; freeze"):
        discover(graph, "net.pb")


def nearest_export(graph: GraphDef, enlarge_first: tuple[int, int] | None = None) -> None:
    def make(x: Any) -> Any:
        if enlarge_first:
            x = tf.raw_ops.ResizeBilinear(images=x, size=enlarge_first, align_corners=True)
        labels = tf.cast(tf.expand_dims(tf.argmax(x, 3), 3), tf.float32)
        return tf.squeeze(
            tf.cast(tf.raw_ops.ResizeNearestNeighbor(images=labels, size=CROP, align_corners=True), tf.int64), [3]
        )

    nets.ending(graph, make, "SemanticPredictions")


@pytest.mark.parametrize("first", [None, (5, 7)], ids=["plain", "behind a resize to the same size"])
def test_labels_that_the_graph_enlarges_are_said(first: tuple[int, int] | None) -> None:
    graph = nets.net(CROP)
    nearest_export(graph, first)
    anatomy = discover(graph, "net.pb")
    assert anatomy.enlarges_labels
    assert "enlarges them by nearest neighbour" in remarks(anatomy)[0]
    picture = nets.noise(*CROP)
    with running(graph, [anatomy.labels]) as run:
        assert answer(run, anatomy, picture).shape == CROP


def test_labels_that_are_resized_to_the_pictures_size_are_nothing_special() -> None:
    """Newer exporters do so behind the ArgMax at full size."""
    graph = nets.net(CROP)
    nearest_export(graph, CROP)
    anatomy = discover(graph, "net.pb")
    assert not anatomy.enlarges_labels
    assert remarks(anatomy) == []
    labels_agree(graph, anatomy)


def test_labels_of_the_small_map_are_enlarged() -> None:
    graph = nets.net(CROP)
    nets.ending(graph, lambda x: tf.argmax(x, 3))
    anatomy = discover(graph, "net.pb")
    with running(graph, [anatomy.labels]) as run:
        found = answer(run, anatomy, nets.noise(*CROP))
    small = nets.stock_logits(graph, anatomy, nets.noise(*CROP))[0].argmax(axis=2)
    assert found.shape == CROP
    assert np.array_equal(found[::8, ::8], small)


def averaged(x: Any) -> Any:
    """As deeplab's multi-scale exporter averages over its scales, of which one was asked for."""
    return tf.reduce_mean(tf.identity(tf.expand_dims(tf.nn.softmax(x), 4)), axis=4)


def test_an_average_over_one_scale_is_no_part_of_the_scores() -> None:
    graph = nets.net(CROP)
    nets.insert(graph, "ArgMax", 0, averaged)
    assert discover(graph, "net.pb").logits == LOGITS


def test_an_average_over_two_scales_is_what_the_winners_are_picked_from() -> None:
    def twice(x: Any) -> Any:
        each = [tf.expand_dims(tf.nn.softmax(scores), 4) for scores in (x, 2 * x)]
        return tf.reduce_mean(tf.concat(each, 4), axis=4)

    graph = nets.net(CROP)
    nets.insert(graph, "ArgMax", 0, twice)
    assert discover(graph, "net.pb").logits == "inserted/Mean"
