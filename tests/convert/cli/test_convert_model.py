from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import nets
import pytest
from rich.console import Console

from convert import conversion
from convert.cli.convert_model import main
from convert.cli.convert_table import class_table, spreads, table
from convert.cli.inspect_model import main as inspect_main
from convert.conversion import Outcome
from convert.models.load import FrozenGraph
from convert.provenance import read_provenance
from convert.tensorflow import tf
from convert.tflite.recipes import RECIPES
from convert.verdict import Verdict
from edge import card as cards
from edge.engine.open import open_engine
from edge.preprocess import Normalisation
from edge.segmenter import Segmenter, read_model

pytestmark = pytest.mark.tensorflow

CONVERT = [sys.executable, "-c", "import sys; from convert.cli.convert_model import main; sys.exit(main())"]
SMALL = ["--input-size", "65x129", "--calibration-frames", "4", "--verification-frames", "2"]


@pytest.fixture(scope="module")
def graph(random_graph: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "net.pb"
    path.write_bytes(random_graph)
    return path


def only_line(text: str) -> str:
    assert "Traceback" not in text
    lines = [line for line in text.splitlines() if line.startswith("convert-model: ")]
    assert len(lines) == 1
    return lines[0]


def test_every_recipe_in_one_run(
    graph: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(graph), "--quantize", "float32,float16,dynamic,int8", "--min-agreement", "0", "--json"]
    assert main([*arguments, *SMALL, "--calibrate", str(pictures), "--output", str(tmp_path / "new")]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["recipe"] for row in rows] == ["float32", "float16", "dynamic", "int8"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(
        f"net-65x129-os16-{recipe}.tflite" for recipe in ("float32", "float16", "dynamic", "int8")
    )
    assert rows[0]["fidelity"] > 0.999
    for row in rows:
        path = Path(row["file"])
        assert row["size_bytes"] == path.stat().st_size
        assert {"fidelity", "worst_frame", "shrinking"} <= set(row)
        assert row["invoke_ms"] > 0
        card = cards.read(read_model(path), path.name)
        assert card is not None
        assert (card.recipe, card.input_hw, card.output_stride) == (row["recipe"], (65, 129), 16)
        assert card.provenance["verification"]["fidelity"] == row["fidelity"]
        assert "invoke_ms" not in card.provenance["verification"], "it would tell of the machine that converts"
    sizes = [row["size_bytes"] for row in rows]
    assert sizes[0] > sizes[1] > sizes[3]
    assert main([*arguments, *SMALL, "--calibrate", str(pictures), "--input-size", "64x128"]) == 2
    assert "65x129" in only_line(capsys.readouterr().err)


def test_int8_takes_the_dtype_that_is_asked_for_under_a_name_of_its_own(
    graph: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(graph), "--quantize", "float32,int8", "--min-agreement", "0", "--input-type", "uint8"]
    assert main([*arguments, *SMALL, "--calibrate", str(pictures), "--output", str(tmp_path), "--json"]) == 0
    files = [Path(row["file"]) for row in json.loads(capsys.readouterr().out)]
    assert [path.name for path in files] == ["net-65x129-os16-float32.tflite", "net-65x129-os16-int8-in-uint8.tflite"]
    assert [open_engine(path.read_bytes(), "x").input.dtype.name for path in files] == ["float32", "uint8"]


def test_tables_break_no_word_on_a_terminal_of_80_columns() -> None:
    """The largest figures that come up: Xception in float32, below its gate."""
    verdict = Verdict(8, 0.9999, 0.9999, "", 0.9999, {"traffic light": 0.9999}, shrinking=0.9999, mean_iou=0.9999)
    made = [
        Outcome(recipe, Path("x"), 164_000_000, 1234.5, verdict, limit, None, invoke_ms=1234.5)
        for recipe in RECIPES.values()
        for limit in (0.99, 1.0)
    ]
    shown = Console(width=80, file=StringIO())
    with shown.capture() as captured:
        shown.print(table(made))
        shown.print(class_table(made[::2]))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in captured.get()
    for words in ("fidelity", "objects", "164.00", "1234.5 ms", "1234.5 s", ">= 0.99", "failed", "traffic light"):
        assert any(words in line for line in lines), words


def test_each_miou_names_its_frames() -> None:
    verdict = Verdict(8, 1.0, 1.0, mean_iou=0.49, retargeted_mean_iou=0.5, stock_mean_iou=0.6)
    shown = Console(width=80, file=StringIO())
    with shown.capture() as captured:
        shown.print(table([Outcome(RECIPES["float32"], Path("x"), 1, 1.0, verdict, 0.95, None)]))
    said = " ".join(captured.get().split())
    assert "mIoU: against the truth of these 8 frames alone; on them the network's own is 0.6000" in said


def test_how_sure_a_fidelity_is_is_said_below_the_table() -> None:
    verdicts = {"float32": Verdict(8, 0.999, 0.998, best_frame=1.0), "int8": Verdict(8, 0.97, 0.961, best_frame=0.98)}
    made = [Outcome(RECIPES[name], Path("x"), 1, 1.0, verdict, 0.95, None) for name, verdict in verdicts.items()]
    assert spreads(made) == [
        "Fidelity of single frames: float32 0.9980 to 1.0000, int8 0.9610 to 0.9800. Of further frames like these, 78% "
        "are expected to lie between."
    ]
    alone = replace(made[0], verdict=Verdict(1, 0.97, 0.97, best_frame=0.97))
    assert spreads([alone]) == ["How sure this is cannot be told from one frame."]


def test_card_names_the_frames_it_was_calibrated_on(int8_model: Path) -> None:
    with zipfile.ZipFile(int8_model) as archive:
        document = json.loads(archive.read("roadlite-card.json"))
        assert archive.read("labels.txt").decode().split("\n")[0] == "road"
    calibration = document["provenance"]["calibration"]["frames"]
    held_out = document["provenance"]["verification"]["held_out"]
    assert sum(map(len, calibration.values())) == 8
    for source, indexes in held_out.items():
        assert not set(indexes) & set(calibration.get(source, []))
        assert os.sep not in source
    assert len(document["provenance"]["source"]["sha256"]) == 64


def test_card_and_notices_say_what_is_unusual_about_a_graph(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = nets.net((32, 48), 16)
    for node in [n for n in graph.node if n.op == "ResizeBilinear"]:
        node.attr["align_corners"].b, node.attr["half_pixel_centers"].b = False, True
    nets.entrance(graph, [1, 32, 48, 3], tf.float32, lambda x: x)
    path = tmp_path / "odd.pb"
    path.write_bytes(graph.SerializeToString())
    arguments = [str(path), "--quantize", "float32", "--input-size", "32x48", "--normalise", "unit"]
    assert (
        main([*arguments, "--calibrate", str(pictures), "--verification-frames", "2", "--output", str(tmp_path)]) == 0
    )
    said = capsys.readouterr().err
    assert "odd: picture takes normalised pictures and does not say how: (pixel - 0) / 255 is taken" in said
    assert "odd: it enlarges scores by the rule half_pixel_centers" in said
    card = Segmenter(tmp_path / "odd-32x48-os16-float32.tflite").card
    assert (card.upsampling, card.norm, card.input_hw) == ("half_pixel_centers", Normalisation(0.0, 255.0), (32, 48))
    verdict = read_provenance(card).verdict
    assert verdict.fidelity >= 0.999
    assert verdict.shrinking >= 0.999


def test_below_the_gate_nothing_is_written(
    graph: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A deep network with random weights does not survive int8: just the case the gate is for."""
    arguments = [str(graph), "--quantize", "int8,float32", *SMALL, "--calibrate", str(pictures)]
    assert main([*arguments, "--min-agreement", "0.999", "--rescue-seconds", "4", "--output", str(tmp_path)]) == 3
    line = only_line(capsys.readouterr().err)
    assert "int8 0." in line
    assert "the layers that cost int8 most, each quantized alone: " in line
    assert "(0." in line, "the share of pixels that each layer costs"
    assert [p.name for p in tmp_path.iterdir()] == ["net-65x129-os16-float32.tflite"]


def hostile(kind: str, folder: Path, graph: Path) -> Path:
    path = folder / f"{kind}.pb"
    if kind == "text":
        path.write_text("this is no graph\n" * 100)
    elif kind == "cut":
        path.write_bytes(graph.read_bytes()[:-1000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no-graph-inside":
        path = folder / "no-graph.tar.gz"
        with tarfile.open(path, "w:gz") as archive:
            archive.add(graph, "../net.index")
    return path


@pytest.mark.parametrize("kind", ["missing", "text", "cut", "empty", "no-graph-inside"])
def test_what_is_no_graph_is_one_line(
    kind: str, graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, out = hostile(kind, tmp_path, graph), tmp_path / "out"
    assert main([str(path), *SMALL, "--output", str(out)]) == 1
    assert path.name.split(".")[0] in only_line(capsys.readouterr().err)
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_graph_of_a_training_run_that_diverged_is_one_line(
    value: float, random_graph: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoilt = nets.parse(random_graph, "net.pb")
    nets.set_constant(spoilt, "logits/semantic/biases", [value] + [0.0] * 18)
    path = tmp_path / "net.pb"
    path.write_bytes(spoilt.SerializeToString())
    assert main([str(path), *SMALL, "--output", str(tmp_path / "out")]) == 1
    said = only_line(capsys.readouterr().err).removeprefix("convert-model: ")
    assert said.startswith("net: node logits/semantic/biases: 1 of 19 values is not finite")
    assert "export an earlier checkpoint" in said
    assert list((tmp_path / "out").iterdir()) == []
    assert inspect_main([str(path)]) == 1
    shown = capsys.readouterr()
    assert shown.err == f"inspect-model: {said}\n"
    assert "net" in shown.out  # what there is in the graph is shown nevertheless


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--quantize", "int4"], 2, "int4"),
        (["--input-size", "big"], 2, "HEIGHTxWIDTH"),
        (["--min-agreement", "2"], 2, "0 to 1"),
        (["--max-class-drop", "2"], 2, "--max-class-drop: expected 0 to 1, got 2.0"),
        (["--max-class-drop", "nan"], 2, "--max-class-drop: expected 0 to 1, got nan"),
        (["--max-class-drop", "0.1", "--calibrate", "drive.mp4"], 2, "--max-class-drop: needs frames with labels"),
        (["--classes", "voc"], 2, "19 classes"),
        (["--labels", "nobody"], 2, "nobody"),
        (["--calibrate", "nowhere/"], 1, "nowhere"),
        (["--calibration-frames", "0"], 2, "calibration"),
        (["--output-stride", "4"], 2, "output-stride"),
        (["--input-type", "int16"], 2, "invalid choice: 'int16'"),
        (["--quantize", "float32", "--input-type", "uint8"], 2, "--input-type: only int8 models have"),
        (["--quantize", "float32", "--output-type", "uint8"], 2, "--output-type: only int8 models have"),
        (["inception"], 2, "inception"),
        (["--output", "/dev/null/x"], 1, "/dev/null"),
    ],
)
def test_bad_options_are_one_line(
    arguments: list[str],
    code: int,
    words: str,
    graph: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([str(graph), *SMALL, *arguments]) == code
    assert words in only_line(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_does_not_hide_the_rows_of_what_is_written(
    random_graph: bytes,
    pictures: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graphs = [tmp_path / "a.pb", tmp_path / "b.pb"]
    for path in graphs:
        path.write_bytes(random_graph)

    def run(frozen: FrozenGraph, *rest: Any) -> list[conversion.Outcome]:
        if frozen.name == "b":
            raise KeyboardInterrupt
        return whole(frozen, *rest)

    whole = conversion.run
    monkeypatch.setattr(conversion, "run", run)
    arguments = [*map(str, graphs), "--quantize", "float32", "--json", "--calibrate", str(pictures)]
    assert main([*arguments, *SMALL, "--output", str(tmp_path / "out")]) == 130
    captured = capsys.readouterr()
    (row,) = json.loads(captured.out)
    assert Path(row["file"]).stat().st_size == row["size_bytes"]
    assert only_line(captured.err) == "convert-model: interrupted"


def test_interrupt_leaves_nothing_behind(graph: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    arguments = [str(graph), "--quantize", "float32,int8", "--input-size", "257x513", "--calibrate"]
    process = subprocess.Popen(
        [*CONVERT, *arguments, str(pictures), "--min-agreement", "0", "--output", str(tmp_path / "out")],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
    )
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        if line.startswith("asking the frozen graph"):  # seconds before the end
            break
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert only_line(rest) == "convert-model: interrupted"
    assert list((tmp_path / "out").iterdir()) == []
    assert list((tmp_path / "tmp").iterdir()) == []


def test_noise_does_not_reach_the_user(graph: Path, pictures: Path, tmp_path: Path) -> None:
    arguments = [str(graph), "--quantize", "int8", *SMALL, "--calibrate", str(pictures)]
    done = subprocess.run(
        [*CONVERT, *arguments, "--min-agreement", "0", "--output", str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0"},  # some have it off; without it nothing atrous would run
    )
    for noise in ("oneDNN", "WARNING", "Warning", "cuda", "fully_quantize", "XNNPACK", "I0000", "W0000"):
        assert noise not in done.stderr + done.stdout
    assert "fidelity" in done.stdout


def test_real_voc_model(shared: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The official MobileNetV2 with its real weights, float32 and int8, calibrated on real frames."""
    model = shared("models/deeplab_mnv2_voc21_513x513.pb")
    arguments = [str(model), "--quantize", "float32,int8", "--input-size", "513x513", "--json"]
    video = shared("video/solidWhiteRight.mp4")
    frames = ["--calibrate", str(video), "--calibration-frames", "16", "--verification-frames", "6"]
    assert main([*arguments, *frames, "--output-stride", "keep", "--output", str(tmp_path)]) == 0
    float32, int8 = json.loads(capsys.readouterr().out)
    assert float32["fidelity"] >= 0.99
    assert float32["shrinking"] >= 0.999, "at its own size and stride the stock graph is what is compared with"
    assert int8["fidelity"] >= 0.98
    segmenter = Segmenter(int8["file"])
    assert segmenter.card.classes.names[15] == "person"

    from edge.cli.run_model import main as run_model

    stats = tmp_path / "stats.json"
    assert run_model([int8["file"], "--source", str(video), "--output", "null", "--stats", str(stats)]) == 0
    assert json.loads(stats.read_text())["frames"] == 221


def test_with_nothing_but_int8_the_demo_steps_in_loudly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No network: the official model cannot be had, and what is made instead is named so."""
    monkeypatch.setenv("ROADLITE_MODELS_URL", "https://127.0.0.1:9/")
    monkeypatch.setenv("ROADLITE_CACHE", str(tmp_path / "cache"))
    out = tmp_path / "out"
    assert main(["--quantize", "int8", *SMALL, "--output", str(out), "--json"]) == 0
    captured = capsys.readouterr()
    assert [p.name for p in out.iterdir()] == ["demo-65x129-os16-int8.tflite"]
    assert "not the official model" in captured.err
    assert 0 < json.loads(captured.out)[0]["mean_iou"] <= 1
    assert main(["mobilenetv2", *SMALL, "--output", str(out)]) == 1, "named, it never falls back"


def test_a_graph_named_like_a_model_is_not_replaced(
    graph: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "demo-33x65-os16-int8.tflite"
    named.write_bytes(graph.read_bytes())
    assert main([str(named), "--quantize", "float32", "--output", str(tmp_path)]) == 2
    assert "would write over" in capsys.readouterr().err
    assert named.read_bytes() == graph.read_bytes()
