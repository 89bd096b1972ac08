"""What an Edge TPU takes of a model; the figures of the last test are those of a file that Coral publishes for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge.engine.edge_tpu import Fitness, fitness

small_models = pytest.importorskip("small_models")
HW = small_models.HW


def network(
    kind: str = "CONV_2D",
    dtype: str = "uint8",
    *,
    rate: int = 1,
    shape: tuple[int, ...] = (1, *HW, 4),
    free: bool = False,
    weights: int = 4,
) -> bytes:
    """A convolution of 1x1 and one more operator behind it."""
    graph, quantized = small_models.Graph(), {} if dtype == "float32" else {"scale": 1 / 255}
    picture = graph.tensor("picture", (*shape[:-1], 3), dtype, **quantized)
    kernel = graph.constant(np.ones((weights, 1, 1, 3), dtype), **quantized)
    bias = graph.constant(np.zeros(weights, "float32" if dtype == "float32" else np.int32), **quantized)
    between, scores = (graph.tensor(name, shape, dtype, **quantized) for name in ("between", "scores"))
    if free:
        graph.tensors[picture].shapeSignature = [1, -1, -1, 3]
    graph.operator("CONV_2D", [picture, kernel, bias], [between], "Conv2DOptions", strideW=1, strideH=1)
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        options = "Conv2DOptions" if kind == "CONV_2D" else "DepthwiseConv2DOptions"
        graph.operator(kind, [between, kernel, bias], [scores], options, dilationWFactor=rate, dilationHFactor=1)
    elif kind == "AVERAGE_POOL_2D":
        graph.operator(kind, [between], [scores], "Pool2DOptions", fusedActivationFunction=1)
    else:
        graph.operator(kind, [between], [scores])
    made: bytes = graph.packed([picture], [scores])
    return made


def told(found: Fitness) -> str:
    return " ".join((*found.faults, *found.remarks))


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_network_of_8_bits_fits(dtype: str) -> None:
    assert fitness(network(dtype=dtype)) == Fitness((), ())
    assert fitness(network(dtype=dtype)).fits


FAULTS = {
    "its ends are real": (
        {"dtype": "float32"},
        "Its input picture is float32, expected int8 or uint8: make an int8 file of its graph with convert-model.",
    ),
    "it computes in real numbers": ({"dtype": "float32"}, "some do not compute in 8 bits (2 in float32)"),
    "its computes in 16 bits": ({"dtype": "int16"}, "Its output scores is int16, expected int8 or uint8"),
    "its size is free": ({"free": True}, "The size of picture is free, expected a fixed one"),
    "it takes two pictures": ({"shape": (2, *HW, 4)}, "between first, of more than three sides longer than 1"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_does_not_fit_is_told_with_the_way_out(name: str) -> None:
    how, sentence = FAULTS[name]
    found = fitness(network(**how))  # type: ignore[arg-type]
    assert not found.fits
    assert sentence in " ".join(found.faults)


REMARKS = {
    "an operator that is not in the table": ({"kind": "HARD_SWISH"}, "HARD_SWISH, is not in the table"),
    "a rate": ({"kind": "DEPTHWISE_CONV_2D", "rate": 2}, "has other rates across than down (2, 1)"),
    "an activation function": ({"kind": "AVERAGE_POOL_2D"}, "has an activation function in it"),
    "many weights": ({"weights": 3_000_000}, "Its constants take 21.0 MB and 8 MB fit beside the Edge TPU"),
}


@pytest.mark.parametrize("name", REMARKS)
def test_what_stays_on_the_processor_is_told(name: str) -> None:
    how, sentence = REMARKS[name]
    found = fitness(network(**how))  # type: ignore[arg-type]
    assert found.fits
    assert sentence in " ".join(found.remarks)


def test_the_first_operator_that_stays_says_how_many_follow() -> None:
    (remark,) = fitness(network("HARD_SWISH")).remarks
    assert remark.startswith("Operator 2 of 2, HARD_SWISH, ")
    assert "what follows, 1 operator, to the processor" in remark


def test_labels_may_be_whole_numbers_where_arg_max_makes_them() -> None:
    labels = small_models.strongest_colour("uint8", output="labels", scale=1 / 255)
    assert not [fault for fault in fitness(labels).faults if "labels" in fault]


def test_what_is_compiled_already_is_told() -> None:
    found = fitness(small_models.custom("edgetpu-custom-op"))
    assert found.fits
    assert "compiled for an Edge TPU already" in told(found)


def test_a_published_model_for_it_fits(shared: Callable[[str], Path]) -> None:
    found = fitness(shared("models/coral_deeplab_slim_cityscapes_uint8.tflite").read_bytes())
    assert found.fits
    assert "Operator 59 of 84, DEPTHWISE_CONV_2D, has a rate of 2" in told(found)
