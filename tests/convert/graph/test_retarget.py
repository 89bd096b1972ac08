from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nets
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from convert.graph.anatomy import discover
from convert.graph.graphdef import GraphDef
from convert.graph.retarget import retarget, retarget_as_asked
from convert.tensorflow import tf
from edge.errors import GraphError, UsageError

pytestmark = pytest.mark.tensorflow


def same_as_native(graph: GraphDef, native: GraphDef, input_hw: tuple[int, int], stride: int) -> None:
    """Re-targeting `graph` must give what the exporter would have given for that size and stride."""
    anatomy, picture = discover(graph, "net.pb"), nets.noise(*input_hw)
    body = retarget(graph, anatomy, input_hw, stride)
    assert body.output_stride == stride
    nets.assert_same(nets.body_logits(body, anatomy, picture), nets.stock_logits(native, anatomy, picture))


@pytest.mark.parametrize("batch_norm", ["fused", "folded"])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_baked_size_and_stride_give_the_stock_logits(stride: int, batch_norm: str) -> None:
    graph = nets.net((65, 97), stride, batch_norm=batch_norm)  # type: ignore[arg-type]
    same_as_native(graph, graph, (65, 97), stride)


@settings(
    max_examples=8,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # looking for a simpler failure would take minutes
)
@given(
    width=st.sampled_from([0.25, 0.4]),
    baked=st.sampled_from([8, 16]),
    double=st.sampled_from([1, 2]),
    crop=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    new=st.tuples(st.integers(1, 4), st.integers(1, 4)),
)
def test_other_size_and_stride_are_the_native_ones(
    width: float, baked: int, double: int, crop: tuple[int, int], new: tuple[int, int]
) -> None:
    stride = baked * double
    crop_hw = (crop[0] * baked + 1, crop[1] * baked + 1)
    new_hw = (new[0] * stride + 1, new[1] * stride + 1)
    graph, native = nets.net(crop_hw, baked, width=width), nets.net(new_hw, stride, width=width)
    same_as_native(graph, native, new_hw, stride)


def test_stride_may_rise_twice() -> None:
    same_as_native(nets.net((65, 97), 8), nets.net((97, 65), 32), (97, 65), 32)


def test_body_holds_nothing_that_is_baked_or_idle() -> None:
    graph = nets.net()
    body = retarget(graph, discover(graph, "net.pb"), (65, 65), 16)
    operators = {node.op for node in body.graph.node}
    assert not operators & {"SpaceToBatchND", "BatchToSpaceND", "AvgPool", "Identity", "AddN", "Pack", "Shape"}
    assert [node.name for node in body.graph.node if node.op == "Placeholder"] == [body.image]


@settings(
    max_examples=8,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],
)
@given(
    double=st.sampled_from([1, 2]),
    crop=st.tuples(st.integers(17, 64), st.integers(18, 32).map(lambda n: 2 * n)),
    new=st.tuples(st.integers(33, 64), st.integers(33, 64)),
)
@example(1, (32, 64), (48, 64))
@example(2, (32, 64), (32, 64))
@example(2, (39, 39), (60, 80))
def test_sizes_of_no_whole_cells_are_rounded_as_the_exporter_rounds(
    double: int, crop: tuple[int, int], new: tuple[int, int]
) -> None:
    stride = 8 * double
    same_as_native(nets.net(crop, 8), nets.net(new, stride), new, stride)


@pytest.mark.parametrize(
    ("size", "stride", "rates"),
    [((33, 49), 8, (2, 4)), ((65, 33), 8, (2, 4)), ((65, 97), 16, (1, 2))],
)
def test_rates_may_differ_for_height_and_width(size: tuple[int, int], stride: int, rates: tuple[int, int]) -> None:
    same_as_native(
        two_rates(nets.net(), (5, 7), (2, 4)),
        two_rates(nets.net(size, stride), map_of(size, stride), rates),
        size,
        stride,
    )


