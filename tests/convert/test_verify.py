from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nets
import numpy as np
import pytest
from numpy.typing import NDArray

from convert.frames import Sample
from convert.graph.anatomy import Anatomy, discover
from convert.graph.graphdef import GraphDef
from convert.graph.retarget import RetargetedNetwork, retarget
from convert.tensorflow import tf
from convert.tflite.export import convert, export
from convert.tflite.recipes import RECIPES
from convert.verify import Reference, Verdict, refer, verify
from edge.classes import guess
from edge.engine.base import Engine
from edge.engine.open import open_engine
from edge.errors import GraphError
from edge.evaluation.metrics import Confusion, agreement
from edge.postprocess import nearest
from edge.preprocess import resize
from edge.upsample import Upsample

pytestmark = pytest.mark.tensorflow
HW = (49, 65)
FRAME = (70, 90)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    """Coarse noise, enlarged; one frame's truth is not known."""
    random = np.random.default_rng(5)
    truths = [random.integers(0, 5, FRAME, np.uint8) for _ in range(2)]
    truths[0][:10] = 255
    frames = [resize(nets.noise(6, 8, seed), FRAME) for seed in range(3)]
    return [Sample(f, t, "noise", i) for i, (f, t) in enumerate(zip(frames, [*truths, None], strict=True))]


@pytest.fixture(scope="module")
def graph() -> GraphDef:
    return nets.net()


@pytest.fixture(scope="module")
def anatomy(graph: GraphDef) -> Anatomy:
    return discover(graph, "net.pb")


def body_of(graph: GraphDef, input_hw: tuple[int, int], stride: int) -> RetargetedNetwork:
    return retarget(graph, discover(graph, "net.pb"), input_hw, stride)


def engine_of(body: RetargetedNetwork, folder: Path) -> Engine:
    export(body, folder)
    return open_engine(convert(folder, RECIPES["float32"]), "net")


@pytest.fixture(scope="module")
def references(graph: GraphDef, anatomy: Anatomy, samples: list[Sample]) -> list[Reference]:
    return refer(graph, anatomy, body_of(graph, HW, 16), samples)


