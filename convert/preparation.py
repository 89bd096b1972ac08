"""Makes a network ready to be converted: what it is, the frames it is tried on, and what it sees on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from convert.frames import Samples, Truths, collect
from convert.graph.anatomy import Anatomy, discover, remarks
from convert.graph.graphdef import GraphDef, parse
from convert.graph.retarget import RetargetedNetwork, retarget_as_asked
from convert.job import INPUT_HW, Job
from convert.models.load import FrozenGraph
from convert.models.offered_names import offer
from convert.provenance import SourceGraph
from convert.subprocesses import runner_for
from convert.suspicious_frames import judge
from convert.tflite.build import FloatModels, GraphModels, TfliteModels
from convert.tflite.source import TfliteNetwork, TfliteSource
from convert.verify import Reference, refer, refer_to_model
from convert.weak_frames import weaknesses
from edge.classes import ClassSet, guess
from edge.data import Upsampling
from edge.errors import SourceError, UsageError
from edge.model_description import Told
from edge.preprocess import Normalisation
from edge.progress import Track

Notice = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network that is ready."""

    name: str  # what the files made from it are called
    source: SourceGraph
    norm: Normalisation
    classes: ClassSet
    upsampling: Upsampling
    input_hw: tuple[int, int]
    output_stride: int
    retargeting: tuple[str, ...]  # what was decided where the network was re-targeted, a sentence each
    samples: Samples
    references: list[Reference]
    networks: Callable[[Path, Track], FloatModels]  # given a folder for what is in between


def prepare(
    source: FrozenGraph | TfliteSource, job: Job, track: Track, notice: Notice, samples: Samples | None = None
) -> Prepared:
    """Finds the parts of a network, collects frames, unless it is given some, and asks the network what it sees on
    them.

    Raises ModelError where a .tflite holds no network in float, UsageError for what cannot be made of it, GraphError.
    """
    if isinstance(source, TfliteSource):
        return prepare_tflite(source, job, track, notice, samples)
    return prepare_graph(source, job, track, notice, samples)


def frames_for(source: FrozenGraph | TfliteSource, job: Job, track: Track, notice: Notice) -> Samples:
    """Returns the frames that `prepare` would collect, and says what it would, without asking the network.

    Raises what `prepare` raises.
    """
    if isinstance(source, TfliteSource):
        float_network = find_network(source, job, notice)
        return collect_frames(job, float_network.input_hw, float_network.classes, track, notice)
    found = find_parts(source, job, notice)
    return collect_frames(job, found.network.input_hw, found.classes, track, notice)


@dataclass(frozen=True, slots=True)
class Parts:
    """A graph, what it consists of, and what it is re-targeted to."""

    graph: GraphDef
    anatomy: Anatomy
    classes: ClassSet
    network: RetargetedNetwork


def find_parts(frozen: FrozenGraph, job: Job, notice: Notice) -> Parts:
    """Finds the parts of a graph, re-targets it, and says so."""
    graph = parse(frozen.graph_bytes, frozen.name)
    anatomy = discover(graph, frozen.name, job.norm)
    classes = classes_of(frozen.name, anatomy.classes, job)
    network = retarget_as_asked(graph, anatomy, job.input_hw or INPUT_HW, job.output_stride)
    notice(describe(frozen, anatomy, network))
    for remark in (*remarks(anatomy), *network.remarks):
        notice(f"{frozen.name}: {remark}")
    offer_names(frozen.path, classes, job, notice)
    return Parts(graph, anatomy, classes, network)


def prepare_graph(
    frozen: FrozenGraph, job: Job, track: Track, notice: Notice, samples: Samples | None = None
) -> Prepared:
    """Finds the parts of a graph, re-targets it, collects frames, and asks the graph what it sees on them."""
    runner, found = runner_for(len(frozen.graph_bytes)), find_parts(frozen, job, notice)
    graph, anatomy, classes, network = found.graph, found.anatomy, found.classes, found.network
    samples = samples or collect_frames(job, network.input_hw, classes, track, notice)
    return Prepared(
        frozen.name,
        SourceGraph(frozen.origin, frozen.sha256, anatomy.crop_hw, anatomy.output_stride, anatomy.logits),
        anatomy.norm,
        classes,
        anatomy.upsampling,
        network.input_hw,
        network.output_stride,
        network.remarks,
        samples,
        refer(graph, anatomy, network, samples.held_out, track, runner),
        lambda folder, track: GraphModels(network, folder, track, runner),
    )


