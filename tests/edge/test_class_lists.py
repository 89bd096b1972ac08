from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from edge.class_lists.files import MAX_BYTES, class_set, parse_names
from edge.classes import CITYSCAPES, ClassSet, spread_colours
from edge.errors import CardError, UsageError

ROAD, CAR = (128, 64, 128), (0, 0, 142)  # as Cityscapes has them
RED = (255, 0, 0)


def read(text: str, name: str = "labels.txt") -> ClassSet:
    return parse_names(text.encode(), name)


def refusal(data: str | bytes, name: str = "labels.txt") -> str:
    with pytest.raises(CardError) as refused:
        parse_names(data if isinstance(data, bytes) else data.encode(), name)
    said = str(refused.value)
    assert said.startswith(f"{name}: ")
    assert len(said) < 500
    assert said.isprintable()
    return said.removeprefix(f"{name}: ")


def test_names_are_one_a_line_and_keep_their_usual_colour() -> None:
    classes = read("background\r\n\n  car \n")
    assert classes.names == ("background", "car")
    assert classes.colours == ((0, 0, 0), CAR)


def test_classes_are_a_known_set_or_a_file(tmp_path: Path) -> None:
    assert class_set("cityscapes") is CITYSCAPES
    path = tmp_path / "labels.txt"
    path.write_bytes("\ufeffstraße\r\ncar\r\n".encode())  # as Windows writes it
    assert class_set(str(path)).names == ("straße", "car")


def test_neither_a_set_nor_a_file_names_both_ways_out(tmp_path: Path) -> None:
    for name in (str(tmp_path / "none.txt"), "x" * 5000):
        with pytest.raises(UsageError, match="expected one of cityscapes, voc or a file"):
            class_set(name)
    (tmp_path / "model").write_bytes(bytes(range(256)) * 999)
    with pytest.raises(CardError, match=r"model: byte 129 is not UTF-8; .*printable class names"):
        class_set(str(tmp_path / "model"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["straße\nAuto\n", "0,straße\n1,Auto", '["straße", "Auto"]'])
def test_marks_of_the_encoding_are_no_part_of_the_first_name(text: str, encoding: str) -> None:
    assert parse_names(text.encode(encoding), "names.txt").names == ("straße", "Auto")


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff"])
def test_utf_16_of_either_order_is_read_and_half_a_letter_is_refused(mark: bytes) -> None:
    order = "utf-16-le" if mark == b"\xff\xfe" else "utf-16-be"
    assert parse_names(mark + "road\ncar".encode(order), "labels.txt").names == ("road", "car")
    assert "is not UTF-16; save it as UTF-8" in refusal(mark + b"road\n")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("road\ncar\n", "a.csv"),
        ("name\nroad\ncar\n", "a.csv"),
        ('"road"\r\n"car"\r\n', "a.csv"),
        ("1,car\n0,road\n", "a.txt"),
        ("1;car\n0;road\n", "a.txt"),
        ("0\troad\n1\tcar\n", "a.txt"),
        ("road,128,64,128\ncar,0,0,142\n", "a.txt"),
        ("1, car, 0, 0, 142\n0, road, 128, 64, 128\n", "a.csv"),
        ("r,g,b,Name,ID\n0,0,142,car,1\n128,64,128,road,0\n", "a.txt"),
        ("name,id,trainId,category\nego,1,255,void\nroad,7,0,flat\nplate,-1,-1,vehicle\ncar,26,1,vehicle\n", "a.csv"),
        ('["road", "car"]', "a.txt"),
        ('[{"name": "road"}, {"name": "car"}]', "a.json"),
        ('[{"name": "car", "id": 1}, {"name": "road", "id": 0}]', "a.json"),
        ('[{"name": "none", "trainId": 255}, {"name": "car", "trainId": 1}, {"name": "road", "trainId": 0}]', "a"),
        ('{"1": "car", "0": "road"}', "a.txt"),
        ('{"names": ["road", "car"]}', "a.json"),
        ('{"names": {"0": "road", "1": "car"}}', "a.json"),
        ('{"format": 1, "classes": [{"name": "road", "colour": [128, 64, 128]}, {"name": "car"}]}', "card.json"),
    ],
)
def test_tables_and_json_give_the_same_classes(text: str, name: str) -> None:
    classes = read(text, name)
    assert (classes.names, classes.colours) == (("road", "car"), (ROAD, CAR))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("car,255,0,0\nthing,1,2,3", "a.txt"),
        ("name,red,green,blue\ncar,255,0,0\nthing,1,2,3", "a.csv"),
        ('[{"name": "car", "color": [255, 0, 0]}, {"name": "thing", "colour": [1, 2, 3]}]', "a.json"),
    ],
)
def test_colours_of_a_file_go_before_the_usual_ones(text: str, name: str) -> None:
    assert read(text, name).colours == (RED, (1, 2, 3))


