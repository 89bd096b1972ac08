from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.engine.base import only_output
from edge.engine.flatbuffer import readable
from edge.engine.litert import InterpreterEngine, _reached
from edge.engine.macs import macs
from edge.engine.open import default_threads, open_engine
from edge.engine.openvino import OpenVinoEngine
from edge.engine.operators import custom_operators
from edge.engine.partitions import Partitions, count_partitions
from edge.engine.runtimes import NAMES
from edge.errors import ModelError, RuntimeMissing, UsageError

Tiny = Callable[..., bytes]


def refusal(model: bytes, **options: Any) -> str:
    with pytest.raises(ModelError) as caught:
        open_engine(model, "x.tflite", **options)
    message = str(caught.value)
    assert message.startswith("x.tflite: ")
    assert "\n" not in message
    assert len(message) < 400
    return message


def test_tensors_come_with_shape_dtype_and_quantization(tiny_model: Tiny) -> None:
    engine = open_engine(tiny_model("int8", scale=1 / 127.5, zero_point=-1), "x")
    assert (engine.input.name, engine.input.shape, engine.input.dtype) == ("picture", (1, 9, 17, 3), np.dtype("int8"))
    assert engine.input.scale == pytest.approx(1 / 127.5)
    assert (engine.input.zero_point, engine.output.shape) == (-1, (1, 5, 9, 3))


def test_every_invoke_returns_an_array_of_its_own(tiny_model: Tiny) -> None:
    engine = open_engine(tiny_model(), "x")
    x = np.random.default_rng(0).random((1, 9, 17, 3)).astype(np.float32)
    first = engine.invoke(x)
    kept = first.copy()
    engine.invoke(np.zeros_like(x))
    assert np.array_equal(first, kept)
    assert np.allclose(first, x[:, ::2, ::2])


def test_an_output_whose_size_shows_only_when_it_runs(tiny_model: Tiny) -> None:
    assert open_engine(tiny_model(output="free"), "x").output.shape == (1, 5, 9, 3)


def test_an_output_that_no_operator_writes_is_refused(tiny_model: Tiny) -> None:
    assert "cannot read its output" in refusal(tiny_model(output="unwritten"))


def test_an_input_without_a_fixed_size_is_refused(tiny_model: Tiny) -> None:
    assert "no fixed size" in refusal(tiny_model(free_input=True))


@pytest.mark.parametrize("runtime", ["litert", "openvino"])
def test_names_that_are_no_text_are_escaped(runtime: str) -> None:
    """Runtimes load them, but what tells of tensors, operators and layers fails on them."""
    if runtime == "openvino":
        pytest.importorskip("openvino")
    small_models = pytest.importorskip("small_models")
    model = small_models.several(b"caf\xe9 \xff", b"\x1b[2J")
    engine = open_engine(model, "x", runtime=runtime, threads=1, choose=lambda *_: 0)
    assert [spec.name for spec in engine.outputs] == [r"caf\xe9 \xff", "?[2J"]
    assert engine.operators().total() >= 2
    x = np.ones((1, 9, 17, 3), np.float32)
    assert np.array_equal(engine.invoke(x), x)
    timer = engine.layer_timer(model, x)
    assert timer.operators
    if timer.prefix is not None:
        timer.prefix(2)()
        assert r"caf\xe9 \xff" in [operator.name for operator in timer.operators]


def test_names_in_signatures_and_operators_are_made_readable_too() -> None:
    small_models = pytest.importorskip("small_models")
    fine = small_models.several("a")
    assert readable(fine) is fine
    assert custom_operators(readable(small_models.custom(b"op\xfe"))) == {r"op\xfe"}
    assert readable(small_models.signed(b"in\xff", b"serve\xff")).count(rb"\xff") == 2


def test_a_model_for_an_edge_tpu_is_named() -> None:
    small_models = pytest.importorskip("small_models")
    for runtime in ("litert", "openvino"):
        message = refusal(small_models.custom("edgetpu-custom-op"), runtime=runtime)
        assert (
            "compiled for an Edge TPU; run it on one with `delegate` libedgetpu.so.1, or take the file that" in message
        )


