"""Finds how a graph takes its picture: the placeholder's type and size, and what it does with grey levels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from convert.graph.graphdef import GraphDef, NodeDef, Nodes, evaluate
from convert.tensorflow import tf
from edge.data import Pixels
from edge.errors import GraphError, UsageError
from edge.preprocess import DEEPLAB, Normalisation, by_channel

HW = tuple[int, int]
MIN_SIDE, MAX_SIDE = 9, 8193  # pixels
TYPES = {tf.uint8.as_datatype_enum: "uint8", tf.float32.as_datatype_enum: "float32"}


@dataclass(frozen=True, slots=True)
class Feeding:
    """How a graph's placeholder takes a picture of grey levels 0..255."""

    dtype: Literal["uint8", "float32"] = "uint8"
    size_hw: HW | None = None  # the only size it takes, where there is one
    scale: float = 1.0  # of a grey level: 1 / 255 where the graph expects 0..1
    normalised: bool = False  # the first convolution sees the placeholder itself


PICTURES = Feeding()
"""As DeepLab's exporter has it: uint8 pictures of any size."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What lies between the placeholder and the first convolution."""

    crop_hw: HW
    norm: Normalisation
    feeding: Feeding


def find_placeholder(nodes: Nodes, needed: Collection[str]) -> NodeDef:
    """Returns the placeholder of the picture. Raises GraphError."""
    found = [n for name, n in nodes.items() if name in needed and n.op in ("Placeholder", "PlaceholderWithDefault")]
    if len(found) != 1 or found[0].attr["dtype"].type not in TYPES:
        names = ", ".join(f"{n.name} ({_type_name(n)})" for n in found) or "none"
        raise GraphError(f"expected one image placeholder of uint8 or float32, as DeepLab exports have; found {names}")
    return found[0]


def _type_name(node: NodeDef) -> str:
    try:
        name: str = tf.as_dtype(node.attr["dtype"].type).name
    except TypeError:
        return "of no type"
    return name


def placeholder_hw(node: NodeDef) -> tuple[int | None, int | None]:
    """Returns height and width that a placeholder asks for, None where it takes any. Raises GraphError for another
    layout than one RGB picture.
    """
    shape = node.attr["shape"].shape
    if "shape" not in node.attr or shape.unknown_rank:
        return None, None
    dims = [dim.size if dim.size >= 0 else None for dim in shape.dim]
    if not dims and node.op == "Placeholder":  # TensorFlow 1 wrote an unknown shape so
        return None, None
    said = f"({', '.join('?' if n is None else str(n) for n in dims)})"
    if len(dims) != 4 or dims[3] not in (3, None):
        raise GraphError(f"expected one RGB picture (1, H, W, 3) at {node.name}, it takes {said}")
    if dims[0] not in (1, None):
        raise GraphError(
            f"expected one picture (1, H, W, 3) at {node.name}, it takes a batch of {dims[0]}: {said}; "
            "export the graph for a batch of 1"
        )
    return dims[1], dims[2]


