"""Finding the parts of a frozen DeepLab graph by walking it, never by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph import (
    CONVOLUTIONS,
    GraphDef,
    Nodes,
    ancestors,
    by_name,
    consumers,
    evaluate,
    first_line,
    inputs,
    shapes,
    strides,
    upstream,
)
from convert.tensorflow import tf
from edge.errors import GraphError
from edge.preprocess import Normalisation

# What the exporters write. Anything else is refused before TensorFlow runs a line of it: a graph is a program,
# and some operators read and write files.
KNOWN_OPS = CONVOLUTIONS | {
    "Add", "AddN", "AddV2", "All", "ArgMax", "Assert", "AvgPool", "BatchToSpaceND", "BiasAdd", "Cast", "Concat",
    "ConcatV2", "Const", "Equal", "ExpandDims", "Fill", "Floor", "FloorDiv", "FloorMod", "FusedBatchNorm",
    "FusedBatchNormV2", "FusedBatchNormV3", "Greater", "GreaterEqual", "Identity", "Less", "LessEqual",
    "LogicalAnd", "LogicalNot", "LogicalOr", "MaxPool", "Maximum", "Mean", "Minimum", "Mul", "Neg", "NoOp",
    "NotEqual", "Pack", "Pad", "PadV2", "Placeholder", "PlaceholderWithDefault", "Prod", "Range", "Rank", "RealDiv",
    "Relu", "Relu6", "Reshape", "ResizeBilinear", "ResizeNearestNeighbor", "Round", "Rsqrt", "Shape", "Sigmoid",
    "Slice", "Softmax", "SpaceToBatchND", "Split", "Sqrt", "Square", "Squeeze", "StopGradient", "StridedSlice",
    "Sub", "Sum", "Tile", "Transpose", "Unpack",
}  # fmt: skip
MAX_CONSTANT_BYTES = 2 << 30  # of all constants together, unpacked; Xception65 has 165 MB


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Where the parts of a frozen DeepLab graph are."""

    image: str  # placeholder, uint8 (1, ?, ?, 3) RGB
    normalised: str  # float32 (1, H, W, 3), what the first convolution sees
    norm: Normalisation
    logits: str  # float32 (1, h, w, classes)
    labels: str  # the stock graph's answer, integer (1, ?, ?)
    crop_hw: tuple[int, int]  # the input size baked into the graph
    output_stride: int  # the product of the strides on the deepest path
    classes: int


def discover(graph: GraphDef, where: str) -> Anatomy:
    """Finds the parts of a DeepLab graph. Raises GraphError naming what is missing or unknown."""
    nodes = by_name(graph)
    argmax = _argmax(nodes, where)
    labels = _answer(nodes, argmax)
    needed = ancestors(nodes, [labels])
    _check_ops(nodes, needed, where)
    image = _image(nodes, needed, where)
    logits = upstream(nodes, inputs(nodes[argmax])[0], frozenset({"ResizeBilinear", "Identity"}))
    body = ancestors(nodes, [logits])
    first = _first_convolution(nodes, body, where)
    normalised = upstream(nodes, inputs(nodes[first])[0], frozenset({"Identity", "Pad"}))
    crop_hw, norm = _crop_and_norm(graph, image, normalised, where)
    shape = shapes(graph, normalised, (1, *crop_hw, 3), [logits])[logits]
    if len(shape) != 4 or shape[3] is None or not 2 <= shape[3] <= 255:
        raise GraphError(f"{where}: expected scores (1, h, w, 2..255 classes) before {argmax}, got shape {shape}")
    stride = max(strides(nodes, normalised, logits).values())
    return Anatomy(image, normalised, norm, logits, labels, crop_hw, stride, shape[3])


def _argmax(nodes: Nodes, where: str) -> str:
    found = [name for name, node in nodes.items() if node.op == "ArgMax" and _sees_convolution(nodes, name)]
    if len(found) != 1:
        what = "no ArgMax over a convolution's scores" if not found else f"{len(found)} of them ({', '.join(found)})"
        raise GraphError(f"{where}: not a segmentation graph: expected one ArgMax that picks the classes, found {what}")
    return found[0]