def test_a_class_without_a_colour_gets_that_of_its_id() -> None:
    assert read(
        '[{"name": "a", "color": [255, 0, 0], "id": 1}, {"name": "b", "id": 0}, {"name": "c", "id": 2}]'
    ).colours == (
        spread_colours(3)[0],
        RED,
        spread_colours(3)[2],
    )


@pytest.mark.parametrize(
    "names",
    [
        ("tench, Tinca tinca", "goldfish, Carassius auratus", "eel"),
        ("[void]", "road"),
        ("name", "car"),
        ('a "quoted" one', '"'),
        ("0", "1", "2"),
        ("car, left", "car, right"),
    ],
)
def test_lines_that_only_look_like_a_table_or_json_stay_names(names: tuple[str, ...]) -> None:
    assert read("\n".join(names)).names == names


@pytest.mark.parametrize("text", ["", " \n\n", "a\n" * 65536, "[]", '{"names": []}', "{}"])
def test_too_few_and_too_many_names_are_refused(text: str) -> None:
    assert refusal(text).startswith("expected 1 to 65535 printable class names of 64 characters at most, got ")


@pytest.mark.parametrize("name", ["x" * 65, "a\x07b", "road\x00", "\u202eb", "a\x0bb", "a\x85b"])
def test_what_is_no_name_is_refused_with_its_place(name: str) -> None:
    wrong = "expected a printable name of 64 characters at most, got "
    assert refusal(f"sky\n{name}").startswith(f"line 2: {wrong}")
    assert refusal(json.dumps(["sky", name])).startswith(f"entry 2: {wrong}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("road\n\ncar\nroad\n", "line 1 and line 4 name the same class, 'road'; expected each name once"),
        ("Road\nroad \n", "line 1 and line 2 name the same class, 'Road' and 'road'; expected each name once"),
        ("STRASSE\nstraße", "line 1 and line 2 name the same class, 'STRASSE' and 'straße'; expected each name once"),
        ("0,car\n1,Car", "line 1 and line 2 name the same class, 'car' and 'Car'; expected each name once"),
        ('["a", "b", "a"]', "entry 1 and entry 3 name the same class, 'a'; expected each name once"),
        ('{"0": "a", "1": "a"}', "key 0 and key 1 name the same class, 'a'; expected each name once"),
        ("0,a\n0,b", "line 1 and line 2 have the same id, 0; expected each id once"),
        ('{"0": "a", "00": "b"}', "key 0 and key 00 have the same id, 0; expected each id once"),
        ("1,a\n2,b", "no class has the id 0; expected 0 to 1 for 2 classes"),
        ("0,a\n2,b\n3,c", "no class has the id 1; expected 0 to 2 for 3 classes"),
        ('["a", {"name": "b", "id": 1}]', "entry 1 has no id, where others have one; expected all or none"),
    ],
)
def test_names_and_ids_that_contradict_each_other_are_refused_with_both_places(text: str, said: str) -> None:
    assert refusal(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0,road\n1", "line 2: expected 2 columns as in the first row, got 1"),
        ("id,name\n0,road\n1,car,x", "line 3: expected 2 columns as in the first row, got 3"),
        ("a,b,c\n", "line 1: expected columns name, id,name, name,r,g,b or id,name,r,g,b, or a first row that names"),
        ("a,b\nc,d", "line 1: expected a whole number, got a"),
        ("road,1,2,256", "line 1: expected a colour of three numbers from 0 to 255, got [1, 2, 256]"),
        ("id,name\n,road\n1,car", "line 2: a number is missing"),
        ('"road\n', "line 1 is no CSV (unexpected end of data)"),
        ("0,\n1,car", "line 1: expected a printable name of 64 characters at most, got none"),
        ("9" * 5000 + ",a", "line 1: expected a whole number, got 9999"),
        ("x" * 200_000, "line 1 is no CSV (field larger than field limit"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(text: str, said: str) -> None:
    assert refusal(text, "a.csv").startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "JSON that is nested too deeply; expected ["),
        ('{"names":' * 100_000, "JSON that is nested too deeply; expected ["),
        ("[" * 100_000 + "]" * 100_000, "JSON that is nested too deeply; expected ["),
        ("[" * 500 + "]" * 500, "entry 1: no name of a class in it; expected ["),
        (f'[{{"name": "a", "id": {"9" * 5000}}}]', "no JSON that can be read (Exceeds the limit"),
        ('[{"name": "a", "id": 1e999}]', "entry 1: expected a whole number as id, got inf"),
        ('[{"name": "a", "id": true}]', "entry 1: expected a whole number as id, got True"),
        ('[{"name": "a", "id": NaN}]', "no JSON that can be read (NaN is no JSON); expected ["),
        ('{"0": "a", "0": "b"}', "no JSON that can be read ('0' is there twice); expected ["),
        ('{"names": ["a"], "classes": ["b"]}', "'names' and 'classes' both stand for the list of classes"),
        ('{"road": 1}', "the key 'road' is no id of a class; expected ["),
        ('{"-1": "road"}', "the key '-1' is no id of a class; expected ["),
        ('[{"name": 3}]', "entry 1: no name of a class in it; expected ["),
        ("[null]", "entry 1: no name of a class in it; expected ["),
        ('["\\ud800"]', "entry 1: expected a printable name of 64 characters at most, got '\\ud800'"),
        ('[{"name": "a", "color": [1, 2]}]', "entry 1: expected a colour of three numbers from 0 to 255, got [1, 2]"),
        ('[{"name": "a", "color": [1, 2, true]}]', "entry 1: expected a colour of three numbers from 0 to 255, got"),
        ('[{"name": "a", "color": [1, 2, 3.5]}]', "entry 1: expected a colour of three numbers from 0 to 255, got"),
        ('"road"', "no list of classes in it; expected ["),
        ("road\ncar", "no JSON that can be read (Expecting value: line 1 column 1 (char 0)); expected ["),
    ],
)
def test_hostile_json_is_one_line(text: str, said: str) -> None:
    assert refusal(text, "a.json").startswith(said)