def test_a_model_that_the_delegate_refuses_runs_without(tiny_model: Tiny) -> None:
    small_models = pytest.importorskip("small_models")
    engine = open_engine(small_models.refused_by_xnnpack(), "x", runtime="litert")
    assert "XNNPACK refuses it" in engine.notice
    assert engine.partitions() == Partitions(0, 1)
    x = np.full((1, 9, 17, 3), -128, np.int8)
    x[..., 1] = -127
    assert np.array_equal(engine.invoke(x).argmax(-1), np.ones((1, 9, 17)))
    timer = engine.layer_timer(small_models.refused_by_xnnpack(), x)
    assert timer.prefix is not None
    timer.prefix(1)()
    assert open_engine(tiny_model(), "x", runtime="litert").notice == ""


def test_two_outputs_are_refused_by_name(tiny_model: Tiny) -> None:
    assert "expected one output tensor, got 2 (scores, labels)" in refusal(tiny_model(output="both"))


@pytest.mark.parametrize("model", [b"", b"TFL3", b"\x1c\0\0\0TFL3", bytes(5000), b"not a model\n" * 99, b"\xff" * 999])
def test_garbage_is_refused(model: bytes) -> None:
    refusal(model)


def test_a_truncated_model_is_refused(tiny_model: Tiny) -> None:
    whole = tiny_model()
    for end in range(0, len(whole) - 8, 8):
        refusal(whole[:end])


@pytest.mark.parametrize("x", [np.zeros((1, 9, 16, 3), np.float32), np.zeros((1, 9, 17, 3), np.float64)])
def test_what_the_runtime_refuses_to_run_is_a_model_error(tiny_model: Tiny, x: np.ndarray) -> None:
    with pytest.raises(ModelError, match=r"x\.tflite: litert cannot run it"):
        open_engine(tiny_model(), "x.tflite").invoke(x)


CHILD = """
import resource, sys
import numpy as np
from edge.engine.open import open_engine
from edge.errors import ModelError
from edge.model_description import Told, describe
from edge.preprocess import DEEPLAB

used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (3 << 29), used + (3 << 29)))  # damaged sizes ask for more
whole = sys.stdin.buffer.read()
chance = np.random.default_rng(0)
refused = 0
for at in range(len(whole)):
    for value in (0, 255, int(chance.integers(256))):
        print(at, value, flush=True)
        data = bytearray(whole)
        data[at] = value
        try:
            engine = open_engine(bytes(data), "x", runtime="litert", threads=1)
            describe(engine.input, engine.outputs, 0, None, "x", Told(DEEPLAB))
        except ModelError:
            refused += 1
print("refused", refused)
"""


def test_no_damaged_byte_of_a_small_model_crashes_the_loader(tiny_model: Tiny) -> None:
    model = tiny_model("int8", scale=1 / 127.5, zero_point=-1)
    # A process of its own: a crash of native code takes no other test along.
    done = subprocess.run([sys.executable, "-c", CHILD], input=model, capture_output=True, check=False, timeout=300)
    last = done.stdout.decode().splitlines()[-1]
    assert done.returncode == 0, f"at byte and value {last}: {done.stderr.decode()[-2000:]}"
    assert int(last.removeprefix("refused ")) > 1000


def test_graphs_without_tensors_are_refused_before_the_runtime_crashes(tiny_model: Tiny) -> None:
    assert "no tensors" in refusal(tiny_model(output="nothing"))


def test_an_unknown_runtime_is_a_usage_error(tiny_model: Tiny) -> None:
    with pytest.raises(UsageError, match="expected one of auto, litert"):
        open_engine(tiny_model(), "x", runtime="onnx")


@pytest.mark.parametrize("threads", [-1, 0, 65, 10**9])
def test_absurd_numbers_of_threads_are_refused(tiny_model: Tiny, threads: int) -> None:
    with pytest.raises(UsageError, match="1 to 64 threads"):
        open_engine(tiny_model(), "x", threads=threads)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (3, 3), (64, 4)])