@pytest.fixture(scope="module")
def engine(graph: GraphDef, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return engine_of(body_of(graph, HW, 16), tmp_path_factory.mktemp("float"))


@pytest.fixture(scope="module")
def verdict(engine: Engine, anatomy: Anatomy, samples: list[Sample], references: list[Reference]) -> Verdict:
    return verify(engine, anatomy.norm, guess(anatomy.classes), samples, references)


def labels(engine: Engine, anatomy: Anatomy, sample: Sample, size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """The model's answer at a size, worked out without verify."""
    x = (resize(sample.pixels, HW).astype(np.float32) - 127.5) / np.float32(127.5)
    logits = engine.invoke(x[None])[0]
    return Upsample(logits.shape[:2], size_hw)(logits)


def test_float_model_is_faithful(verdict: Verdict) -> None:
    assert verdict.frames == 3
    assert verdict.fidelity > 0.999
    assert verdict.worst_frame <= verdict.fidelity


def test_damaged_model_gets_a_low_figure(
    graph: GraphDef, anatomy: Anatomy, samples: list[Sample], references: list[Reference], tmp_path: Path
) -> None:
    """Every class answers with the next one's name."""
    damaged = nets.net()
    for name in ("logits/semantic/weights", "logits/semantic/biases"):
        value = tf.make_ndarray(nets.node(graph, name).attr["value"].tensor)
        nets.set_constant(damaged, name, np.roll(value, 1, axis=-1))
    engine = engine_of(body_of(damaged, HW, 16), tmp_path)
    found = verify(engine, anatomy.norm, guess(anatomy.classes), samples, references)
    assert found.fidelity < 0.1
    assert found.worst_frame <= found.fidelity


def test_worst_frame_is_the_lowest_not_the_mean(
    engine: Engine, anatomy: Anatomy, samples: list[Sample], references: list[Reference]
) -> None:
    wrong = Reference((references[1].retargeted + 1) % 5, references[1].stock)
    found = verify(engine, anatomy.norm, guess(anatomy.classes), samples, [references[0], wrong, references[2]])
    assert found.worst_frame < 0.01
    assert found.best_frame == pytest.approx(1, abs=0.01)
    assert found.between == 0.5, "a fourth frame takes one of four places among three, two of which lie between"
    assert found.fidelity == pytest.approx(2 / 3, abs=0.01)


def test_mean_iou_is_that_of_the_evaluation_alone(
    engine: Engine, anatomy: Anatomy, samples: list[Sample], references: list[Reference], verdict: Verdict
) -> None:
    model, stock = Confusion(5), Confusion(5)
    for sample, reference in zip(samples, references, strict=True):
        if sample.truth is not None:
            model.add(sample.truth, labels(engine, anatomy, sample, FRAME))
            stock.add(sample.truth, nearest(reference.stock, FRAME))
    assert verdict.mean_iou == pytest.approx(model.mean_iou())
    assert verdict.stock_mean_iou == pytest.approx(stock.mean_iou())


def test_what_becomes_of_each_class_is_that_of_the_evaluation_alone(
    engine: Engine, anatomy: Anatomy, samples: list[Sample], references: list[Reference]
) -> None:
    """Of one frame the first reference sees class 0 everywhere at the truth's size: every other class rises."""
    kept, blind = Confusion(5), replace(references[0], at_truth=np.zeros(FRAME, np.uint8))
    kept.add(references[0].retargeted, labels(engine, anatomy, samples[0], HW))
    found = verify(engine, anatomy.norm, guess(anatomy.classes), samples[:1], [blind])
    names, truth = guess(anatomy.classes).names, samples[0].truth
    assert truth is not None
    assert found.seen_pixels == {n: count for n, count in zip(names, kept.union().tolist(), strict=True) if count}
    assert sum(found.seen_pixels.values()) >= HW[0] * HW[1]
    seen = labels(engine, anatomy, samples[0], FRAME)
    for index, name in enumerate(names):
        known, wanted = truth != 255, truth == index
        fall = found.class_falls[name]
        assert fall.pixels == wanted.sum()
        found_here = known & (seen == index)
        assert fall.model_iou == pytest.approx((wanted & found_here).sum() / (wanted | found_here).sum())
        assert fall.retargeted_iou == pytest.approx(wanted.sum() / known.sum() if index == 0 else 0)
        assert fall.fall == fall.retargeted_iou - fall.model_iou


def test_mean_iou_is_left_out_where_no_truth_is_known(
    engine: Engine, anatomy: Anatomy, samples: list[Sample], references: list[Reference]
) -> None:
    found = verify(engine, anatomy.norm, guess(anatomy.classes), samples[2:], references[2:])
    assert found.mean_iou is None
    assert not {"mean_iou", "stock_mean_iou"} & set(found.as_json())
    assert not found.class_falls


def test_shrinking_is_measured_against_the_stock_graph_at_its_own_size(
    graph: GraphDef,
    engine: Engine,
    anatomy: Anatomy,
    samples: list[Sample],
    references: list[Reference],
    verdict: Verdict,
) -> None:
    shares = []
    for sample, reference in zip(samples, references, strict=True):
        assert reference.retargeted.shape == HW
        assert reference.stock.shape == anatomy.crop_hw
        logits = nets.stock_logits(graph, anatomy, resize(sample.pixels, anatomy.crop_hw))[0]
        whole = Upsample(logits.shape[:2], anatomy.crop_hw)(logits)
        assert agreement(whole, reference.stock) > 0.999
        shares.append(agreement(labels(engine, anatomy, sample, anatomy.crop_hw), reference.stock))
    assert verdict.shrinking == pytest.approx(np.mean(shares))
    assert verdict.shrinking < verdict.fidelity


def test_nothing_shrinks_at_the_baked_size_and_stride(
    graph: GraphDef, anatomy: Anatomy, samples: list[Sample], tmp_path: Path
) -> None:
    body = body_of(graph, anatomy.crop_hw, 8)
    references = refer(graph, anatomy, body, samples)
    engine = engine_of(body, tmp_path)
    found = verify(engine, anatomy.norm, guess(anatomy.classes), samples, references)
    assert found.shrinking > 0.999
    assert found.mean_iou == pytest.approx(found.stock_mean_iou, abs=0.01)


@pytest.mark.parametrize(
    ("make", "read", "dtype"),
    [(tf.nn.softmax, "ResizeBilinear_3", tf.float32), (lambda ids: tf.stack([ids, ids], -1), "ArgMax", tf.int64)],
    ids=["scores", "two label maps"],
)
def test_answer_that_is_no_label_map_is_refused(
    anatomy: Anatomy, samples: list[Sample], make: Callable[[Any], Any], read: str, dtype: Any
) -> None:
    graph = nets.net()
    nets.add(graph, "Answer", make, read, dtype=dtype)
    with pytest.raises(GraphError, match="Answer: expected integer labels"):
        refer(graph, replace(anatomy, labels="Answer"), body_of(graph, HW, 16), samples)


def test_finite_weights_that_overflow_are_refused(anatomy: Anatomy, samples: list[Sample]) -> None:
    graph = nets.net()
    nets.set_constant(graph, "logits/semantic/biases", np.full(5, 3e38, np.float32))
    nets.set_constant(graph, "logits/semantic/weights", np.full((1, 1, 256, 5), 3e38, np.float32))
    with pytest.raises(GraphError, match="scores are not finite: finite weights make them overflow"):
        refer(graph, anatomy, body_of(graph, HW, 16), samples)


def test_network_that_cannot_run_is_refused_in_one_line(
    graph: GraphDef, anatomy: Anatomy, samples: list[Sample]
) -> None:
    body = body_of(graph, HW, 16)
    kernel = nets.node(body.graph, "logits/semantic/weights").attr["value"].tensor
    kernel.tensor_content = kernel.tensor_content[:-4]
    with pytest.raises(GraphError, match=r"^TensorFlow cannot run the re-targeted graph: [^\n]+$"):
        refer(graph, anatomy, body, samples)
