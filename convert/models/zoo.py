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
    measured_stride: int  # output stride of the mean IoU and of `published_gmac`; stock graphs of 2018 have 8
    published_gmac: float | None  # multiply-accumulates of 1025x2049, 10^9
    gmac: float  # of 1025x2049 as `convert.graph.macs` counts them, at the stride that convert-model takes by itself
    gmac_513x1025: float  # of 513x1025, likewise
    int8: str | None = None  # what int8 made of it, and where that was measured


MODELS = {
    "mobilenetv2": OfficialModel(
        file_name="deeplabv3_mnv2_cityscapes_train_2018_02_05.tar.gz",
        most_bytes=60_000_000,
        megabytes=23,
        mean_iou=70.71,
        measured="val, one scale",
        measured_stride=16,
        published_gmac=21.27,
        gmac=21.2,
        gmac_513x1025=5.41,
        int8="its layout with VOC weights: 0.9993 of the pixels as in float32",
    ),
    "mobilenetv3-large": OfficialModel(
        file_name="deeplab_mnv3_large_cityscapes_trainfine_2019_11_15.tar.gz",
        most_bytes=60_000_000,
        megabytes=17,
        mean_iou=72.41,
        measured="val, one scale",
        measured_stride=32,
        published_gmac=15.95,
        gmac=7.58,
        gmac_513x1025=1.93,
    ),
    "mobilenetv3-small": OfficialModel(
        file_name="deeplab_mnv3_small_cityscapes_trainfine_2019_11_15.tar.gz",
        most_bytes=30_000_000,
        megabytes=5,
        mean_iou=68.99,
        measured="val, one scale",
        measured_stride=32,
        published_gmac=4.63,
        gmac=1.96,
        gmac_513x1025=0.5,
        int8="its layout with weights of another data set: 0.908 of the pixels, 0.995 with three layers in float",
    ),
    "xception65": OfficialModel(
        file_name="deeplabv3_cityscapes_train_2018_02_06.tar.gz",
        most_bytes=600_000_000,
        megabytes=439,
        mean_iou=78.79,
        measured="val, one scale",
        measured_stride=16,
        published_gmac=418.64,
        gmac=418.4,
        gmac_513x1025=106.7,
    ),
    "xception71-dpc": OfficialModel(
        file_name="deeplab_cityscapes_xception71_trainfine_2018_09_08.tar.gz",
        most_bytes=600_000_000,
        megabytes=445,
        mean_iou=80.31,
        measured="val, one scale",
        measured_stride=16,
        published_gmac=502.07,
        gmac=501.8,
        gmac_513x1025=127.7,
    ),
    "xception71-dpc-trainval": OfficialModel(
        file_name="deeplab_cityscapes_xception71_trainvalfine_2018_09_08.tar.gz",
        most_bytes=600_000_000,
        megabytes=446,
        mean_iou=82.66,
        measured="test, six scales, mirrored too",
        measured_stride=8,
        published_gmac=None,
        gmac=501.8,
        gmac_513x1025=127.7,
    ),
}
