from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nets
import numpy as np
import pytest

from convert.graph.anatomy import Anatomy, answer, discover, remarks
from convert.graph.graphdef import GraphDef, running
from convert.graph.picture import PICTURES, Feeding, fed
from convert.graph.retarget import retarget
from convert.tensorflow import tf
from edge.errors import GraphError, UsageError
from edge.preprocess import DEEPLAB, Normalisation
from edge.upsample import Upsample

pytestmark = pytest.mark.tensorflow

CROP = (33, 49)


def normalise(x: Any) -> Any:
    return tf.cast(x, tf.float32) / 127.5 - 1.0


def padded(x: Any) -> Any:
    return normalise(tf.image.pad_to_bounding_box(x - 127.5, 0, 0, *CROP) + 127.5)


def found(shape: list[int | None] | None, dtype: Any, make: Callable[[Any], Any]) -> tuple[GraphDef, Anatomy]:
    graph = nets.net(CROP)
    nets.entrance(graph, shape, dtype, make)
    return graph, discover(graph, "net.pb")


def labels_agree(graph: GraphDef, anatomy: Anatomy) -> None:
    """The graph's own answer against its network and the kit's postprocessing."""
    picture = nets.noise(*anatomy.crop_hw)
    logits = nets.body_logits(retarget(graph, anatomy, anatomy.crop_hw), anatomy, picture)[0]
    ours = Upsample((logits.shape[0], logits.shape[1]), anatomy.crop_hw, rule=anatomy.upsampling)(logits)
    with running(graph, [anatomy.labels]) as run:
        assert np.mean(answer(run, anatomy, picture) == ours) >= 0.999


@pytest.mark.parametrize(
    ("shape", "dtype", "make", "feeding"),
    [
        ([1, 33, 49, 3], tf.uint8, normalise, Feeding(size_hw=CROP)),
        ([None, 33, 49, 3], tf.uint8, normalise, Feeding(size_hw=CROP)),
        ([1, None, None, 3], tf.float32, padded, Feeding("float32")),
        ([1, 33, 49, 3], tf.float32, normalise, Feeding("float32", CROP)),
        ([1, 33, 49, 3], tf.float32, lambda x: x * 2.0 - 1.0, Feeding("float32", CROP, 1 / 255)),
        ([1, 33, 49, 3], tf.float32, lambda x: x, Feeding("float32", CROP, normalised=True)),
        ([None, 33, 49, 3], tf.float32, lambda x: x + 0.0, Feeding("float32", CROP, normalised=True)),
    ],
    ids=["fixed", "any batch", "float", "fixed float", "0..1", "normalised", "normalised by nothing"],
)
def test_the_probe_fits_the_placeholder(
    shape: list[int | None], dtype: Any, make: Callable[[Any], Any], feeding: Feeding
) -> None:
    graph, anatomy = found(shape, dtype, make)
    assert (anatomy.image, anatomy.crop_hw, anatomy.feeding) == ("picture", CROP, feeding)
    assert anatomy.norm == DEEPLAB
    labels_agree(graph, anatomy)


def test_smaller_pictures_are_padded_where_the_graph_does_not() -> None:
    graph, anatomy = found([1, 33, 49, 3], tf.uint8, normalise)
    with running(graph, [anatomy.labels]) as run:
        assert answer(run, anatomy, nets.noise(20, 30)).shape == (20, 30)
    assert discover(nets.net(CROP), "net.pb").feeding == PICTURES
    corner = fed(nets.noise(2, 3), Feeding("float32", (4, 5), normalised=True), DEEPLAB)
    assert corner.dtype == np.float32
    assert corner.shape == (1, 4, 5, 3)
    assert not corner[0, 2:].any()
    assert not corner[0, :, 3:].any()


def test_a_graph_that_takes_normalised_pictures_is_told_how() -> None:
    graph = nets.net(CROP)
    nets.entrance(graph, [1, *CROP, 3], tf.float32, lambda x: x)
    plain, told = discover(graph, "net.pb"), discover(graph, "net.pb", Normalisation(0.0, 255.0))
    assert told.norm == Normalisation(0.0, 255.0)
    assert remarks(plain) == [
        "picture takes normalised pictures and does not say how: (pixel - 127.5) / 127.5 is taken, `normalise` sets "
        "another"
    ]
    with pytest.raises(UsageError, match=r"^`normalise`: the graph normalises pictures itself, \(pixel - 127.5\)"):
        discover(nets.net(CROP), "net.pb", Normalisation(0.0, 255.0))


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        (
            [4, 33, 49, 3],
            tf.uint8,
            r"at picture, it takes a batch of 4: \(4, 33, 49, 3\); export the graph for a batch",
        ),
        ([1, 33, 49, 4], tf.uint8, r"expected one RGB picture \(1, H, W, 3\) at picture, it takes \(1, 33, 49, 4\)"),
        (
            [1, 33, 49, 3],
            tf.float64,
            r"expected one image placeholder of uint8 or float32, .* found picture \(float64\)",
        ),
    ],
    ids=["batch", "channels", "type"],
)
def test_other_placeholders_are_refused_by_name(shape: list[int | None], dtype: Any, message: str) -> None:
    def three(x: Any) -> Any:
        return normalise(x[:1, :, :, :3])

    with pytest.raises(GraphError, match=message):
        found(shape, dtype, three)


def test_a_graph_of_no_size_is_refused() -> None:
    with pytest.raises(
        GraphError, match=r"net\.pb: expected an input size .* got any size; export it with a crop size"
    ):
        found([1, None, None, 3], tf.float32, lambda x: x)