def test_threads_default_to_the_cores_but_four_at_most(
    tiny_model: Tiny, monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)
    assert default_threads() == threads
    assert open_engine(tiny_model(), "x").threads == threads
    assert open_engine(tiny_model(), "x", threads=2).threads == 2


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Exception]], None]:
    """Makes imports of runtimes fail."""
    real = importlib.import_module

    def install(failures: dict[str, Exception]) -> None:
        def import_module(name: str) -> Any:
            for part, failure in failures.items():
                if name.startswith(part):
                    raise failure
            return real(name)

        monkeypatch.setattr(importlib, "import_module", import_module)

    return install


def test_when_no_runtime_is_there_one_error_lists_every_reason_and_the_cure(
    tiny_model: Tiny, missing: Callable[[dict[str, Exception]], None]
) -> None:
    missing(
        {
            "ai_edge_litert": ImportError("libfoo.so:\n  not found"),
            "tflite_runtime": AttributeError("_ARRAY_API"),
            "tensorflow": TypeError("Descriptors cannot be created directly"),
            "openvino": ImportError("gone"),
        }
    )
    with pytest.raises(RuntimeMissing) as caught:
        open_engine(tiny_model(), "x")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("libfoo.so: not found", "_ARRAY_API", "Descriptors", "ai-edge-litert>=", *NAMES[1:5]):
        assert part in message


def test_auto_takes_the_next_runtime_and_says_which(
    tiny_model: Tiny, missing: Callable[[dict[str, Exception]], None]
) -> None:
    assert open_engine(tiny_model(), "x").runtime == "litert"
    module = importlib.import_module("ai_edge_litert.interpreter")
    missing({"ai_edge_litert": ImportError("gone")})
    sys.modules["tflite_runtime.interpreter"] = module
    try:
        assert open_engine(tiny_model(), "x").runtime == "tflite-runtime"
    finally:
        del sys.modules["tflite_runtime.interpreter"]


def test_a_runtime_asked_for_by_name_is_not_replaced(
    tiny_model: Tiny, missing: Callable[[dict[str, Exception]], None]
) -> None:
    missing({"ai_edge_litert": ImportError("gone")})
    with pytest.raises(RuntimeMissing, match="litert cannot be imported"):
        open_engine(tiny_model(), "x", runtime="litert")


def op(name: str, inputs: list[int], outputs: list[int]) -> dict[str, Any]:
    return {"op_name": name, "inputs": np.array(inputs), "outputs": np.array(outputs)}


CHAIN = [op("CONV_2D", [0, 9], [1]), op("RELU", [1], [2]), op("CONV_2D", [2, 8], [3]), op("ADD", [3, 1], [4])]


@pytest.mark.parametrize(
    ("ops", "expected"),
    [
        ([], Partitions(0, 0)),
        (CHAIN, Partitions(0, 4)),
        ([*CHAIN, op("TfLiteXNNPackDelegate", [0, 9, 8], [4])], Partitions(1, 0)),
        ([*CHAIN, op("DELEGATE", [0, 9], [1]), op("DELEGATE", [1, 2, 8], [4])], Partitions(2, 1)),
        ([*CHAIN, op("DELEGATE", [0, 9], [2, 1])], Partitions(1, 2)),
        ([op("A", [5], [0]), *CHAIN, op("B", [4], [6]), op("DELEGATE", [0, 9, 8], [4])], Partitions(1, 2)),
    ],
)
def test_partitions_are_counted_from_the_operators(ops: list[dict[str, Any]], expected: Partitions) -> None:
    assert count_partitions(ops) == expected


def test_weights_on_their_way_from_float16_are_no_outputs_of_a_prefix() -> None:
    unpacked = [op("DEQUANTIZE", [8], [9]), op("DEQUANTIZE", [18], [19])]
    assert _reached([*unpacked, op("CONV_2D", [0, 9], [1]), op("ADD", [1, 19], [2])], 0) == [1, 2]
    assert _reached(unpacked, 0) == []


def test_partitions_and_operators_of_a_model(tiny_model: Tiny) -> None:
    engine = open_engine(tiny_model(), "x")
    assert engine.operators() == Counter({"MAXIMUM": 1, "RESIZE_BILINEAR": 1, "ARG_MAX": 1})
    assert engine.partitions() == Partitions(1, 2)  # XNNPACK takes neither integer maxima nor argmax


def test_the_kits_own_models_are_one_partition(float_model: Path, int8_model: Path) -> None:
    for path in (float_model, int8_model):
        assert open_engine(path.read_bytes(), "x").partitions() == Partitions(1, 0)


