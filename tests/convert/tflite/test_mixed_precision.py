from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import nets
import numpy as np
import pytest

from convert.demo.publish import DEMO
from convert.frames import CalibrationTensors, Sample, collect
from convert.graph.anatomy import Anatomy, discover
from convert.graph.graphdef import GraphDef, parse
from convert.graph.retarget import retarget
from convert.tensorflow import tf
from convert.tflite import mixed_precision
from convert.tflite.build import GraphModels, ModelBuilder, pixel_range
from convert.tflite.export import as_function, convert, save
from convert.tflite.metadata import embed
from convert.tflite.mixed_precision import (
    CLEARED,
    MOST,
    SEARCH_SHARE,
    Cost,
    Found,
    QuantizationTrials,
    costly,
    keep_in_float,
    search,
)
from convert.tflite.quantize import first_name, measure_ranges
from convert.tflite.recipes import RECIPES
from edge.card import Card, attach
from edge.classes import guess
from edge.engine.open import open_engine
from edge.preprocess import DEEPLAB

pytestmark = pytest.mark.tensorflow
HW = (129, 257)
LIMIT = 0.95


def far_away(x: object) -> object:
    """Changes nothing in float; in int8, 255 steps over a range of 4000 leave little of x."""
    there = tf.raw_ops.AddV2(x=x, y=tf.constant(4000.0), name="there")
    return tf.raw_ops.Sub(x=there, y=tf.constant(4000.0), name="back")


@pytest.fixture(scope="module")
def graph() -> GraphDef:
    made = parse(DEMO.read_bytes(), "demo")
    nets.insert(made, "concat_projection/Conv2D", 0, far_away, "trip")
    return made


@pytest.fixture(scope="module")
def anatomy(graph: GraphDef) -> Anatomy:
    return discover(graph, "demo")


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return collect(["demo"], HW, calibrate=6, verify=1).calibration


@pytest.fixture(scope="module")
def trials(
    graph: GraphDef, anatomy: Anatomy, samples: list[Sample], tmp_path_factory: pytest.TempPathFactory
) -> QuantizationTrials:
    folder = tmp_path_factory.mktemp("float")
    save(as_function(retarget(graph, anatomy, HW, 16)), HW, folder)
    model = convert(folder, RECIPES["float32"])
    return QuantizationTrials(
        model,
        measure_ranges(model, CalibrationTensors(samples, DEEPLAB), pixel_range(DEEPLAB)),
        RECIPES["int8"],
        [*CalibrationTensors(samples[:3], DEEPLAB)],
    )


@pytest.fixture(scope="module")
def costs(trials: QuantizationTrials) -> list[Cost]:
    return costly(trials, CLEARED[0] * (1 - LIMIT))


def test_the_operators_around_the_spoilt_tensor_are_found(trials: QuantizationTrials, costs: list[Cost]) -> None:
    assert trials.agreement([]) < 0.8
    assert trials.agreement(trials.operators) > 0.99, "only input and output are quantized"
    assert {first_name(cost.operator) for cost in costs[:2]} == {"trip/there", "trip/back"}
    assert all(cost.lost > 0.1 for cost in costs[:2])
    assert all(cost.lost < 0.02 for cost in costs[2:])


def test_most_of_a_network_is_cleared_by_few_trials(trials: QuantizationTrials) -> None:
    counted, tolerance = [], CLEARED[0] * (1 - LIMIT)
    list(costly(trials, tolerance, lambda items, what, total=None: (counted.append(i) or i for i in items)))
    assert len(counted) < len(trials.operators) / 2


class WhereThePictureItselfCosts(QuantizationTrials):
    """Twenty operators, of which one hurts, in a network that half a grey level changes: a small, briefly trained one.

    DeepLab's normalisation has 0 between two grey levels, so that an int8 picture is half of one off.
    """

    def __init__(self) -> None:
        self.operators = [f"operator {i}" for i in range(20)]

    def agreement(self, in_float: Collection[str]) -> float:
        return 0.985 if "operator 7" in in_float else 0.94


def test_what_the_picture_loses_is_no_operators_cost() -> None:
    trials = WhereThePictureItselfCosts()
    costs = costly(trials, CLEARED[0] * (1 - LIMIT))
    assert [(cost.operator, round(cost.lost, 3)) for cost in costs] == [("operator 7", 0.045)]
    assert keep_in_float(trials, costs, LIMIT) == ["operator 7"]


class WhereLossesAreInherited(QuantizationTrials):
    """Fifty operators, of which each of the first six passes on what it loses; single ones are worth little."""

    def __init__(self, worth: dict[str, float] | None = None, inherited: float = 0.012) -> None:
        self.operators = [f"operator {i}" for i in range(50)]
        self.trials, self._worth, self._inherited = 0, worth or {}, inherited

    def agreement(self, in_float: Collection[str]) -> float:
        self.trials += 1
        leading = next((i for i, name in enumerate(self.operators) if name not in in_float), len(self.operators))
        return 0.9 + self._inherited * min(leading, 6) + sum(self._worth.get(name, 0.0) for name in in_float)


def test_the_leading_operators_are_tried_first() -> None:
    trials = WhereLossesAreInherited()
    found = search(trials, 0.96)
    assert found.in_float == trials.operators[:5]
    assert found.finished
    assert trials.trials < 80


def test_fewer_than_the_leading_ones_are_looked_for() -> None:
    trials = WhereLossesAreInherited({"operator 30": 0.07})
    assert search(trials, 0.96).in_float == ["operator 30"]


