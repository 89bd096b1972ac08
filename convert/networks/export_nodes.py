"""What every official DeepLab export has around its network: the padded, normalised picture and the label map."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from convert.networks.layers import Tensor, const, resize
from convert.tensorflow import tf


class Crop(Protocol):
    """An architecture, as far as this module cares."""

    @property
    def crop_hw(self) -> tuple[int, int]: ...


def exported(
    arch: Crop, network: Callable[[Tensor], Tensor], mean_rgb: tuple[float, float, float] | None = None
) -> Any:
    """Returns the frozen `GraphDef` around a network, which writes its logits [1, h, w, classes] for a picture:
    `ImageTensor` uint8 [1, ?, ?, 3] RGB to `SemanticPredictions` int64 [1, height, width].
    """
    graph = tf.Graph()
    with graph.as_default():
        picture, size = preprocess(arch, mean_rgb)
        predict(arch, network(picture), size)
    return graph.as_graph_def()


def _size(x: Tensor, shape: str, first: int) -> tuple[Tensor, Tensor]:
    """Height and width of `x` [H, W, ...], as nodes `strided_slice_<first>` and the next."""
    whole = tf.raw_ops.Shape(input=x, name=shape)
    height = _slice(whole, [0], [1], f"strided_slice_{first}", shrink=True)
    return height, _slice(whole, [1], [2], f"strided_slice_{first + 1}", shrink=True)


def _slice(x: Tensor, begin: list[int], end: list[int], name: str, shrink: bool = False) -> Tensor:
    stack, stack_1 = const(f"{name}/stack", begin), const(f"{name}/stack_1", end)
    return tf.raw_ops.StridedSlice(
        input=x,
        begin=stack,
        end=stack_1,
        strides=const(f"{name}/stack_2", [1]),
        shrink_axis_mask=int(shrink),
        name=name,
    )


def preprocess(arch: Crop, mean_rgb: tuple[float, float, float] | None = None) -> tuple[Tensor, Tensor]:
    """Returns the padded, normalised picture (x / 127.5 - 1, or x - `mean_rgb` where there is one) and the height and
    width it had.
    """
    ops = tf.raw_ops
    image = tf.compat.v1.placeholder(tf.uint8, [1, None, None, 3], "ImageTensor")
    size = _slice(ops.Shape(input=image, name="Shape"), [1], [3], "strided_slice")
    pixels = ops.Cast(x=ops.Squeeze(input=image, axis=[0], name="Squeeze"), DstT=tf.float32, name="Cast")
    height, width = _size(pixels, "Shape_1", 1)
    missing = ops.Sub(x=const("sub/x", arch.crop_hw[0]), y=height, name="sub")
    high = ops.Add(x=height, y=ops.Maximum(x=missing, y=const("Maximum/y", 0), name="Maximum"), name="add")
    missing = ops.Sub(x=const("sub_1/x", arch.crop_hw[1]), y=width, name="sub_1")
    wide = ops.Add(x=width, y=ops.Maximum(x=missing, y=const("Maximum_1/y", 0), name="Maximum_1"), name="add_1")
    mean = const("Reshape/tensor", mean_rgb or [127.5] * 3, np.float32)
    mean = ops.Reshape(tensor=mean, shape=const("Reshape/shape", [1, 1, 3]), name="Reshape")
    centred = ops.Sub(x=pixels, y=mean, name="sub_2")
    height, width = _size(centred, "Shape_2", 3)
    rows = ops.Sub(x=ops.Sub(x=high, y=const("sub_3/y", 0), name="sub_3"), y=height, name="sub_4")
    columns = ops.Sub(x=ops.Sub(x=wide, y=const("sub_5/y", 0), name="sub_5"), y=width, name="sub_6")
    below = ops.Pack(values=[const("stack/0", 0), rows], name="stack")
    right = ops.Pack(values=[const("stack_1/0", 0), columns], name="stack_1")
    paddings = ops.Pack(values=[below, right, const("stack_2", [0, 0])], name="stack_3")
    padded = ops.Add(x=ops.Pad(input=centred, paddings=paddings, name="Pad"), y=mean, name="add_2")
    padded.set_shape([*arch.crop_hw, 3])  # the exporter did the same, which is what baked the crop size into the graph
    batch = ops.ExpandDims(input=padded, axis=const("ExpandDims/dim", 0), name="ExpandDims")
    if mean_rgb:
        return _subtract(batch, mean_rgb), size
    scaled = ops.Mul(x=const("mul/x", 2 / 255, np.float32), y=batch, name="mul")
    return ops.Sub(x=scaled, y=const("sub_7/y", 1, np.float32), name="sub_7"), size


def _subtract(batch: Tensor, mean_rgb: tuple[float, float, float]) -> Tensor:
    """The mean of each channel, and nothing from channels beyond RGB, of which there are none."""
    ops = tf.raw_ops
    mean = const("Reshape_1/tensor", mean_rgb, np.float32)
    mean = ops.Reshape(tensor=mean, shape=const("Reshape_1/shape", [1, 1, 1, 3]), name="Reshape_1")
    channels = _slice(ops.Shape(input=batch, name="Shape_5"), [-1], [0], "strided_slice_10", shrink=True)
    beyond = ops.Sub(x=channels, y=const("sub_8/y", 3), name="sub_8")
    shape = ops.Pack(values=[*(const(f"zeros/packed/{i}", 1) for i in range(3)), beyond], name="zeros/packed")
    zeros = ops.Fill(dims=shape, value=const("zeros/Const", 0, np.float32), name="zeros")
    extended = ops.ConcatV2(values=[mean, zeros], axis=const("concat_1/axis", 3), name="concat_1")
    return ops.Sub(x=batch, y=extended, name="sub_7")


def predict(arch: Crop, logits: Tensor, size: Tensor) -> None:
    ops = tf.raw_ops
    logits = resize(logits, const("ResizeBilinear_2/size", logits.shape[1:3]), "ResizeBilinear_2")
    crop = _slice(const("Shape_3", [1, *arch.crop_hw, 3]), [1], [3], "strided_slice_7")
    logits = resize(logits, crop, "ResizeBilinear_3")
    labels = ops.ArgMax(input=logits, dimension=const("ArgMax/dimension", 3), output_type=tf.int64, name="ArgMax")
    height = _slice(size, [0], [1], "strided_slice_8", shrink=True)
    width = _slice(size, [1], [2], "strided_slice_9", shrink=True)
    extent = ops.Pack(values=[const("SemanticPredictions/size/0", 1), height, width], name="SemanticPredictions/size")
    begin = const("SemanticPredictions/begin", [0, 0, 0])
    ops.Slice(input=labels, begin=begin, size=extent, name="SemanticPredictions")
