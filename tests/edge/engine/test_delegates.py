"""External delegates, with a real library that is built here."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from edge.cli.compare_models import main as compare_models
from edge.cli.run_model import main as run_model
from edge.controls import Controls, RunDescription
from edge.device.cooling import Heat
from edge.engine.delegates import Delegate, parse_delegate
from edge.engine.open import open_engine
from edge.engine.runtimes import INTERPRETERS
from edge.errors import DelegateError, ModelError, UsageError
from edge.segmenter import Segmenter
from edge.sources.options import SourceHealth
from edge.status import Status
from edge.timing import Timing
from edge.trial import try_out

small_models = pytest.importorskip("small_models")

HW = small_models.HW
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip("needs a C compiler, to build a delegate: apt install gcc")
    made: Path = tmp_path_factory.mktemp("delegate") / "libtest_delegate.so"
    source = Path(__file__).with_name("delegate.c")
    subprocess.run([COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", "-o", made, source], check=True)
    return made


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MAXIMUM of the picture with itself, then scores at 5x9."""
    graph = small_models.Graph()
    picture, same = (graph.tensor(name, (1, *HW, 3), "uint8", scale=1 / 255) for name in ("picture", "same"))
    size = graph.constant(np.array([5, 9], np.int32))
    scores = graph.tensor("scores", (1, 5, 9, 3), "uint8", scale=1 / 255)
    graph.operator("MAXIMUM", [picture, picture], [same], "MaximumMinimumOptions")
    graph.operator("RESIZE_BILINEAR", [same, size], [scores], "ResizeBilinearOptions", alignCorners=True)
    path: Path = tmp_path_factory.mktemp("model") / "maximum.tflite"
    path.write_bytes(graph.packed([picture], [scores]))
    return path


def delegate(library: Path, mode: str) -> Delegate:
    return Delegate(str(library), (("mode", mode),))


def installed(runtime: str) -> bool:
    try:
        __import__(INTERPRETERS[runtime].module)
    except ImportError:
        return False
    return True


RUNTIMES = [pytest.param(name, marks=pytest.mark.tensorflow if name == "tensorflow" else []) for name in INTERPRETERS]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_delegate_runs_what_it_takes(library: Path, model: Path, runtime: str) -> None:
    if not installed(runtime):
        pytest.skip(f"needs {runtime}")
    data, x = model.read_bytes(), np.random.default_rng(1).integers(0, 256, (1, *HW, 3), np.uint8)
    plain = open_engine(data, "m", runtime=runtime)
    engine = open_engine(data, "m", runtime=runtime, delegate=delegate(library, "takes"))
    assert (engine.delegate, engine.delegate_operators, engine.notice) == ("libtest_delegate.so", 1, "")
    assert (plain.delegate, plain.delegate_operators) == ("", 0)
    assert np.array_equal(engine.invoke(x), plain.invoke(x))
    assert engine.partitions().delegated >= 1
    assert engine.operators() == plain.operators()
    assert next(operator.delegated for operator in engine.listed())  # type: ignore[attr-defined]


def test_a_delegate_that_takes_nothing_leaves_all_to_the_cpu_and_that_is_said(library: Path, model: Path) -> None:
    segmenter = Segmenter(model, delegate=delegate(library, "nothing"), trial=True)
    assert segmenter.engine.delegate_operators == 0
    told = "the delegate libtest_delegate.so takes none of its 2 operators; the CPU runs them"
    assert told in segmenter.assumed


FAULTS = {
    "no-device": r"does not start with mode=no-device \(no such device\)",
    "refuses": r"refuses it \(this model has too many cats\)",
    "crashes": r"crashes \(SIGABRT\)",
    "fails-later": "loads it and does not run it",
}


@pytest.mark.parametrize("mode", FAULTS)
def test_a_delegate_that_does_not_run_a_model_is_told_and_replaced_only_where_that_is_allowed(
    library: Path, model: Path, mode: str
) -> None:
    broken = delegate(library, mode)
    with pytest.raises(DelegateError, match=FAULTS[mode]) as caught:
        Segmenter(model, delegate=broken, trial=True)
    assert "libtest_delegate.so" in str(caught.value)
    instead = Segmenter(model, delegate=broken, trial=True, delegate_fallback=True)
    assert instead.engine.delegate == ""
    (told,) = (text for text in instead.assumed if "libtest_delegate.so" in text)
    assert told.endswith("; the CPU runs it instead")
    assert instead(np.zeros((20, 30, 3), np.uint8)).ids.shape == (20, 30)


def test_a_damaged_model_is_not_the_delegates_fault(library: Path) -> None:
    for mode in ("takes", "nothing"):
        with pytest.raises(ModelError, match=r"cannot load it as a \.tflite") as caught:
            open_engine(small_models.strongest_colour()[:400], "m", delegate=delegate(library, mode))
        assert not isinstance(caught.value, DelegateError)


