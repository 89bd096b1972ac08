"""How far a converted model can be trusted, in three figures that are kept apart.

fidelity    against the frozen graph re-targeted to the same size and stride, run in TensorFlow: what the
            conversion did. This is what the gate looks at.
shrinking   against the stock graph at its own size and stride: what the smaller input and the coarser stride
            did, together with the conversion.
mean IoU    against the truth, where the frames come with labels.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from convert.frames import Sample, normalised
from convert.graph.anatomy import Anatomy
from convert.graph.finite import DIVERGED
from convert.graph.graphdef import GraphDef, first_line, running
from convert.graph.retarget import Body
from convert.subprocesses import Place, here
from convert.tensorflow import tf
from convert.tflite.export import Network, as_function
from edge.classes import ClassSet
from edge.data import Ids, Logits, Pixels
from edge.engine.base import Engine
from edge.errors import GraphError
from edge.evaluation.metrics import Confusion, agreement
from edge.postprocess import Upsample, nearest
from edge.preprocess import Normalisation, Preprocess, resize
from edge.progress import Track, silent

# What a scene stands on and in front of; all other classes are objects.
BACKGROUND = frozenset(
    {
        "background",
        "class 0",
        "road",
        "lane",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "vegetation",
        "terrain",
        "sky",
    }
)


@dataclass(slots=True)
class Verdict:
    """Figures of one model over the held-out frames."""

    frames: int
    fidelity: float = 0.0  # share of equal pixels at the input size
    worst_frame: float = 0.0  # lowest fidelity of a frame
    worst: str = ""  # which frame that is
    objects: float | None = None  # share of equal pixels where either sees more than background; None where none does
    per_class: dict[str, float] = field(default_factory=dict)  # IoU with what the re-targeted graph sees
    shrinking: float = 0.0  # share of equal pixels at the stock size
    mean_iou: float | None = None
    retargeted_mean_iou: float | None = None
    stock_mean_iou: float | None = None
    miou_drop: float | None = None  # against the re-targeted graph, over the classes of the truth; None without truth
    invoke_ms: float = 0.0  # median
    fidelities: list[float] = field(default_factory=list, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For the card and --json, rounded to what the figures are good for."""
        plain = {k: v for k, v in asdict(self).items() if v is not None and k not in ("fidelities", "per_class")}
        rounded = {k: round(v, 5) if isinstance(v, float) else v for k, v in plain.items()}
        return rounded | {"per_class": {name: round(iou, 4) for name, iou in self.per_class.items()}}


@dataclass(frozen=True, slots=True)
class Reference:
    """What the frozen graph says about one held-out frame."""

    retargeted: Ids  # at the model's input size
    stock: Ids  # at the stock size
    at_truth: Ids | None = None  # the re-targeted graph's answer at the truth's size, where there is a truth


def refer(
    graph: GraphDef,
    anatomy: Anatomy,
    body: Body,
    samples: Sequence[Sample],
    track: Track = silent,
    place: Place = here,
) -> list[Reference]:
    """Runs the stock and the re-targeted graph over the held-out frames in TensorFlow. Raises GraphError."""
    stock = place(stock_answers, graph, anatomy, samples, track=track)
    moved = place(retargeted_answers, body, anatomy, samples, track=track)
    return [Reference(ids, whole, at_truth) for whole, (ids, at_truth) in zip(stock, moved, strict=True)]


def stock_answers(graph: GraphDef, anatomy: Anatomy, samples: Sequence[Sample], track: Track = silent) -> list[Ids]:
    """Label maps at the stock size."""
    found = []
    with running(graph, [anatomy.labels]) as run:
        for sample in track(samples, "asking the frozen graph", len(samples)):
            ids = run({anatomy.image: resize(sample.pixels, anatomy.crop_hw)[None]})[0]
            if ids.shape != (1, *anatomy.crop_hw) or not np.issubdtype(ids.dtype, np.integer):
                raise GraphError(
                    f"{anatomy.labels}: expected integer labels of {anatomy.crop_hw}, got {ids.dtype} {ids.shape}"
                )
            found.append(ids[0].astype(np.uint8))
    return found


