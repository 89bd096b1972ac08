from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from convert.cli.convert_model import main
from convert.models.zoo import MODELS, SOURCE

PUBLISHED = {  # read off the model zoo's page: mean IoU, stride of it, GMAC
    "mobilenetv2": (70.71, 16, 21.27),
    "mobilenetv3-large": (72.41, 32, 15.95),
    "mobilenetv3-small": (68.99, 32, 4.63),
    "xception65": (78.79, 16, 418.64),
    "xception71-dpc": (80.31, 16, 502.07),
    "xception71-dpc-trainval": (82.66, 8, None),
}


def test_the_list_shows_every_model_with_what_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    for name, (mean_iou, stride, gmac) in PUBLISHED.items():
        cells = next(line for line in lines if line.startswith(f"{name} ")).split()
        assert cells[1:5] == [f"{mean_iou:.2f}", "%", str(stride), "-" if gmac is None else f"{gmac:g}"]
        assert f"  {name}: {MODELS[name].int8 or 'not known'}" in lines
    assert any(SOURCE in line for line in lines)
    assert "Apache-2.0" in printed.out
    assert "xception71-dpc-trainval on test, six scales" in printed.out


def test_the_list_as_json_says_where_each_comes_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name: (r["mean_iou"], r["measured_stride"], r["published_gmac"]) for name, r in rows.items()} == PUBLISHED
    for name, row in rows.items():
        assert row["address"] == f"https://download.tensorflow.org/models/{MODELS[name].file_name}"
        assert row["licence"] == "Apache-2.0"
        assert row["gmac_513x1025"] < row["gmac"] / 3


def test_the_list_needs_no_tensorflow_and_writes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys; from convert.cli.convert_model import main; code = main(['--list', '--output', 'new']);"
        "assert 'tensorflow' not in sys.modules; sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
