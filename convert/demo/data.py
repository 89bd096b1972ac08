"""Draws batches to train on: generated scenes, and real frames with a teacher's labels where there are some."""

from __future__ import annotations

import math
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Ids, Pixels
from edge.leftovers import TemporaryFolder
from edge.processors import available_processors
from edge.scene import Scene

FULL_HW = (513, 1025)
CROP_HW = (257, 513)
AS_DRAWN = 0.3  # share of the pictures whose colours are not disturbed
LABEL_STEP = 4  # the loss looks at every fourth pixel
FULL_EVERY = 4  # every so many steps, a quarter as many whole pictures instead of crops
CHUNK = 16  # steps that share their pictures
USES = 2  # how often each part of a picture is used, on average
SCALES = (0.15, 0.6, 0.25)  # how often a scene to crop is drawn at half size, at `FULL_HW`, or at any size about that
FIRST_SEED = 10_000  # training draws from here on
HELD_OUT_SEED = 1_000_000_000  # never reached by training

Batch = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""RGB uint8 (N, H, W, 3) and trainIds uint8 (N, h, w), one for every `LABEL_STEP`th pixel."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What fixes every batch: the same recipe and step give the same batch."""

    seed: int
    batch: int  # crops a step
    real: Path | None = None  # folder of N.jpg with labels N.png, see convert.demo.teacher
    real_share: float = 0.0


def held_out(size: int) -> Iterator[tuple[Pixels, Ids]]:
    """Yields the fixed scenes that mIoU is measured on, at `FULL_HW`."""
    for index in range(size):
        yield Scene(HELD_OUT_SEED + index).draw(1.5, FULL_HW)


