from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras_nets import deeplab, noise, with_backbone

from convert.cli import convert_model, inspect_model
from convert.graph.anatomy import discover
from convert.graph.graphdef import evaluate, parse
from convert.graph.retarget import retarget
from convert.models import freeze as freezing
from convert.models import load
from convert.models.freeze import Frozen
from convert.models.keras_config import MAX_DEPTH, check_config, without_training
from convert.models.keras_file import freeze_keras
from convert.models.load import load_frozen_graph
from convert.models.saved_model import freeze_saved_model
from convert.tensorflow import tf
from edge import child as children
from edge.errors import GraphError

pytestmark = pytest.mark.tensorflow

FLOATS = tf.TensorSpec((None, 33, 49, 3), tf.float32, name="picture")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DeepLab in all the ways in which it can be saved."""
    folder, model = tmp_path_factory.mktemp("saved"), deeplab()
    model.export(folder / "exported", verbose=False)
    tf.saved_model.save(model, str(folder / "by_tensorflow"))
    for name in ("net.keras", "net.h5"):
        model.save(folder / name)
    model.save_weights(folder / "net.weights.h5")
    return folder


def frozen(path: Path) -> Frozen:
    """Freezes here what is usually frozen in a process of its own."""
    return freeze_saved_model(path) if path.is_dir() else freeze_keras(path, lambda: None)


def module(call: Callable[..., Any], *specs: Any, **variables: Any) -> tf.Module:
    """A module that computes `call(self, ...)`."""
    made = tf.Module()
    for name, value in variables.items():
        setattr(made, name, tf.Variable(value))
    made.call = tf.function(lambda *inputs: call(made, *inputs), input_signature=specs)
    return made


def save(folder: Path, made: tf.Module, *names: str) -> Path:
    signatures = dict.fromkeys(names or ["serving_default"], made.call)
    tf.saved_model.save(made, str(folder), signatures=signatures)
    return folder


KERNEL = np.ones((3, 3, 3, 4), np.float32)


def convolved(self: tf.Module, picture: Any) -> Any:
    return tf.nn.conv2d(picture, self.kernel, 2, "SAME")


# What is taken


@pytest.mark.parametrize("name", ["exported", "by_tensorflow", "net.keras", "net.h5"])
def test_a_frozen_network_computes_what_the_saved_one_does(saved: Path, name: str) -> None:
    graph = parse(frozen(saved / name).graph_bytes, name)
    anatomy = discover(graph, name)
    assert (anatomy.crop_hw, anatomy.output_stride, anatomy.classes) == ((65, 129), 8, 5)
    assert (str(anatomy.norm), anatomy.upsampling) == ("(pixel - 127.5) / 127.5", "half_pixel_centers")
    picture = noise(np.random.default_rng(0), (65, 129))
    expected = np.asarray(deeplab()(picture, training=False))
    found = evaluate(graph, [anatomy.labels], {anatomy.image: picture})[0]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()
    assert not graph.library.function
    assert retarget(graph, anatomy, (97, 129), 16).output_stride == 16


def test_how_a_network_was_trained_does_not_matter(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((33, 49, 3)), keras.layers.Conv2D(4, 3)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.save(tmp_path / "net.keras")
    assert discover(parse(frozen(tmp_path / "net.keras").graph_bytes, "net"), "net").classes == 4


def test_a_network_for_any_size_gets_one_and_that_is_said(tmp_path: Path) -> None:
    model = deeplab((None, None), softmax=True, rescaling=False)
    model.export(tmp_path / "any", verbose=False)
    model.save(tmp_path / "any.keras")
    for path in (tmp_path / "any", tmp_path / "any.keras"):
        made = frozen(path)
        assert made.remark == "it takes pictures of any size; 512x1024 is taken as its own"
        anatomy = discover(parse(made.graph_bytes, "any"), "any")
        assert (anatomy.crop_hw, anatomy.feeding.normalised, anatomy.kind) == ((512, 1024), True, "scores")


def test_a_scale_is_told_from_weights(tmp_path: Path) -> None:
    picture = keras.Input((33, 49, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="silu")(keras.layers.Rescaling(1 / 255)(picture))
    keras.Model(picture, x).export(tmp_path / "net", verbose=False)
    anatomy = discover(parse(frozen(tmp_path / "net").graph_bytes, "net"), "net")
    assert anatomy.norm.channels == (((0.0,) * 3), ((255.0,) * 3))


def test_sizes_that_a_network_asks_for_are_constants_once_it_is_frozen(tmp_path: Path) -> None:
    def labels(self: tf.Module, picture: Any) -> Any:
        scores = convolved(self, tf.cast(picture, tf.float32) / 127.5 - 1)
        return {"labels": tf.argmax(tf.image.resize(scores, tf.shape(picture)[1:3]), -1)}

    spec = tf.TensorSpec((None, None, None, 3), tf.uint8)
    kernel = np.random.default_rng(0).normal(size=KERNEL.shape).astype(np.float32)
    graph = parse(frozen(save(tmp_path, module(labels, spec, kernel=kernel))).graph_bytes, "net")
    anatomy = discover(graph, "net")
    assert (anatomy.labels, anatomy.kind, anatomy.upsampling) == ("labels", "labels", "half_pixel_centers")
    assert retarget(graph, anatomy, (65, 129)).input_hw == (65, 129)


@pytest.fixture(scope="module")
def of_tensorflow_1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As TensorFlow 1 saved models, with variables of both its kinds, and an initializer that writes a file."""
    folder, v1 = tmp_path_factory.mktemp("tf1") / "net", tf.compat.v1
    with tf.Graph().as_default():
        picture = v1.placeholder(tf.float32, (1, 33, 49, 3), "picture")
        kernel = v1.get_variable("first", initializer=KERNEL, use_resource=False)
        last = v1.get_variable("last", initializer=np.eye(4, dtype=np.float32)[None, None], use_resource=True)
        x = tf.nn.relu(tf.nn.conv2d(picture / 127.5 - 1, kernel, 2, "SAME"))
        scores = v1.image.resize_bilinear(tf.nn.conv2d(x, last, 1, "SAME"), (33, 49), align_corners=True)
        labels = tf.argmax(scores, 3, name="labels")
        info = {"labels": v1.saved_model.build_tensor_info(labels)}
        signature = v1.saved_model.build_signature_def({"in": v1.saved_model.build_tensor_info(picture)}, info)
        builder = v1.saved_model.Builder(str(folder))
        with v1.Session() as session:
            session.run(v1.global_variables_initializer())
            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                {"labelling": signature},
                main_op=tf.io.write_file(str(folder.parent / "written"), "by the model"),
            )
        builder.save()
    return folder


