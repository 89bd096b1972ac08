"""Finds the parts of a frozen DeepLab graph by walking it, never by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph.finite import check_weights
from convert.graph.graphdef import (
    CONVOLUTIONS,
    GraphDef,
    Nodes,
    Shape,
    ancestors,
    by_name,
    consumers,
    evaluate,
    inputs,
    shapes,
    strides,
    upstream,
    validate,
)
from convert.tensorflow import releasing_memory, tf
from edge.data import Ids, Pixels
from edge.errors import GraphError
from edge.preprocess import Normalisation, by_channel

# What the exporters write. Anything else is refused before TensorFlow runs a line of it: a graph is a program,
# and some operators read and write files.
KNOWN_OPS = CONVOLUTIONS | {
    "Add",
    "AddN",
    "AddV2",
    "All",
    "ArgMax",
    "Assert",
    "AvgPool",
    "BatchToSpaceND",
    "BiasAdd",
    "Cast",
    "Concat",
    "ConcatV2",
    "Const",
    "Equal",
    "ExpandDims",
    "Fill",
    "Floor",
    "FloorDiv",
    "FloorMod",
    "FusedBatchNorm",
    "FusedBatchNormV2",
    "FusedBatchNormV3",
    "Greater",
    "GreaterEqual",
    "Identity",
    "Less",
    "LessEqual",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "MaxPool",
    "Maximum",
    "Mean",
    "Minimum",
    "Mul",
    "Neg",
    "NoOp",
    "NotEqual",
    "Pack",
    "Pad",
    "PadV2",
    "Placeholder",
    "PlaceholderWithDefault",
    "Prod",
    "Range",
    "Rank",
    "RealDiv",
    "Relu",
    "Relu6",
    "Reshape",
    "ResizeBilinear",
    "ResizeNearestNeighbor",
    "Round",
    "Rsqrt",
    "Shape",
    "Sigmoid",
    "Slice",
    "Softmax",
    "SpaceToBatchND",
    "Split",
    "Sqrt",
    "Square",
    "Squeeze",
    "StopGradient",
    "StridedSlice",
    "Sub",
    "Sum",
    "Tile",
    "Transpose",
    "Unpack",
}
MAX_ELEMENTS = 1 << 29  # of all constants together, unpacked; Xception65 has 41 million
MIN_SIDE, MAX_SIDE = 9, 8193  # pixels


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
    shapes: Mapping[str, Shape] = field(default_factory=dict, compare=False, repr=False)  # at crop_hw, up to the logits


@releasing_memory
def discover(graph: GraphDef, where: str) -> Anatomy:
    """Finds the parts of a DeepLab graph. Raises GraphError naming what is missing, unknown or no number."""
    try:
        return _discover(graph)
    except GraphError as exc:
        raise GraphError(f"{where}: {exc}") from exc


def _discover(graph: GraphDef) -> Anatomy:
    nodes = by_name(graph)
    argmax = _argmax(nodes)
    labels = _answer(nodes, argmax)
    needed = ancestors(nodes, [labels])
    _check_ops(nodes, needed)
    validate(graph, [labels])
    check_weights(nodes, needed)
    image = _image(nodes, needed)
    logits = upstream(nodes, inputs(nodes[argmax])[0], frozenset({"ResizeBilinear", "Identity"}))
    body = ancestors(nodes, [logits])
    first = _first_convolution(nodes, body)
    normalised = upstream(nodes, inputs(nodes[first])[0], frozenset({"Identity", "Pad"}))
    crop_hw, norm = _crop_and_norm(graph, image, normalised)
    sizes = shapes(graph, normalised, (1, *crop_hw, 3), [logits])
    shape = sizes[logits]
    if len(shape) != 4 or shape[3] is None or not 2 <= shape[3] <= 255:
        raise GraphError(f"expected scores (1, h, w, 2..255 classes) before {argmax}, got shape {shape}")
    stride = max(strides(nodes, normalised, logits).values())
    return Anatomy(image, normalised, norm, logits, labels, crop_hw, stride, shape[3], sizes)


def _argmax(nodes: Nodes) -> str:
    candidates = [name for name, node in nodes.items() if node.op == "ArgMax" and _sees_convolution(nodes, name)]
    if len(candidates) != 1:
        what = (
            "no ArgMax over a convolution's scores"
            if not candidates
            else f"{len(candidates)} of them ({', '.join(candidates)})"
        )
        raise GraphError(f"not a segmentation graph: expected one ArgMax that picks the classes, found {what}")
    return candidates[0]


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


def _check_ops(nodes: Nodes, needed: set[str]) -> None:
    elements = 0
    for name in (name for name in nodes if name in needed):  # the same node is named every time
        node = nodes[name]
        if node.op not in KNOWN_OPS:
            raise GraphError(f"node {name} is a {node.op}, which no DeepLab export has; it is not run")
        if "data_format" in node.attr and node.attr["data_format"].s != b"NHWC":
            layout = node.attr["data_format"].s.decode(errors="replace")
            raise GraphError(f"node {name} is laid out {layout}, expected NHWC; export the graph for the CPU")
        wild = [i for attribute in node.attr.values() for i in attribute.list.i if abs(i) > MAX_SIDE]
        if wild:  # TensorFlow ends the process over some of them
            raise GraphError(f"damaged graph: node {name} has a stride, rate or window of {wild[0]}")
        if node.op == "Const":
            elements += math.prod(max(dim.size, 0) for dim in node.attr["value"].tensor.tensor_shape.dim)
    if elements > MAX_ELEMENTS:
        raise GraphError(f"its constants unpack to {elements:,} numbers, expected {MAX_ELEMENTS:,} at most")


def _image(nodes: Nodes, needed: set[str]) -> str:
    placeholders = [nodes[n] for n in sorted(needed) if nodes[n].op in ("Placeholder", "PlaceholderWithDefault")]
    if len(placeholders) != 1 or placeholders[0].attr["dtype"].type != tf.uint8.as_datatype_enum:
        names = ", ".join(f"{n.name} ({tf.as_dtype(n.attr['dtype'].type).name})" for n in placeholders) or "none"
        raise GraphError(f"expected one uint8 image placeholder, as DeepLab exports have; found {names}")
    name: str = placeholders[0].name
    return name


def _first_convolution(nodes: Nodes, body: set[str]) -> str:
    for name in (n for n in nodes if n in body and nodes[n].op in CONVOLUTIONS):
        behind = ancestors(nodes, inputs(nodes[name])[:1])
        if not any(nodes[n].op in CONVOLUTIONS for n in behind):
            return name
    raise GraphError("not a DeepLab graph: no convolution leads to its scores")


def _crop_and_norm(graph: GraphDef, image: str, normalised: str) -> tuple[tuple[int, int], Normalisation]:
    """Runs pictures through the graph's own preprocessing and sees what comes out."""

    def run(picture: NDArray[np.uint8]) -> NDArray[Any]:
        try:
            return evaluate(graph, [normalised], {image: picture})[0]
        except GraphError as exc:
            raise GraphError(f"the way from {image} to {normalised} fails: {exc}") from exc

    padded = run(np.zeros((1, 1, 1, 3), np.uint8))
    if padded.ndim != 4 or padded.shape[0] != 1 or padded.shape[3] != 3 or padded.dtype != np.float32:
        raise GraphError(f"expected float32 (1, H, W, 3) at {normalised}, got {padded.dtype} {padded.shape}")
    crop_hw = padded.shape[1], padded.shape[2]
    if not all(MIN_SIDE <= n <= MAX_SIDE for n in crop_hw):
        raise GraphError(
            f"expected an input size of {MIN_SIDE} to {MAX_SIDE} pixels a side baked into the graph, "
            f"got {crop_hw[0]}x{crop_hw[1]}"
        )
    picture = np.random.default_rng(0).integers(0, 256, padded.shape, np.uint8)
    norm = _line(picture, run(picture))
    if norm is None:
        raise GraphError(
            f"expected (pixel - mean) / std of {image} at {normalised}, for all channels or each, got something else"
        )
    return crop_hw, norm


