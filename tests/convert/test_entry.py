"""`convert.convert`, the converter in one call."""

from __future__ import annotations

from pathlib import Path

import pytest

import convert
from edge import card as cards
from edge.class_lists.files import read_names
from edge.errors import ModelError, UsageError
from edge.segmenter import Segmenter

pytestmark = pytest.mark.tensorflow

SMALL = {"input_hw": (65, 129), "calibration_frames": 4, "verification_frames": 2}


def test_a_graph_becomes_a_file_with_classes_and_colours_of_its_own(
    random_graph: bytes, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "net.pb").write_bytes(random_graph)
    rows = [f"thing {index},{index},{2 * index},{255 - index}" for index in range(19)]
    (tmp_path / "own.csv").write_text("\n".join(["name,r,g,b", *rows]))
    own, lines = read_names(tmp_path / "own.csv"), list[str]()
    outcomes = convert.convert(
        tmp_path / "net.pb",
        recipes=["int8"],
        calibrate=[pictures],
        classes=own,
        input_type="uint8",
        min_agreement=0.0,
        output_dir=tmp_path / "new" / "out",
        notice=lines.append,
        **SMALL,
    )
    assert [outcome.passed for outcome in outcomes] == [True]
    assert outcomes[0].path == tmp_path / "new" / "out" / "net-65x129-os16-int8-in-uint8.tflite"
    card = cards.read(outcomes[0].path.read_bytes(), "x")
    assert card is not None
    assert card.classes == own
    assert Segmenter(outcomes[0].path).classes.colours[3] == (3, 6, 252)
    assert any("19 classes" in line for line in lines)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("recipes", ["int4"], "unknown recipe 'int4'"),
        ("recipes", [], "no recipe given"),
        ("output_stride", "4", "`output_stride`: expected one of"),
        ("min_agreement", 1.5, "`min_agreement`: expected 0 to 1, got 1.5"),
        ("input_type", "int16", "`input_type`: expected one of"),
        ("rescue_seconds", 0.0, "`rescue_seconds`: expected 1 to 86400"),
    ],
)
def test_values_that_make_no_sense_are_refused_before_anything_is_read(
    field: str, value: object, words: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError) as caught:
        convert.convert("nowhere.pb", output_dir=tmp_path / "out", **{field: value})  # type: ignore[arg-type]
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_errors_come_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        convert.convert(tmp_path / "none.tflite", output_dir=tmp_path)