@pytest.mark.filterwarnings("ignore")
def test_one_of_tensorflow_1_is_taken_and_its_initializer_never_run(of_tensorflow_1: Path) -> None:
    graph = parse(frozen(of_tensorflow_1).graph_bytes, "net")
    anatomy = discover(graph, "net")
    assert (anatomy.kind, anatomy.classes, anatomy.crop_hw) == ("labels", 4, (33, 49))
    assert any((tf.make_ndarray(n.attr["value"].tensor).shape == (3, 3, 3, 4)) for n in graph.node if n.op == "Const")
    assert not (of_tensorflow_1.parent / "written").exists()


# By name, with the commands


def test_a_saved_model_is_converted_and_agrees(saved: Path, tmp_path: Path) -> None:
    arguments = [str(saved / "exported"), "--quantize", "float32", "--input-size", "65x129"]
    assert convert_model.main([*arguments, "--verification-frames", "2", "--output", str(tmp_path)]) == 0
    assert [path.name for path in tmp_path.glob("*.tflite")] == ["exported-65x129-os16-float32.tflite"]


def test_a_keras_file_is_frozen_in_a_process_of_its_own(saved: Path) -> None:
    graph = load_frozen_graph(str(saved / "net.keras"), notice=pytest.fail)
    assert (graph.name, graph.origin) == ("net", "net.keras")
    assert discover(parse(graph.graph_bytes, "net"), "net").classes == 5


def test_the_same_file_is_the_same_graph_every_time(saved: Path) -> None:
    assert frozen(saved / "exported") == frozen(saved / "exported")