def batch(recipe: Recipe, step: int) -> Batch:
    """Returns the crops of one step, or its whole pictures."""
    return chunk(recipe, step // CHUNK)[step % CHUNK]


@lru_cache(maxsize=1)
def chunk(recipe: Recipe, number: int) -> list[Batch]:
    """Returns `CHUNK` steps that share pictures: drawing is expensive, so each serves several of them."""
    random = np.random.default_rng((recipe.seed, number))
    seeds = count(FIRST_SEED + (recipe.seed << 32) + (number << 16))
    whole = CHUNK // FULL_EVERY * (recipe.batch // 4)
    wanted = (CHUNK - CHUNK // FULL_EVERY) * recipe.batch
    pictures = [_sample(recipe, 1.0, next(seeds), random) for _ in range(whole // USES)] * USES
    crops: list[tuple[Pixels, Ids]] = []
    while len(crops) < wanted:
        scale = float(random.choice([0.5, 1.0, random.uniform(0.5, 1.25)], p=SCALES))
        picture = _sample(recipe, scale, next(seeds), random)
        crops += [_crop(*picture, CROP_HW, random) for _ in range(round(4 * USES * scale * scale))]
    order = iter(random.permutation(wanted).tolist())
    steps = []
    for step in range(CHUNK):
        if step % FULL_EVERY == FULL_EVERY - 1:
            chosen = [_crop(*pictures.pop(), FULL_HW, random) for _ in range(recipe.batch // 4)]
        else:
            chosen = [crops[next(order)] for _ in range(recipe.batch)]
        pixels, labels = zip(
            *((disturb(pixels, random), ids[::LABEL_STEP, ::LABEL_STEP]) for pixels, ids in chosen), strict=True
        )
        steps.append((np.stack(pixels), np.stack(labels)))
    return steps


def _sample(recipe: Recipe, scale: float, seed: int, random: np.random.Generator) -> tuple[Pixels, Ids]:
    """A picture at `scale` of `FULL_HW`: a real frame or a moment of a new scene."""
    if recipe.real and random.random() < recipe.real_share:
        return _real(recipe.real, scale, random)
    return Scene(seed).draw(float(random.uniform(0, 20)), _scaled(scale))


def _scaled(scale: float) -> tuple[int, int]:
    return math.ceil(FULL_HW[0] * scale), math.ceil(FULL_HW[1] * scale)


def _real(folder: Path, scale: float, random: np.random.Generator) -> tuple[Pixels, Ids]:
    """A real frame, cut a little and scaled as a generated one would be."""
    paths = _real_paths(folder)
    path = paths[int(random.integers(len(paths)))]
    frame = np.asarray(cv2.imread(str(path)))
    labels = np.asarray(cv2.imread(str(path.with_suffix(".png")), cv2.IMREAD_UNCHANGED))
    height, width = labels.shape
    share = float(random.uniform(0.8, 1))
    rows, columns = int(height * share), int(width * share)
    top, left = int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))
    window = np.s_[top : top + rows, left : left + columns]
    size = _scaled(scale)[::-1]
    pixels = cv2.resize(np.ascontiguousarray(frame[window][..., ::-1]), size, interpolation=cv2.INTER_LINEAR)
    ids = cv2.resize(np.ascontiguousarray(labels[window]), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(pixels, np.uint8), np.asarray(ids, np.uint8)


@lru_cache(maxsize=1)
def _real_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.jpg"))


def _crop(pixels: Pixels, ids: Ids, size_hw: tuple[int, int], random: np.random.Generator) -> tuple[Pixels, Ids]:
    """A random window, mirrored half of the time."""
    top = int(random.integers(pixels.shape[0] - size_hw[0] + 1))
    left = int(random.integers(pixels.shape[1] - size_hw[1] + 1))
    window = np.s_[top : top + size_hw[0], left : left + size_hw[1]]
    if random.random() < 0.5:
        return pixels[window][:, ::-1], ids[window][:, ::-1]
    return pixels[window], ids[window]


def disturb(pixels: Pixels, random: np.random.Generator) -> Pixels:
    """Disturbs a picture: other exposures, colour casts, saturations, now and then blur or compression; some pictures
    stay as they are.
    """
    if random.random() < AS_DRAWN:
        return pixels
    gains = random.uniform(0.88, 1.14, 3) * random.uniform(0.72, 1.3)
    ramp = (np.arange(256) / 255)[:, None] ** random.uniform(0.75, 1.35) * gains * 255 + random.uniform(-15, 15)
    table = np.clip(ramp, 0, 255).astype(np.uint8).reshape(1, 256, 3)
    changed = cv2.LUT(np.ascontiguousarray(pixels), table)
    grey = cv2.cvtColor(cv2.cvtColor(changed, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    keep = float(random.uniform(0.4, 1.3))
    changed = cv2.addWeighted(changed, keep, grey, 1 - keep, 0)
    if random.random() < 0.2:
        changed = cv2.GaussianBlur(changed, (0, 0), float(random.uniform(0.5, 1.6)))
    if random.random() < 0.2:
        quality = int(random.integers(25, 85))
        packed = cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    return np.asarray(changed, np.uint8)


def class_weights(recipe: Recipe, classes: int) -> NDArray[np.float32]:
    """Loss weights that lift rare classes: their share to the power -0.4, float32 (classes,), mean over pixels 1."""
    counts = np.zeros(256, np.float64)
    for _, labels in chunk(recipe, 0):
        counts += np.bincount(labels.ravel(), minlength=256)
    shares = (counts[:classes] + 100) / counts[:classes].sum()
    weights = np.minimum(shares**-0.4, 15)
    return np.asarray(weights / (weights * shares).sum(), np.float32)


def batches(recipe: Recipe, first: int, last: int) -> Iterator[Batch]:
    """Yields batches `first` to `last` - 1 in order, drawn by other processes: one a core, but for one core that
    trains.

    They come by way of files: through a pipe a batch would come in thousands of pieces, each waiting for Python's lock.
    """
    workers = max(1, available_processors() - 1)
    numbers = iter(range(first // CHUNK, math.ceil(last / CHUNK)))
    with (
        TemporaryFolder() as folder,
        ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool,
    ):
        waiting = deque(pool.submit(_store, recipe, number, folder) for number in islice(numbers, workers + 1))
        step = first // CHUNK * CHUNK
        try:
            while waiting:
                for pixels, labels in waiting.popleft().result():
                    if first <= step < last:
                        yield np.load(pixels), np.load(labels)
                    pixels.unlink()
                    labels.unlink()
                    step += 1
                waiting.extend(pool.submit(_store, recipe, number, folder) for number in islice(numbers, 1))
        finally:
            pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """One core each; Ctrl-C is for the process that trains."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _store(recipe: Recipe, number: int, folder: str) -> list[tuple[Path, Path]]:
    """Writes the pictures and labels of a chunk's steps, a file each."""
    paths = []
    for step, arrays in enumerate(chunk(recipe, number)):
        pair = Path(folder, f"{number}-{step}-pixels.npy"), Path(folder, f"{number}-{step}-labels.npy")
        for path, array in zip(pair, arrays, strict=True):
            np.save(path, array)
        paths.append(pair)
    return paths