def find_network(source: TfliteSource, job: Job, notice: Notice) -> TfliteNetwork:
    """Finds the network in a .tflite, and says so. Raises ModelError, UsageError."""
    network = source.network(Told(job.norm, job.classes, job.output_tensor))
    source.check_asked(network, job.recipes, job.input_hw, job.output_stride)
    height, width = network.input_hw
    notice(
        f"{source.name}: a .tflite of {len(network.classes)} classes, {height}x{width} at output stride "
        f"{network.output_stride}"
    )
    for remark in network.remarks:
        notice(f"{source.name}: {remark}")
    offer_names(source.path, network.classes, job, notice)
    return network


def prepare_tflite(
    source: TfliteSource, job: Job, track: Track, notice: Notice, samples: Samples | None = None
) -> Prepared:
    """Finds the network in a .tflite, collects frames, and asks the file what it sees on them.

    Raises ModelError where it holds no network in float, UsageError for what cannot be made of one.
    """
    network = find_network(source, job, notice)
    samples = samples or collect_frames(job, network.input_hw, network.classes, track, notice)
    return Prepared(
        source.name,
        SourceGraph(source.path.name, source.sha256, network.input_hw, network.output_stride, network.logits),
        network.norm,
        network.classes,
        network.upsampling,
        network.input_hw,
        network.output_stride,
        (),
        samples,
        refer_to_model(source.segmenter(network, job.output_tensor), network.input_hw, samples.held_out, track),
        lambda _folder, _track: TfliteModels(network.model),
    )


def classes_of(name: str, number: int, job: Job) -> ClassSet:
    """Returns the class names of a graph. Raises UsageError where there are more or fewer than it has classes."""
    classes = job.classes or guess(number)
    if len(classes) != number:
        raise UsageError(f"{name} has {number} classes, the label set {len(classes)}; name its own", "classes")
    return classes


def offer_names(path: Path | None, classes: ClassSet, job: Job, notice: Notice) -> None:
    """Tells of class names beside a user's file where none were asked for."""
    if job.classes is None and path and (offered := offer(path, classes)):
        notice(offered)


def collect_frames(job: Job, input_hw: tuple[int, int], classes: ClassSet, track: Track, notice: Notice) -> Samples:
    """Returns the frames to calibrate and to verify with.

    Raises SourceError where there are none, or where they cannot be what a camera sees.
    """
    calibrate = job.calibration_frames if any(recipe.calibrated for recipe in job.recipes) else 0
    truths = Truths(job.labels_dir, job.calibrate, classes) if job.labels_dir else None
    samples = collect(
        job.calibrate,
        input_hw,
        calibrate=calibrate,
        verify=job.verification_frames,
        truths=truths,
        track=track,
        say=notice,
        strict=job.strict,
    )
    weak = weaknesses(samples.looks, len(samples.held_out), input_hw)
    for line in (*samples.left_out.lines(), *judge(samples.looks, job.any_frames), *weak):
        notice(line)
    if truths and all(sample.truth is None for sample in samples.held_out):
        raise SourceError(f"{job.labels_dir}: has no label for any of the frames that were held out to verify with")
    return samples


def describe(frozen: FrozenGraph, anatomy: Anatomy, network: RetargetedNetwork) -> str:
    """Returns a line about a graph and what it is re-targeted to."""
    stock, new = ("x".join(map(str, hw)) for hw in (anatomy.crop_hw, network.input_hw))
    return (
        f"{frozen.name}: {anatomy.classes} classes, {stock} at output stride {anatomy.output_stride}"
        f" -> {new} at {network.output_stride}"
    )