def test_a_saved_model_is_called_like_its_folder(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    monkeypatch.setattr(load, "freeze", lambda folder, *_: seen.append(folder) or b"graph")
    monkeypatch.chdir(saved / "exported")
    for path in (saved / "exported", saved / "exported" / "saved_model.pb", Path("saved_model.pb"), Path()):
        assert load_frozen_graph(str(path), notice=pytest.fail).name == "exported"
    assert [folder.resolve() for folder in seen] == [saved / "exported"] * 4
    (tmp_path / "saved_model.pb").write_bytes(b"\n\x05graph")
    assert load_frozen_graph(str(tmp_path / "saved_model.pb"), notice=pytest.fail).graph_bytes == b"\n\x05graph"


def test_what_is_refused_is_one_line_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def written(self: tf.Module, picture: Any) -> Any:
        with tf.control_dependencies([tf.io.write_file(str(tmp_path / "written"), "by the model")]):
            return convolved(self, picture)

    folder = save(tmp_path / "net", module(written, FLOATS, kernel=KERNEL))
    assert inspect_model.main([str(folder)]) != 0
    said = capsys.readouterr().err.strip()
    assert "is a WriteFile: no network that labels pictures needs that; it is not run" in said
    assert str(folder) in said
    assert "\n" not in said
    assert not (tmp_path / "written").exists()


# SavedModels that are refused


def classified(self: tf.Module, picture: Any) -> Any:
    return tf.reduce_mean(convolved(self, picture), (1, 2)) @ tf.ones((4, 10))


def channels_first(self: tf.Module, picture: Any) -> Any:
    return tf.nn.conv2d(picture, self.kernel, 2, "SAME", data_format="NCHW")


def read(self: tf.Module, picture: Any) -> Any:
    return convolved(self, picture) + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)


def python(self: tf.Module, picture: Any) -> Any:
    result = tf.numpy_function(lambda x: x, [convolved(self, picture)], tf.float32)
    return tf.ensure_shape(result, (None, 17, 25, 4))


def pair(self: tf.Module, picture: Any, other: Any) -> Any:
    return convolved(self, picture + other)


REFUSED: dict[str, tuple[Callable[..., Any], list[Any], list[str], str]] = {
    "a classifier": (classified, [FLOATS], [], r"a SavedModel of a classifier: it answers with \(\?, 10\)"),
    "NCHW": (channels_first, [tf.TensorSpec((None, 3, 33, 49))], [], "laid out NCHW; expected NHWC"),
    "no convolution": (lambda _, x: x * 2, [FLOATS], [], "a SavedModel without a convolution"),
    "two signatures": (convolved, [FLOATS], ["a", "b"], r"2 signatures \(a, b\), expected serving_default"),
    "two inputs": (
        pair,
        [FLOATS, tf.TensorSpec((None, 33, 49, 3), name="b")],
        [],
        "with 2 inputs: b, picture; expected",
    ),
    "sound": (
        lambda _, x: x[:, None],
        [tf.TensorSpec((None, 16000))],
        [],
        r"takes \(\?, 16000\); expected one picture",
    ),
    "a file that is read": (read, [FLOATS], [], "is a ReadFile: no network"),
    "Python": (python, [FLOATS], [], "is a (Eager)?PyFunc: no network"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_saved_model_that_is_no_segmentation_network_is_named(tmp_path: Path, case: str) -> None:
    call, specs, names, reason = REFUSED[case]
    made = module(call, *specs, kernel=KERNEL)
    with pytest.raises(GraphError, match=reason) as refused:
        frozen(save(tmp_path, made, *names))
    assert "\n" not in str(refused.value)


def damaged(saved: Path, to: Path, change: Callable[[Path], object]) -> str:
    """Why a copy of a SavedModel is refused once it is changed."""
    shutil.copytree(saved / "exported", to)
    change(to)
    with pytest.raises(GraphError) as refused:
        frozen(to)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_damaged_saved_model_is_told_from_one_that_is_not_whole(saved: Path, tmp_path: Path) -> None:
    variables = "variables/variables.data-00000-of-00001"

    def cut(name: str) -> Callable[[Path], object]:
        return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:5000])

    assert "variables are missing: expected variables/variables.index" in damaged(
        saved, tmp_path / "a", lambda folder: shutil.rmtree(folder / "variables")
    )
    assert "is damaged or cut short" in damaged(saved, tmp_path / "b", cut("saved_model.pb"))
    assert "variables cannot be read" in damaged(saved, tmp_path / "c", cut(variables))
    assert "variables cannot be read" in damaged(saved, tmp_path / "d", lambda f: (f / variables).unlink())
    assert "0 bytes" in damaged(saved, tmp_path / "e", lambda f: (f / "saved_model.pb").write_bytes(b""))


# Keras files that are refused


