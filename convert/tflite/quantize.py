"""Full-integer quantization: ranges measured on frames, applied by LiteRT's quantizer.

TensorFlow's own quantizer runs calibration frames through reference kernels and takes all or nothing. Here the float
model runs on the optimised delegate with every activation as an output, which is 1.5 to 3 times as fast, the
quantizer takes the ranges as they are, and layers can be left out of it. Side by side on the same frames, share of
pixels as in float, TensorFlow's first: VOC MobileNetV2 0.9993 and 0.9993, the demo 0.9899 and 0.9901, a
MobileNetV3-small of five classes 0.9286 and 0.9420; delegate partitions and speed are the same.

Narrower ranges than the extremes were tried on that MobileNetV3 (0.25 to 0.75 of them, on the tensors that hurt):
between 0.88 and 0.93 without an order, where three neighbouring operators in float give 0.99. So there are none here.
"""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph.finite import DIVERGED
from convert.ranges import Range
from convert.tflite.activations import largest
from convert.tflite.faint_channels import enliven, silence
from convert.tflite.flatbuffer import kind, parse
from convert.tflite.recipes import Recipe
from edge.errors import ConversionError

LEAST_WIDTH = 1e-3  # of a range, as a share of the median one; narrower ones still have most of their steps


def measure_ranges(
    model: bytes,
    samples: Iterable[NDArray[np.float32]],
    input_range: Range,
    trained: Mapping[str, Range] | None = None,
) -> dict[str, Range]:
    """Returns the range of every activation of a float .tflite over the samples (1, H, W, 3), by tensor name.

    The input's range is given, not measured: it follows from the normalisation. So is that of a tensor whose range the
    network has learned in its training: `trained`, by the name of the node. Raises ConversionError where an activation
    has no finite range.
    """
    ranges = {_input_name(model): input_range}
    graph = parse(model).subgraphs[0]
    places = [int(place) for op in graph.operators for place in op.outputs]
    # OpenCV's minMaxLoc overlooks what is not a number, and takes several times as long.
    extremes = largest(model, places, samples, lambda x: np.array((-x.min(), x.max())))
    if not extremes:
        raise ConversionError("its activations have no finite range: there are no calibration frames")
    for place, (low, high) in extremes.items():
        name = graph.tensors[place].name.decode()
        ranges[name] = _range(name, -float(low), float(high))
    return _shared(model, with_steps(ranges | _learned(ranges, trained or {})))


def with_steps(ranges: dict[str, Range]) -> dict[str, Range]:
    """Returns the ranges, those of tensors that took hardly more than one value wide enough for a usable scale.

    The quantizer makes a scale of 4e-12 of a tensor that was always 0, which the runtime cannot multiply by, and which
    nothing fits that another picture puts there.
    """
    widths = {name: max(known.high, 0.0) - min(known.low, 0.0) for name, known in ranges.items()}  # 0 is always in it
    some = 1e-6 * max(widths.values(), default=0.0)
    usual = float(np.median([width for width in widths.values() if width > some] or [1.0]))
    least = LEAST_WIDTH * usual
    return {
        name: known if widths[name] >= least else Range(min(known.low, 0.0), min(known.low, 0.0) + least)
        for name, known in ranges.items()
    }


def _learned(names: Iterable[str], trained: Mapping[str, Range]) -> dict[str, Range]:
    return {name: trained[first_name(name)] for name in names if first_name(name) in trained}


def _range(name: str, low: float, high: float) -> Range:
    if not high - low < np.finfo(np.float32).max:
        raise ConversionError(
            f"{name} has no finite range: finite weights make values from {low:g} to {high:g} of the "
            f"calibration frames; {DIVERGED}"
        )
    return Range(low, high)


def _shared(model: bytes, ranges: dict[str, Range]) -> dict[str, Range]:
    """What is joined or resized gets the range of the result, where nobody else reads it.

    Those operators keep one scale. Values of another one would be requantized first, which costs time, gains nothing,
    and is an operator that OpenVINO does not read.
    """
    from ai_edge_litert.schema_py_generated import BuiltinOperator

    parsed = parse(model)
    graph, shared = parsed.subgraphs[0], dict(ranges)
    readers = Counter(int(index) for op in graph.operators for index in op.inputs)
    for op in reversed(graph.operators):
        if kind(parsed, op) in (BuiltinOperator.CONCATENATION, BuiltinOperator.RESIZE_BILINEAR):
            for index in map(int, op.inputs):
                name = graph.tensors[index].name.decode()
                if name in shared and readers[index] == 1:
                    shared[name] = shared[graph.tensors[int(op.outputs[0])].name.decode()]
    return shared


def quantize(model: bytes, ranges: dict[str, Range], made_as: Recipe, in_float: Collection[str] = ()) -> bytes:
    """Returns a float .tflite quantized as a calibrated recipe says, weights per channel, but for the operators whose
    output tensors are named `in_float`. Raises ConversionError.
    """
    from litert_quantizer import algorithm_manager, quantizer, recipe

    lively, lent = enliven(model, ranges)
    made = quantizer.Quantizer(bytearray(lively))
    made.load_quantization_recipe(getattr(recipe, made_as.quantizer)())
    if in_float:  # in one rule: it looks at every rule for every operator
        names = f"^(?:{'|'.join(map(re.escape, in_float))});"
        made.update_quantization_recipe(names, "*", algorithm_key=algorithm_manager.AlgorithmName.NO_QUANTIZE)
    values: dict[str, Any] = {
        name: {"min": np.full((1, 1, 1, 1), r.low, np.float32), "max": np.full((1, 1, 1, 1), r.high, np.float32)}
        for name, r in ranges.items()
    }
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):  # it warns of its own doings
            warnings.simplefilter("ignore", UserWarning)
            result = made.quantize(values, enable_progress_bar=False, enable_progress_report=False)
    except (ValueError, RuntimeError, KeyError) as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise ConversionError(f"{made_as.name}: the quantizer failed: {reason}") from exc
    return silence(bytes(result.quantized_model), lent)


def first_name(name: str) -> str:
    """Returns the first of the names that the converter joined for all that it fused, which is that of the result."""
    return name.split(";", maxsplit=1)[0]


def operators(model: bytes) -> list[str]:
    """Returns the operators of a .tflite in order, each by the name of its output tensor."""
    graph = parse(model).subgraphs[0]
    return [graph.tensors[int(op.outputs[0])].name.decode() for op in graph.operators]


def _input_name(model: bytes) -> str:
    graph = parse(model).subgraphs[0]
    name: str = graph.tensors[int(graph.inputs[0])].name.decode()
    return name
