"""What DeepLab puts behind a backbone: pooled and atrous branches, or the dense prediction cell, and the decoder."""

from __future__ import annotations

from convert.networks.layers import Tensor, const, resize
from convert.networks.writer import Writer
from convert.tensorflow import tf

HEAD, PROJECTION = 256, 48  # channels of branches and decoder, and of the decoder's low-level features
ASPP_RATES = (6, 12, 18)  # at output stride 16, multiplied by 16 / stride elsewhere

# (rates of height and width at output stride 16, the branch it reads; None: the features) of each branch: Chen et al.
# 2018, "Searching for Efficient Multi-Scale Architectures for Dense Image Prediction", and deeplab's
# core/dense_prediction_cell_branch5_top1_cityscapes.json.
CELL = (((1, 6), None), ((18, 15), 0), ((6, 3), 1), ((1, 1), 0), ((6, 21), 0))


def aspp(writer: Writer, x: Tensor, channels: int, stride: int) -> Tensor:
    """Writes image pooling, a 1x1 branch and three atrous ones, projected."""
    whole = [1, int(x.shape[1]), int(x.shape[2]), 1]
    pooled = tf.raw_ops.AvgPool(value=x, ksize=whole, strides=whole, padding="VALID", name="AvgPool2D/AvgPool")
    pooled = writer.conv(pooled, "image_pooling", channels, 1)
    branches = [
        resize(pooled, const("ResizeBilinear_1/size", whole[1:3]), "ResizeBilinear_1"),
        writer.conv(x, "aspp0", channels, 1),
    ]
    for index, rate in enumerate(ASPP_RATES, start=1):
        branches.append(writer.separable(x, f"aspp{index}", channels, rate=rate * 16 // stride))
    joined = tf.raw_ops.ConcatV2(values=branches, axis=const("concat/axis", 3), name="concat")
    return writer.conv(joined, "concat_projection", channels, 1)


def dense_prediction_cell(writer: Writer, x: Tensor, channels: int, stride: int) -> Tensor:
    """Writes the cell that was searched for on Cityscapes: five separable branches, each with a rate for height and
    another for width, projected.
    """
    scope, times = "meta_architecture", max(16 // stride, 1)  # deeplab never divides these rates
    branches: list[Tensor] = []
    for index, ((high, wide), source) in enumerate(CELL):
        read = x if source is None else branches[source]
        rates = (high * times, wide * times)
        branches.append(writer.separable(read, f"{scope}/branch{index}", channels, rate=rates))
    joined = tf.raw_ops.ConcatV2(values=branches, axis=const(f"{scope}/concat/axis", 3), name=f"{scope}/concat")
    return writer.conv(joined, f"{scope}/concat_projection", channels, 1)


def decoder(writer: Writer, x: Tensor, low: Tensor, crop_hw: tuple[int, int], channels: int, projection: int) -> Tensor:
    """Writes stride-4 features: the deep ones, resized, beside a projection of the low-level ones."""
    low = writer.conv(low, "decoder/feature_projection0", projection, 1)
    size = [(n - 1) // 4 + 1 for n in crop_hw]
    x = resize(x, const("decoder/ResizeBilinear/size", size), "decoder/ResizeBilinear")
    low = resize(low, const("decoder/ResizeBilinear_1/size", size), "decoder/ResizeBilinear_1")
    x = tf.raw_ops.ConcatV2(values=[x, low], axis=const("decoder/concat/axis", 3), name="decoder/concat")
    for index in (0, 1):
        x = writer.separable(x, f"decoder/decoder_conv{index}", channels)
    return x
