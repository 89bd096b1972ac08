"""Says which configurations of Keras models are taken: those that name only layers that run no code of their own.

A model may be a layer of another one, as a backbone is, so all of this holds at every depth.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from edge.errors import GraphError

SAVE = "save the whole model with model.save('name.keras')"
EXPORT = "load it where it was made and write it with model.export('folder')"

LAYERS = frozenset(
    {"Activation", "Add", "Average", "AveragePooling2D", "BatchNormalization", "Concatenate", "Conv2D", "Cropping2D"}
    | {
        "Dense",
        "DepthwiseConv2D",
        "Dropout",
        "Flatten",
        "Functional",
        "GaussianDropout",
        "GaussianNoise",
        "GlobalAveragePooling2D",
    }
    | {"GlobalMaxPooling2D", "Identity", "InputLayer", "LeakyReLU", "MaxPooling2D", "Maximum", "Minimum", "Model"}
    | {"Multiply", "Normalization", "Permute", "ReLU", "Rescaling", "Reshape", "Resizing", "SeparableConv2D"}
    | {"Sequential", "Softmax", "SpatialDropout2D", "Subtract", "UpSampling2D", "ZeroPadding2D"}
)
"""Layers that are arithmetic, and nothing else."""
TRAINING = "compile_config"  # loss and optimizer of a model
VALUES = frozenset({"__keras_tensor__", "__tuple__", "__tensor__", "__numpy__", "TensorShape"})
POLICIES = frozenset({"DTypePolicy", "FloatDTypePolicy", "Policy"})
OPERATIONS = ("keras.src.ops.numpy", "keras.src.ops.nn", "keras.src.ops.image")  # x + y of layers' outputs is one
MAX_DEPTH = 100  # of lists and objects in each other; a model has 11, and 3 more where it is a layer
MAX_CALLS = 100_000  # of layers and of what belongs to them; ResNet152 has 2,000


def check_config(config: object) -> None:
    """Refuses a configuration that names anything but layers of arithmetic and what belongs to them: all else may be
    code. What `without_training` returns is a configuration that is not too deep for it. Raises GraphError.
    """
    if not isinstance(config, dict) or "class_name" not in config:
        raise GraphError(f"a damaged Keras model: its configuration names no class; {SAVE}")
    calls = _calls(config)
    if calls > MAX_CALLS:
        raise GraphError(f"a Keras model that calls {calls:,} layers and their parts, expected {MAX_CALLS:,} at most")
    todo: list[object] = [config]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            _check_class(value)
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)


def _check_class(value: dict[str, Any]) -> None:
    if "class_name" not in value:
        return
    name, module, registered = (str(value.get(key) or "") for key in ("class_name", "module", "registered_name"))
    shown = name.rpartition(">")[2][:80]
    if name in ("Lambda", "__lambda__", "function") or "lambda" in name.lower():
        raise GraphError(f"a Keras model with a Lambda layer or a function of its own, which is code; {EXPORT}")
    if name == "Conv2DTranspose":
        raise GraphError("a Keras model with a Conv2DTranspose layer, which no DeepLab network has; it is not taken")
    is_own = ">" in name or ">" in registered or (module and not module.startswith(("keras", "builtins")))
    if is_own:
        raise GraphError(f"a Keras model with a layer {shown}, whose code is not in the file; {EXPORT}")
    inside = not module or module == "keras" or module.startswith("keras.")
    if inside and name in LAYERS | VALUES | POLICIES | _parts():
        return
    if module in OPERATIONS and name[:1].isupper():
        return
    raise GraphError(f"a Keras model with {shown}, which is none of the layers that are taken, and not run; {EXPORT}")


def without_training(config: object, depth: int = 0) -> Any:
    """Returns a configuration without what models were trained with, the models that are layers of others too: Keras
    would make the optimizers of those. Raises GraphError where it is too deep.
    """
    if depth > MAX_DEPTH:
        raise GraphError(f"a Keras model whose parts lie more than {MAX_DEPTH} deep in each other; {EXPORT}")
    if isinstance(config, dict):
        return {key: without_training(value, depth + 1) for key, value in config.items() if key != TRAINING}
    if isinstance(config, list):
        return [without_training(value, depth + 1) for value in config]
    return config


def _calls(value: object) -> int:
    """Returns how many objects are made or called for a part of a configuration. What is called twice and calls
    another twice calls that four times: a few lines of that would go on for years.
    """
    if isinstance(value, list):
        return sum(map(_calls, value))
    if not isinstance(value, dict):
        return 0
    nodes = value.get("inbound_nodes")
    times = max(len(nodes), 1) if isinstance(nodes, list) else 1
    return times * (("class_name" in value) + sum(_calls(v) for k, v in value.items() if k != "inbound_nodes"))


@cache
def _parts() -> frozenset[str]:
    """Returns the names of Keras' initializers, regularizers and constraints, which belong to layers."""
    import keras

    packages = (keras.initializers, keras.regularizers, keras.constraints)
    return frozenset(name for package in packages for name in dir(package) if name[:1].isupper())
