from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.compare.layer_times import cuts_within, from_counters, from_prefixes, places_to_cut
from edge.compare.worker_process import MeasuredModel
from edge.engine.base import Operator
from edge.engine.flatbuffer import cut
from edge.engine.open import open_engine

Tiny = Callable[..., bytes]


def layer(name: str, macs: int = 0, delegated: bool = True) -> Operator:
    return Operator("CONV_2D", name, macs, delegated)


def test_a_layer_is_what_its_prefix_takes_longer() -> None:
    operators = [layer("a", 2_000_000), layer("b", 3_000_000), layer("c", 0, delegated=False)]
    # Rounds are slow by 1, 2, ... ms from end to end: that is not what a layer takes.
    rounds = [[x + 0.010, x + 0.030, x + 0.040] for x in (0.0, 0.001, 0.002, 0.003, 0.004, 0.005)]
    found = from_prefixes(operators, [1, 2, 3], rounds, [times[-1] for times in rounds])
    assert [one.seconds.value for one in found.layers[1:]] == pytest.approx([0.020, 0.010])
    assert found.layers[1].seconds.low == pytest.approx(0.020)
    assert found.layers[1].gmacs_per_s == pytest.approx(3e6 / 0.020 / 1e9)
    assert sum(map(found.share, found.layers)) == pytest.approx(1.0)
    assert found.outside_share() == pytest.approx(0.010 / 0.0425)
    assert found.adds_up()
    assert not from_prefixes(operators, [1, 2, 3], rounds, [0.080 + i * 1e-4 for i in range(6)]).adds_up()


def test_a_layer_that_noise_hides_has_no_rate() -> None:
    found = from_prefixes(
        [layer("a"), layer("b", 10**6)],
        [1, 2],
        [[0.010, 0.010 + noise * 1e-3] for noise in (2, -1, 3, -2, 1)],
        [0.010] * 5,
    )
    assert found.layers[1].seconds.holds(0.0)
    assert found.layers[1].gmacs_per_s is None


def test_neighbours_that_noise_hides_are_one_layer() -> None:
    noise = np.random.default_rng(0).normal(0, 2e-4, (7, 4))
    rounds = [[0.010 + a, 0.010 + b, 0.0101 + c, 0.020 + d] for a, b, c, d in noise.tolist()]
    operators = [layer("a", 1), layer("b", 2), layer("c", 4), layer("d", 8)]
    found = from_prefixes(operators, [1, 2, 3, 4], rounds, [0.020] * 7)
    assert [(one.place, one.operators, one.name, one.macs) for one in found.layers] == [
        (0, 1, "a", 1),
        (1, 2, "c", 6),
        (3, 1, "d", 8),
    ]
    assert found.layers[1].kind == "2 CONV_2D"
    assert found.layers[1].seconds.value == pytest.approx(np.median([row[2] - row[0] for row in rounds]))
    few = from_prefixes(operators, [1, 2, 3, 4], rounds[:3], [0.020] * 3)
    assert len(few.layers) == 4, "of few rounds nothing is known, noise neither"
    operators[1] = layer("b", 2, delegated=False)
    assert len(from_prefixes(operators, [1, 2, 3, 4], rounds, [0.020] * 7).layers) == 4


def cut_up(costs: list[float], most: int, outside: tuple[int, ...] = ()) -> list[int]:
    """Where a model of operators that take so long is cut."""
    operators = [layer(str(i), delegated=i not in outside) for i in range(len(costs))]
    times = {0: 0.0, len(costs): sum(costs)}
    for length in places_to_cut(operators, times, most):
        times[length] = sum(costs[:length])
    return sorted(set(times) - {0})


def test_cuts_are_made_where_the_time_goes() -> None:
    costs = [1e-6] * 200
    costs[130], costs[30] = 0.200, 0.100
    cuts = cut_up(costs, 20)
    assert len(cuts) <= 20
    assert {30, 31, 130, 131} <= set(cuts), "both that take time stand alone"
    costs = [0.01] * 100
    costs[60] = 1.0
    assert {60, 61} <= set(cut_up(costs, 10)), "what takes longest comes first"
    assert len(cut_up([0.001] * 300, 25)) == 25, "no more than what was asked for"
    assert cut_up([0.001] * 6, 25) == [1, 2, 3, 4, 5, 6], "of a small model every operator"
    assert {7, 8} <= set(cut_up([1e-7] * 7 + [0.0] + [1e-7] * 8 + [1.0], 30, outside=(7,))), "what is not delegated"


def test_as_many_cuts_as_there_is_time_for() -> None:
    assert cuts_within(120, 1.2, 194) == 25
    assert cuts_within(120, 0.03, 68) == 68
    assert cuts_within(0.01, 30.0, 194) == 8


def test_counters_are_taken_as_they_are() -> None:
    nodes = [Operator("Convolution", "a"), Operator("Reorder", "b")]
    found = from_counters(nodes, [[0.003, 0.001]] * 5)
    assert (found.whole.value, found.outside_share()) == (pytest.approx(0.004), None)
    assert found.share(found.layers[0]) == pytest.approx(0.75)


def test_a_cut_model_gives_what_the_whole_one_has_inside(tiny_model: Tiny) -> None:
    whole = tiny_model(output="labels")
    x = np.random.default_rng(0).random((1, 9, 17, 3)).astype(np.float32)
    scores = open_engine(cut(whole, 2, [2]), "x").invoke(x)
    assert np.array_equal(scores, open_engine(tiny_model(), "x").invoke(x))
    assert np.array_equal(scores.argmax(-1), open_engine(whole, "x").invoke(x))
    assert open_engine(cut(whole, 2, [2]), "x").operators()["ARG_MAX"] == 0


@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_every_prefix_of_a_real_model_runs(kind: str, request: pytest.FixtureRequest, pictures: Path) -> None:
    path: Path = request.getfixturevalue("float_model" if kind == "float32" else "int8_model")
    model = path.read_bytes()
    engine = open_engine(model, path.name, runtime="litert", threads=1)
    x = np.zeros(engine.input.shape, engine.input.dtype)
    timer = engine.layer_timer(model, x)
    operators = timer.operators
    for length in range(1, len(operators) + 1):
        assert timer.prefix is not None
        timer.prefix(length)()
    assert sum((operator.macs or 0) > 0 for operator in operators) > 40
    assert all(operator.delegated for operator in operators)


def test_the_bench_times_prefixes(int8_model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.zeros((40, 60, 3), np.uint8))
    measured = MeasuredModel()
    measured.load(str(int8_model), "litert", 1, str(tmp_path), {})
    layers = measured.layers().operators
    first, half, whole = (
        min(measured.prefix_s(length) for _ in range(5)) for length in (1, len(layers) // 2, len(layers))
    )
    assert 0 < first < half < whole


def test_openvino_counts_itself(int8_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    np.save(tmp_path / "0.npy", np.zeros((40, 60, 3), np.uint8))
    measured = MeasuredModel()
    measured.load(str(int8_model), "openvino", 1, str(tmp_path), {})
    nodes = measured.layers().operators
    assert sum("Convolution" in node.kind for node in nodes) > 40
    times = measured.counted_s()
    assert len(times) == len(nodes)
    assert min(times) > 0
