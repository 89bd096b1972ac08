from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.compare.bench import Bench
from edge.engine import InterpreterEngine, open_engine
from edge.engine.flatbuffer import cut
from edge.profile import from_counters, from_prefixes

Tiny = Callable[..., bytes]


def layer(name: str, macs: int = 0, delegated: bool = True) -> dict[str, Any]:
    return {"kind": "CONV_2D", "name": name, "macs": macs, "delegated": delegated}


def test_a_layer_is_what_its_prefix_takes_longer() -> None:
    operators = [layer("a", 2_000_000), layer("b", 3_000_000), layer("c", 0, delegated=False)]
    # Rounds are slow by 1, 2, ... ms from end to end: that is not what a layer takes.
    rounds = [[x + 0.010, x + 0.030, x + 0.040] for x in (0.0, 0.001, 0.002, 0.003, 0.004, 0.005)]
    found = from_prefixes(operators, rounds)
    assert [one.seconds.value for one in found.layers[1:]] == pytest.approx([0.020, 0.010])
    assert found.layers[1].seconds.low == pytest.approx(0.020)
    assert found.layers[1].gmacs_per_s == pytest.approx(3e6 / 0.020 / 1e9)
    assert found.costliest(1) == [found.layers[1]]
    assert sum(map(found.share, found.layers)) == pytest.approx(1.0)
    assert found.outside_share() == pytest.approx(0.010 / 0.0425)


def test_a_layer_that_noise_hides_has_no_rate() -> None:
    found = from_prefixes(
        [layer("a"), layer("b", 10**6)], [[0.010, 0.010 + noise * 1e-3] for noise in (2, -1, 3, -2, 1)]
    )
    assert found.layers[1].seconds.holds(0.0)
    assert found.layers[1].gmacs_per_s is None


def test_counters_are_taken_as_they_are() -> None:
    nodes = [{"kind": "Convolution", "name": "a"}, {"kind": "Reorder", "name": "b"}]
    found = from_counters(nodes, [[0.003, 0.001]] * 5)
    assert (found.whole_s, found.outside_share()) == (pytest.approx(0.004), None)
    assert found.share(found.layers[0]) == pytest.approx(0.75)


def test_a_cut_model_gives_what_the_whole_one_has_inside(tiny_model: Tiny) -> None:
    whole = tiny_model(output="labels")
    x = np.random.default_rng(0).random((1, 9, 17, 3)).astype(np.float32)
    scores = open_engine(cut(whole, 2, [2]), "x").invoke(x)
    assert np.array_equal(scores, open_engine(tiny_model(), "x").invoke(x))
    assert np.array_equal(scores.argmax(-1), open_engine(whole, "x").invoke(x))
    assert open_engine(cut(whole, 2, [2]), "x").operators()["ARG_MAX"] == 0


@pytest.mark.tensorflow
@pytest.mark.parametrize("kind", ["float32", "int8"])
def test_every_prefix_of_a_real_model_runs(kind: str, request: pytest.FixtureRequest, pictures: Path) -> None:
    path: Path = request.getfixturevalue("float_model" if kind == "float32" else "int8_model")
    model = path.read_bytes()
    engine = open_engine(model, path.name, runtime="litert", threads=1)
    assert isinstance(engine, InterpreterEngine)
    x = np.zeros(engine.input.shape, engine.input.dtype)
    operators = engine.costs()
    for length in range(1, len(operators) + 1):
        engine.prefix(model, length, x)()
    assert sum(operator.macs > 0 for operator in operators) > 40
    assert all(operator.delegated for operator in operators)


@pytest.mark.tensorflow
def test_the_bench_times_prefixes(int8_model: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", np.zeros((40, 60, 3), np.uint8))
    bench = Bench()
    bench.load(str(int8_model), "litert", 1, str(tmp_path), None, None)
    layers = bench.layers()
    first, half, whole = (
        min(bench.prefix_s(length) for _ in range(5)) for length in (1, len(layers) // 2, len(layers))
    )
    assert 0 < first < half < whole


@pytest.mark.tensorflow
def test_openvino_counts_itself(int8_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    np.save(tmp_path / "0.npy", np.zeros((40, 60, 3), np.uint8))
    bench = Bench()
    bench.load(str(int8_model), "openvino", 1, str(tmp_path), None, None)
    nodes = bench.layers()
    assert sum("Convolution" in node["kind"] for node in nodes) > 40
    times = bench.counted_s()
    assert len(times) == len(nodes)
    assert min(times) > 0
