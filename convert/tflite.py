"""A re-targeted network -> the bytes of a .tflite, by recipe, checked for what the recipe promises."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convert.graph import load
from convert.recipes import Recipe
from convert.surgery import Body
from convert.tensorflow import tf
from edge.errors import ConversionError

Network = Any  # a tf.function: float32 (1, H, W, 3) -> float32 (1, h, w, classes)
LARGE = 1024  # elements; smaller constants (biases, scalars) stay in float in every recipe


def as_function(body: Body) -> Network:
    """The network as a TensorFlow function, for reference runs and for saving."""
    wrapped = tf.compat.v1.wrap_function(lambda: load(body.graph), [])
    return wrapped.prune(f"{body.image}:0", f"{body.logits}:0")


def save(network: Network, input_hw: tuple[int, int], folder: Path) -> None:
    """Writes a SavedModel with a `serving_default` signature {image -> logits}, which other tools can open."""
    module = tf.Module()
    spec = tf.TensorSpec((1, *input_hw, 3), tf.float32, name="image")
    module.network = network
    module.serve = tf.function(lambda image: {"logits": network(image)}, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})


def convert(saved_model: Path, recipe: Recipe, samples: Iterable[NDArray[np.float32]]) -> bytes:
    """The SavedModel as a .tflite flatbuffer. `samples` (1, H, W, 3), normalised, calibrate int8.

    Raises ConversionError when the converter fails or breaks the recipe's promise.
    """
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved_model))
    if recipe.weights != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if recipe.weights == "float16":
        converter.target_spec.supported_types = [tf.float16]
    if recipe.calibrated:
        converter.representative_dataset = lambda: ({"image": sample} for sample in samples)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    try:
        model: bytes = converter.convert()
    except (ValueError, RuntimeError, tf.errors.OpError) as exc:
        reason = (str(exc).strip() or type(exc).__name__).splitlines()[0]
        raise ConversionError(f"{recipe.name}: TensorFlow Lite's converter failed: {reason:.300}") from exc
    check_promise(model, recipe)
    return model


def check_promise(model: bytes, recipe: Recipe) -> None:
    """Quantizers can succeed and quantize nothing: looks at the tensors. Raises ConversionError."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=model, experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    )
    ends = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    for detail in ends:
        if np.dtype(detail["dtype"]).name != recipe.activations:
            raise ConversionError(
                f"{recipe.name}: expected {recipe.activations} at {detail['name']}, got {detail['dtype']}"
            )
    made = {int(t) for op in interpreter._get_ops_details() for t in op["outputs"] if op["op_name"] != "DEQUANTIZE"}
    for detail in interpreter.get_tensor_details():
        dtype = np.dtype(detail["dtype"]).name
        elements = int(np.prod(detail["shape"], dtype=np.int64))
        if detail["index"] in made:
            if dtype != recipe.activations:
                raise ConversionError(
                    f"{recipe.name}: activation {detail['name']} is {dtype}, not {recipe.activations}"
                )
        elif elements >= LARGE and detail["index"] not in {e["index"] for e in ends}:
            _check_weight(detail, dtype, recipe)


def _check_weight(detail: dict[str, Any], dtype: str, recipe: Recipe) -> None:
    if dtype in (recipe.weights, "int32") or (recipe.weights == "float16" and dtype == "float32"):
        return
    raise ConversionError(f"{recipe.name}: weights {detail['name']} are {dtype}, not {recipe.weights}")