def retargeted_answers(
    body: Body, anatomy: Anatomy, samples: Sequence[Sample], track: Track = silent
) -> list[tuple[Ids, Ids | None]]:
    """Label maps at the model's input size, and at the truth's where there is one."""
    found, network = [], as_function(body)
    for sample in track(samples, "asking the re-targeted graph", len(samples)):
        logits = _logits(network, resize(sample.pixels, body.input_hw), anatomy)
        grid = logits.shape[:2]
        ids = Upsample(grid, body.input_hw)(logits)
        at_truth = None if sample.truth is None else Upsample(grid, sample.truth.shape)(logits)
        found.append((ids, at_truth))
    return found


def _logits(network: Network, picture: Pixels, anatomy: Anatomy) -> Logits:
    try:
        logits: Logits = network(tf.constant(normalised(picture, anatomy.norm))).numpy()[0]
    except tf.errors.OpError as exc:
        raise GraphError(f"TensorFlow cannot run the re-targeted graph: {first_line(exc)}") from exc
    if not np.isfinite(logits).all():
        raise GraphError(f"{anatomy.logits}: its scores are not finite: finite weights make them overflow; {DIVERGED}")
    return logits


def verify(
    engine: Engine,
    norm: Normalisation,
    classes: ClassSet,
    samples: Sequence[Sample],
    references: Sequence[Reference],
    track: Track = silent,
    what: str = "verifying",
) -> Verdict:
    """Runs the converted model over the held-out frames and compares."""
    preprocess, size = Preprocess(engine.input, norm), (engine.output.shape[1], engine.output.shape[2])
    verdict, times = Verdict(len(samples)), []
    shrunk: list[float] = []
    kept, truth, retargeted, stock = (Confusion(len(classes)) for _ in range(4))
    for sample, reference in track(list(zip(samples, references, strict=True)), what, len(samples)):
        x = preprocess(sample.pixels)
        start = time.perf_counter()
        logits = engine.invoke(x)[0]
        times.append(time.perf_counter() - start)
        found = Upsample(size, reference.retargeted.shape)(logits)
        kept.add(reference.retargeted, found)
        verdict.fidelities.append(agreement(found, reference.retargeted))
        shrunk.append(agreement(Upsample(size, reference.stock.shape)(logits), reference.stock))
        if sample.truth is not None and reference.at_truth is not None:
            truth.add(sample.truth, Upsample(size, sample.truth.shape)(logits))
            retargeted.add(sample.truth, reference.at_truth)
            stock.add(sample.truth, nearest(reference.stock, sample.truth.shape))
    worst = int(np.argmin(verdict.fidelities))
    verdict.fidelity, verdict.worst_frame = float(np.mean(verdict.fidelities)), verdict.fidelities[worst]
    verdict.worst = f"{samples[worst].source} {samples[worst].index}"
    verdict.shrinking = float(np.mean(shrunk))
    verdict.objects = objects(kept, classes)
    seen = zip(classes.names, kept.iou().tolist(), strict=True)
    verdict.per_class = {name: iou for name, iou in seen if not math.isnan(iou)}
    if truth.counts.any():
        verdict.mean_iou, verdict.retargeted_mean_iou = truth.mean_iou(), retargeted.mean_iou()
        verdict.stock_mean_iou = stock.mean_iou()
        verdict.miou_drop = retargeted.mean_iou_in_truth() - truth.mean_iou_in_truth()
    verdict.invoke_ms = float(np.median(times)) * 1e3
    return verdict


def objects(counts: Confusion, classes: ClassSet) -> float | None:
    """Share of equal pixels where either side sees an object; large quiet areas make any agreement look good."""
    thing = np.array([name.lower() not in BACKGROUND for name in classes.names])
    square = counts.counts[:, : len(thing)]
    seen = square.sum() - square[np.ix_(~thing, ~thing)].sum()
    return float(np.trace(square[np.ix_(thing, thing)]) / seen) if seen else None
