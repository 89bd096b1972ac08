from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reports import comparison, full, measured

from edge.cli.compare_table import show
from edge.compare.report.building import document, names
from edge.compare.report.document import Document, FailedRow, Ratio, RowPair, read_report
from edge.compare.report.files import write_report
from edge.compare.report.tables import as_csv, as_markdown
from edge.compare.rows import Candidate, Row
from edge.errors import UsageError

SCHEMA = (Path(__file__).parents[3] / "docs" / "report-schema.md").read_text()
TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "number": (int, float),
    "true/false": (bool,),
    "null": (type(None),),
    "object": (dict,),
}
ITEMS = {"list of text": (str,), "list of numbers": (int, float), "list of integers": (int,)}


def documented() -> dict[str, str]:
    """Path -> type, as the page says."""
    return dict(re.findall(r"^\| `([\w.*\[\]]+)` \| ([^|]+?) \|", SCHEMA, re.MULTILINE))


def walk(value: Any, path: str, known: dict[str, str]) -> dict[str, Any]:
    """Every path of a document with its values, as far down as the page documents it."""
    kind = known.get(path, "")
    if kind in ("latency", "ratio"):
        return {f"{kind}.{key}": found for key, found in value.items()} | {path: value}
    if isinstance(value, dict):
        found = {path: value} if kind else {}
        for key, inner in value.items():
            wild = f"{path}.*" if f"{path}.*" in known else f"{path}.{key}" if path else key
            found |= walk(inner, wild, known)
        return found
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return {key: one for item in value for key, one in walk(item, f"{path}[]", known).items()}
    return {path: value}


def fits(value: Any, kind: str) -> bool:
    if kind in ("latency", "ratio"):
        return isinstance(value, dict)
    if kind in ITEMS:
        return isinstance(value, list) and all(isinstance(item, ITEMS[kind]) for item in value)
    allowed = tuple(found for part in kind.split(" or ") for found in TYPES[part])
    return isinstance(value, allowed) and (bool in allowed or not isinstance(value, bool))


def as_written(made: Document) -> Any:
    """The document as JSON has it, read again."""
    return json.loads(json.dumps(made.as_json(), allow_nan=False))


@pytest.fixture(scope="module")
def whole() -> Document:
    earlier = document(full(), ["compare-models"])
    earlier = replace(earlier, environment=replace(earlier.environment, cpu="Another processor"))
    return document(full(), ["compare-models", "a b"], budget_ms=30.0, earlier=earlier)


def test_the_page_documents_every_field_with_its_type_and_no_other(whole: Document) -> None:
    known = documented()
    assert len(known) > 100
    written = as_written(whole)
    found = walk(written, "", known)
    assert set(found) - set(known) == set(), "not documented"
    assert set(known) - set(found) == set(), "documented, but not there"
    wrong = {path: value for path, value in found.items() if not fits(value, known[path])}
    assert not wrong
    for row in written["rows"]:  # of a list, `walk` keeps the last item only
        assert not {path for path, value in walk(row, "rows[]", known).items() if not fits(value, known[path])}


def test_figures_of_a_row(whole: Document) -> None:
    row, gone = whole.measured[1], whole.rows[3]
    assert row.invoke_ms.median == pytest.approx(20, rel=0.02)
    assert row.frame_ms.median == pytest.approx(25, rel=0.02)
    assert row.gmacs_per_s == pytest.approx(1.7845 / 0.020, rel=0.02)
    assert (row.invoke_j, row.frame_j) == (0.05, 0.09)  # 0.5 and 0.9 J in each turn of ten
    assert (row.valid, whole.measured[2].valid) == (True, False)
    assert isinstance(gone, FailedRow)
    assert gone.error.startswith("openvino cannot")


def test_passwords_do_not_travel() -> None:
    made = document(full(), ["compare-models", "--source", "rtsp://me:secret@camera/1"])
    assert made.command[2] == "rtsp://camera/1"