def _line(picture: NDArray[np.uint8], out: NDArray[Any]) -> Normalisation | None:
    """The straight lines that lead from the channels of noise to those of `out`; noise shows all else on the way, such
    as swapped channels.
    """
    if out.shape != picture.shape:
        return None
    x, axes = picture.astype(np.float64), (0, 1, 2)
    mean = x.mean(axes)
    slope = ((x - mean) * out).mean(axes) / x.var(axes)
    if not ((1e-6 < slope) & (slope < 1e3)).all():
        return None
    zero = mean - out.mean(axes, dtype=np.float64) / slope
    means, stds = ([float(f"{m:.3f}") + 0.0 for m in zero], [float(f"{1 / s:.5g}") for s in slope])
    norm = by_channel((means[0], means[1], means[2]), (stds[0], stds[1], stds[2]))
    return norm if np.allclose(out, norm.real(x), rtol=0, atol=1e-3) else None


def generation(nodes: Nodes, anatomy: Anatomy) -> str:
    """Returns which of the three known exporters wrote a graph, told by what only it writes."""
    before = {nodes[name].op for name in ancestors(nodes, [anatomy.normalised])}
    if "ResizeBilinear" in before:
        return "2018-01: resizes the picture to its own size first"
    if any(node.op in ("AddV2", "FusedBatchNormV3") for node in nodes.values()):
        return "2019 or later: AddV2, FusedBatchNormV3"
    return "2018-02"


def answer(run: Callable[[dict[str, NDArray[Any]]], list[NDArray[Any]]], anatomy: Anatomy, picture: Pixels) -> Ids:
    """Returns the labels, uint8 (H, W), that a running graph gives a picture of that size.

    Raises GraphError where they are of another size or no integers.
    """
    ids = run({anatomy.image: picture[None]})[0]
    if ids.shape != (1, *picture.shape[:2]) or not np.issubdtype(ids.dtype, np.integer):
        height, width = picture.shape[:2]
        raise GraphError(f"{anatomy.labels}: expected integer labels of {height}x{width}, got {ids.dtype} {ids.shape}")
    labels: Ids = ids[0].astype(np.uint8)
    return labels