def probe(graph: GraphDef, placeholder: NodeDef, normalised: str, told: Normalisation | None) -> Preprocessing:
    """Runs pictures through the graph's own preprocessing and sees what comes out.

    `told` is the normalisation of a graph that has none of its own, DeepLab's where it is None. Raises GraphError where
    the preprocessing is no straight line of the grey levels, UsageError where the graph needs no telling.
    """
    height, width = placeholder_hw(placeholder)
    size_hw = (height, width) if height is not None and width is not None else None
    dtype = TYPES[placeholder.attr["dtype"].type]
    if normalised == placeholder.name:
        if dtype != "float32":
            raise GraphError(f"expected float32 (1, H, W, 3) at {normalised}, got {dtype}")
        return Preprocessing(_checked(size_hw), told or DEEPLAB, Feeding("float32", _checked(size_hw), normalised=True))
    if any(n is not None and not 1 <= n <= MAX_SIDE for n in (height, width)):
        raise GraphError(f"expected a picture of 1 to {MAX_SIDE} pixels a side at {placeholder.name}")

    def run(picture: NDArray[Any]) -> NDArray[Any]:
        try:
            return evaluate(graph, [normalised], {placeholder.name: picture.astype(dtype)})[0]
        except GraphError as exc:
            raise GraphError(f"the way from {placeholder.name} to {normalised} fails: {exc}") from exc

    padded = run(np.zeros((1, height or 1, width or 1, 3)))
    if padded.ndim != 4 or padded.shape[0] != 1 or padded.shape[3] != 3 or padded.dtype != np.float32:
        raise GraphError(f"expected float32 (1, H, W, 3) at {normalised}, got {padded.dtype} {padded.shape}")
    crop_hw = _checked((padded.shape[1], padded.shape[2]))
    if size_hw not in (None, crop_hw):
        raise GraphError(f"expected pictures of the size {_text(crop_hw)} at {placeholder.name}, it takes {size_hw}")
    picture = np.random.default_rng(0).integers(0, 256, (1, height or crop_hw[0], width or crop_hw[1], 3), np.uint8)
    norm = _line(picture, run(picture))
    if norm is None:
        raise GraphError(
            f"expected (pixel - mean) / std of {placeholder.name} at {normalised}, for all channels or each, "
            "got something else"
        )
    if dtype == "float32" and norm == Normalisation(0.0, 1.0):  # all that it does is to pad
        return Preprocessing(crop_hw, told or DEEPLAB, Feeding("float32", size_hw, normalised=True))
    scale = 1.0
    mean, std = norm.channels
    if dtype == "float32" and all(0 <= m <= 1 and s <= 1 for m, s in zip(mean, std, strict=True)):
        scale, norm = 1 / 255, norm.scaled(255)  # the graph expects grey levels of 0..1
    if told is not None:
        raise UsageError(f"the graph normalises pictures itself, {norm}; leave it out", "normalise")
    return Preprocessing(crop_hw, norm, Feeding("uint8" if dtype == "uint8" else "float32", size_hw, scale))


def _text(size_hw: HW) -> str:
    return "x".join(map(str, size_hw))


def _checked(crop_hw: HW | None) -> HW:
    if crop_hw is None or not all(MIN_SIDE <= n <= MAX_SIDE for n in crop_hw):
        raise GraphError(
            f"expected an input size of {MIN_SIDE} to {MAX_SIDE} pixels a side baked into the graph, "
            f"got {'any size' if crop_hw is None else _text(crop_hw)}; export it with a crop size"
        )
    return crop_hw


def _line(picture: NDArray[np.uint8], out: NDArray[Any]) -> Normalisation | None:
    """The straight lines that lead from the channels of noise to those of `out`; noise shows all else on the way, such
    as swapped channels.
    """
    if out.shape != picture.shape:
        return None
    x, axes = picture.astype(np.float64), (0, 1, 2)
    mean = x.mean(axes)
    slope = ((x - mean) * out).mean(axes) / x.var(axes)
    if not ((slope > 1e-6) & (slope < 1e3)).all():
        return None
    zero = mean - out.mean(axes, dtype=np.float64) / slope
    means, stds = ([float(f"{m:.3f}") + 0.0 for m in zero], [float(f"{1 / s:.5g}") for s in slope])
    norm = by_channel((means[0], means[1], means[2]), (stds[0], stds[1], stds[2]))
    return norm if np.allclose(out, norm.real(x), rtol=0, atol=1e-3) else None


def fed(pixels: Pixels, feeding: Feeding, norm: Normalisation) -> NDArray[Any]:
    """Returns uint8 (H, W, 3) as the placeholder takes it, (1, H, W, 3): where it takes one size only, a smaller
    picture lies in the corner and the mean fills the rest.
    """
    height, width = feeding.size_hw or (pixels.shape[0], pixels.shape[1])
    if feeding.dtype == "uint8":
        whole: NDArray[Any] = np.full((height, width, 3), np.clip(np.round(norm.mean), 0, 255), np.uint8)
        whole[: pixels.shape[0], : pixels.shape[1]] = pixels
        return whole[None]
    whole = np.full((height, width, 3), norm.mean, np.float32)
    whole[: pixels.shape[0], : pixels.shape[1]] = pixels
    return (norm.real(whole) if feeding.normalised else whole * feeding.scale)[None].astype(np.float32)