def map_of(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return (size[0] - 1) // stride + 1, (size[1] - 1) // stride + 1


def two_rates(graph: GraphDef, map_hw: tuple[int, int], rates: tuple[int, int]) -> GraphDef:
    nets.insert(graph, nets.LAST, 0, lambda x: nets.atrous(x, rates, map_hw))
    return graph


def test_rates_that_cannot_be_halved_are_refused_with_a_way_out() -> None:
    graph = two_rates(nets.net(), (5, 7), (3, 4))
    anatomy = discover(graph, "net.pb")
    same_as_native(graph, two_rates(nets.net((65, 65), 8), (9, 9), (3, 4)), (65, 65), 8)
    with pytest.raises(GraphError, match=r"rate 3 \(height\), 4 \(width\) cannot be halved; use `output_stride` keep$"):
        retarget(graph, anatomy, (65, 65), 16)
    kept = retarget_as_asked(graph, anatomy, (65, 65), "auto")
    (why,) = kept.remarks
    assert (kept.output_stride, kept.input_hw) == (8, (65, 65))
    assert why.startswith("its output stride stays 8: ")
    assert why.endswith("rate 3 (height), 4 (width) cannot be halved")
    with pytest.raises(GraphError, match="cannot be halved"):
        retarget_as_asked(graph, anatomy, (65, 65), "16")
    assert retarget_as_asked(nets.net(), discover(nets.net(), "net.pb"), (65, 65), "auto").remarks == ()
    once = two_rates(nets.net(), (5, 7), (2, 4))
    with pytest.raises(GraphError, match=r"rate 1 \(height\), 2 \(width\) cannot be halved; use .* keep or 16$"):
        retarget(once, discover(once, "net.pb"), (65, 65), 32)


@pytest.mark.parametrize("rule", ["half_pixel_centers", "align_corners"])
def test_resizes_keep_their_rule(rule: str) -> None:
    def ruled(size: tuple[int, int], stride: int) -> GraphDef:
        graph = nets.net(size, stride)
        for node in [n for n in graph.node if n.op == "ResizeBilinear"]:
            node.attr["align_corners"].b = rule == "align_corners"
            node.attr["half_pixel_centers"].b = rule == "half_pixel_centers"
        half = map_of(size, 4)

        def up_and_down(x: object) -> object:  # as a decoder does
            for to in (half, map_of(size, stride)):
                corners = rule == "align_corners"
                x = tf.raw_ops.ResizeBilinear(images=x, size=to, align_corners=corners, half_pixel_centers=not corners)
            return x

        nets.insert(graph, nets.LAST, 0, up_and_down)
        return graph

    assert discover(ruled((33, 49), 8), "net.pb").upsampling == rule
    same_as_native(ruled((33, 49), 8), ruled((65, 49), 16), (65, 49), 16)


@pytest.mark.parametrize(
    ("size", "stride", "nearest"),
    [((512, 1024), 16, "513x1025"), ((1, 65), 8, "9x65"), ((72, 76), 8, "73x73"), ((9000, 65), 8, "8193x65")],
)
def test_size_that_does_not_fit_is_refused_with_the_nearest_that_does(
    size: tuple[int, int], stride: int, nearest: str
) -> None:
    graph = nets.net()
    anatomy = discover(graph, "net.pb")
    with pytest.raises(UsageError, match=f"nearest is {nearest}$"):
        retarget(graph, anatomy, size, stride)


def test_a_graph_of_even_size_takes_all_sizes_but_the_smallest() -> None:
    graph = nets.net((32, 48))
    with pytest.raises(
        UsageError, match="16x64 does not fit output stride 16: expected 17 to 8193; the nearest is 17x65"
    ):
        retarget(graph, discover(graph, "net.pb"), (16, 64), 16)


def test_stride_that_the_weights_do_not_allow_is_refused() -> None:
    graph = nets.net(stride=16)
    anatomy = discover(graph, "net.pb")
    with pytest.raises(UsageError, match="output stride 8 is finer than the graph's 16"):
        retarget(graph, anatomy, (65, 65), 8)
    with pytest.raises(GraphError, match="output stride 24 cannot be reached from 16"):
        retarget(graph, anatomy, (49, 49), 24)
    with pytest.raises(GraphError, match="no atrous convolution left"):
        retarget(graph, anatomy, (65, 65), 64)


def refusal(change: Callable[[GraphDef], object], input_hw: tuple[int, int] = (65, 65), stride: int = 8) -> str:
    graph = nets.net()
    change(graph)
    anatomy = discover(graph, "net.pb")
    with pytest.raises(GraphError) as caught:
        retarget(graph, anatomy, input_hw, stride)
    return str(caught.value)


def whole_map_pool_that_slides(graph: GraphDef) -> None:
    """Kernel as large as the map, but one result for every position."""
    node = nets.node(graph, "AvgPool2D/AvgPool")
    node.attr["strides"].list.i[:] = [1, 1, 1, 1]
    node.attr["padding"].s = b"SAME"


def windows(graph: GraphDef, kernel: tuple[int, int] = (3, 5)) -> GraphDef:
    """A pool over 3x5 of the 5x7 map, 17x33 pixels, as MobileNetV3's head has one over a part of its map."""
    node = nets.node(graph, "AvgPool2D/AvgPool")
    node.attr["ksize"].list.i[:] = [1, *kernel, 1]
    node.attr["strides"].list.i[:] = [1, 1, 2, 1]
    return graph


@pytest.mark.parametrize(
    ("size", "stride", "kernel"), [((33, 49), 8, (3, 5)), ((65, 97), 8, (3, 5)), ((97, 65), 16, (2, 3))]
)
def test_windows_keep_the_region_they_average_over(size: tuple[int, int], stride: int, kernel: tuple[int, int]) -> None:
    same_as_native(windows(nets.net()), windows(nets.net(size, stride), kernel), size, stride)


def test_windows_larger_than_the_map_average_over_all_of_it() -> None:
    """The exporter refuses such a size; MobileNetV3's windows, made for crops of 769x769, are larger than many maps."""
    same_as_native(windows(nets.net(), (5, 5)), windows(nets.net((17, 97), 8), (3, 5)), (17, 97), 8)
    whole = nets.net((17, 33), 16)  # 17 of the 33 rows that a window has: half of a cell at this stride
    same_as_native(windows(nets.net(), (4, 5)), whole, (17, 33), 16)


def test_steps_are_no_longer_than_the_map() -> None:
    """XNNPACK takes no pool whose step is longer than its window."""
    graph = windows(nets.net())
    nets.node(graph, "AvgPool2D/AvgPool").attr["strides"].list.i[:] = [1, 2, 5, 1]
    moved = retarget(graph, discover(graph, "net.pb"), (33, 25), 8)
    assert list(nets.node(moved.graph, "AvgPool2D/AvgPool").attr["strides"].list.i) == [1, 2, 4, 1]


def test_pools_that_cannot_move_are_refused() -> None:
    message = refusal(whole_map_pool_that_slides)
    assert "AvgPool2D/AvgPool: cannot be re-targeted" in message
    assert "got SAME windows of 5x7" in refusal(whole_map_pool_that_slides)
    assert "got VALID windows of 3x5" in refusal(windows, (65, 65), 32)


def test_resizes_that_do_not_follow_the_stride_are_refused() -> None:
    def odd(graph: GraphDef) -> None:
        def detour(x: object) -> object:
            return tf.raw_ops.ResizeBilinear(images=x, size=[4, 6], align_corners=True, name="detour")

        nets.insert(graph, "ResizeBilinear_1", 0, detour, "odd")

    message = refusal(odd)
    assert "odd/detour: cannot be re-targeted: its size (4, 6) is that of (33, 49) at no stride up to 8" in message


def test_slice_of_the_baked_size_is_refused_at_a_larger_one() -> None:
    """It would cut the larger map to the baked size without a word."""

    def cut(graph: GraphDef) -> None:
        nets.insert(graph, nets.LAST, 0, lambda x: tf.raw_ops.Slice(input=x, begin=[0, 0, 0, 0], size=[1, 5, 7, 256]))

    assert "expected scores (1, 9, 9, 5) at the new size, got (1, 5, 7, 5)" in refusal(cut)


def test_body_that_sees_the_picture_by_another_way_is_refused() -> None:
    def peek(graph: GraphDef) -> None:
        nets.add(graph, "peek", lambda picture, x: x + tf.reduce_mean(picture), "Cast", nets.LAST)
        nets.node(graph, "logits/semantic/BiasAdd").input[0] = "peek"

    assert "depends on ImageTensor by another way than sub_7" in refusal(peek)


ATROUS = "MobilenetV2/expanded_conv_7/depthwise/depthwise"


def test_atrous_convolutions_that_are_not_same_are_refused() -> None:
    def shifted(graph: GraphDef) -> None:
        nets.set_constant(graph, f"{ATROUS}/SpaceToBatchND/paddings", [[3, 2], [2, 3]])

    message = refusal(shifted)
    assert f"{ATROUS}/SpaceToBatchND: its paddings" in message
    assert "are not SAME" in message


def test_native_dilations_are_undone_and_odd_rates_refused() -> None:
    def native(rate: int) -> GraphDef:
        """As newer exporters write it: dilations instead of SpaceToBatchND and BatchToSpaceND."""
        graph = nets.net()
        conv = nets.node(graph, ATROUS)
        conv.input[0] = nets.node(graph, f"{ATROUS}/SpaceToBatchND").input[0]
        conv.attr["padding"].s = b"SAME"
        conv.attr["dilations"].list.i[:] = [1, rate, rate, 1]
        join = nets.node(graph, f"{ATROUS}/BatchToSpaceND")
        join.op = "Identity"
        del join.input[1:]
        for attribute in ("Tblock_shape", "Tcrops"):
            del join.attr[attribute]
        return graph

    same_as_native(native(2), nets.net((65, 49), 16), (65, 49), 16)
    graph = native(3)
    anatomy = discover(graph, "net.pb")
    with pytest.raises(GraphError, match=f"{ATROUS}.*: the output stride cannot be raised: its rate 3"):
        retarget(graph, anatomy, (65, 49), 16)


def test_identity_of_a_second_output_keeps_reading_it() -> None:
    def swapped_halves(x: object) -> object:
        first, second = tf.split(x, 2, 3)
        return tf.concat([tf.identity(second), first], 3)

    graph = nets.net()
    nets.insert(graph, nets.LAST, 0, swapped_halves)
    same_as_native(graph, graph, (33, 49), 8)


def test_kernels_may_be_computed_from_constants() -> None:
    graph = nets.net()
    nets.insert(graph, ATROUS, 1, lambda kernel: tf.reshape(kernel * 2.0, [3, 3, -1, 1]))
    same_as_native(graph, graph, (33, 49), 8)


def test_additions_of_lists_become_plain() -> None:
    graph = nets.net()
    addition = nets.node(graph, "MobilenetV2/expanded_conv_2/add")
    addition.op = "AddN"
    addition.attr["N"].i = 2
    anatomy = discover(graph, "net.pb")
    body = retarget(graph, anatomy, (33, 49))
    assert "AddN" not in {node.op for node in body.graph.node}
    same_as_native(graph, nets.net(), (33, 49), 8)


def test_official_graph_keeps_its_logits(shared: Callable[[str], Path]) -> None:
    from convert.graph.graphdef import parse

    graph = parse(shared("models/deeplab_mnv2_voc21_513x513.pb").read_bytes(), "voc.pb")
    anatomy = discover(graph, "voc.pb")
    assert (anatomy.crop_hw, anatomy.output_stride, anatomy.classes) == ((513, 513), 8, 21)
    picture = nets.noise(513, 513)
    body = retarget(graph, anatomy, (513, 513))
    nets.assert_same(nets.body_logits(body, anatomy, picture), nets.stock_logits(graph, anatomy, picture))
    assert retarget(graph, anatomy, (257, 513), 16).output_stride == 16
