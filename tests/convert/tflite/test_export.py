from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import nets
import numpy as np
import pytest
from numpy.typing import NDArray

from convert.frames import normalised
from convert.graph.anatomy import Anatomy, discover
from convert.graph.graphdef import parse
from convert.graph.retarget import retarget
from convert.ranges import Range
from convert.tensorflow import tf
from convert.tflite.export import NetworkFunction, as_function, check_promise, convert, quantized, save
from convert.tflite.quantize import measure_ranges
from convert.tflite.recipes import RECIPES, Recipe
from edge.engine.open import open_engine
from edge.engine.partitions import Partitions
from edge.errors import ConversionError
from edge.evaluation.metrics import agreement
from edge.preprocess import DEEPLAB, resize
from edge.sources.open import open_source
from edge.upsample import Upsample

pytestmark = pytest.mark.tensorflow
HW = (49, 65)


def pictures(count: int = 3) -> list[NDArray[np.float32]]:
    return [normalised(nets.noise(*HW, seed), DEEPLAB) for seed in range(count)]


@pytest.fixture(scope="module")
def network() -> NetworkFunction:
    return nets.network(HW)


@pytest.fixture(scope="module")
def saved(network: NetworkFunction, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save(network, HW, folder)
    return folder


@pytest.fixture(scope="module")
def models(saved: Path) -> dict[str, bytes]:
    return {
        recipe.name: nets.int8(saved, pictures()) if recipe.calibrated else convert(saved, recipe)
        for recipe in RECIPES.values()
    }


def test_every_recipe_keeps_its_promise_and_no_other(models: dict[str, bytes]) -> None:
    for name, recipe in RECIPES.items():
        check_promise(models[name], recipe)
    for made, claimed in permutations(RECIPES, 2):
        with pytest.raises(ConversionError, match=f"^{claimed}: expected"):
            check_promise(models[made], RECIPES[claimed])


def test_recipes_shrink_the_file(models: dict[str, bytes]) -> None:
    sizes = {name: len(model) / len(models["float32"]) for name, model in models.items()}
    assert sizes["float16"] < 0.6
    assert sizes["dynamic"] < 0.4
    assert sizes["int8"] < 0.4


def test_kernels_quantized_with_one_scale_break_the_promise(models: dict[str, bytes], saved: Path) -> None:
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ({"image": x} for x in pictures())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    converter._experimental_disable_per_channel = True
    with pytest.raises(ConversionError, match="expected a scale for each of"):
        check_promise(converter.convert(), RECIPES["int8"])


def test_float_models_compute_what_the_network_computes(models: dict[str, bytes], network: NetworkFunction) -> None:
    x = pictures(1)[0]
    expected = network(tf.constant(x)).numpy()
    nets.assert_same(open_engine(models["float32"], "net").invoke(x), expected)
    half = open_engine(models["float16"], "net").invoke(x)
    assert np.abs(half - expected).max() < 0.02 * np.abs(expected).max()


def test_saved_model_opens_by_its_signature(saved: Path, network: NetworkFunction) -> None:
    serve = tf.saved_model.load(str(saved)).signatures["serving_default"]
    x = pictures(1)[0]
    found = serve(image=tf.constant(x))
    assert set(found) == {"logits"}
    nets.assert_same(found["logits"].numpy(), network(tf.constant(x)).numpy())


def test_tflite_runs_by_its_signature(models: dict[str, bytes]) -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=models["float32"])
    assert interpreter.get_signature_list() == {"serving_default": {"inputs": ["image"], "outputs": ["logits"]}}
    x = pictures(1)[0]
    found = interpreter.get_signature_runner("serving_default")(image=x)["logits"]
    np.testing.assert_array_equal(found, open_engine(models["float32"], "net").invoke(x))


