"""Finds the parts of a frozen DeepLab graph by walking it, never by name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.graph.export_mode import check_export_mode, first_convolution
from convert.graph.finite import check_weights
from convert.graph.graphdef import (
    CONVOLUTIONS,
    FAKE_QUANTS,
    GraphDef,
    Nodes,
    Shape,
    ancestors,
    by_name,
    inputs,
    shapes,
    strides,
    upstream,
    validate,
)
from convert.graph.picture import MAX_SIDE, PICTURES, Feeding, fed, find_placeholder, probe
from convert.graph.scores import Answer, enlarges_labels, find_answer, upsampling
from convert.tensorflow import releasing_memory
from edge.data import Ids, Pixels, Upsampling
from edge.errors import GraphError
from edge.postprocess import nearest
from edge.preprocess import Normalisation
from edge.upsample import Upsample

# What the exporters write. Anything else is refused before TensorFlow runs a line of it: a graph is a program,
# and some operators read and write files.
KNOWN_OPS = (
    CONVOLUTIONS
    | FAKE_QUANTS
    | {
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
)
MAX_ELEMENTS = 1 << 29  # of all constants together, unpacked; Xception65 has 41 million


@dataclass(frozen=True, slots=True)
class Anatomy:
    """Where the parts of a frozen DeepLab graph are."""

    image: str  # placeholder, uint8 or float32 (1, ?, ?, 3) RGB
    normalised: str  # float32 (1, H, W, 3), what the first convolution sees
    norm: Normalisation
    logits: str  # float32 (1, h, w, classes)
    labels: str  # the stock graph's answer: integer (1, ?, ?) or, see `kind`, scores (1, ?, ?, classes)
    crop_hw: tuple[int, int]  # the input size baked into the graph
    output_stride: int  # the product of the strides on the deepest path
    classes: int
    feeding: Feeding = PICTURES  # how `image` takes a picture
    kind: Literal["labels", "scores"] = "labels"  # of the answer
    upsampling: Upsampling = "align_corners"  # how the graph enlarges its scores
    enlarges_labels: bool = False  # picks the classes on the small map, then takes the nearest
    fake_quants: int = 0  # nodes that simulate the quantization a graph was trained for
    shapes: Mapping[str, Shape] = field(default_factory=dict, compare=False, repr=False)  # at crop_hw, up to the logits


@releasing_memory
def discover(graph: GraphDef, where: str, norm: Normalisation | None = None) -> Anatomy:
    """Finds the parts of a DeepLab graph.

    `norm` is the normalisation of one that takes normalised pictures, DeepLab's where it is None.

    Raises GraphError naming what is missing, unknown or no number, UsageError where the graph normalises itself.
    """
    try:
        return _discover(graph, norm)
    except GraphError as exc:
        raise GraphError(f"{where}: {exc}") from exc


def _discover(graph: GraphDef, norm: Normalisation | None) -> Anatomy:
    nodes = by_name(graph)
    answer = _answer(nodes)
    needed = ancestors(nodes, [answer.node])
    check_export_mode(nodes, needed)
    _check_ops(nodes, needed)
    validate(graph, [answer.node])
    check_weights(nodes, needed)
    placeholder = find_placeholder(nodes, needed)
    logits = answer.logits
    first = first_convolution(nodes, ancestors(nodes, [logits]))
    normalised = upstream(nodes, inputs(nodes[first])[0], FAKE_QUANTS | {"Identity", "Pad"})
    entry = probe(graph, placeholder, normalised, norm)
    sizes = shapes(graph, normalised, (1, *entry.crop_hw, 3), [logits])
    shape = sizes[logits]
    if len(shape) != 4 or shape[3] is None or not 2 <= shape[3] <= 255:
        raise GraphError(f"expected scores (1, h, w, 2..255 classes) as the answer {answer.node}, got shape {shape}")
    return Anatomy(
        placeholder.name,
        normalised,
        entry.norm,
        logits,
        answer.node,
        entry.crop_hw,
        max(strides(nodes, normalised, logits).values()),
        shape[3],
        entry.feeding,
        answer.kind,
        upsampling(nodes, answer),
        enlarges_labels(nodes, answer, shape[1:3]),
        sum(nodes[name].op in FAKE_QUANTS for name in needed),
        sizes,
    )


def _answer(nodes: Nodes) -> Answer:
    try:
        return find_answer(nodes)
    except GraphError:
        check_export_mode(nodes, nodes)  # the graph of a training has other outputs, which is the truer reason
        raise


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


def generation(nodes: Nodes, anatomy: Anatomy) -> str:
    """Returns which of the three known exporters wrote a graph, told by what only it writes."""
    before = {nodes[name].op for name in ancestors(nodes, [anatomy.normalised])}
    if "ResizeBilinear" in before:
        return "2018-01: resizes the picture to its own size first"
    if any(node.op in ("AddV2", "FusedBatchNormV3") for node in nodes.values()):
        return "2019 or later: AddV2, FusedBatchNormV3"
    return "2018-02"


def remarks(anatomy: Anatomy) -> list[str]:
    """Returns what is unusual about a graph and changes what its models do, a sentence each."""
    found = []
    if anatomy.feeding.normalised:
        norm = anatomy.norm
        found.append(
            f"{anatomy.image} takes normalised pictures and does not say how: {norm} is taken, `normalise` sets another"
        )
    elif anatomy.feeding.scale != 1:
        found.append(f"{anatomy.image} takes grey levels of 0..1")
    if anatomy.kind == "scores":
        found.append(f"it ends in the scores {anatomy.labels}, without an ArgMax: the highest one wins")
    if anatomy.enlarges_labels:
        found.append(
            "it picks classes on the small map and enlarges them by nearest neighbour; models enlarge the scores, "
            "so their outlines are finer than the graph's own"
        )
    if anatomy.fake_quants:
        found.append(
            f"it was trained for int8: its {anatomy.fake_quants} FakeQuant nodes give int8 models their ranges; models "
            "in float leave its rounding out and agree less with it"
        )
    if anatomy.upsampling != "align_corners":
        found.append(f"it enlarges scores by the rule {anatomy.upsampling}, which the card of its models says")
    return found


def answer(run: Callable[[dict[str, NDArray[Any]]], list[NDArray[Any]]], anatomy: Anatomy, picture: Pixels) -> Ids:
    """Returns the labels, uint8 (H, W), that a running graph gives a picture of that size, its crop size at most.

    Raises GraphError where they are of another size or no integers.
    """
    (height, width), found = picture.shape[:2], run({anatomy.image: fed(picture, anatomy.feeding, anatomy.norm)})[0]
    map_hw = anatomy.shapes[anatomy.logits][1:3] if anatomy.shapes else anatomy.crop_hw
    ids = _ids(found, anatomy)
    if ids is not None and ids.shape not in ((height, width), anatomy.crop_hw) and ids.shape == map_hw:
        ids = nearest(ids, anatomy.crop_hw)
    if ids is None or ids.shape not in ((height, width), anatomy.crop_hw):
        wanted = f"scores of {anatomy.classes} classes" if anatomy.kind == "scores" else "integer labels"
        raise GraphError(f"{anatomy.labels}: expected {wanted} of {height}x{width}, got {found.dtype} {found.shape}")
    return ids[:height, :width]


def _ids(found: NDArray[Any], anatomy: Anatomy) -> Ids | None:
    """The labels that an answer holds; None where it holds none. Scores come enlarged to the crop size."""
    if anatomy.kind == "scores":
        scores = found[0] if found.ndim == 4 else found
        if scores.ndim != 3 or scores.shape[2] != anatomy.classes:
            return None
        if scores.shape[:2] != anatomy.shapes[anatomy.logits][1:3]:
            winners: Ids = scores.argmax(axis=2).astype(np.uint8)
            return winners
        enlarged: Ids = Upsample((scores.shape[0], scores.shape[1]), anatomy.crop_hw, rule=anatomy.upsampling)(scores)
        return enlarged
    ids = found[..., 0] if found.ndim == 4 and found.shape[3] == 1 else found
    ids = ids[0] if ids.ndim == 3 and ids.shape[0] == 1 else ids
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        return None
    labels: Ids = ids.astype(np.uint8)
    return labels
