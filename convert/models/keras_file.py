"""Reads a Keras model from a .keras or .h5 file, once its configuration holds only layers that run no code of its own.

Only a process of its own does that.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from convert.graph.anatomy import MAX_ELEMENTS
from convert.graph.graphdef import first_line
from convert.models.freeze import Frozen
from convert.models.frozen_form import check_outputs, check_picture, in_frozen_form, own_size
from convert.models.keras_config import EXPORT, SAVE, check_config, without_training
from convert.tensorflow import tf
from edge.errors import GraphError
from edge.text import counted

HDF5 = b"\x89HDF\r\n\x1a\n"
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = (CONFIG, WEIGHTS, "metadata.json")
CONFIG_BYTES = 64 << 20  # a network of a thousand layers has 1 MB
FILE_BYTES = 4 * MAX_ELEMENTS + CONFIG_BYTES  # float32


def freeze_keras(path: Path, confine: Callable[[], None]) -> Frozen:
    """Returns the frozen graph of a Keras file; `confine` is called before any of it is read.

    Raises GraphError, and whatever Keras raises over damaged files.
    """
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import h5py  # noqa: F401
    import keras

    keras.config.disable_traceback_filtering()
    confine()
    config = _checked(path)
    try:
        model = _loaded(path, config)
    except (ValueError, TypeError, KeyError, AttributeError, OSError) as exc:
        raise GraphError(
            f"a Keras model that Keras {keras.__version__} cannot load: {first_line(exc)}; {EXPORT}"
        ) from exc
    return _frozen(model)


def _loaded(path: Path, config: object) -> Any:
    """Returns the model in a file whose configuration is checked. Raises what Keras does."""
    import keras

    if path.suffix.lower() != ".keras":
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    model.load_weights(path)
    return model


def _checked(path: Path) -> object:
    """Returns the configuration to load from a file. Refuses files that are none of Keras, or hold more than
    arithmetic. Raises GraphError.
    """
    size = path.stat().st_size
    if not 0 < size <= FILE_BYTES:
        raise GraphError(f"{size:,} bytes; expected a Keras model of 1 to {FILE_BYTES:,} bytes")
    with path.open("rb") as file:
        start = file.read(8)
    if path.suffix.lower() == ".keras":
        if start == HDF5:
            raise GraphError("an HDF5 file, as Keras wrote it before .keras; rename it to end in .h5")
        if start[:2] != b"PK":
            raise GraphError(f"not a Keras model: expected a zip with a {CONFIG} and a {WEIGHTS} in it; {SAVE}")
        config = without_training(_config_of_zip(path))
    else:
        if start[:2] == b"PK":
            raise GraphError("a zip, as Keras writes .keras files; rename it to end in .keras")
        if start != HDF5:
            raise GraphError(f"not a Keras model: expected an HDF5 file; {SAVE}")
        config = _config_of_hdf5(path)
        if config != without_training(config):  # which Keras would read
            raise GraphError(f"an HDF5 file of a Keras model that holds a trained one as a layer; {SAVE}")
    check_config(config)
    return config


def _config_of_zip(path: Path) -> object:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
            if CONFIG not in sizes or WEIGHTS not in sizes:
                raise GraphError(f"a zip that is no Keras model: it has no {CONFIG} or no {WEIGHTS}; {SAVE}")
            others = sorted(sizes.keys() - set(MEMBERS))
            if others or len(sizes) != len(archive.infolist()):
                raise GraphError(f"a Keras model with more in its zip than a network has ({', '.join(others[:5])!r})")
            if sizes[CONFIG] > CONFIG_BYTES or sum(sizes.values()) > FILE_BYTES:
                raise GraphError(
                    f"a Keras model that unpacks to {sum(sizes.values()):,} bytes; expected {FILE_BYTES:,}"
                )
            config: object = json.loads(archive.read(CONFIG))
            with archive.open(WEIGHTS) as weights:
                _check_hdf5(weights)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as exc:
        raise GraphError(f"a damaged Keras model: {first_line(exc)}; copy or save it again") from exc
    return config


def _config_of_hdf5(path: Path) -> object:
    import h5py

    try:
        _check_hdf5(path)
        with h5py.File(path, "r") as file:
            config = file.attrs.get("model_config")
            if config is None and _is_weights(file):
                raise GraphError(f"a Keras file of weights only, without the network; {SAVE}")
            if config is None:
                raise GraphError(f"an HDF5 file that is no Keras model: it has no model_config; {SAVE}")
            read: object = json.loads(config)
    except (OSError, ValueError, TypeError, RuntimeError) as exc:
        raise GraphError(f"a damaged Keras model: {first_line(exc)}; copy or save it again") from exc
    return read


def _is_weights(file: Any) -> bool:
    """Whether an HDF5 file is what `save_weights` writes, now or in Keras 2."""
    return (
        "layer_names" in file.attrs
        or {"layers", "vars"} & set(file) != set()
        or "_layer_checkpoint_dependencies" in file
    )


def _check_hdf5(source: Any) -> None:
    """Refuses data that lies in other files, and more of it than weights may be. Raises GraphError, OSError."""
    import h5py

    elements = 0
    with h5py.File(source, "r") as file:
        for name, link, item in _items(file):
            if not isinstance(link, h5py.HardLink):
                raise GraphError(f"a Keras model whose {name!r} points to elsewhere; it is not read")
            if isinstance(item, h5py.Dataset):
                if item.external or item.is_virtual:
                    raise GraphError(f"a Keras model whose weights {name!r} lie in another file; {SAVE}")
                elements += int(item.size or 0)
            if elements > MAX_ELEMENTS:
                raise GraphError(f"a Keras model of more than {MAX_ELEMENTS:,} weights")


def _items(file: Any) -> Iterator[tuple[str, Any, Any]]:
    """All links of an HDF5 file, each group once."""
    import h5py

    todo, seen = [file], set[Any]()
    while todo:
        group = todo.pop()
        address = h5py.h5o.get_info(group.id).addr
        if address in seen:
            continue
        seen.add(address)
        for name in group:
            link = group.get(name, getlink=True)
            item = group[name] if isinstance(link, h5py.HardLink) else None
            yield f"{group.name.rstrip('/')}/{name}", link, item
            if isinstance(item, h5py.Group):
                todo.append(item)


def _frozen(model: Any) -> Frozen:
    """Returns the frozen graph of a loaded model. Raises GraphError."""
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    kind, pictures = "a Keras model", model.inputs or []
    if len(pictures) != 1:
        names = "".join(f" {tensor.name}," for tensor in pictures)
        raise GraphError(f"{kind} with {counted(len(pictures), 'input')}:{names} expected one, the picture")
    check_picture(pictures[0].shape, kind)
    check_outputs([output.shape for output in model.outputs], kind)
    height, width, remark = own_size(pictures[0].shape[1:3])
    spec = tf.TensorSpec((1, height, width, 3), pictures[0].dtype, name="picture")
    called = tf.function(lambda picture: model(picture, training=False)).get_concrete_function(spec)
    constant = convert_variables_to_constants_v2(called, lower_control_flow=False)
    outputs = {f"output_{i}": tensor.name for i, tensor in enumerate(constant.outputs)}
    image = constant.inputs[0].op.name
    return replace(in_frozen_form(constant.graph.as_graph_def(), image, outputs, kind), remark=remark)
