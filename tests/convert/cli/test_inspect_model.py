from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import nets
import pytest
import small_models

from convert.cli.inspect_model import main
from convert.tensorflow import tf

pytestmark = pytest.mark.tensorflow


def inspect(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, object]]:
    assert main([str(path), "--json"]) == 0
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_tflite(int8_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspect(int8_model, capsys)
    assert found["model"]["recipe"] == "int8"
    assert "int8 1x65x129x3" in str(found["tensors"]["input"])
    assert found["operators"]["DEPTHWISE_CONV_2D"] == 17
    assert found["delegate (litert)"] == {"partitions": 1, "operators outside": 0}
    assert found["source"]["output_stride"] == 8
    assert main([str(int8_model)]) == 0
    text = capsys.readouterr().out
    assert "road, sidewalk, building" in " ".join(text.split())
    assert str(found["source"]["sha256"])[:20] in text


def test_what_an_edge_tpu_makes_of_it(
    int8_model: Path, float_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(int8_model), "--for", "edgetpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["for an Edge TPU"]
    assert found["fits"]
    assert "faults" not in found
    assert main([str(float_model), "--for", "edgetpu"]) == 3
    out, err = capsys.readouterr()
    assert "is float32, expected int8 or uint8: make an int8 file" in " ".join(out.split())
    assert err.strip().endswith("does not fit an Edge TPU: 3 faults")
    assert main([str(tmp_path / "graph.pb"), "--for", "edgetpu"]) == 2
    assert "--for, --delegate: expected a .tflite, got graph.pb" in capsys.readouterr().err


def test_a_file_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(small_models.strongest_colour(output="both"))
    found = inspect(path, capsys)
    assert found["tensors"]["output"] == "scores float32 1x5x9x3"
    assert found["tensors"]["not read"] == "labels int64 1x5x9"
    assert "--output-tensor names another" in str(found["model"]["assumed"])
    assert main([str(path), "--output-tensor", "labels", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model"]["output"] == "labels"


def test_a_name_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(small_models.several(b"caf\xe9 \xff"))
    assert inspect(path, capsys)["tensors"]["output"] == r"caf\xe9 \xff float32 1x9x17x3"


def test_names_that_would_steer_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(small_models.channels_first(name="s\x1b[2J\nEVIL [/b]"))
    assert main([str(path), "--for", "edgetpu"]) == 3
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "EVIL [/b]" in " ".join(out.split())


def test_a_file_that_crashes_its_runtime(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "own.tflite"
    path.write_bytes(small_models.crashing())
    assert main([str(path)]) == 1
    assert "inspect-model: own.tflite: this model crashes its runtime (SIGABRT)" in capsys.readouterr().err


def test_graph(random_graph: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.pb"
    path.write_bytes(random_graph)
    parts = inspect(path, capsys)["parts"]
    assert parts["baked input"] == "129x257"
    assert parts["output stride"] == 8
    assert parts["classes"] == 19
    assert parts["normalisation"] == "(pixel - 127.5) / 127.5"


def test_stock_mobilenet_costs_what_is_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from convert.networks.architecture import Architecture, initial_weights
    from convert.networks.mobilenet import build

    arch = Architecture(crop_hw=(1025, 2049), output_stride=8)
    path = tmp_path / "net.pb"
    path.write_bytes(build(arch, initial_weights(arch, 0)).SerializeToString())
    found = inspect(path, capsys)
    assert found["stock network"] == {
        "input": "1025x2049",
        "output stride": "8",
        "atrous rates": "2 (7 convolutions), 4 (3 convolutions)",
        "multiply-accumulates": "69.3 G",
    }
    assert found["re-targeted network"]["output stride"] == "16"
    assert found["re-targeted network"]["multiply-accumulates"] == "21.2 G"
    assert found["parts"]["pools"] == ["AvgPool2D/AvgPool"]
    assert main([str(path), "--json", "--input-size", "257x513", "--output-stride", "8"]) == 0
    assert json.loads(capsys.readouterr().out)["re-targeted network"]["input"] == "257x513"


def test_a_graph_that_cannot_be_converted_is_shown_before_the_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = nets.net((32, 48))
    for node in graph.node:
        if node.op == "FusedBatchNorm":
            node.attr["is_training"].b = True
    path = tmp_path / "net.pb"
    path.write_bytes(graph.SerializeToString())
    assert main([str(path), "--json"]) == 1
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert found["graph"]["name"] == "net"
    assert found["whole graph"]["placeholders"] == ["ImageTensor uint8 (1, ?, ?, 3)"]
    assert found["whole graph"]["outputs"] == ["SemanticPredictions (Slice)"]
    assert found["whole graph"]["picks classes"] == ["ArgMax"]
    assert found["whole graph"]["bilinear resizes"] == {"align_corners": 3}
    assert found["operators"]["FusedBatchNorm"] > 50
    assert "with is_training=False" in err


def test_a_size_that_the_stride_does_not_fit_hides_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.pb"
    path.write_bytes(nets.net((41, 73)).SerializeToString())
    found = inspect(path, capsys)
    assert found["stock network"]["input"] == "41x73"
    assert "does not fit output stride 16" in str(found["re-targeted network"]["not possible"])
    assert main([str(path), "--json", "--input-size", "40x73"]) == 2
    assert "40x73 does not fit" in capsys.readouterr().err


def test_normalised_pictures_are_told_how(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = nets.net((33, 49))
    nets.entrance(graph, [1, 33, 49, 3], tf.float32, lambda x: x)
    path = tmp_path / "net.pb"
    path.write_bytes(graph.SerializeToString())
    parts = inspect(path, capsys)["parts"]
    assert parts["takes"] == "float32, 33x49"
    assert "--normalise sets another" in str(parts["remarks"])
    assert main([str(path), "--json", "--normalise", "unit"]) == 0
    assert json.loads(capsys.readouterr().out)["parts"]["normalisation"] == "(pixel - 0) / 255"


@pytest.mark.parametrize(
    ("name", "words"), [("mnv2_voc21_513x513", "2018-01"), ("mnv3small_road5_513x1025", "2019 or later")]
)
def test_exporter_generation(
    name: str, words: str, shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in str(inspect(shared(f"models/deeplab_{name}.pb"), capsys)["graph"]["exporter"])


def test_third_party_tflite(shared: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = inspect(shared("models/coral_deeplab_slim_cityscapes_uint8.tflite"), capsys)
    assert found["model"]["output"] == "labels"
    assert found["model"]["card"] is False


def test_neither(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("none.tflite", "none.pb"):
        assert main([str(tmp_path / name)]) == 1
        assert name in capsys.readouterr().err