def test_what_is_no_delegate_is_refused(tmp_path: Path, model: Path) -> None:
    text = tmp_path / "libtext.so"
    text.write_text("no library")
    for name, why in (("libnowhere.so.1", "cannot be loaded"), (str(text), "cannot be loaded")):
        with pytest.raises(DelegateError, match=why):
            open_engine(model.read_bytes(), "m", delegate=Delegate(name))
    with pytest.raises(DelegateError, match="no TensorFlow Lite delegate: it has no tflite_plugin_create_delegate"):
        open_engine(model.read_bytes(), "m", delegate=Delegate("libc.so.6"))


def test_openvino_takes_no_delegates(model: Path) -> None:
    with pytest.raises(UsageError, match="openvino takes no delegates, expected one of litert"):
        open_engine(model.read_bytes(), "m", runtime="openvino", delegate=Delegate("libx.so"))


def test_a_trial_with_a_delegate_is_not_remembered(library: Path, model: Path, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROADLITE_CACHE", str(tmp_path))
        try_out(model.read_bytes(), "m", delegate=delegate(library, "takes"))
        assert not list(tmp_path.iterdir())


def test_delegates_are_spelt_with_their_options() -> None:
    made = parse_delegate("/usr/lib/libedgetpu.so.1, device = usb:0 ,verbose=")
    assert made == Delegate("/usr/lib/libedgetpu.so.1", (("device", "usb:0"), ("verbose", "")))
    assert parse_delegate(str(made)) == made
    several = parse_delegate("libarmnn.so,backends=GpuAcc,CpuAcc,level=info")
    assert several.options == (("backends", "GpuAcc,CpuAcc"), ("level", "info"))
    assert parse_delegate(str(several)) == several
    assert made.name == "libedgetpu.so.1"
    for wrong in ("", ",a=b", "lib.so,device", "lib.so,=usb", "lib.so,", "lib.so,a=b,"):
        with pytest.raises(UsageError, match=r"expected LIBRARY or LIBRARY,key=value"):
            parse_delegate(wrong)


def run(model: Path, library: Path, mode: str, *more: str) -> int:
    words = [
        str(model),
        "--source",
        "demo",
        "--limit",
        "1",
        "--output",
        "null",
    ]
    return run_model([*words, "--delegate", f"{library},mode={mode}", *more])


def test_run_model_shows_the_delegate(library: Path, model: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(model, library, "takes", "--stats", "-") == 0
    out, err = capfd.readouterr()
    assert "on litert with libtest_delegate.so," in err
    stats = json.loads(out)
    assert (stats["delegate"], stats["delegate_operators"]) == ("libtest_delegate.so", 1)


@pytest.mark.parametrize(
    ("operators", "shown"), [(12, "x.so 12 operators"), (1, "x.so 1 operator"), (0, "x.so takes nothing")]
)
def test_the_picture_says_what_the_delegate_takes(operators: int, shown: str) -> None:
    with closing(Heat(None)) as heat:
        lines = [
            Status(
                RunDescription("0.1.0", "m.tflite", "litert", 2, "camera", *delegate),
                Timing(),
                SourceHealth(),
                Controls(),
                heat,
            ).line()
            for delegate in (("x.so", operators), ())
        ]
    assert shown in lines[0].split("   ")
    assert "x.so" not in lines[1]


def test_run_model_ends_with_a_sentence_or_goes_on_without(
    library: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(model, library, "crashes") == 1
    (line,) = capfd.readouterr().err.strip().splitlines()
    assert line.endswith("crashes (SIGABRT); run it without, or let the CPU take over with --delegate-fallback")
    assert run(model, library, "crashes", "--delegate-fallback") == 0
    assert "crashes (SIGABRT); the CPU runs it instead" in capfd.readouterr().err
    assert run(model, library, "takes", "--runtime", "fastest") == 2


def test_compare_models_has_a_row_for_each_delegate(
    library: Path, model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [str(model), "--seconds", "0.01", "--min-runs", "2"]
    for mode in ("none", "takes", "crashes"):
        words += ["--delegate", mode if mode == "none" else f"{library},mode={mode}"]
    assert compare_models([*words, "--cool-down", "0", "--output", str(tmp_path)]) == 3
    out, err = capfd.readouterr()
    assert "2 maximum.tflite with libtest_delegate.so, which runs 1 operator\n" in out
    assert "its process died (SIGABRT)" in err
    plain, taken, crashed = json.loads((tmp_path / "report.json").read_text())["rows"]
    assert (plain["delegate"], plain["delegate_operators"]) == ("", 0)
    assert (taken["delegate"], taken["delegate_operators"]) == ("libtest_delegate.so", 1)
    assert [row["name"].split(" ", 1)[1] for row in (plain, taken)] == ["CPU", "libtest_delegate.so (1)"]
    assert "SIGABRT" in crashed["error"]
    assert ", libtest_delegate.so" in (tmp_path / "report.md").read_text()