def test_partitions_of_a_model_that_the_delegate_takes_in_parts(shared: Callable[[str], Path]) -> None:
    path = shared("models/coral_deeplab_slim_cityscapes_uint8.tflite")
    engine = open_engine(path.read_bytes(), "x", runtime="litert")
    found = engine.partitions()
    assert found.delegated >= 1
    assert 1 <= found.outside < 10
    assert engine.operators()["CONV_2D"] == 49


def test_openvino_reads_the_same_file(float_model: Path, int8_model: Path) -> None:
    pytest.importorskip("openvino")
    chance = np.random.default_rng(0)
    for path, least in ((float_model, 0.999), (int8_model, 0.95)):
        ours, theirs = (open_engine(path.read_bytes(), path.name, runtime=name) for name in ("litert", "openvino"))
        assert (theirs.input, theirs.output) == (ours.input, ours.output)
        x = chance.random(ours.input.shape).astype(np.float32) * 2 - 1
        if path == int8_model:
            x = np.round(x * 127).astype(np.int8)
        labels = [engine.invoke(x).argmax(-1) for engine in (ours, theirs)]
        assert np.mean(labels[0] == labels[1]) >= least
        # Both count from the file, each in its own way.
        assert isinstance(ours, InterpreterEngine)
        assert isinstance(theirs, OpenVinoEngine)
        assert ours.macs() == theirs.macs() > 10**7


def depthwise(folder: Path) -> bytes:
    """int8: one depthwise convolution, 40 channels from each colour, with scales of their own."""
    from convert.ranges import Range
    from convert.tensorflow import tf
    from convert.tflite.export import convert, quantized, save
    from convert.tflite.quantize import measure_ranges
    from convert.tflite.recipes import RECIPES

    chance = np.random.default_rng(0)
    kernel = tf.constant(chance.normal(size=(3, 3, 3, 40)) * np.arange(1, 121).reshape(3, 40), tf.float32)
    save(tf.function(lambda x: tf.nn.depthwise_conv2d(x, kernel, (1, 2, 2, 1), "SAME")), (17, 21), folder)
    model = convert(folder, RECIPES["float32"])
    picture = chance.uniform(-1, 1, (1, 17, 21, 3)).astype(np.float32)
    return quantized(model, measure_ranges(model, [picture], Range(-1.0, 1.0)), RECIPES["int8"])


