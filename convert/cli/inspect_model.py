"""`inspect-model` shows what is in a .tflite, or what the converter finds in a frozen graph."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from convert.graph.strides import STRIDES
from edge import card as cards
from edge.cli.main import Parser, parser, run, say
from edge.cli.options import parse_hw
from edge.data import TensorSpec
from edge.engine.open import open_engine
from edge.preprocess import DEEPLAB
from edge.segmenter import describe, read_model

if TYPE_CHECKING:
    from convert.graph.retarget import RetargetedNetwork


Facts = dict[str, object]

EXAMPLES = (
    "inspect-model model.tflite                     what is in a model",
    "inspect-model graph.pb                         what the converter finds in a graph",
    "inspect-model graph.pb --input-size 257x513    and what it makes of it at another size",
)


def build_parser() -> Parser:
    made = parser(
        "inspect-model", "Show a model's card, tensors and operators, or what a frozen graph holds.", EXAMPLES
    )
    made.add_argument(
        "model", metavar="MODEL", help="a .tflite; or, with the convert extra, all that convert-model takes"
    )
    made.add_argument("--input-size", metavar="HxW", help="for a graph: re-target it to this size (default: its own)")
    made.add_argument(
        "--output-stride", default="auto", choices=STRIDES, help="for a graph: re-target it to this output stride"
    )
    made.add_argument("--json", action="store_true", help="print as JSON")
    return made


def main(argv: list[str] | None = None) -> int:
    return run("inspect-model", argv, build_parser, inspect)


def inspect(options: argparse.Namespace) -> int:
    path = Path(options.model)
    if path.suffix == ".tflite":
        facts = inspect_tflite(path)
    else:
        facts = inspect_graph(options.model, options.input_size, options.output_stride)
    if options.json:
        print(json.dumps(facts, indent=1))  # noqa: T201
    else:
        show(facts)
    return 0


def inspect_tflite(path: Path) -> Facts:
    """Returns what is in the file, by title: model, tensors, operators, delegate, provenance."""
    data = read_model(path)
    read = cards.read(data, path.name)  # first: a damaged file of ours must not reach native code
    engine = open_engine(data, path.name)
    partitions = engine.partitions()
    about: Facts = {"file": path.name, "size_bytes": len(data), "card": read is not None}
    card = describe(engine.input, engine.output, read, path.name, DEEPLAB)
    if read is not None:
        about |= {"name": card.name, "recipe": card.recipe}
    return {
        "model": about
        | {
            "output": card.output,
            "output_stride": card.output_stride,
            "normalisation": str(card.norm) if read else "not in the file",
            "classes": ", ".join(card.classes.names) if read else "not in the file",
        },
        "tensors": {"input": tensor(engine.input), "output": tensor(engine.output)},
        "operators": dict(engine.operators().most_common()),
        f"delegate ({engine.runtime})": {"partitions": partitions.delegated, "operators outside": partitions.outside},
        **card.provenance,
    }


def tensor(spec: TensorSpec) -> str:
    quantized = f", value = {spec.scale:.6g} * (stored - {spec.zero_point})" if spec.scale else ""
    return f"{spec.name} {spec.dtype.name} {'x'.join(map(str, spec.shape))}{quantized}"


def inspect_graph(model: str, input_size: str | None, output_stride: str) -> Facts:
    """Returns what the converter finds in a frozen graph, and what it makes of it, by title."""
    from convert.models.load import load_frozen_graph

    frozen = load_frozen_graph(model, notice=say)

    from convert.graph import anatomy as anatomies
    from convert.graph import graphdef as graphs
    from convert.graph import retarget as surgery
    from convert.graph.stride import stride_for

    graph = graphs.parse(frozen.graph_bytes, frozen.name)
    anatomy = anatomies.discover(graph, frozen.name)
    nodes = graphs.by_name(graph)
    body = graphs.ancestors(nodes, [anatomy.logits], frozenset({anatomy.normalised}))
    operators = Counter(nodes[name].op for name in body if nodes[name].op not in ("Const", "Identity"))
    stock = surgery.retarget(graph, anatomy, anatomy.crop_hw)
    size = parse_hw(input_size) if input_size else anatomy.crop_hw
    moved = surgery.retarget(graph, anatomy, size, stride_for(output_stride, anatomy))
    return {
        "graph": {
            "name": frozen.name,
            "origin": frozen.origin,
            "sha256": frozen.sha256,
            "size_bytes": len(frozen.graph_bytes),
            "exporter": anatomies.generation(nodes, anatomy),
        },
        "parts": {
            "image": anatomy.image,
            "first convolution sees": anatomy.normalised,
            "normalisation": str(anatomy.norm),
            "logits": anatomy.logits,
            "answer": anatomy.labels,
            "classes": anatomy.classes,
            "baked input": "x".join(map(str, anatomy.crop_hw)),
            "output stride": anatomy.output_stride,
            "pools": sorted(n for n in body if nodes[n].op == "AvgPool"),
            "resizes": sorted(n for n in body if nodes[n].op == "ResizeBilinear"),
        },
        "operators": dict(operators.most_common()),
        "stock network": _network(stock),
        "re-targeted network": _network(moved),
    }


def _network(body: RetargetedNetwork) -> dict[str, str]:
    """Returns size, stride, atrous rates and multiply-accumulates of a re-targeted network."""
    from convert.graph.graphdef import CONVOLUTIONS, rate
    from convert.graph.macs import macs

    rates = Counter(rate(node) for node in body.graph.node if node.op in CONVOLUTIONS)
    return {
        "input": "x".join(map(str, body.input_hw)),
        "output stride": str(body.output_stride),
        "atrous rates": ", ".join(f"{r} ({n} convolutions)" for r, n in sorted(rates.items()) if r > 1) or "none",
        "multiply-accumulates": f"{macs(body.graph, body.image, body.logits, body.input_hw) / 1e9:.1f} G",
    }


def show(facts: Facts) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title, part in facts.items():
        table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for key, value in (part or {}).items() if isinstance(part, dict) else [("", part)]:
            table.add_row(str(key), value if isinstance(value, str) else json.dumps(value))
        console.print(table, soft_wrap=False)
