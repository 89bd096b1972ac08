"""The examples of docs/python.md run, one after the other as a reader types them."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import pytest
from films import write_film

import convert
import edge
from edge.scene import DEMO_SEED, Scene

PAGE = (Path(__file__).parents[1] / "docs" / "python.md").read_text()

pytestmark = pytest.mark.tensorflow


def test_every_example_runs(
    int8_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.tflite").write_bytes(int8_model.read_bytes())
    cv2.imwrite("street.png", Scene(DEMO_SEED).draw(0.0, (120, 200))[0])
    write_film(Path("drive.mp4"))
    names: dict[str, object] = {}
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for example in examples:
        exec(example, names)
    said = capsys.readouterr().out
    assert len(examples) == 6
    assert cv2.imread("overlay.png").shape == (120, 200, 3)
    assert re.search(r"^\(64, 48\) 25 False$", said, re.MULTILINE)
    assert re.search(r"^2 \d+% \d+\.\d ms 0$", said, re.MULTILINE)
    assert names["times_s"] == pytest.approx([0.2, 0.24])
    assert "((0, 200, 0), (200, 0, 0))" in said
    assert [outcome.recipe.name for outcome in names["outcomes"]] == ["float32", "int8"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("package", [edge, convert])
def test_what_is_exported_is_there_and_documented(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        assert name in dir(package)
        assert getattr(package, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = package.nonsense  # type: ignore[attr-defined]
