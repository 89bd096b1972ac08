"""Looks at the activations of a float .tflite while it runs on pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.tflite.flatbuffer import pack, parse
from edge.errors import ConversionError
from edge.text import reason

MAX_OUTPUT_BYTES = 1 << 30  # of activations kept at once; what exceeds it is looked at in another pass

Look = Callable[[NDArray[Any]], NDArray[Any]]


def largest(
    model: bytes, places: Iterable[int], samples: Iterable[NDArray[np.float32]], look: Look
) -> Mapping[int, NDArray[Any]]:
    """Returns, for the activation at each of these places of the first subgraph, the element-wise maximum of what
    `look` returns for its values over the samples (1, H, W, 3). What is not a number stays.

    Every activation is made an output, so that a delegate keeps it. Raises ConversionError where the model cannot run.
    """
    found: dict[int, NDArray[Any]] = {}
    for group in _groups(model, places):
        interpreter = _interpreter(_with_outputs(model, group))
        source = interpreter.get_input_details()[0]["index"]
        views = {place: interpreter.tensor(place) for place in group}
        for sample in samples:
            try:
                interpreter.set_tensor(source, sample)
                interpreter.invoke()
            except (ValueError, RuntimeError) as exc:
                raise ConversionError(f"its activations cannot be measured: {reason(exc)}") from exc
            for place, view in views.items():
                seen = look(view())
                found[place] = np.maximum(found[place], seen) if place in found else seen
    return found


def _groups(model: bytes, places: Iterable[int]) -> list[list[int]]:
    """The places in order, in groups that fit in memory together."""
    tensors = parse(model).subgraphs[0].tensors
    groups: list[list[int]] = [[]]
    held = 0
    for place in places:
        size = int(np.prod(tensors[place].shape, dtype=np.int64)) * 4
        if groups[-1] and held + size > MAX_OUTPUT_BYTES:
            groups.append([])
            held = 0
        held += size
        groups[-1].append(place)
    return [group for group in groups if group]


def _with_outputs(model: bytes, places: list[int]) -> bytes:
    instrumented = parse(model)
    instrumented.subgraphs[0].outputs = np.array(places, np.int32)
    instrumented.signatureDefs = None  # it names outputs that are no more
    return pack(instrumented)


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