def test_pairs_front_and_budget(whole: Document) -> None:
    pair = whole.pairs[0]
    assert (pair.first, pair.second) == ("int8 litert", "float32 litert")
    assert pair.invoke.ratio == pytest.approx(3, rel=0.02)
    assert pair.invoke.low is not None
    assert pair.invoke.high is not None
    assert pair.invoke.low <= pair.invoke.ratio <= pair.invoke.high
    assert not pair.invoke.tie
    assert whole.front == ("float32 litert", "int8 litert")
    assert whole.budget is not None
    assert whole.budget.best == "int8 litert"


def test_baseline_says_what_changed_and_where_the_machine_did(whole: Document) -> None:
    assert whole.baseline is not None
    changes = whole.baseline.changes
    assert [change.invoke.ratio for change in changes] == [1, 1, 1]
    assert all(change.invoke.tie for change in changes)
    assert any("Another processor then" in text for text in whole.baseline.differs)


def test_names_are_short_and_never_the_same() -> None:
    assert names([measured("a", 1), measured("b", 1)]) == ["a", "b"]
    assert names([measured("a", 1), measured("a", 1, threads=4)]) == ["a 2 threads", "a 4 threads"]
    gone = Row(Candidate(Path("gone.tflite"), "auto", None), error="no such file")
    assert names([measured("a", 1), gone]) == ["a", "gone"]
    assert names([measured("a", 1), measured("a", 1)]) == ["a (1)", "a (2)"]


def test_csv_reads_back(whole: Document) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(whole))))
    assert [row["model"] for row in rows] == ["float32.tflite", "int8.tflite", "slow.tflite", "gone.tflite"]
    assert float(rows[1]["invoke_p90_ms"]) == whole.measured[1].invoke_ms.p90
    assert rows[1]["input_hw"] == "513x1025"
    assert float(rows[1]["miou"]) == 0.48
    assert rows[3]["invoke_p90_ms"] == ""
    assert "cannot be imported" in rows[3]["error"]


