"""How far a converted model can be trusted, in three figures that are kept apart.

fidelity    against the frozen graph re-targeted to the same size and stride, run in TensorFlow: what the
            conversion did. This is what the gate looks at.
shrinking   against the stock graph at its own size and stride: what the smaller input and the coarser stride
            did, together with the conversion.
mean IoU    against the truth, where the frames come with labels.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from convert.anatomy import Anatomy
from convert.calibration import Sample, normalised
from convert.graph import GraphDef, first_line, running
from convert.tensorflow import tf
from convert.tflite import Network
from edge.data import Ids, Pixels
from edge.engine import Engine
from edge.errors import GraphError
from edge.evaluate import Confusion, agreement
from edge.postprocess import Upsample, nearest
from edge.preprocess import Normalisation, Preprocess, resize
from edge.progress import Track, silent


@dataclass(slots=True)
class Verdict:
    """Figures of one model over the held-out frames."""

    frames: int
    fidelity: float = 0.0  # share of equal pixels at the input size
    worst_frame: float = 0.0  # lowest fidelity of a frame
    shrinking: float = 0.0  # share of equal pixels at the stock size
    mean_iou: float | None = None
    stock_mean_iou: float | None = None
    invoke_ms: float = 0.0  # median
    fidelities: list[float] = field(default_factory=list, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """For the card and --json, rounded to what the figures are good for."""
        plain = {k: v for k, v in asdict(self).items() if v is not None and k != "fidelities"}
        return {k: round(v, 5) if isinstance(v, float) else v for k, v in plain.items()}


@dataclass(frozen=True, slots=True)
class Reference:
    """What the frozen graph says about one held-out frame."""

    retargeted: Ids  # at the model's input size
    stock: Ids  # at the stock size


def refer(
    graph: GraphDef, anatomy: Anatomy, network: Network, input_hw: tuple[int, int],
    samples: Sequence[Sample], track: Track = silent,
) -> list[Reference]:  # fmt: skip
    """Runs the re-targeted and the stock graph over the held-out frames in TensorFlow. Raises GraphError."""
    found = []
    with running(graph, [anatomy.labels]) as run:
        for sample in track(samples, "asking the frozen graph", len(samples)):
            stock = run({anatomy.image: resize(sample.pixels, anatomy.crop_hw)[None]})[0]
            if stock.shape != (1, *anatomy.crop_hw) or not np.issubdtype(stock.dtype, np.integer):
                raise GraphError(
                    f"{anatomy.labels}: expected integer labels of {anatomy.crop_hw}, got {stock.dtype} {stock.shape}"
                )
            small = resize(sample.pixels, input_hw)
            found.append(Reference(_labels(network, small, anatomy), stock[0].astype(np.uint8)))
    return found


def _labels(network: Network, picture: Pixels, anatomy: Anatomy) -> Ids:
    try:
        logits = network(tf.constant(normalised(picture, anatomy.norm))).numpy()[0]
    except tf.errors.OpError as exc:
        raise GraphError(f"TensorFlow cannot run the re-targeted graph: {first_line(exc)}") from exc
    if not np.isfinite(logits).all():
        raise GraphError(f"{anatomy.logits}: its scores are not finite; the graph's weights are damaged")
    return Upsample(logits.shape[:2], picture.shape[:2])(logits)


def verify(
    engine: Engine, norm: Normalisation, classes: int, samples: Sequence[Sample], references: Sequence[Reference],
    track: Track = silent, what: str = "verifying",
) -> Verdict:  # fmt: skip
    """Runs the converted model over the held-out frames and compares."""
    preprocess, size = Preprocess(engine.input, norm), (engine.output.shape[1], engine.output.shape[2])
    verdict, times = Verdict(len(samples)), []
    shrunk: list[float] = []
    truth, stock_truth = Confusion(classes), Confusion(classes)
    for sample, reference in track(list(zip(samples, references, strict=True)), what, len(samples)):
        x = preprocess(sample.pixels)
        start = time.perf_counter()
        logits = engine.invoke(x)[0]
        times.append(time.perf_counter() - start)
        verdict.fidelities.append(agreement(Upsample(size, reference.retargeted.shape)(logits), reference.retargeted))
        shrunk.append(agreement(Upsample(size, reference.stock.shape)(logits), reference.stock))
        if sample.truth is not None:
            truth.add(sample.truth, Upsample(size, sample.truth.shape)(logits))
            stock_truth.add(sample.truth, nearest(reference.stock, sample.truth.shape))
    verdict.fidelity, verdict.worst_frame = float(np.mean(verdict.fidelities)), min(verdict.fidelities)
    verdict.shrinking = float(np.mean(shrunk))
    if truth.counts.any():
        verdict.mean_iou, verdict.stock_mean_iou = truth.mean_iou(), stock_truth.mean_iou()
    verdict.invoke_ms = float(np.median(times)) * 1e3
    return verdict