def keras_file(path: Path, *layers: Any, shape: tuple[int | None, ...] = (33, 49, 3)) -> Path:
    keras.Sequential([keras.Input(shape), *layers]).save(path)
    return path


class Own(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: Any) -> Any:
        return x


L = keras.layers
KERAS_REFUSED: dict[str, tuple[list[Any], tuple[int | None, ...], str]] = {
    "a classifier": ([L.Conv2D(4, 3), L.Flatten(), L.Dense(10)], (33, 49, 3), r"of a classifier: .*\(\?, 10\)"),
    "no convolution": ([L.ReLU()], (33, 49, 3), "a Keras model without a convolution"),
    "NCHW": ([L.ReLU()], (3, 33, 49), "laid out NCHW"),
    "code": ([L.Lambda(lambda x: x * 2)], (33, 49, 3), "with a Lambda layer or a function of its own, which is code"),
    "its own": ([Own()], (33, 49, 3), "Own, (whose code is not in the file|which is none of the layers)"),
    "transposed": ([L.Conv2DTranspose(4, 3)], (33, 49, 3), "with a Conv2DTranspose layer"),
    "recurrent": (
        [L.Reshape((33, 147)), L.LSTM(4)],
        (33, 49, 3),
        "with LSTM, which is none of the layers that are taken",
    ),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("case", KERAS_REFUSED)
def test_a_keras_model_that_is_no_segmentation_network_is_named(tmp_path: Path, case: str, ending: str) -> None:
    layers, shape, reason = KERAS_REFUSED[case]
    with pytest.raises(GraphError, match=reason) as refused:
        frozen(keras_file(tmp_path / f"net{ending}", *layers, shape=shape))
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_what_it_is_called_is_named(saved: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["numbers"] = np.zeros(3)
    with zipfile.ZipFile(tmp_path / "pictures.keras", "w") as archive:
        archive.writestr("1.png", b"")
    (tmp_path / "text.keras").write_text("hello")
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "empty.h5").touch()
    shutil.copy(saved / "net.h5", tmp_path / "hdf5.keras")
    shutil.copy(saved / "net.keras", tmp_path / "zip.h5")
    for name in ("net.keras", "net.h5"):
        (tmp_path / f"cut_{name}").write_bytes((saved / name).read_bytes()[:9000])
    for path, reason in {
        tmp_path / "plain.h5": "an HDF5 file that is no Keras model: it has no model_config",
        tmp_path / "pictures.keras": "a zip that is no Keras model",
        tmp_path / "text.keras": "not a Keras model: expected a zip",
        tmp_path / "text.h5": "not a Keras model: expected an HDF5 file",
        tmp_path / "empty.h5": "0 bytes",
        tmp_path / "hdf5.keras": r"rename it to end in \.h5",
        tmp_path / "zip.h5": r"rename it to end in \.keras",
        tmp_path / "cut_net.keras": "a damaged Keras model",
        tmp_path / "cut_net.h5": "a damaged Keras model",
        saved / "net.weights.h5": r"weights only, without the network; save the whole model",
    }.items():
        with pytest.raises(GraphError, match=reason) as refused:
            frozen(path)
        assert "\n" not in str(refused.value)


def test_weights_from_elsewhere_are_not_read(saved: Path, tmp_path: Path) -> None:
    shutil.copy(saved / "net.h5", tmp_path / "linked.h5")
    with h5py.File(tmp_path / "linked.h5", "a") as file:
        file["other"] = h5py.ExternalLink("elsewhere.h5", "/")
    shutil.copy(saved / "net.h5", tmp_path / "external.h5")
    with h5py.File(tmp_path / "external.h5", "a") as file:
        file.create_dataset("other", (3,), "f4", external=[("/etc/passwd", 0, 12)])
    for name, reason in (("linked.h5", "points to elsewhere"), ("external.h5", "lie in another file")):
        with pytest.raises(GraphError, match=reason):
            frozen(tmp_path / name)


@pytest.mark.parametrize(
    "layer",
    [
        {"class_name": "function", "module": "builtins", "config": "system", "registered_name": "function"},
        {"class_name": "__lambda__", "config": {"value": "code"}},
        {"class_name": "get_file", "module": "keras.utils", "config": {}},
        {"class_name": "Conv2D", "module": "os", "config": {}},
        {"class_name": "Conv2D", "module": "keras.layers", "registered_name": "mine>Conv2D", "config": {}},
        {"class_name": "TFSMLayer", "module": "keras.layers", "config": {"filepath": "elsewhere"}},
        {"class_name": "run", "module": "keras.initializers.os", "config": {}},
    ],
)
def test_a_configuration_that_names_code_is_refused_wherever_it_does(layer: dict[str, Any]) -> None:
    conv = {"class_name": "Conv2D", "module": "keras.layers", "config": {"activation": layer}}
    check_config({"class_name": "Sequential", "config": {"layers": [{**conv, "config": {"activation": "relu"}}]}})
    with pytest.raises(GraphError, match=r"code|not run"):
        check_config({"class_name": "Sequential", "config": {"layers": [conv]}})


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.parametrize("compiled", [False, True])
def test_models_may_be_layers(tmp_path: Path, ending: str, compiled: bool) -> None:
    model = with_backbone(compiled=compiled)
    model.save(tmp_path / f"net{ending}")
    graph = parse(frozen(tmp_path / f"net{ending}").graph_bytes, "net")
    anatomy = discover(graph, "net")
    picture = noise(np.random.default_rng(0), (65, 129))
    expected = np.asarray(model(picture, training=False))
    found = evaluate(graph, [anatomy.labels], {anatomy.image: picture})[0]
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("ending", [".keras", ".h5"])
@pytest.mark.filterwarnings("ignore")
def test_code_in_a_model_that_is_a_layer_is_refused(tmp_path: Path, ending: str) -> None:
    inner = keras.Sequential([keras.Input((33, 49, 3)), L.Lambda(lambda x: x * 2)])
    with pytest.raises(GraphError, match="with a Lambda layer or a function of its own, which is code"):
        frozen(keras_file(tmp_path / f"net{ending}", inner, L.Conv2D(4, 3)))


def test_an_hdf5_file_that_would_have_keras_train_is_refused(tmp_path: Path) -> None:
    path = keras_file(tmp_path / "net.h5", keras.Sequential([keras.Input((33, 49, 3)), L.Conv2D(4, 3)]))
    with h5py.File(path, "a") as file:
        config = json.loads(file.attrs["model_config"])
        config["config"]["layers"][1]["compile_config"] = {"optimizer": "adam", "loss": {"class_name": "own"}}
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(GraphError, match="holds a trained one as a layer; save the whole model"):
        frozen(path)


def doubling(times: int) -> dict[str, Any]:
    """A model that calls one twice, which calls one twice, and so on."""
    made: dict[str, Any] = {"class_name": "ReLU", "config": {}, "inbound_nodes": [[], []]}
    for _ in range(times):
        made = {"class_name": "Functional", "config": {"layers": [made]}, "inbound_nodes": [[], []]}
    return made


def test_models_in_models_without_end_are_refused() -> None:
    check_config(without_training(doubling(5)))
    with pytest.raises(GraphError, match=r"calls [\d,]+ layers and their parts, expected 100,000 at most"):
        check_config(without_training(doubling(20)))
    with pytest.raises(GraphError, match=f"more than {MAX_DEPTH} deep in each other"):
        without_training(doubling(MAX_DEPTH // 3))


# The process


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import time; time.sleep(60)", "does not freeze it within 1 s"),
        ("import os; os.abort()", r"ends TensorFlow \(SIGABRT\)"),
        ("raise SystemExit(3)", r"ends TensorFlow \(exit code 3\)"),
    ],
)
def test_a_process_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch, code: str, reason: str) -> None:
    monkeypatch.setattr(children, "command", lambda _module: [sys.executable, "-c", code])
    monkeypatch.setattr(freezing, "FREEZE_S", 1.0)
    with pytest.raises(GraphError, match=f"^net: .*{reason}"):
        freezing.freeze(Path("net"), "net", pytest.fail)


def test_the_process_cannot_write_files(tmp_path: Path) -> None:
    code = "from convert.models.freeze_process import _confine; from pathlib import Path; _confine(); "
    code += "Path('written').write_text('by the model')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": ""},
    )
    assert "File too large" in done.stderr
    assert (tmp_path / "written").stat().st_size == 0


def test_what_keras_wrote_is_json(saved: Path) -> None:
    """The check of configurations sees what Keras reads."""
    with zipfile.ZipFile(saved / "net.keras") as archive:
        check_config(json.loads(archive.read("config.json")))
