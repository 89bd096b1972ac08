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

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.graph.finite import DIVERGED
from convert.ranges import Range
from convert.tflite.dead_channels import enliven, silence
from convert.tflite.flatbuffer import kind, pack, parse
from convert.tflite.recipes import Recipe
from edge.errors import ConversionError
from edge.text import reason

LEAST_WIDTH = 1e-3  # of a range, as a share of the median one; narrower ones still have most of their steps
MAX_OUTPUT_BYTES = 1 << 30  # of activations kept at once; what exceeds it is measured in another pass


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
    for group in _groups(model):
        indexes = [index for index, _ in group]
        lows, highs = _extremes(_with_outputs(model, indexes), indexes, samples)
        for (_, name), low, high in zip(group, lows, highs, strict=True):
            ranges[name] = _range(name, low, high)
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
    if low > high:  # as they were before the first frame
        raise ConversionError(f"{name} has no finite range: there are no calibration frames")
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

    lively, dead = enliven(model)
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
    return silence(bytes(result.quantized_model), dead)


def first_name(name: str) -> str:
    """Returns the first of the names that the converter joined for all that it fused, which is that of the result."""
    return name.split(";", maxsplit=1)[0]


def operators(model: bytes) -> list[str]:
    """Returns the operators of a .tflite in order, each by the name of its output tensor."""
    graph = parse(model).subgraphs[0]
    return [graph.tensors[int(op.outputs[0])].name.decode() for op in graph.operators]


def _groups(model: bytes) -> list[list[tuple[int, str]]]:
    """The activations, (index, name) in order, in groups that fit in memory together."""
    graph = parse(model).subgraphs[0]
    groups: list[list[tuple[int, str]]] = [[]]
    held = 0
    for index in (int(tensor) for op in graph.operators for tensor in op.outputs):
        size = int(np.prod(graph.tensors[index].shape, dtype=np.int64)) * 4
        if groups[-1] and held + size > MAX_OUTPUT_BYTES:
            groups.append([])
            held = 0
        held += size
        groups[-1].append((index, graph.tensors[index].name.decode()))
    return groups


def _with_outputs(model: bytes, tensors: Iterable[int]) -> bytes:
    """The model with these tensors as its outputs, so that a delegate keeps them."""
    instrumented = parse(model)
    instrumented.subgraphs[0].outputs = np.array(list(tensors), np.int32)
    instrumented.signatureDefs = None  # it names outputs that are no more
    return pack(instrumented)


def _extremes(
    model: bytes, tensors: list[int], samples: Iterable[NDArray[np.float32]]
) -> tuple[list[float], list[float]]:
    """Lowest and highest value of each tensor; what is not a number makes both so."""
    interpreter = _interpreter(model)
    source = interpreter.get_input_details()[0]["index"]
    views = [interpreter.tensor(index) for index in tensors]
    lows, highs = np.full(len(views), np.inf), np.full(len(views), -np.inf)
    for sample in samples:
        try:
            interpreter.set_tensor(source, sample)
            interpreter.invoke()
        except (ValueError, RuntimeError) as exc:
            raise ConversionError(f"its activations cannot be measured: {reason(exc)}") from exc
        # OpenCV's minMaxLoc overlooks what is not a number, and takes several times as long.
        lows = np.minimum(lows, [view().min() for view in views])
        highs = np.maximum(highs, [view().max() for view in views])
    return lows.tolist(), highs.tolist()


def _interpreter(model: bytes) -> Any:
    """One that is ready to run, on plain kernels where XNNPACK refuses the model. Raises ConversionError."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    for kernels in (OpResolverType.AUTO, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        try:
            interpreter = Interpreter(
                model_content=model, num_threads=cv2.getNumberOfCPUs(), experimental_op_resolver_type=kernels
            )
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as exc:
            refusal = exc
        else:
            return interpreter
    raise ConversionError(f"its activations cannot be measured: {reason(refusal)}") from refusal


def _input_name(model: bytes) -> str:
    graph = parse(model).subgraphs[0]
    name: str = graph.tensors[int(graph.inputs[0])].name.decode()
    return name
