"""How far a converted model can be trusted, in three figures that are kept in_a_subprocess.

fidelity    against the frozen graph re-targeted to the same size and stride, run in TensorFlow: what the
            conversion did. This is what the gate looks at.
shrinking   against the stock graph at its own size and stride: what the smaller input and the coarser stride
            did, together with the conversion.
mean IoU    against the truth, where the frames come with labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from convert.frames import Sample, normalised
from convert.graph.anatomy import Anatomy, answer
from convert.graph.branches import in_turns
from convert.graph.finite import DIVERGED
from convert.graph.graphdef import GraphDef, first_line, running
from convert.graph.retarget import RetargetedNetwork
from convert.subprocesses import Runner, in_this_process
from convert.tensorflow import tf
from convert.tflite.export import NetworkFunction, as_function
from convert.verdict import ClassFall, Verdict
from edge.classes import ClassSet
from edge.data import Ids, Logits, Pixels, Upsampling
from edge.engine.base import Engine
from edge.errors import GraphError
from edge.evaluation.metrics import Confusion, agreement
from edge.postprocess import nearest, stretched
from edge.preprocess import Normalisation, Preprocess, resize
from edge.progress import Track, silent
from edge.segmenter import Segmenter

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


@dataclass(frozen=True, slots=True)
class Reference:
    """What the frozen graph says about one held-out frame."""

    retargeted: Ids  # at the model's input size
    stock: Ids  # at the stock size
    at_truth: Ids | None = None  # the re-targeted graph's answer at the truth's size, where there is a truth


def refer(
    graph: GraphDef,
    anatomy: Anatomy,
    body: RetargetedNetwork,
    samples: Sequence[Sample],
    track: Track = silent,
    place: Runner = in_this_process,
) -> list[Reference]:
    """Runs the stock and the re-targeted graph over the held-out frames in TensorFlow. Raises GraphError."""
    stock = place(stock_answers, graph, anatomy, samples, track=track)
    moved = place(retargeted_answers, body, anatomy, samples, track=track)
    return [Reference(ids, whole, at_truth) for whole, (ids, at_truth) in zip(stock, moved, strict=True)]


def stock_answers(graph: GraphDef, anatomy: Anatomy, samples: Sequence[Sample], track: Track = silent) -> list[Ids]:
    """Returns label maps at the stock size."""
    answers = []
    with running(in_turns(graph, anatomy.labels), [anatomy.labels]) as run:
        for sample in track(samples, "asking the frozen graph", len(samples)):
            answers.append(answer(run, anatomy, resize(sample.pixels, anatomy.crop_hw)))
    return answers


def retargeted_answers(
    body: RetargetedNetwork, anatomy: Anatomy, samples: Sequence[Sample], track: Track = silent
) -> list[tuple[Ids, Ids | None]]:
    """Returns label maps at the model's input size, and at the truth's where there is one."""
    answers, network = [], as_function(body)
    for sample in track(samples, "asking the re-targeted graph", len(samples)):
        logits = _logits(network, resize(sample.pixels, body.input_hw), anatomy)
        grid = logits.shape[:2]
        ids = stretched(grid, body.input_hw, body.input_hw, anatomy.upsampling)(logits)
        at_truth = None
        if sample.truth is not None:
            at_truth = stretched(grid, body.input_hw, sample.truth.shape, anatomy.upsampling)(logits)
        answers.append((ids, at_truth))
    return answers


def refer_to_model(
    segment: Segmenter, input_hw: tuple[int, int], samples: Sequence[Sample], track: Track = silent
) -> list[Reference]:
    """Runs the model that is converted over the held-out frames: nothing is re-targeted, so it is its own stock.

    Raises ModelError.
    """
    references = []
    for sample in track(samples, "asking the model", len(samples)):
        ids = segment.label(sample.pixels, input_hw)
        at_truth = None if sample.truth is None else segment.label(sample.pixels, sample.truth.shape)
        references.append(Reference(ids, ids, at_truth))
    return references


def _logits(network: NetworkFunction, picture: Pixels, anatomy: Anatomy) -> Logits:
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
    upsampling: Upsampling = "align_corners",
) -> Verdict:
    """Runs the converted model over the held-out frames and compares."""
    preprocess, size = Preprocess(engine.input, norm), (engine.output.shape[1], engine.output.shape[2])

    def labels(logits: Logits, out_hw: tuple[int, int]) -> Ids:
        return stretched(size, preprocess.size_hw, out_hw, upsampling)(logits)

    fidelities, shrunk = list[float](), list[float]()
    kept, truth, retargeted, stock = (Confusion(len(classes)) for _ in range(4))
    for sample, reference in track(list(zip(samples, references, strict=True)), what, len(samples)):
        logits = engine.invoke(preprocess(sample.pixels))[0]
        ids = labels(logits, reference.retargeted.shape)
        kept.add(reference.retargeted, ids)
        fidelities.append(agreement(ids, reference.retargeted))
        shrunk.append(agreement(labels(logits, reference.stock.shape), reference.stock))
        if sample.truth is not None and reference.at_truth is not None:
            truth.add(sample.truth, labels(logits, sample.truth.shape))
            retargeted.add(sample.truth, reference.at_truth)
            stock.add(sample.truth, nearest(reference.stock, sample.truth.shape))
    worst, seen = int(np.argmin(fidelities)), kept.iou()
    verdict = Verdict(
        len(samples),
        fidelity=float(np.mean(fidelities)),
        worst_frame=fidelities[worst],
        best_frame=max(fidelities),
        worst=f"{samples[worst].source} {samples[worst].index}",
        objects=objects(kept, classes),
        per_class={n: iou for n, iou in zip(classes.names, seen.tolist(), strict=True) if not math.isnan(iou)},
        seen_pixels={n: pixels for n, pixels in zip(classes.names, kept.union().tolist(), strict=True) if pixels},
        shrinking=float(np.mean(shrunk)),
    )
    if not truth.counts.any():
        return verdict
    return replace(
        verdict,
        mean_iou=truth.mean_iou(),
        retargeted_mean_iou=retargeted.mean_iou(),
        stock_mean_iou=stock.mean_iou(),
        miou_drop=retargeted.mean_iou_in_truth() - truth.mean_iou_in_truth(),
        class_falls=class_falls(retargeted, truth, classes),
    )


def class_falls(retargeted: Confusion, model: Confusion, classes: ClassSet) -> dict[str, ClassFall]:
    """Returns what became of each class of the truth, which both are held against."""
    each = zip(retargeted.iou().tolist(), model.iou().tolist(), model.counts.sum(axis=1).tolist(), strict=True)
    return {n: ClassFall(*one) for n, one in zip(classes.names, each, strict=True) if one[-1]}


def objects(counts: Confusion, classes: ClassSet) -> float | None:
    """Returns the share of equal pixels where either side sees an object; large quiet areas make any agreement look
    good.
    """
    thing = np.array([name.lower() not in BACKGROUND for name in classes.names])
    square = counts.counts[:, : len(thing)]
    seen = square.sum() - square[np.ix_(~thing, ~thing)].sum()
    return float(np.trace(square[np.ix_(thing, thing)]) / seen) if seen else None
