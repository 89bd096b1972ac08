"""One invoke of the same network in the kit's files and runtimes and in its peers, in turns in one run.

MobileNetV2 of the official layout with random weights, 513x1025, output stride 16: peers get the kit's float32 network
by way of ONNX, and onnxruntime quantizes it itself (static, per channel). Needs `pip install -r
benchmarks/requirements-peers.txt`; what is not installed is left out, and said. tflite-runtime runs the kit's files in
an interpreter of its own, and times itself there.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from elsewhere import Elsewhere, tflite_ways
from networks import MOBILENET, files
from scoreboard import aimed, benchmark, row, say

from edge.engine.open import open_engine
from edge.errors import ModelError, RuntimeMissing
from edge.text import reason

Way = Callable[[], object] | Elsewhere
HW = (513, 1025)
BEST = 1.0  # the kit's best way may take so many times as long as the best peer


def kit_ways(files: dict[str, Path], threads: int) -> dict[str, Way]:
    ways: dict[str, Way] = {}
    random = np.random.default_rng(0)
    for recipe, runtime in (
        ("int8", "litert"),
        ("float32", "litert"),
        ("int8", "openvino"),
        ("float32", "openvino"),
        ("float32", "openvino-bf16"),
    ):
        try:
            engine = open_engine(files[recipe].read_bytes(), recipe, runtime=runtime, threads=threads)
        except (RuntimeMissing, ModelError) as exc:  # bf16, where instructions are left out
            say(f"kit {recipe} on {runtime}: {exc}")
            continue
        most = 1 if engine.input.dtype == np.float32 else 127
        x = random.uniform(-most, most, engine.input.shape).astype(engine.input.dtype)
        ways[f"kit {recipe}, {runtime}"] = lambda engine=engine, x=x: engine.invoke(x)
    return ways


def onnx_files(network: Path, folder: Path) -> dict[str, Path]:
    """The float32 network as ONNX, and onnxruntime's own int8 of it."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    plain, ready, int8 = (folder / f"{name}.onnx" for name in ("float32", "ready", "int8"))
    command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", network, "--output", plain, "--opset", "17"]
    subprocess.run(command, check=True, capture_output=True)
    quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)

    class Pictures(CalibrationDataReader):
        def __init__(self) -> None:
            random = np.random.default_rng(1)
            shape = (1, *HW, 3)
            self.left = [random.uniform(-1, 1, shape).astype(np.float32) for _ in range(4)]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return {"serving_default_image:0": self.left.pop()} if self.left else None

    quantize_static(str(ready), str(int8), Pictures(), quant_format=QuantFormat.QDQ, per_channel=True)
    return {"float32": plain, "int8": int8}


def peer_ways(network: Path, folder: Path, threads: int) -> dict[str, Way]:
    missing = [name for name in ("onnx", "onnxruntime", "tf2onnx") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"without {', '.join(missing)}: pip install -r benchmarks/requirements-peers.txt")
        return {}
    import onnxruntime

    ways: dict[str, Way] = {}
    files = onnx_files(network, folder)
    x = np.random.default_rng(0).uniform(-1, 1, (1, *HW, 3)).astype(np.float32)
    for name, path in files.items():
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        ways[f"onnxruntime {name}"] = lambda session=session: session.run(None, {session.get_inputs()[0].name: x})
    if importlib.util.find_spec("openvino") is not None:
        import openvino

        for name, path, precision in (
            ("float32", "float32", "f32"),
            ("bf16", "float32", "bf16"),
            ("int8", "int8", "f32"),
        ):
            hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
            hints["INFERENCE_PRECISION_HINT"] = precision
            try:
                request = openvino.Core().compile_model(str(files[path]), "CPU", hints).create_infer_request()
            except RuntimeError as exc:  # bf16, where instructions are left out
                say(f"OpenVINO {name}: {reason(exc)}")
                continue
            ways[f"OpenVINO {name}, from ONNX"] = lambda request=request: request.infer({0: x})
    return ways


def measure(ways: dict[str, Way], rounds: int) -> dict[str, list[float]]:
    """Seconds per invoke: each round's median of five, the ways taking turns in rotated order."""
    for way in ways.values():
        seconds(way, 3)
    found: dict[str, list[float]] = {name: [] for name in ways}
    names = list(ways)
    for turn in range(rounds):
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(float(np.median(seconds(ways[name], 5))))
    return found


def seconds(way: Way, runs: int) -> list[float]:
    if isinstance(way, Elsewhere):
        return way.seconds(runs)
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        way()
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    title = "One invoke, MobileNetV2 513x1025, stride 16"
    with benchmark("invoke", title, "the kit's best takes so many times as long") as entry, ExitStack() as stack:
        entry.about = (
            f"{options.threads} threads; medians of five invokes a round. Peers got the kit's float32 network by way "
            "of ONNX, onnxruntime quantized it for all int8 peers; tflite-runtime ran the kit's own files. The kit's "
            "best is what `--runtime fastest` is to take, by time alone."
        )
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = files(MOBILENET, HW, 16, "float32,int8")
        kit = kit_ways(made, options.threads)
        peers = peer_ways(made["float32"], folder, options.threads)
        peers |= tflite_ways(made, options.threads, HW, stack)
        say(f"{options.rounds} rounds of {len(kit) + len(peers)} ways")
        found = {way: [s * 1e3 for s in times] for way, times in measure(kit | peers, options.rounds).items()}
        ordered = sorted(found, key=lambda way: float(np.median(found[way])))
        base = found[next(way for way in ordered if way in kit)]
        best_peer = next((way for way in ordered if way in peers), None)
        for way in ordered:
            made_row = row(way, found[way], base=base)
            entry.rows.append(aimed(made_row, at_most=BEST, of="ratio") if way == best_peer else made_row)


if __name__ == "__main__":
    main()