@pytest.mark.tensorflow
def test_openvino_computes_depthwise_convolutions_as_litert_does(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    model = depthwise(tmp_path)
    x = np.random.default_rng(1).integers(-128, 128, (1, 17, 21, 3)).astype(np.int8)
    engines = [open_engine(model, name, runtime=name) for name in ("litert", "openvino")]
    ours, theirs = (engine.invoke(x).astype(int) for engine in engines)
    assert np.ptp(ours) > 200
    assert np.abs(ours - theirs).max() <= 1


def test_openvino_computes_int8_in_int8(int8_model: Path) -> None:
    """In float, which takes twice as long, where something stands between the weights and their convolution."""
    pytest.importorskip("openvino")
    engine = OpenVinoEngine(int8_model.read_bytes(), "x", "openvino", 1, only_output("x"), counters=True)
    engine.invoke(np.zeros(engine.input.shape, np.int8))
    kinds = [node.kind for node, _ in engine.counters()]
    kernels = {  # some kernels for AMX end in i8
        what: {kind.upper() for kind in kinds if kind.split()[0] == what}
        for what in ("Convolution", "GroupConvolution")
    }
    if not all(kernel.endswith("I8") for kernel in kernels["Convolution"]):
        pytest.skip("OpenVINO has no int8 convolutions for this processor")
    assert kernels["GroupConvolution"]
    assert all(kernel.endswith("I8") for kernel in kernels["GroupConvolution"])


INTERRUPTED = """
import gc, signal, sys
from edge.engine.open import open_engine

model = sys.stdin.buffer.read()
first, second = (open_engine(model, "x", runtime="openvino", threads=1) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_is_heard_when_openvino_models_are_gone(tiny_model: Tiny) -> None:
    """OpenVINO lends the process a stack for signal handlers. Freed memory is gone at once, so that a crash is sure."""
    pytest.importorskip("openvino")
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        input=tiny_model(),
        env={**os.environ, "MALLOC_MMAP_THRESHOLD_": "4096"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"interrupted\n"), done.stderr


def test_openvino_gives_a_new_array_and_refuses_a_wrong_one(tiny_model: Tiny) -> None:
    pytest.importorskip("openvino")
    engine = open_engine(tiny_model(), "x.tflite", runtime="openvino", threads=1)
    x = np.random.default_rng(0).random((1, 9, 17, 3)).astype(np.float32)
    first = engine.invoke(x)
    kept = first.copy()
    engine.invoke(np.zeros_like(x))
    assert np.array_equal(first, kept)
    assert np.allclose(first, x[:, ::2, ::2], atol=1e-6)
    with pytest.raises(ModelError, match=r"x\.tflite: openvino cannot run it"):
        engine.invoke(x[:, :4])


def changed(model: bytes, change: Callable[[Any], None]) -> bytes:
    """A model with its graph changed, as a damaged or hostile one has it."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    parsed = schema.ModelT.InitFromPackedBuf(model)
    change(parsed.subgraphs[0])
    builder = flatbuffers.Builder(len(model))
    builder.Finish(parsed.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda graph: graph.operators.clear(), r"cannot run it"),
        (lambda graph: setattr(graph.tensors[2], "shape", [1, 5, 8, 3]), r"\(1, 5, 9, 3\), not \(1, 5, 8, 3\)"),
    ],
    ids=["made by nobody", "another shape"],
)
def test_openvino_refuses_an_output_that_is_not_what_the_file_says(
    change: Callable[[Any], None], said: str, tiny_model: Tiny
) -> None:
    pytest.importorskip("openvino")
    engine = open_engine(changed(tiny_model(), change), "x.tflite", runtime="openvino", threads=1)
    with pytest.raises(ModelError, match=rf"^x\.tflite: openvino .*{said}"):
        engine.invoke(np.zeros((1, 9, 17, 3), np.float32))


@pytest.mark.parametrize("model", [b"", b"TFL3", bytes(5000), b"not a model\n" * 99])
def test_openvino_refuses_garbage_in_one_line(model: bytes) -> None:
    pytest.importorskip("openvino")
    refusal(model, runtime="openvino")


def test_openvino_refuses_open_sizes_and_two_outputs(tiny_model: Tiny) -> None:
    pytest.importorskip("openvino")
    assert "no fixed size" in refusal(tiny_model(free_input=True), runtime="openvino")
    assert "got 2 (scores, labels)" in refusal(tiny_model(output="both"), runtime="openvino")


def test_a_missing_openvino_says_how_to_install_it(
    tiny_model: Tiny, missing: Callable[[dict[str, Exception]], None]
) -> None:
    missing({"openvino": ImportError("No module named 'openvino'")})
    with pytest.raises(RuntimeMissing, match=r'pip install .*"openvino>='):
        open_engine(tiny_model(), "x", runtime="openvino-bf16")


@pytest.mark.parametrize(
    ("operator", "shapes", "expected"),
    [
        ("CONV_2D", [(1, 8, 9, 3), (16, 3, 3, 3), (16,), (1, 4, 5, 16)], 4 * 5 * 16 * 27),
        ("DEPTHWISE_CONV_2D", [(1, 8, 9, 6), (1, 3, 3, 6), (6,), (1, 8, 9, 6)], 8 * 9 * 6 * 9),
        ("FULLY_CONNECTED", [(2, 30), (10, 30), (10,), (2, 10)], 2 * 10 * 30),
        ("TRANSPOSE_CONV", [(4,), (8, 2, 2, 3), (1, 5, 5, 3), (1, 10, 10, 8)], 5 * 5 * 3 * 8 * 4),
        ("ADD", [(1, 8), (1, 8), (1, 8), (1, 8)], 0),
    ],
)
def test_multiply_accumulates(operator: str, shapes: list[tuple[int, ...]], expected: int) -> None:
    found = {"op_name": operator, "inputs": np.array([0, 1, 2]), "outputs": np.array([3])}
    assert macs(found, dict(enumerate(shapes))) == expected