@pytest.mark.parametrize("name", ["float32", "float16", "int8"])
def test_delegate_takes_the_whole_model(models: dict[str, bytes], name: str) -> None:
    assert open_engine(models[name], "net", runtime="litert").partitions() == Partitions(delegated=1, outside=0)


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("logits/semantic/weights", 1e5, ["float16"]),
        ("logits/semantic/biases", -7e4, ["float16"]),
        ("MobilenetV2/Conv/BatchNorm/gamma", 3e38, ["float32", "float16", "dynamic"]),  # when folded
    ],
)
def test_weights_that_a_recipe_has_no_room_for_are_refused(
    name: str, value: float, refused: list[str], tmp_path: Path
) -> None:
    graph = nets.net()
    values = tf.make_ndarray(nets.node(graph, name).attr["value"].tensor).copy()
    values.flat[1] = value
    nets.set_constant(graph, name, values)
    if "gamma" in name:
        nets.set_constant(graph, name.replace("gamma", "moving_variance"), np.full_like(values, 1e-9))
    save(as_function(retarget(graph, discover(graph, "net.pb"), HW, 16)), HW, tmp_path)
    for recipe in ("float32", "float16", "dynamic"):
        if recipe not in refused:
            convert(tmp_path, RECIPES[recipe])
            continue
        dtype = "float16, which ends at 65504; take another recipe" if recipe == "float16" else "float32, which ends"
        with pytest.raises(ConversionError, match=rf"^{recipe}: \d+ of \d+ values? of \S+ do not fit {dtype}"):
            convert(tmp_path, RECIPES[recipe])


def test_converter_failure_is_one_line(tmp_path: Path) -> None:
    unknown = tf.function(lambda x: tf.reshape(tf.linalg.det(x), [1, 1, 1, 3]))
    save(unknown, (3, 3), tmp_path / "unknown")
    with pytest.raises(ConversionError, match=r"^float32: TensorFlow Lite.s converter failed: ") as caught:
        convert(tmp_path / "unknown", RECIPES["float32"])
    assert "\n" not in str(caught.value)
    assert "MatrixDeterminant" in str(caught.value)


def test_calibration_without_frames_is_refused(saved: Path) -> None:
    with pytest.raises(ConversionError, match="no finite range: there are no calibration frames"):
        nets.int8(saved, [])


def test_network_without_large_kernels_cannot_be_vouched_for(tmp_path: Path) -> None:
    small = tf.function(lambda x: tf.nn.conv2d(x, tf.ones([3, 3, 3, 2]), 1, "SAME"))
    save(small, (9, 9), tmp_path / "small")
    with pytest.raises(ConversionError, match="found no convolution weights"):
        convert(tmp_path / "small", RECIPES["dynamic"])


def test_official_graph_labels_a_drive_as_before(shared: Callable[[str], Path], tmp_path: Path) -> None:
    from convert.graph.graphdef import running

    graph = parse(shared("models/deeplab_mnv2_voc21_513x513.pb").read_bytes(), "voc.pb")
    anatomy: Anatomy = discover(graph, "voc.pb")
    drive = open_source(str(shared("video/solidWhiteRight.mp4")))
    frames = [resize(f.pixels, anatomy.crop_hw) for f in drive if f.index % 70 == 0]
    save(as_function(retarget(graph, anatomy, anatomy.crop_hw)), anatomy.crop_hw, tmp_path / "voc")
    engine = open_engine(convert(tmp_path / "voc", RECIPES["float32"]), "voc")
    upsample = Upsample((65, 65), anatomy.crop_hw)
    found = [upsample(engine.invoke(normalised(frame, anatomy.norm))[0]) for frame in frames]
    with running(graph, ["SemanticPredictions"]) as run:
        expected = [run({anatomy.image: frame[None]})[0][0] for frame in frames]
    assert min(agreement(f, e.astype(np.uint8)) for f, e in zip(found, expected, strict=True)) >= 0.999
    assert any(np.unique(e).size > 1 for e in expected), "agreeing on nothing but background would prove little"


def test_another_calibrated_recipe_is_a_row_of_the_table(saved: Path) -> None:
    """All that making it needs is in the row: nothing falls back to int8."""
    finer = Recipe("int8x16", "int8", "int16", 0.95, quantizer="static_wi8_ai16")
    model = convert(saved, RECIPES["float32"])
    made = quantized(model, measure_ranges(model, pictures(), Range(-1.0, 1.0)), finer)
    check_promise(made, finer)
    with pytest.raises(ConversionError, match=r"^int8: expected int8"):
        check_promise(made, RECIPES["int8"])
