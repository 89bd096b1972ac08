"""The official Cityscapes models: their tarballs, what is published of them, and what is known of converting them."""

from __future__ import annotations

from dataclasses import dataclass

LICENCE = "Apache-2.0"
"""That of github.com/tensorflow/models, which publishes them; the tarballs are not known to hold another."""

SOURCE = "https://github.com/tensorflow/models/blob/master/research/deeplab/g3doc/model_zoo.md"


@dataclass(frozen=True, slots=True)
class OfficialModel:
    """A published model. What is None is not published, or not known."""

    file_name: str  # below the official address
    most_bytes: int  # cap of the download, well above the published size
    megabytes: float  # of the tarball, as published
    mean_iou: float  # per cent, of Cityscapes' 19 classes, as published
    measured: str  # on which pictures, and how
    output_stride: int  # of the figures here; stock graphs of 2018 have 8
    published_gmac: float | None  # multiply-accumulates at 1025x2049, 10^9
    gmac: float  # the same, as `convert.graph.macs` counts them
    gmac_513x1025: float  # at a smaller input and the same stride
    int8: str | None = None  # what int8 made of it, and where that was measured


MODELS = {
    "mobilenetv2": OfficialModel(
        "deeplabv3_mnv2_cityscapes_train_2018_02_05.tar.gz",
        60_000_000,
        23,
        70.71,
        "val, one scale",
        16,
        21.27,
        5.3,
        "its layout with VOC weights labels 0.9993 of the pixels as float32 does",
    ),
    "mobilenetv3-large": OfficialModel(
        "deeplab_mnv3_large_cityscapes_trainfine_2019_11_15.tar.gz",
        60_000_000,
        17,
        72.41,
        "val, one scale",
        32,
        15.95,
        0.0,
    ),
    "mobilenetv3-small": OfficialModel(
        "deeplab_mnv3_small_cityscapes_trainfine_2019_11_15.tar.gz",
        30_000_000,
        5,
        68.99,
        "val, one scale",
        32,
        4.63,
        0.0,
        "its layout with weights of another data set: 0.908 of the pixels, 0.995 with three layers in float",
    ),
    "xception65": OfficialModel(
        "deeplabv3_cityscapes_train_2018_02_06.tar.gz",
        600_000_000,
        439,
        78.79,
        "val, one scale",
        16,
        418.64,
        0.0,
    ),
    "xception71-dpc": OfficialModel(
        "deeplab_cityscapes_xception71_trainfine_2018_09_08.tar.gz",
        600_000_000,
        445,
        80.31,
        "val, one scale",
        16,
        502.07,
        0.0,
    ),
    "xception71-dpc-trainval": OfficialModel(
        "deeplab_cityscapes_xception71_trainvalfine_2018_09_08.tar.gz",
        600_000_000,
        446,
        82.66,
        "test, six scales and mirrored",
        8,
        None,
        0.0,
    ),
}
