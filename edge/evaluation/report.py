"""Writes what an evaluation found: as JSON can hold it, as rows per picture, and as a folder."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edge.data import Pixels
from edge.destinations import Destination, some_files
from edge.errors import SinkError
from edge.evaluation.pictures import confusion_picture, worst_picture
from edge.evaluation.scoring import Evaluation, Tally
from edge.files import write_whole
from edge.sources.folders import is_picture


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """Returns everything but the pictures; None for figures that do not exist. The keys are in docs/evaluating.md."""
    return {
        "format": 1,
        "set": evaluation.samples.name,
        "labelling": evaluation.labelling.name,
        "pictures": evaluation.pictures,
        "left_out": [{"name": name, "reason": reason} for name, reason in evaluation.samples.left_out.unreadable],
        "models": [_model(tally) for tally in evaluation.tallies],
    }


def _model(tally: Tally) -> dict[str, Any]:
    card = tally.segmenter.card
    return {
        "model": tally.segmenter.path.name,
        "recipe": card.recipe,
        "input_hw": card.input_hw,
        "output_stride": card.output_stride,
        **figures(tally),
        "ignored_classes": tally.ignored,
        "classes": classes(tally),
        "confusion": tally.confusion.counts.tolist(),
        "worst": [{"name": worst.name, "pixel_accuracy": _number(worst.accuracy)} for worst in tally.worst()],
    }


def figures(tally: Tally) -> dict[str, Any]:
    """Returns the figures over all pictures and classes."""
    counted = tally.counted_part(tally.confusion)
    return {
        "pixels": int(tally.confusion.counts.sum()),
        "mean_iou": _number(counted.mean_iou()),
        "mean_iou_in_truth": _number(counted.mean_iou_in_truth()),
        "pixel_accuracy": _number(tally.confusion.pixel_accuracy()),
        "frequency_weighted_iou": _number(counted.frequency_weighted_iou()),
        "mean_boundary_f": _number(tally.boundaries.part(tally.counted).mean_f()),
    }


def classes(tally: Tally) -> list[dict[str, Any]]:
    """Returns one entry per class that is counted, in the model's order."""
    counts = tally.confusion.counts
    iou = tally.counted_part(tally.confusion).iou()
    outlines = tally.boundaries.part(tally.counted).f_scores()
    return [
        {
            "name": tally.classes.names[index],
            "iou": _number(iou[place]),
            "boundary_f": _number(outlines[place]),
            "truth_pixels": int(counts[index].sum()),
            "predicted_pixels": int(counts[:, index].sum()),
            "right_pixels": int(counts[index, index]),
        }
        for place, index in enumerate(tally.counted)
    ]


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 6)


def as_csv(evaluation: Evaluation) -> str:
    """Returns a row per model and picture; figures that do not exist are empty."""
    names = list(dict.fromkeys(t.classes.names[i] for t in evaluation.tallies for i in t.counted))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["model", "picture", "pixels", "pixel_accuracy", "mean_iou", "mean_boundary_f", *names])
    for tally in evaluation.tallies:
        for score in tally.pictures:
            counted = tally.counted_part(score.confusion)
            iou = dict(zip((tally.classes.names[i] for i in tally.counted), counted.iou().tolist(), strict=True))
            pixels = int(score.confusion.counts.sum())
            writer.writerow(
                [
                    tally.segmenter.path.name,
                    score.name,
                    pixels,
                    _number(score.confusion.pixel_accuracy()) if pixels else None,
                    _number(counted.mean_iou()),
                    _number(score.boundaries.part(tally.counted).mean_f()),
                    *(_number(iou.get(name, math.nan)) for name in names),
                ]
            )
    return text.getvalue()


SCORES, PICTURES = "scores.json", "pictures.csv"


def destination(folder: Path) -> list[Destination]:
    """Returns where `write_folder` writes: its tables, and pictures of whatever names."""
    return [
        some_files(str(folder), folder, [SCORES, PICTURES]),
        Destination(str(folder), folder, "confusion.png", is_picture),
    ]


def write_folder(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Writes scores.json, pictures.csv, and per model the confusion matrix and the worst pictures as PNGs.

    Returns what was written. Raises SinkError.
    """
    written = [folder / SCORES, folder / PICTURES]
    write_whole(written[0], (json.dumps(as_dict(evaluation), indent=1, allow_nan=False) + "\n").encode())
    write_whole(written[1], as_csv(evaluation).encode("utf-8", "surrogateescape"))
    for number, tally in enumerate(evaluation.tallies, start=1):
        start = (
            f"{tally.segmenter.path.stem}" if len(evaluation.tallies) == 1 else f"{number}-{tally.segmenter.path.stem}"
        )
        part = tally.confusion.part(tally.counted) if len(tally.counted) < len(tally.classes) else tally.confusion
        names = [tally.classes.names[i] for i in tally.counted]
        written.append(_save(folder / f"{start}-confusion.png", confusion_picture(part, names)))
        for place, worst in enumerate(tally.worst(), start=1):
            name = re.sub(r"[^\w.-]+", "-", worst.name)[-80:]
            picture = worst_picture(worst, tally.classes)
            written.append(_save(folder / f"{start}-worst-{place}-{Path(name).stem}.png", picture))
    return written


def _save(path: Path, picture: Pixels) -> Path:
    stored, data = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))
    if not stored:
        raise SinkError(f"{path}: a picture of {picture.shape[1]}x{picture.shape[0]} pixels cannot be stored")
    write_whole(path, data.tobytes())
    return path