def _sees_convolution(nodes: Nodes, name: str) -> bool:
    return any(nodes[n].op in CONVOLUTIONS for n in ancestors(nodes, [name]))


def _answer(nodes: Nodes, argmax: str) -> str:
    """The leaf behind the ArgMax: `SemanticPredictions` where several depend on it."""
    readers = consumers(nodes)
    leaves, todo, seen = [], [argmax], set()
    while todo:
        name = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        todo.extend(readers[name])
        if not readers[name]:
            leaves.append(name)
    return "SemanticPredictions" if "SemanticPredictions" in leaves else leaves[0] if leaves else argmax


def _check_ops(nodes: Nodes, needed: set[str], where: str) -> None:
    size = 0
    for name in needed:
        node = nodes[name]
        if node.op not in KNOWN_OPS:
            raise GraphError(f"{where}: node {name} is a {node.op}, which no DeepLab export has; it is not run")
        if node.op == "Const":
            tensor = node.attr["value"].tensor
            elements = 1
            for dim in tensor.tensor_shape.dim:
                elements *= max(dim.size, 0)
            size += elements * 8
            if size > 2 * MAX_CONSTANT_BYTES:
                raise GraphError(f"{where}: its constants unpack to more than {MAX_CONSTANT_BYTES >> 30} GiB")


def _image(nodes: Nodes, needed: set[str], where: str) -> str:
    found = [nodes[n] for n in needed if nodes[n].op in ("Placeholder", "PlaceholderWithDefault")]
    if len(found) != 1 or found[0].attr["dtype"].type != tf.uint8.as_datatype_enum:
        names = ", ".join(f"{n.name} ({tf.as_dtype(n.attr['dtype'].type).name})" for n in found) or "none"
        raise GraphError(f"{where}: expected one uint8 image placeholder, as DeepLab exports have; found {names}")
    name: str = found[0].name
    return name


def _first_convolution(nodes: Nodes, body: set[str], where: str) -> str:
    for name in (n for n in nodes if n in body and nodes[n].op in CONVOLUTIONS):
        behind = ancestors(nodes, inputs(nodes[name])[:1])
        if not any(nodes[n].op in CONVOLUTIONS for n in behind):
            return name
    raise GraphError(f"{where}: not a DeepLab graph: no convolution leads to its scores")


def _crop_and_norm(graph: GraphDef, image: str, normalised: str, where: str) -> tuple[tuple[int, int], Normalisation]:
    """Runs pictures of one grey level through the graph's own preprocessing and sees what comes out."""

    def run(level: int, size_hw: tuple[int, int]) -> NDArray[Any]:
        picture = np.full((1, *size_hw, 3), level, np.uint8)
        try:
            return evaluate(graph, [normalised], {image: picture})[0]
        except (tf.errors.OpError, ValueError, TypeError) as exc:
            raise GraphError(f"{where}: the way from {image} to {normalised} fails: {first_line(exc)}") from exc

    padded = run(0, (1, 1))
    if padded.ndim != 4 or padded.shape[0] != 1 or padded.shape[3] != 3 or padded.dtype != np.float32:
        raise GraphError(f"{where}: expected float32 (1, H, W, 3) at {normalised}, got {padded.dtype} {padded.shape}")
    crop_hw = padded.shape[1], padded.shape[2]
    low, middle, high = (run(level, crop_hw) for level in (0, 51, 255))
    step = float(high.mean() - low.mean()) / 255
    if not step > 1e-6 or max(np.ptp(low), np.ptp(high), abs(low.mean() + 51 * step - middle.mean())) > 1e-4:
        raise GraphError(f"{where}: expected (pixel - mean) / std of {image} at {normalised}, got something else")
    return crop_hw, Normalisation(round(-float(low.mean()) / step, 2), round(1 / step, 2))
