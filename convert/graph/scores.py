"""Finds what a graph answers with: the ArgMax that picks the classes or, where there is none, the scores themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from convert.graph.graphdef import (
    CONVOLUTIONS,
    FAKE_QUANTS,
    NodeDef,
    Nodes,
    ancestors,
    constant,
    consumers,
    descendants,
    inputs,
    upstream,
)
from edge.data import Upsampling
from edge.errors import GraphError

ONE_OUTPUT = "freeze the graph again with the one that is wanted as its only output"
STOCK = "SemanticPredictions"  # what DeepLab's exporter calls its answer
LABEL_STEPS = frozenset(
    {"Cast", "ExpandDims", "Identity", "Reshape", "ResizeNearestNeighbor", "Slice", "Squeeze", "StridedSlice"}
)  # what may come behind the ArgMax that makes the answer
CUTS = frozenset({"Slice", "Squeeze", "StridedSlice"})  # what may come behind scores that are the answer


@dataclass(frozen=True, slots=True)
class Answer:
    """What a graph answers with, and the scores behind it."""

    node: str
    kind: Literal["labels", "scores"]
    logits: str  # the smallest scores that have the answer's winners
    resizes: tuple[str, ...]  # that enlarge them in the graph, the last one first
    enlarged_labels: str | None  # the ResizeNearestNeighbor behind the ArgMax, where there is one


def find_answer(nodes: Nodes) -> Answer:
    """Returns the answer of a graph. Raises GraphError where there is none, or more than one."""
    deep = descendants(nodes, (name for name, node in nodes.items() if node.op in CONVOLUTIONS))
    candidates = [name for name, node in nodes.items() if node.op == "ArgMax" and name in deep and inputs(node)]
    if candidates:
        argmax = candidates[0] if len(candidates) == 1 else _choose(nodes, candidates)
        logits, resizes = _behind(nodes, inputs(nodes[argmax])[0], frozenset())
        leaf = _leaf(nodes, argmax)
        return Answer(leaf, "labels", logits, resizes, _enlargement(nodes, argmax, leaf))
    return _scores(nodes, deep)


def _choose(nodes: Nodes, candidates: list[str]) -> str:
    """Of several ArgMax the one that leads to the answer."""
    behind = ancestors(nodes, [STOCK]) if STOCK in nodes else set()
    chosen = [name for name in candidates if name in behind] or candidates
    if len(chosen) > 1:
        chosen = [name for name in chosen if _leads_to_labels(nodes, name)] or chosen
    if len(chosen) > 1:
        scores = {name: _behind(nodes, inputs(nodes[name])[0], frozenset()) for name in chosen}
        if len({logits for logits, _ in scores.values()}) == 1:  # the same answer, at several sizes
            chosen = [max(chosen, key=lambda name: len(scores[name][1]))]
    if len(chosen) > 1:
        raise GraphError(
            f"expected one ArgMax that picks the classes, found {len(chosen)} of them ({', '.join(chosen)}); "
            f"{ONE_OUTPUT}"
        )
    return chosen[0]


def _leads_to_labels(nodes: Nodes, argmax: str) -> bool:
    """Whether an output of the graph is reached from an ArgMax by steps that keep labels what they are."""
    readers, todo, seen = consumers(nodes), [argmax], set[str]()
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        if not readers[name]:
            return True
        todo.extend(reader for reader in readers[name] if nodes[reader].op in LABEL_STEPS)
    return False


def _leaf(nodes: Nodes, argmax: str) -> str:
    """The output behind the ArgMax: `SemanticPredictions` where several depend on it."""
    readers = consumers(nodes)
    leaves, todo, seen = [], [argmax], set[str]()
    while todo:
        name = todo.pop(0)
        if name in seen:
            continue
        seen.add(name)
        todo.extend(readers[name])
        if not readers[name]:
            leaves.append(name)
    return STOCK if STOCK in leaves else leaves[0] if leaves else argmax


def _enlargement(nodes: Nodes, argmax: str, leaf: str) -> str | None:
    between = ancestors(nodes, [leaf], frozenset({argmax}))
    return next((name for name in nodes if name in between and nodes[name].op == "ResizeNearestNeighbor"), None)


def _scores(nodes: Nodes, deep: set[str]) -> Answer:
    """The answer of a graph that ends in scores."""
    readers = consumers(nodes)
    idle = ("NoOp", "Assert", "Const")
    leaves = [name for name in nodes if name in deep and not readers[name] and nodes[name].op not in idle]
    found = {leaf: _behind(nodes, leaf, CUTS) for leaf in leaves}
    if not found:
        raise GraphError(
            "not a segmentation graph: expected one ArgMax that picks the classes, or scores, found no output that "
            "depends on a convolution"
        )
    if len({logits for logits, _ in found.values()}) > 1:
        raise GraphError(f"expected one ArgMax or one output of scores, found {', '.join(leaves)}; {ONE_OUTPUT}")
    leaf = max(leaves, key=lambda name: len(found[name][1]))
    logits, resizes = found[leaf]
    return Answer(leaf if resizes else logits, "scores", logits, resizes, None)  # small ones are asked as they are


def _behind(nodes: Nodes, name: str, cuts: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """The scores that have the same winners as those at `name`, and the resizes in between.

    Softmax changes no winner; behind a resize it does, for it is not what the resize interpolates between.
    """
    resizes: list[str] = []
    for _ in range(len(nodes)):
        node = nodes[name]
        if not inputs(node):
            return name, tuple(resizes)
        before = inputs(node)[0]
        if node.op == "ResizeBilinear":
            resizes.append(name)
        elif node.op == "Reshape" and not resizes:
            before = _around_softmax(nodes, node) or name
        elif node.op == "Mean" and not resizes:
            before = _around_mean(nodes, node) or name
        elif node.op not in cuts | FAKE_QUANTS | {"Identity"} and (node.op != "Softmax" or resizes):
            before = name
        if before == name:
            return name, tuple(resizes)
        name = before
    raise GraphError(f"damaged graph: {name} is part of a cycle")


def _around_softmax(nodes: Nodes, last: NodeDef) -> str | None:
    """What Reshape -> Softmax -> Reshape reads, as TensorFlow wrote the Softmax of a picture."""
    softmax = nodes[inputs(last)[0]]
    first = nodes[inputs(softmax)[0]] if softmax.op == "Softmax" and inputs(softmax) else None
    return inputs(first)[0] if first is not None and first.op == "Reshape" and inputs(first) else None


def _around_mean(nodes: Nodes, last: NodeDef) -> str | None:
    """What ExpandDims -> Mean over that dimension reads: the average over scales of an exporter that was given one."""
    wide = nodes[upstream(nodes, inputs(last)[0], frozenset({"Identity"}))]
    if wide.op != "ExpandDims" or last.attr["keep_dims"].b:
        return None
    added, averaged = (constant(nodes, inputs(node)[1], node.name).ravel().tolist() for node in (wide, last))
    return inputs(wide)[0] if added == averaged else None


def rule_of(node: NodeDef) -> Upsampling:
    """Returns how a ResizeBilinear places its pixels."""
    if node.attr["align_corners"].b:
        return "align_corners"
    return "half_pixel_centers" if node.attr["half_pixel_centers"].b else "asymmetric"


def upsampling(nodes: Nodes, answer: Answer) -> Upsampling:
    """Returns the rule by which a graph enlarges its scores; DeepLab's where it does not. Raises GraphError."""
    rules = {rule_of(nodes[name]): name for name in answer.resizes}
    if len(rules) > 1:
        found = ", ".join(f"{rule} in {name}" for rule, name in rules.items())
        raise GraphError(f"expected one rule by which scores are enlarged, found {found}; export it with one of them")
    return next(iter(rules), "align_corners")


def enlarges_labels(nodes: Nodes, answer: Answer, map_hw: tuple[int | None, ...]) -> bool:
    """Returns whether a graph picks its classes on the small map of its scores and enlarges labels, not scores."""
    if answer.enlarged_labels is None:
        return False
    for name in answer.resizes:
        try:
            if tuple(constant(nodes, inputs(nodes[name])[1], name).tolist()) != map_hw:
                return False
        except GraphError:  # a size that depends on the picture's
            return False
    return True
