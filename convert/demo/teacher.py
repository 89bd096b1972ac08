"""Labels real frames by a trained model's vote over many views of each frame, ignored where it is unsure.

One look of a small model at a road unlike those it was trained on is unreliable (clear sky became vegetation, asphalt
became car); over mirrored, brighter, darker and paler views the errors differ and the truth stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path

import cv2
import numpy as np

from edge.data import IGNORE, Ids, Pixels
from edge.scene.trainids import CAR, ROAD, SKY, TERRAIN, VEGETATION
from edge.segmenter import Segmenter
from edge.sources.open import open_source

FRAME_WH = (1024, 576)
GAMMAS = (0.6, 0.8, 1.0, 1.3)
SATURATIONS = (1.0, 0.5)
SURE = 0.6  # share of the views that must agree
CLASSES = 19
BELIEVED = np.array([ROAD, VEGETATION, TERRAIN, SKY, CAR])
# On open roads far from town, whatever else a model trained in towns sees there is mostly an error.


def views(pixels: Pixels) -> Iterator[tuple[Pixels, bool]]:
    """Yields differently exposed copies; the flag tells that one is mirrored."""
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    for gamma, saturation in product(GAMMAS, SATURATIONS):
        mixed = cv2.addWeighted(pixels, saturation, grey, 1 - saturation, 0)
        table = np.rint((np.arange(256) / 255) ** gamma * 255).astype(np.uint8)
        view = np.asarray(cv2.LUT(mixed, table), np.uint8)
        yield view, False
        yield np.ascontiguousarray(view[:, ::-1]), True


def vote(label: Callable[[Pixels], Ids], pixels: Pixels) -> Ids:
    """Returns what most views say about each pixel; `IGNORE` where fewer than `SURE` agree or the class is not
    `BELIEVED`.
    """
    votes = np.zeros((CLASSES, *pixels.shape[:2]), np.uint8)
    rows, columns = np.ogrid[: pixels.shape[0], : pixels.shape[1]]
    looks = list(views(pixels))
    for view, mirrored in looks:
        ids = label(view)
        ids = ids[:, ::-1] if mirrored else ids
        votes[np.minimum(ids, CLASSES - 1), rows, columns] += ids < CLASSES
    winners = np.asarray(votes.argmax(0), np.uint8)
    winners[(votes.max(0) < SURE * len(looks)) | ~np.isin(winners, BELIEVED)] = IGNORE
    return winners


def label_frames(sources: list[str], model: Path, folder: Path, every: int, report: Callable[[str], None]) -> None:
    """Writes every so many frames as N.jpg and their labels as N.png, unless the folder is there."""
    if folder.exists():
        return
    segmenter = Segmenter(model)
    partial = folder.with_suffix(".part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for source in sources:
        for frame in open_source(source, say=report):
            if frame.index % every:
                continue
            small = np.asarray(cv2.resize(frame.pixels, FRAME_WH, interpolation=cv2.INTER_AREA), np.uint8)
            name = partial / f"{Path(source).stem}-{frame.index:06d}"
            cv2.imwrite(f"{name}.jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
            cv2.imwrite(f"{name}.png", vote(lambda view: segmenter(view).ids, small))
        report(f"{source}: labelled")
    partial.rename(folder)
