"""`inspect-model` shows what is in a .tflite, or what the converter finds in a frozen graph."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from convert.graph.strides import STRIDES
from edge import card as cards
from edge.cli.main import Parser, in_flags, parser, run, say
from edge.cli.options import normalisation, parse_hw
from edge.data import TensorSpec
from edge.engine.delegates import Delegate, parse_delegate
from edge.engine.edge_tpu import fitness
from edge.engine.open import open_engine
from edge.errors import GateFailed, GraphError, RoadliteError, UsageError
from edge.model_description import Chooser, Told, describe
from edge.preprocess import DEEPLAB
from edge.segmenter import read_model
from edge.text import counted
from edge.trial import try_out

if TYPE_CHECKING:
    from convert.graph.anatomy import Anatomy
    from convert.graph.graphdef import GraphDef
    from convert.graph.retarget import RetargetedNetwork


Facts = dict[str, object]

EXAMPLES = (
    "inspect-model model.tflite                     what is in a model",
    "inspect-model graph.pb                         what the converter finds in a graph",
    "inspect-model graph.pb --input-size 257x513    and what it makes of it at another size",
)
FIELDS = {"accelerator": "--for"}


def build_parser() -> Parser:
    made = parser(
        "inspect-model", "Show a model's card, tensors and operators, or what a frozen graph holds.", EXAMPLES, FIELDS
    )
    made.add_argument(
        "model", metavar="MODEL", help="a .tflite; or, with the convert extra, all that convert-model takes"
    )
    made.add_argument(
        "--output-tensor",
        metavar="NAME",
        help="of a .tflite with several outputs: the one to read (default: the only one with scores)",
    )
    made.add_argument("--input-size", metavar="HxW", help="for a graph: re-target it to this size (default: its own)")
    made.add_argument(
        "--output-stride", default="auto", choices=STRIDES, help="for a graph: re-target it to this output stride"
    )
    made.add_argument(
        "--normalise",
        metavar="N",
        help="for graphs that take normalised pictures: deeplab (x/127.5-1, the default), unit (x/255) or MEAN,STD",
    )
    made.add_argument(
        "--delegate",
        type=parse_delegate,
        metavar="LIBRARY[,KEY=VALUE...]",
        help="of a .tflite: show what this external delegate takes of it",
    )
    made.add_argument(
        "--for",
        dest="accelerator",
        choices=("edgetpu",),
        help="of a .tflite: tell whether it fits this accelerator, and what to do where it does not",
    )
    made.add_argument("--json", action="store_true", help="print as JSON")
    return made


def main(argv: list[str] | None = None) -> int:
    return run("inspect-model", argv, build_parser, inspect)


def inspect(options: argparse.Namespace) -> int:
    path = Path(options.model)
    if path.suffix == ".tflite":
        facts = inspect_tflite(path, options.output_tensor, options.delegate)
        if options.accelerator:
            found = fitness(read_model(path))
            told = {"faults": list(map(in_flags, found.faults)), "remarks": list(map(in_flags, found.remarks))}
            facts["for an Edge TPU"] = {"fits": found.fits, **{name: texts for name, texts in told.items() if texts}}
        print_facts(facts, options)
        if options.accelerator and not found.fits:
            raise GateFailed(f"{path.name} does not fit an Edge TPU: {counted(len(found.faults), 'fault')}")
    elif options.accelerator or options.delegate:
        raise UsageError(f"`accelerator`, `delegate`: expected a .tflite, got {path.name}")
    else:
        inspect_graph(options)
    return 0


def print_facts(facts: Facts, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(facts, indent=1))  # noqa: T201
    else:
        show(facts)


def inspect_tflite(path: Path, output_tensor: str | None = None, delegate: Delegate | None = None) -> Facts:
    """Returns what is in the file, by title: model, tensors, operators, delegate, provenance."""
    data = read_model(path)
    read = cards.read(data, path.name)  # first: a damaged file of ours must not reach native code
    try_out(data, path.name, delegate=delegate)
    told = Told(norm=DEEPLAB, output_tensor=output_tensor) if read is None else Told(output_tensor=output_tensor)
    engine = open_engine(data, path.name, choose=Chooser(read, path.name, told), delegate=delegate)
    partitions = engine.partitions()
    about: Facts = {"file": path.name, "size_bytes": len(data), "card": read is not None}
    described = describe(engine.input, engine.outputs, engine.outputs.index(engine.output), read, path.name, told)
    card, others = described.card, [tensor(spec) for spec in engine.outputs if spec != engine.output]
    assumed = tuple(filter(None, (*described.assumed, engine.notice)))
    if read is not None:
        about |= {"name": card.name, "recipe": card.recipe}
    return {
        "model": about
        | {
            "output": card.output,
            "output_stride": card.output_stride,
            "normalisation": str(card.norm) if read else "not in the file",
            "classes": ", ".join(card.classes.names) if read else "not in the file",
        }
        | ({"assumed": in_flags("; ".join(assumed))} if assumed else {}),
        "tensors": {"input": tensor(engine.input), "output": tensor(engine.output)}
        | ({"not read": ", ".join(others)} if others else {}),
        "operators": dict(engine.operators().most_common()),
        f"delegate ({engine.runtime})": {"partitions": partitions.delegated, "operators outside": partitions.outside}
        | ({f"operators in {engine.delegate}": engine.delegate_operators} if engine.delegate else {}),
        **card.provenance,
    }


def tensor(spec: TensorSpec) -> str:
    quantized = f", value = {spec.scale:.6g} * (stored - {spec.zero_point})" if spec.scale else ""
    return f"{spec.name} {spec.dtype.name} {'x'.join(map(str, spec.shape))}{quantized}"


def inspect_graph(options: argparse.Namespace) -> None:
    """Prints what the converter finds in a frozen graph, and what it makes of it.

    What is in a graph that cannot be converted is printed too, before the error says what is missing.
    """
    input_hw, norm = parse_hw(options.input_size) if options.input_size else None, normalisation(options)

    from convert.models.load import load_frozen_graph

    frozen = load_frozen_graph(options.model, notice=say)

    from convert.graph import anatomy as anatomies
    from convert.graph import graphdef as graphs
    from convert.graph.survey import survey

    graph = graphs.parse(frozen.graph_bytes, frozen.name)
    about: Facts = {
        "name": frozen.name,
        "origin": frozen.origin,
        "sha256": frozen.sha256,
        "size_bytes": len(frozen.graph_bytes),
    }
    facts: Facts = {"graph": about}
    try:
        anatomy = anatomies.discover(graph, frozen.name, norm)
        about["exporter"] = anatomies.generation(graphs.by_name(graph), anatomy)
        facts |= _parts(graph, anatomy) | _networks(graph, anatomy, input_hw, options.output_stride)
    except RoadliteError:
        print_facts(facts | survey(graph), options)
        raise
    print_facts(facts, options)


def _parts(graph: GraphDef, anatomy: Anatomy) -> Facts:
    """Returns the parts of a graph and the operators of its network."""
    from convert.graph.anatomy import remarks
    from convert.graph.graphdef import ancestors, by_name

    nodes, feeding = by_name(graph), anatomy.feeding
    body = ancestors(nodes, [anatomy.logits], frozenset({anatomy.normalised}))
    operators = Counter(nodes[name].op for name in body if nodes[name].op not in ("Const", "Identity"))
    return {
        "parts": {
            "image": anatomy.image,
            "takes": f"{feeding.dtype}, {_size(feeding.size_hw or 'any size')}",
            "first convolution sees": anatomy.normalised,
            "normalisation": str(anatomy.norm),
            "logits": anatomy.logits,
            "answer": anatomy.labels,
            "answers with": anatomy.kind,
            "upsampling": "nearest neighbour, of labels" if anatomy.enlarges_labels else anatomy.upsampling,
            "classes": anatomy.classes,
            "baked input": _size(anatomy.crop_hw),
            "output stride": anatomy.output_stride,
            "pools": sorted(n for n in body if nodes[n].op == "AvgPool"),
            "resizes": sorted(n for n in body if nodes[n].op == "ResizeBilinear"),
            "remarks": [in_flags(remark) for remark in remarks(anatomy)],
        },
        "operators": dict(operators.most_common()),
    }


def _size(size_hw: tuple[int, int] | str) -> str:
    return size_hw if isinstance(size_hw, str) else "x".join(map(str, size_hw))


def _networks(graph: GraphDef, anatomy: Anatomy, input_hw: tuple[int, int] | None, output_stride: str) -> Facts:
    """Returns the network as it is and as it is re-targeted; why it cannot be, where nobody asked for that size and
    stride. Raises UsageError, GraphError where somebody did.
    """
    from convert.graph.retarget import retarget_as_asked

    facts: Facts = {}
    for title, size, asked in (
        ("stock network", anatomy.crop_hw, "keep"),
        ("re-targeted network", input_hw or anatomy.crop_hw, output_stride),
    ):
        try:
            network = retarget_as_asked(graph, anatomy, size, asked)
            facts[title] = _network(network) | ({"note": "; ".join(network.remarks)} if network.remarks else {})
        except (GraphError, UsageError) as exc:
            if asked not in ("auto", "keep") or (input_hw is not None and size == input_hw):
                raise
            facts[title] = {"not possible": in_flags(str(exc))}
    return facts


def _network(body: RetargetedNetwork) -> dict[str, str]:
    """Returns size, stride, atrous rates and multiply-accumulates of a re-targeted network."""
    from convert.graph.graphdef import CONVOLUTIONS, rates
    from convert.graph.macs import macs

    found = Counter(rates(node) for node in body.graph.node if node.op in CONVOLUTIONS)
    atrous = {(str(h) if h == w else f"{h}x{w}"): n for (h, w), n in sorted(found.items()) if max(h, w) > 1}
    return {
        "input": _size(body.input_hw),
        "output stride": str(body.output_stride),
        "atrous rates": ", ".join(f"{rate} ({n} convolutions)" for rate, n in atrous.items()) or "none",
        "multiply-accumulates": f"{macs(body.graph, body.image, body.logits, body.input_hw) / 1e9:.1f} G",
    }


def show(facts: Facts) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console()
    for title, part in facts.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for key, value in (part or {}).items() if isinstance(part, dict) else [("", part)]:
            table.add_row(escape(str(key)), escape(value if isinstance(value, str) else _shown(value)))
        console.print(table, soft_wrap=False)


def _shown(value: object) -> str:
    """Sentences stand below each other."""
    if isinstance(value, list) and any(str(part).endswith(".") for part in value):
        return "\n".join(map(str, value))
    return json.dumps(value)
