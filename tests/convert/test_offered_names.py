from __future__ import annotations

import io
import os
import shlex
import tarfile
from pathlib import Path

import pytest

from convert.cli.convert_model import main
from convert.models import offered_names
from convert.models.offered_names import is_named_like_a_list, offer
from convert.models.tarball import GRAPH_NAME, read_small_files
from edge.class_lists.files import MAX_BYTES, class_set
from edge.classes import CITYSCAPES, guess
from edge.errors import GraphError

NAMES = "sky\nroad\ncar\n"


def archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, content in members.items():
            if isinstance(content, bytes):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                made.addfile(info, io.BytesIO(content))
            else:
                made.addfile(content)
    return path


@pytest.mark.parametrize(
    "name", ["labels.txt", "Label_Map.csv", "labelmap.json", "coco.names", "classes", "names.txt", "class_names.tsv"]
)
def test_lists_of_names_are_told_by_what_they_are_called(name: str) -> None:
    assert is_named_like_a_list(name)


@pytest.mark.parametrize("name", ["label_map.png", "my_labels.txt", "labels.txt.bak", "._labels.txt", "x.json", ""])
def test_other_files_are_not_looked_into(name: str) -> None:
    assert not is_named_like_a_list(name)


def test_a_list_beside_a_graph_is_offered_where_it_has_as_many_names(tmp_path: Path) -> None:
    folder = tmp_path / "my model"
    folder.mkdir()
    graph = folder / "model.pb"
    assert offer(graph, guess(3)) == ""
    (folder / "labels.txt").write_text(NAMES)
    (folder / "notes.txt").write_text(NAMES)
    line = offer(graph, guess(3))
    assert line == f"{graph}: labels.txt beside it has 3 names: `classes` '{folder}/labels.txt' takes them"
    assert class_set(shlex.split(line.partition("`classes` ")[2])[0]).names == ("sky", "road", "car")
    assert offer(graph, guess(4)) == ""
    (folder / "label_map.json").write_text('["a", "b", "c"]')
    (folder / "x.names").write_text("a\nb\nc")
    assert "label_map.json beside it has 3 names (and so have labels.txt, x.names): `classes` '" in offer(
        graph, guess(3)
    )


def test_names_that_are_taken_anyway_are_not_offered(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(CITYSCAPES.names))
    assert offer(tmp_path / "model.pb", guess(19)) == ""
    (tmp_path / "labels.txt").write_text("\n".join(reversed(CITYSCAPES.names)))
    assert "labels.txt beside it has 19 names" in offer(tmp_path / "model.pb", guess(19))


def test_what_is_no_list_beside_a_graph_is_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "labels.txt")  # which would hang
    (tmp_path / "classes.txt").mkdir()
    (tmp_path / "class_names.csv").write_text("sky\nroad\nroad\n")
    (tmp_path / "labelmap.txt").write_bytes(b"sky\nroad\ncar\n" + b"\n" * MAX_BYTES)
    (tmp_path / "labels.json").write_text("[" * 100_000)
    (tmp_path / "label_map.txt").symlink_to(tmp_path / "nowhere")
    assert offer(tmp_path / "model.pb", guess(3)) == ""
    assert offer(tmp_path / "gone" / "model.pb", guess(3)) == ""
    (tmp_path / "x.names").write_text(NAMES)
    assert "x.names beside it" in offer(tmp_path / "model.pb", guess(3))


def test_only_so_many_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        (tmp_path / f"{number}.names").write_text("one\n" if number < 8 else NAMES)
    packed = archive(tmp_path / "m.tar.gz", {f"{n}.names": b"one\n" if n < 8 else NAMES.encode() for n in range(9)})
    assert offer(tmp_path / "model.pb", guess(3)) == offer(packed, guess(3)) == ""
    monkeypatch.setattr(offered_names, "MOST_LISTS", 9)
    assert "8.names beside it" in offer(tmp_path / "model.pb", guess(3))
    assert "8.names in it" in offer(packed, guess(3))


def test_a_list_in_an_archive_is_offered_to_be_unpacked(tmp_path: Path) -> None:
    link, sparse = tarfile.TarInfo("a/classes.txt"), tarfile.TarInfo("b/labels.txt")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    link.size = 700  # of what would be headers
    sparse.type = tarfile.FIFOTYPE
    members: dict[str, bytes | tarfile.TarInfo] = {"a/classes.txt": link, "b/labels.txt": sparse, GRAPH_NAME: b"graph"}
    path = archive(tmp_path / "model.tar.gz", members)
    assert offer(path, guess(3)) == ""
    path = archive(path, members | {"labels.csv": b"\n" * (MAX_BYTES + 1), "net/labels.txt": NAMES.encode()})
    assert offer(path, guess(3)) == (
        f"{path}: net/labels.txt in it has 3 names: unpack it, and `classes` labels.txt takes them"
    )
    data = path.read_bytes()
    path.write_bytes(data[:-9])
    with pytest.raises(GraphError, match=r"model\.tar\.gz: cannot be read as a whole"):
        read_small_files(path, str(path), is_named_like_a_list, MAX_BYTES, 8)
    assert offer(path, guess(3)) == ""


@pytest.mark.tensorflow
def test_the_command_offers_names_before_it_works_and_not_to_who_names_some(
    random_graph: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph, names = tmp_path / "net.pb", tmp_path / "labels.csv"
    graph.write_bytes(random_graph)
    names.write_text("".join(f"{18 - n},thing {n}\n" for n in range(19)))
    arguments = [str(graph), "--input-size", "33x65", "--calibrate", "nowhere/", "--output", str(tmp_path)]
    line = f"{graph}: labels.csv beside it has 19 names: --classes {names} takes them"
    assert main(arguments) == 1
    assert line in capsys.readouterr().err.splitlines()
    assert main([*arguments, "--classes", "cityscapes"]) == 1
    assert "labels.csv" not in capsys.readouterr().err