def test_a_huge_file_is_refused_instead_of_being_cut(tmp_path: Path) -> None:
    """Cut at the limit, it would be a list of the names in front of it."""
    path = tmp_path / "labels.txt"
    path.write_bytes(b"road\ncar\n" + b"\n" * MAX_BYTES)
    with pytest.raises(CardError, match=r"labels\.txt: it is larger than 8 MiB; expected 1 to 65535 printable"):
        class_set(str(path))


@pytest.mark.parametrize("line", ["0,a\n", "\n", "a\n", '"",\n'])
def test_a_file_of_millions_of_lines_takes_seconds_at_most(line: str) -> None:
    begin = time.process_time()
    assert "printable" in refusal(line * (MAX_BYTES // len(line)), "a.txt")
    assert time.process_time() - begin < 8


def test_a_list_of_all_classes_that_there_may_be_is_read() -> None:
    rows = [{"name": f"class {n}", "colour": [n >> 8, n & 255, 128], "id": n} for n in range(65535)]
    assert read(json.dumps(rows, indent=1), "a.json").colours[65534] == (255, 254, 128)


def test_a_file_that_may_not_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "labels.txt"
    path.write_text("road")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CardError, match=r"labels\.txt: cannot be read \(Permission denied\); expected a file"):
        class_set(str(path))