def test_markdown_is_a_table(whole: Document) -> None:
    lines = [line for line in as_markdown(whole).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(whole.rows)
    assert len({line.count("|") for line in lines}) == 1
    assert "mIoU 0.480" in lines[3]
    assert "cannot be imported" in lines[5]


def test_a_pair_the_other_way_round() -> None:
    pair = RowPair("a", "b", Ratio(2.0, 1.6, 2.5, tie=False), Ratio(2.0, None, None, tie=True)).flipped()
    assert (pair.first, pair.second) == ("b", "a")
    assert pair.invoke == Ratio(0.5, 0.4, 0.625, tie=False)
    assert pair.frame.low is None


@pytest.mark.parametrize("ratio", [1e-6, 30_000.0, 1e6])
def test_a_pair_of_very_different_times_can_be_turned_again_and_again(ratio: float) -> None:
    pair = RowPair("a", "b", Ratio(ratio, ratio, ratio, tie=False), Ratio(ratio, None, None, tie=False))
    assert pair.flipped().flipped().frame.ratio == pytest.approx(ratio, rel=1e-4)
    assert pair.flipped().flipped().invoke.low == pytest.approx(ratio, rel=1e-4)


@pytest.mark.parametrize("times_ms", [(0.001, 1e5), (1e5, 0.001)])
def test_rows_of_very_different_times_are_a_pair(times_ms: tuple[float, float], tmp_path: Path) -> None:
    made = document(comparison([measured("a", times_ms[0]), measured("b", times_ms[1])]), [])
    (found,) = made.pairs
    for figure in (found.invoke.low, found.frame.ratio, found.frame.high, found.flipped().flipped().frame.ratio):
        assert figure is not None
        assert figure > 1e4
    write_report(made, tmp_path)
    assert read_report(tmp_path / "report.json") == made


def test_a_report_reads_back_and_anything_else_is_refused_in_one_line(whole: Document, tmp_path: Path) -> None:
    write_report(whole, tmp_path)
    assert read_report(tmp_path / "report.json") == whole
    damaged = as_written(whole)
    del damaged["rows"][0]["rounds"]
    texts = ["", "[]", "{}", "nothing", '{"format": 2}', '{"format": 1, "rows": 3}', json.dumps(damaged), "[" * 5000]
    for text in texts:
        path = tmp_path / "bad.json"
        path.write_text(text)
        with pytest.raises(UsageError, match=r"bad\.json: expected a report\.json") as caught:
            read_report(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(UsageError, match="no such file"):
        read_report(tmp_path / "missing.json")
    with pytest.raises(UsageError, match="no regular file"):
        read_report(Path("/dev/zero"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("rows", 0, "rounds", 0, "invoke_ms"), 0.0),
        (("rows", 0, "rounds", 0, "frame_ms"), float("nan")),
        (("rows", 0, "rounds", 0, "frame_ms"), float("inf")),
        (("rows", 0, "rounds", 0, "frame_ms"), "5"),
        (("rows", 0, "rounds"), []),
        (("rows", 0, "model"), ["a"]),
        (("rows", 0, "threads"), {}),
        (("created",), 5),
        (("environment",), []),
        (("rows", 0), None),
        (("pairs", 0, "first"), "no row"),
        (("pairs", 0, "second"), "no row"),
        (("pairs", 0, "invoke", "ratio"), 0.0),
        (("pairs", 0, "frame", "ratio"), 0.0),
        (("pairs", 0, "frame", "ratio"), -2.0),
        (("pairs", 0, "frame", "ratio"), 1e-320),
        (("pairs", 0, "frame", "ratio"), float("inf")),
        (("pairs", 0, "invoke", "low"), 0.0),
        (("pairs", 0, "frame", "high"), float("nan")),
    ],
)
def test_a_report_with_impossible_figures_is_no_baseline(
    place: tuple[Any, ...], value: object, whole: Document, tmp_path: Path
) -> None:
    damaged = as_written(whole)
    inside = damaged
    for key in place[:-1]:
        inside = inside[key]
    inside[place[-1]] = value
    (tmp_path / "bad.json").write_text(json.dumps(damaged))
    with pytest.raises(UsageError, match=r"bad\.json: expected a report\.json"):
        read_report(tmp_path / "bad.json")


def test_intervals_that_are_not_known_are_no_fault(whole: Document, tmp_path: Path) -> None:
    written = as_written(whole)
    written["pairs"][0]["frame"] |= {"low": None, "high": None}
    (tmp_path / "few.json").write_text(json.dumps(written))
    assert read_report(tmp_path / "few.json").pairs[0].frame.low is None


def test_names_of_files_break_no_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = "a\x1b[31m\nb|<b>\udcff"  # the last is what Python makes of a byte that is no text
    rows = [measured(name, 20.0, miou=0.5), measured("x" * 300, 30.0, miou=0.4)]
    rows.append(Row(Candidate(Path("gone\x1b[2J.tflite"), "auto", None), error="gone\x1b[2J.tflite: no such\nfile"))
    found = document(comparison(rows), ["compare-models"])
    assert found.rows[0].name == "a?[31m b|<b>?"
    write_report(found, tmp_path)
    lines = (tmp_path / "report.md").read_text().splitlines()
    table = [line for line in lines if line.startswith("| ")]
    assert len(table) == 1 + len(rows)
    assert r"a?\[31m b\|\<b\>?" in table[1]
    assert len(list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text())))) == len(rows)
    assert "<b>" not in (tmp_path / "report.html").read_text().replace("<body>", "")
    show(found)
    captured = capsys.readouterr()
    assert "\x1b" not in captured.out + captured.err
    assert "gone?[2J: gone?[2J.tflite: no such file" in captured.err


def test_rows_that_all_failed_make_a_report_too(tmp_path: Path) -> None:
    made = full()
    write_report(document(comparison(made.rows[3:]), ["compare-models"]), tmp_path)
    assert "cannot be imported" in (tmp_path / "report.html").read_text()


def test_in_a_terminal_red_is_the_same(whole: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    out = io.StringIO()
    monkeypatch.setattr("sys.stdout", out)
    show(whole)
    assert re.findall(r"\x1b\[[\d;]*31m([^\x1b]*?)\x1b", out.getvalue().partition("Network alone")[0]) == [
        "65.5",
        "95.7",
        "failed ",
    ]
