"""A re-targeted network -> the bytes of a .tflite, by recipe, checked for what the recipe promises."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from convert.graph.graphdef import first_line, load
from convert.graph.retarget import RetargetedNetwork
from convert.ranges import Range
from convert.tensorflow import tf
from convert.tflite.constants import check_constants
from convert.tflite.quantize import quantize
from convert.tflite.recipes import Recipe
from edge.errors import ConversionError
from edge.progress import Track, silent

NetworkFunction = Any  # a tf.function: float32 (1, H, W, 3) -> float32 (1, h, w, classes)
LARGE = 1024  # elements; smaller kernels may stay in float
WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})  # operators whose second input is a kernel


def as_function(body: RetargetedNetwork) -> NetworkFunction:
    """Returns the network as a TensorFlow function, for reference runs and for saving."""
    wrapped = tf.compat.v1.wrap_function(lambda: load(body.graph), [])
    return wrapped.prune(f"{body.image}:0", f"{body.logits}:0")


def export(body: RetargetedNetwork, folder: Path, track: Track = silent) -> None:
    """Writes the network of `body` as a SavedModel."""
    for _ in track(range(1), "exporting the network", 1):
        save(as_function(body), body.input_hw, folder)


def save(network: NetworkFunction, input_hw: tuple[int, int], folder: Path) -> None:
    """Writes a SavedModel with a `serving_default` signature {image -> logits}, which other tools can open."""
    module = tf.Module()
    spec = tf.TensorSpec((1, *input_hw, 3), tf.float32, name="image")
    module.network = network
    module.serve = tf.function(lambda image: {"logits": network(image)}, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def convert(saved_model: Path, recipe: Recipe, track: Track = silent) -> bytes:
    """Returns the SavedModel as a .tflite flatbuffer by a recipe that needs no calibration.

    Raises ConversionError when the converter fails or breaks the recipe's promise.
    """
    from tensorflow.lite.python.convert_phase import ConverterError

    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    try:
        for _ in track(range(1), f"converting to {recipe.name}", 1):
            model: bytes = converter.convert()
    except (ConverterError, ValueError, RuntimeError, tf.errors.OpError) as exc:
        raise ConversionError(f"{recipe.name}: TensorFlow Lite's converter failed: {first_line(exc)}") from exc
    check_promise(model, recipe)
    return model


def quantized(model: bytes, ranges: dict[str, Range], recipe: Recipe, in_float: Collection[str] = ()) -> bytes:
    """Returns a float .tflite quantized by a calibrated recipe, but for the operators named `in_float`.

    Raises ConversionError where the quantizer fails or breaks the recipe's promise.
    """
    made = quantize(model, ranges, recipe, in_float)
    check_promise(made, recipe, in_float)
    return made


def check_promise(model: bytes, recipe: Recipe, in_float: Collection[str] = ()) -> None:
    """Quantizers can succeed and quantize nothing: looks at the tensors. Raises ConversionError.

    The operators whose output tensors are named `in_float` may be so, and what unpacks their inputs.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    tensors = {detail["index"]: detail for detail in interpreter.get_tensor_details()}
    operators = interpreter._get_ops_details()
    for end in (*interpreter.get_input_details(), *interpreter.get_output_details()):
        if end["name"] not in in_float:
            _expect(end, recipe.activations, recipe)
    promised = [op for op in operators if not _is_excused(op, tensors, in_float)]
    for index in (int(i) for operator in promised for i in operator["outputs"]):
        _expect(tensors[index], recipe.activations, recipe)
    # float16 kernels are unpacked to float32 by an operator of their own
    unpacked = {int(op["outputs"][0]): int(op["inputs"][0]) for op in operators if op["op_name"] == "DEQUANTIZE"}
    kernels = [int(op["inputs"][1]) for op in promised if op["op_name"] in WEIGHTED]
    large = [d for d in (tensors[unpacked.get(i, i)] for i in kernels) if np.prod(d["shape"], dtype=np.int64) >= LARGE]
    if not large:
        raise ConversionError(f"{recipe.name}: found no convolution weights of {LARGE} numbers or more to check")
    for detail in large:
        _expect(detail, recipe.weights, recipe)
        if recipe.calibrated:
            _expect_per_channel(detail, recipe)
    check_constants(interpreter, recipe)


def _is_excused(operator: dict[str, Any], tensors: dict[int, dict[str, Any]], in_float: Collection[str]) -> bool:
    unpacks = bool(in_float) and operator["op_name"] == "DEQUANTIZE"
    return unpacks or tensors[int(operator["outputs"][0])]["name"] in in_float


def _expect(detail: dict[str, Any], dtype: str, recipe: Recipe) -> None:
    found = np.dtype(detail["dtype"]).name
    if found != dtype:
        raise ConversionError(f"{recipe.name}: expected {dtype} in tensor {detail['name']}, got {found}")


def _expect_per_channel(detail: dict[str, Any], recipe: Recipe) -> None:
    quantization = detail["quantization_parameters"]
    channels, scales = detail["shape"][quantization["quantized_dimension"]], len(quantization["scales"])
    if scales != channels:
        raise ConversionError(
            f"{recipe.name}: expected a scale for each of {channels} channels of {detail['name']}, got {scales}"
        )
