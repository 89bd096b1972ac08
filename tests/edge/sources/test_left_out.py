"""What is said of the files that were left out."""

from __future__ import annotations

from edge.errors import SourceError, UnreadableFile
from edge.sources.left_out import LeftOut


def test_nothing_is_said_where_everything_was_taken() -> None:
    left_out = LeftOut()
    left_out.asked = 5
    assert left_out.lines() == []
    assert left_out.counts() == {}


def test_files_are_told_by_reason_and_counted() -> None:
    left_out = LeftOut()
    left_out.asked = 100
    for number in range(5):
        left_out.add(f"{number}.jpg", UnreadableFile(f"/d/{number}.jpg", "empty"))
    left_out.add("9.jpg", SourceError("truth/9.png: value 77 stands for no class"))
    left_out.others += [("a.txt", ".txt file"), ("b.txt", ".txt file"), ("f.mp4", ".mp4 file")]
    assert left_out.lines() == [
        "left out: 2 .txt files (a.txt, b.txt), 1 .mp4 file (f.mp4)",
        "left out: 0.jpg, 1.jpg, 2.jpg and 2 more (empty)",
        "left out: 9.jpg (truth/9.png: value 77 stands for no class)",
        "6 of 100 pictures were left out",
    ]
    assert sum(left_out.counts().values()) == 9
    assert left_out.counts()["empty"] == 5


def test_a_thousand_reasons_are_few_lines() -> None:
    left_out = LeftOut()
    left_out.asked = 1000
    for number in range(1000):
        left_out.add(f"{number}.jpg", UnreadableFile("x", f"reason {number} {'x' * 500}"))
        left_out.others.append((f"{number}.x{number}", f".x{number} file"))
    assert len(left_out.lines()) == 8
    assert "995 files of other kinds" in left_out.lines()[0]
    assert "left out: 995 pictures more for other reasons" in left_out.lines()
    assert max(map(len, left_out.lines())) < 400
