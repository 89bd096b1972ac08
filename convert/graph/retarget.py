"""Re-targets a frozen graph: another input size, another output stride, same weights.

The result is the network alone, from the normalised picture to the logits, in forms that TensorFlow Lite
maps one to one onto its operators.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from convert.graph.anatomy import Anatomy
from convert.graph.graphdef import (
    CONVOLUTIONS,
    GraphDef,
    NodeDef,
    Nodes,
    by_name,
    constant,
    consumers,
    cut_at,
    inputs,
    kernel_hw,
    producer,
    set_constant,
    shapes,
)
from convert.graph.stride import change_stride, stride_for
from convert.tensorflow import releasing_memory, tf
from edge.errors import GraphError, UsageError

HW = tuple[int, int]


@dataclass(frozen=True, slots=True)
class RetargetedNetwork:
    """A network ready for conversion."""

    graph: GraphDef
    image: str  # float32 placeholder (1, H, W, 3), normalised
    logits: str  # float32 (1, h, w, classes)
    input_hw: HW
    output_stride: int
    remarks: tuple[str, ...] = ()  # a sentence for each thing that was decided on the way


def retarget_as_asked(graph: GraphDef, anatomy: Anatomy, input_hw: HW, output_stride: str) -> RetargetedNetwork:
    """Returns the network at the stride that one of `convert.graph.strides.STRIDES` comes to; a remark says where
    `auto` keeps the graph's own because it cannot be raised. Raises what `retarget` does.
    """
    stride = stride_for(output_stride, anatomy)
    try:
        return retarget(graph, anatomy, input_hw, stride)
    except GraphError as exc:
        if output_stride != "auto" or stride == anatomy.output_stride:
            raise
        why, _, _ = str(exc).partition(";")
        network = retarget(graph, anatomy, input_hw)
        stays = f"its output stride stays {anatomy.output_stride}: {why}"
        return replace(network, remarks=(stays, *network.remarks))


@releasing_memory
def retarget(graph: GraphDef, anatomy: Anatomy, input_hw: HW, output_stride: int | None = None) -> RetargetedNetwork:
    """Returns the network of `graph` at another input size and output stride (None keeps the graph's own).

    Raises UsageError for a size or stride that does not fit, GraphError for a node that cannot be moved.
    """
    stride = output_stride or anatomy.output_stride
    if stride < anatomy.output_stride:
        raise UsageError(
            f"output stride {stride} is finer than the graph's {anatomy.output_stride}: its weights do not allow that"
        )
    check_size(input_hw, stride, anatomy)
    body = cut_at(graph, anatomy.normalised, (1, *anatomy.crop_hw, 3), [anatomy.logits])
    nodes = by_name(body)
    _check_only_input(nodes, anatomy)
    _drop_identities(nodes)
    _fuse_atrous(nodes)
    remarks = _retarget_pools(nodes, anatomy, input_hw, stride)
    _retarget_resizes(nodes, anatomy, input_hw, stride)
    change_stride(nodes, anatomy, stride)
    _plain_adds(nodes)
    packed = cut_at(_pack(nodes, body), anatomy.normalised, (1, *input_hw, 3), [anatomy.logits])
    logits_hw = _moved(anatomy.shapes[anatomy.logits][1:3], anatomy.logits, anatomy, input_hw, stride)
    _check_result(packed, anatomy, input_hw, logits_hw)
    return RetargetedNetwork(packed, anatomy.normalised, anatomy.logits, input_hw, stride, remarks)


def check_size(input_hw: HW, stride: int, anatomy: Anatomy) -> None:
    """Refuses a size that is no multiple of the stride plus one: only then do align_corners resizes hit whole cells.

    A graph whose own size is none has learned with cells that are hit in part: it takes every size, and the size of its
    maps is rounded as its exporter does.
    """
    whole = all((n - 1) % anatomy.output_stride == 0 for n in anatomy.crop_hw)
    if any(not stride + 1 <= n <= 8193 or (whole and (n - 1) % stride) for n in input_hw):
        near = [min(max(round((n - 1) / stride), 1), 8192 // stride) * stride + 1 for n in input_hw]
        fits = f"height and width must be a multiple of {stride} plus 1" if whole else f"expected {stride + 1} to 8193"
        raise UsageError(
            f"input size {input_hw[0]}x{input_hw[1]} does not fit output stride {stride}: {fits}; "
            f"the nearest is {near[0]}x{near[1]}"
        )


def map_size(pixels: int, stride: int) -> int:
    """Returns the height or width, at a stride, of a map over so many pixels: the exporter rounds up."""
    return (pixels - 1) // stride + 1


def _pack(nodes: Nodes, like: GraphDef) -> GraphDef:
    packed = tf.compat.v1.GraphDef(versions=like.versions)
    packed.node.extend(nodes.values())
    return packed


def _check_only_input(nodes: Nodes, anatomy: Anatomy) -> None:
    others = [n for n, node in nodes.items() if node.op.startswith("Placeholder") and n != anatomy.normalised]
    if others:
        raise GraphError(f"{anatomy.logits}: depends on {others[0]} by another way than {anatomy.normalised}")


def _drop_identities(nodes: Nodes) -> None:
    """Reads every tensor from the node that made it; control edges guard nothing that is left here."""
    idle = frozenset({"Identity", "StopGradient"})

    def source(tensor: str) -> str:
        while nodes[producer(tensor)].op in idle:
            tensor = nodes[producer(tensor)].input[0]
        return tensor

    for node in nodes.values():
        sources = [source(tensor) for tensor in node.input if not tensor.startswith("^")]
        del node.input[:]
        node.input.extend(sources)
    for name in [n for n, node in nodes.items() if node.op in idle]:
        del nodes[name]


def _fuse_atrous(nodes: Nodes) -> None:
    """SpaceToBatchND -> convolution VALID -> BatchToSpaceND becomes one convolution with dilations, SAME.

    The triple's paddings and crops are baked for one size. What they amount to, padding minus crop, is
    rate * (kernel - 1) in all, half of it in front, if and only if the triple is a SAME convolution.
    """
    readers = consumers(nodes)
    for join in [n for n in nodes.values() if n.op == "BatchToSpaceND"]:
        conv = nodes[inputs(join)[0]]
        split = nodes[inputs(conv)[0]] if conv.op in CONVOLUTIONS else join
        if split.op != "SpaceToBatchND" or conv.attr["padding"].s != b"VALID" or len(readers[conv.name]) != 1:
            raise GraphError(f"{join.name}: expected SpaceToBatchND -> convolution VALID -> BatchToSpaceND here")
        rate, padding = (constant(nodes, name, split.name) for name in inputs(split)[1:3])
        block, crops = (constant(nodes, name, join.name) for name in inputs(join)[1:3])
        if rate.shape != (2,) or block.tolist() != rate.tolist():
            raise GraphError(
                f"{split.name}: expected a rate for height and one for width, the same in {join.name}, got "
                f"{rate.tolist()} and {block.tolist()}"
            )
        net = padding - crops
        reach = rate * (np.array(kernel_hw(nodes, conv)) - 1)
        if (net[:, 0] != reach // 2).any() or (net.sum(axis=1) != reach).any():
            raise GraphError(f"{split.name}: its paddings {padding.tolist()} and crops {crops.tolist()} are not SAME")
        if list(conv.attr["strides"].list.i) != [1, 1, 1, 1]:
            raise GraphError(f"{conv.name}: a convolution with a stride cannot be atrous as well")
        fused = tf.compat.v1.NodeDef()
        fused.CopyFrom(conv)
        fused.name = join.name
        fused.input[0] = split.input[0]
        fused.attr["padding"].s = b"SAME"
        fused.attr["dilations"].list.i[:] = [1, int(rate[0]), int(rate[1]), 1]
        nodes[join.name] = fused


def _retarget_pools(nodes: Nodes, anatomy: Anatomy, input_hw: HW, stride: int) -> tuple[str, ...]:
    """An average pool over the whole feature map becomes a mean, which has no size.

    One over large windows, as MobileNetV3's head has, was built for a region of the picture: its windows keep
    that region and its steps stay as they are, which is what the exporter does at another size and stride. Where the
    input is smaller than the region, which the exporter refuses, they average over all of it: the real
    MobileNetV3-large labels as many pixels alike so as with windows that shrink with the picture. Returns a sentence
    for each pool of which that holds.
    """
    remarks = []
    for node in [n for n in nodes.values() if n.op == "AvgPool"]:
        kernel, size = tuple(node.attr["ksize"].list.i[1:3]), anatomy.shapes[inputs(node)[0]][1:3]
        if kernel == size and anatomy.shapes[node.name][1:3] == (1, 1):
            _to_mean(nodes, node)
        else:
            remarks.append(_move_windows(node, size, anatomy, input_hw, stride))
    return tuple(filter(None, remarks))


def _to_mean(nodes: Nodes, pool: NodeDef) -> None:
    axes = set_constant(nodes, f"{pool.name}/axes", np.array([1, 2], np.int32))
    mean = tf.compat.v1.NodeDef(name=pool.name, op="Mean", input=[pool.input[0], axes])
    mean.attr["T"].type = tf.float32.as_datatype_enum
    mean.attr["Tidx"].type = tf.int32.as_datatype_enum
    mean.attr["keep_dims"].b = True
    nodes[pool.name] = mean


def _move_windows(pool: NodeDef, size: tuple[int | None, ...], anatomy: Anatomy, input_hw: HW, stride: int) -> str:
    """Returns a sentence where windows are cut to the input, otherwise an empty text."""
    region = [(k - 1) * anatomy.output_stride + 1 for k in pool.attr["ksize"].list.i[1:3]]
    seen = [min(n, r) for n, r in zip(input_hw, region, strict=True)]
    whole_steps = all((r - 1) % stride == 0 or n == s < r for n, r, s in zip(input_hw, region, seen, strict=True))
    deepest = tuple(map_size(n, anatomy.output_stride) for n in anatomy.crop_hw)
    if size != deepest or not whole_steps or pool.attr["padding"].s != b"VALID":
        raise GraphError(
            f"{pool.name}: cannot be re-targeted: expected an average over the whole map of {size[0]}x{size[1]} or "
            f"over regions of the picture, got {pool.attr['padding'].s.decode()} windows of "
            f"{'x'.join(map(str, pool.attr['ksize'].list.i[1:3]))}"
        )
    pool.attr["ksize"].list.i[1:3] = [map_size(n, stride) for n in seen]
    steps = pool.attr["strides"].list.i  # XNNPACK takes no pool whose step is longer than its window
    steps[1:3] = [min(step, map_size(n, stride)) for step, n in zip(steps[1:3], input_hw, strict=True)]
    if seen == region:
        return ""
    cut, whole = ("x".join(map(str, hw)) for hw in (seen, region))
    return f"{pool.name} averages over windows of {cut} pixels instead of {whole}: the input is smaller than those"


def _retarget_resizes(nodes: Nodes, anatomy: Anatomy, input_hw: HW, stride: int) -> None:
    """A resize to a baked size goes to where that size moves; the rule by which it places pixels stays."""
    for node in [n for n in nodes.values() if n.op == "ResizeBilinear"]:
        size = tuple(constant(nodes, inputs(node)[1], node.name).tolist())
        target = np.array(_moved(size, node.name, anatomy, input_hw, stride), np.int32)
        node.input[1] = set_constant(nodes, f"{node.name}/new_size", target)


def _moved(size: tuple[int | None, ...], name: str, anatomy: Anatomy, input_hw: HW, stride: int) -> HW:
    """The size, at the new input, of a map of `size` at the baked one: the same stride of it; where that is
    the output stride, the new one.
    """
    deepest = anatomy.output_stride
    known = [deepest, *(1 << power for power in range(deepest.bit_length()) if 1 << power != deepest)]
    own = next((s for s in known if tuple(map_size(n, s) for n in anatomy.crop_hw) == size), None)
    if own is None:
        raise GraphError(
            f"{name}: cannot be re-targeted: its size {size} is that of {anatomy.crop_hw} at no stride up to {deepest}"
        )
    new = stride if own == deepest else own
    return map_size(input_hw[0], new), map_size(input_hw[1], new)


def _plain_adds(nodes: Nodes) -> None:
    """AddN of two is an Add; left as it is, TensorFlow Lite's quantizer keeps it in float."""
    for node in nodes.values():
        if node.op == "AddN" and len(node.input) == 2:
            node.op = "AddV2"
            node.attr.pop("N", None)


def _check_result(graph: GraphDef, anatomy: Anatomy, input_hw: HW, logits_hw: HW) -> None:
    shape = shapes(graph, anatomy.normalised, (1, *input_hw, 3), [anatomy.logits])[anatomy.logits]
    if shape != (1, *logits_hw, anatomy.classes):
        raise GraphError(
            f"{anatomy.logits}: cannot be re-targeted: expected scores {(1, *logits_hw, anatomy.classes)} "
            f"at the new size, got {shape}"
        )