def test_what_is_worth_little_is_given_back_where_the_agreement_is_out_of_reach() -> None:
    worth = {"operator 10": 0.04, "operator 20": 0.004, "operator 30": 0.003}
    trials = WhereLossesAreInherited(worth, inherited=0)
    assert search(trials, 0.99).in_float == ["operator 10", "operator 20"], "the third is a sixteenth of the gain"
    assert set(search(trials, 0.99, least=0.9465).in_float) == {*worth}, "but what is at least wanted needs it"


def test_a_search_for_costs_ends_where_those_that_were_found_are_enough() -> None:
    trials = WhereLossesAreInherited({f"operator {i}": 0.03 for i in (20, 30, 40, 45)}, inherited=0)
    assert len(costly(trials, 0.001, limit=0.95)) == 2
    assert len(costly(trials, 0.001, limit=0.95, enough=1)) == 1
    assert len(costly(trials, 0.001)) == 4


def test_as_few_as_needed_are_kept(trials: QuantizationTrials, costs: list[Cost]) -> None:
    harmless = [Cost(name, 1.0) for name in trials.operators[:2]]  # as if they had cost the most
    kept = keep_in_float(trials, [*harmless, *costs], LIMIT)
    assert {first_name(name) for name in kept} == {"trip/there", "trip/back"}
    assert trials.agreement(kept) >= LIMIT


def test_what_is_out_of_reach(trials: QuantizationTrials, costs: list[Cost]) -> None:
    assert keep_in_float(trials, costs, 1.1) == [cost.operator for cost in costs], "all that helps"
    everything = [Cost(name, 1.0) for name in trials.operators]
    few = keep_in_float(trials, everything, 1.1)
    assert few == trials.operators[: int(MOST * len(trials.operators))], "and no more"


def test_smaller_costs_are_looked_for_where_the_larger_ones_are_not_all(trials: QuantizationTrials) -> None:
    plain, all_ = trials.agreement([]), trials.agreement(trials.operators)
    few, more, out_of_reach = (search(trials, plain + share * (all_ - plain)) for share in (0.9, 0.97, 1.0))
    assert few.finished
    assert more.finished
    assert trials.agreement(more.in_float) > trials.agreement(few.in_float)
    assert len(more.in_float) > len(few.in_float) == 2
    assert trials.agreement(out_of_reach.in_float) >= trials.agreement(few.in_float), "what was found is not lost"


def test_a_search_ends_in_its_time_with_the_best_that_it_has(
    trials: QuantizationTrials, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that moves on by a second with every trial that was not made before."""
    now, tried = [0.0], set[frozenset[str]]()

    def agreement(in_float: Collection[str]) -> float:
        now[0] += frozenset(in_float) not in tried
        tried.add(frozenset(in_float))
        return whole(in_float)

    whole = trials.agreement
    monkeypatch.setattr(mixed_precision.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(trials, "agreement", agreement)

    def searched(until: float) -> Found:
        now[0] = 0.0
        tried.clear()
        return search(trials, LIMIT, until=until)

    found = searched(4.0)
    assert not found.finished
    assert now[0] < 12
    found = searched(14.0)
    assert not found.finished
    assert {first_name(name) for name in found.in_float} >= {"trip/there", "trip/back"}
    assert whole(found.in_float) > 0.9
    enough = searched(1000.0)
    assert enough.finished
    # What costs is found within three quarters of this time, and what of it is enough in the last one.
    late = searched(now[0] / SEARCH_SHARE + 1)
    assert (late.in_float, late.finished) == (enough.in_float, True)


def test_rescued_model_keeps_its_promise_but_there(
    graph: GraphDef, anatomy: Anatomy, samples: list[Sample], tmp_path: Path
) -> None:
    body = retarget(graph, anatomy, HW, 16)
    maker = ModelBuilder(GraphModels(body, tmp_path), samples, DEEPLAB)
    plain, rescued = maker.make(RECIPES["int8"]), maker.rescue(RECIPES["int8"], LIMIT)
    assert {first_name(name) for name in rescued.in_float} == {"trip/there", "trip/back"}
    spoilt, engine = open_engine(plain, "plain"), open_engine(rescued.model, "rescued")
    assert engine.input.dtype == engine.output.dtype == np.int8
    assert engine.partitions().outside == 0
    assert len(rescued.model) < 1.1 * len(plain)
    assert spoilt.operators()["DEQUANTIZE"] == 0 < engine.operators()["DEQUANTIZE"]


def test_a_rescued_file_opens_in_openvino_as_it_is_written(
    graph: GraphDef, anatomy: Anatomy, samples: list[Sample], tmp_path: Path
) -> None:
    """Its reader looks at the older field of an operator's number, where the quantizer leaves a 0, which is ADD."""
    openvino = pytest.importorskip("openvino")
    body = retarget(graph, anatomy, HW, 16)
    rescued = ModelBuilder(GraphModels(body, tmp_path), samples, DEEPLAB).rescue(RECIPES["int8"], LIMIT)
    card = Card("x", "int8", HW, 16, DEEPLAB, "logits", guess(19))
    path = tmp_path / "x.tflite"
    path.write_bytes(attach(embed(rescued.model, card), card))
    model = openvino.Core().read_model(path)
    assert {"FakeQuantize", "Convolution"} <= {node.get_type_name() for node in model.get_ordered_ops()}
