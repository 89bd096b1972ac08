from __future__ import annotations

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.classes import CITYSCAPES, VOC, ClassSet
from edge.errors import SourceError, UsageError
from edge.evaluation.datasets import KNOWN, guess, labelling_for, parse
from edge.evaluation.labelling import Labelling, decode, read_truth

IDS = (np.arange(24 * 40, dtype=np.uint8) % 19).reshape(24, 40)
COLOURS = np.array(CITYSCAPES.colours, np.uint8)
OWN = KNOWN["ids"]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    rows: np.ndarray, depth: int, kind: int, palette: np.ndarray | None = None, size: int | None = None, level: int = 6
) -> bytes:
    """A PNG of packed rows, uint8 (H, bytes); `kind` 0 grey, 2 RGB, 3 palette; `size` lies about its width."""
    height, width = rows.shape[0], size or rows.shape[1] * 8 // (depth * (3 if kind == 2 else 1))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, size or height, depth, kind, 0, 0, 0))
    colours = b"" if palette is None else chunk(b"PLTE", palette.tobytes())
    filtered = np.hstack([np.zeros((height, 1), np.uint8), rows])
    data = chunk(b"IDAT", zlib.compress(filtered.tobytes(), level)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + colours + data


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".pgm"])
def test_grey_levels_are_ids_in_every_lossless_format(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), IDS)
    assert (read_truth(path, OWN, CITYSCAPES) == IDS).all()


def test_three_equal_channels_are_ids(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), cv2.merge([IDS, IDS, IDS]))
    assert (read_truth(tmp_path / "a.png", OWN, CITYSCAPES) == IDS).all()


def test_palette_indices_are_ids_whatever_the_colours(tmp_path: Path) -> None:
    """As in PASCAL VOC; index 255 is the border of things."""
    ids = np.where(np.arange(40) == 7, 255, IDS).astype(np.uint8)
    colours = np.zeros((256, 3), np.uint8)
    colours[:21] = VOC.colours
    path = saved(tmp_path / "a.png", png(ids, 8, 3, colours))
    assert (read_truth(path, KNOWN["voc"], VOC) == ids).all()
    shuffled = saved(tmp_path / "b.png", png(ids, 8, 3, colours[::-1]))
    assert (read_truth(shuffled, KNOWN["voc"], VOC) == ids).all()


def test_palette_of_four_bits(tmp_path: Path) -> None:
    nibbles = (IDS[:, ::2] % 16) << 4 | IDS[:, 1::2] % 16
    path = saved(tmp_path / "a.png", png(nibbles, 4, 3, np.arange(48, dtype=np.uint8)))
    assert (read_truth(path, OWN, CITYSCAPES) == IDS % 16).all()


def test_colours_are_looked_up_in_rgb_order(tmp_path: Path) -> None:
    cityscapes = Labelling("colours", colours=dict(zip(CITYSCAPES.colours, CITYSCAPES.names, strict=True)))
    for suffix in (".png", ".bmp", ".ppm"):
        cv2.imwrite(str(tmp_path / f"a{suffix}"), COLOURS[IDS][:, :, ::-1])
        assert (read_truth(tmp_path / f"a{suffix}", cityscapes, CITYSCAPES) == IDS).all()
    palette = saved(tmp_path / "b.png", png(18 - IDS, 8, 3, COLOURS[::-1]))
    assert (read_truth(palette, cityscapes, CITYSCAPES) == IDS).all()


def test_cityscapes_label_ids(tmp_path: Path) -> None:
    values = np.array([[0, 1, 7, 8, 11, 19, 26, 29, 31, 33, 10, 255]], np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    found = read_truth(tmp_path / "a.png", KNOWN["cityscapes-labelids"], CITYSCAPES)
    assert found.tolist() == [[255, 255, 0, 1, 2, 6, 13, 255, 16, 18, 255, 255]]


def test_camvid_colours_become_cityscapes_classes(tmp_path: Path) -> None:
    # Road, LaneMkgsDriv, Sidewalk, Bicyclist, Truck_Bus, Child, VegetationMisc, Void, Bridge
    colours = [
        (128, 64, 128),
        (128, 0, 192),
        (0, 0, 192),
        (0, 128, 192),
        (192, 128, 192),
        (192, 128, 64),
        (192, 192, 0),
        (0, 0, 0),
        (0, 128, 64),
    ]
    cv2.imwrite(str(tmp_path / "a.png"), np.array([colours], np.uint8)[:, :, ::-1])
    names = ["road", "road", "sidewalk", "bicycle", "truck", "person", "vegetation"]
    wanted = [*(CITYSCAPES.names.index(name) for name in names), 255, 255]
    assert read_truth(tmp_path / "a.png", KNOWN["camvid"], CITYSCAPES).tolist() == [wanted]


def test_camvid_ids_become_cityscapes_classes(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.arange(12, dtype=np.uint8)[None])
    found = read_truth(tmp_path / "a.png", KNOWN["camvid-ids"], CITYSCAPES)
    assert found.tolist() == [[10, 2, 5, 0, 1, 8, 7, 4, 13, 11, 18, 255]]


@pytest.mark.parametrize("kind", ["camvid", "camvid-ids", "driveseg"])
def test_merged_classes_are_predicted_as_what_they_are_merged_into(kind: str) -> None:
    labelling = KNOWN[kind]
    table = labelling.merged(CITYSCAPES)
    for name, target in labelling.merge.items():
        assert table[CITYSCAPES.names.index(name)] == CITYSCAPES.names.index(target)
        assert CITYSCAPES.names.index(name) not in labelling.counted(CITYSCAPES)
    kept = [i for i, name in enumerate(CITYSCAPES.names) if name not in labelling.merge]
    assert table[kept].tolist() == kept
    assert table[255] == 255


def test_driveseg_is_evaluated_as_in_the_tutorial() -> None:
    assert KNOWN["driveseg"].counted(CITYSCAPES) == [0, 1, 2, 5, 6, 7, 8, 9, 11, 13]
    table = KNOWN["driveseg"].merged(CITYSCAPES)
    assert table[:19].tolist() == [0, 1, 2, 2, 2, 5, 6, 7, 8, 9, 10, 11, 11, 13, 13, 13, 16, 17, 18]


def test_names_need_not_be_spelt_alike(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[6, 7]], np.uint8))
    classes = ClassSet(("TrafficSign", "Traffic_Light"), ((1, 1, 1), (2, 2, 2)))
    assert read_truth(tmp_path / "a.png", KNOWN["cityscapes"], classes).tolist() == [[1, 0]]


def test_classes_that_a_model_lacks_are_ignored_and_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[0, 13, 255]], np.uint8))
    classes = ClassSet(("car", "moon"), ((1, 1, 1), (2, 2, 2)))
    assert read_truth(tmp_path / "a.png", KNOWN["cityscapes"], classes).tolist() == [[255, 0, 255]]
    assert set(KNOWN["cityscapes"].check(classes)) == set(CITYSCAPES.names) - {"car"}
    with pytest.raises(UsageError, match="no class of the model, which has sun"):
        KNOWN["cityscapes"].check(ClassSet(("sun",), ((1, 1, 1),)))


@pytest.mark.parametrize(
    ("ids", "labelling", "words"),
    [
        (19, OWN, "value 19 stands for no class .expected 0 to 18"),
        (20, KNOWN["cityscapes"], r"value 20 stands for no class .cityscapes"),
        (40, KNOWN["cityscapes-labelids"], "value 40"),
        (3, KNOWN["camvid"], "expected labels as colours .camvid., found grey"),
    ],
)
def test_what_stands_for_nothing_is_refused(ids: int, labelling: Labelling, words: str, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((3, 4), ids, np.uint8))
    with pytest.raises(SourceError, match=words) as caught:
        read_truth(tmp_path / "a.png", labelling, CITYSCAPES)
    assert str(tmp_path / "a.png") in str(caught.value)


def test_a_strange_colour_is_named(tmp_path: Path) -> None:
    picture = np.tile(np.array([128, 64, 128], np.uint8), (4, 5, 1))
    picture[2, 1:3] = 1, 2, 3
    cv2.imwrite(str(tmp_path / "a.png"), picture[:, :, ::-1])
    with pytest.raises(SourceError, match=r"colour 1,2,3 and 2 pixels"):
        read_truth(tmp_path / "a.png", KNOWN["camvid"], CITYSCAPES)
    with pytest.raises(SourceError, match=r"expected labels as ids .cityscapes., found colours"):
        read_truth(tmp_path / "a.png", KNOWN["cityscapes"], CITYSCAPES)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "found something else"),
        (b"GIF89a" + bytes(100), "found something else"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "expected labels as a PNG"),
        (b"\x89PNG\r\n\x1a\n", "damaged or cut off|damaged, cut off"),
        (png(IDS, 8, 0, size=60_000), "more than 64 megapixels"),
        (png(IDS, 8, 0)[:-40], "cut off"),
        (png(IDS, 16, 0), "found pixels of kind gray16"),
        (png(IDS, 1, 0), "found grey of 1 bits"),
        (png(IDS, 4, 0), "found grey of 4 bits"),
    ],
)
def test_hostile_files_are_one_line(data: bytes, words: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=words) as caught:
        decode(saved(tmp_path / "a.png", data))
    assert str(caught.value).startswith(f"{tmp_path / 'a.png'}: ")
    assert "\n" not in str(caught.value)


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    """Where the data is stored as it is, only a check sum tells."""
    data = bytearray(png(IDS, 8, 0, level=0))
    data[data.index(b"IDAT") + 200] ^= 1
    with pytest.raises(SourceError, match="damaged"):
        decode(saved(tmp_path / "a.png", bytes(data)))
    data = bytearray(png(IDS, 8, 0))
    data[data.index(b"IDAT") + 20] ^= 4
    with pytest.raises(SourceError, match="damaged"):
        decode(saved(tmp_path / "b.png", bytes(data)))


def test_a_picture_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    bomb = saved(tmp_path / "a.png", png(np.zeros((8100, 8100), np.uint8), 8, 0))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(SourceError, match="more than 64 megapixels"):
        decode(bomb)


def test_missing_files_and_folders_are_one_line(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.png"):
        with pytest.raises(SourceError, match="cannot be read"):
            decode(path)


def test_guess_goes_by_name_then_by_content(tmp_path: Path) -> None:
    grey = saved(tmp_path / "x.png", png(IDS, 8, 0))
    assert guess(grey).name == "ids"
    assert guess(saved(tmp_path / "x_gtFine_labelTrainIds.png", b"")).name == "cityscapes"
    assert guess(saved(tmp_path / "x_gtFine_labelIds.png", b"")).name == "cityscapes-labelids"
    camvid = np.array([[(128, 64, 128), (192, 128, 128)]], np.uint8)
    cv2.imwrite(str(tmp_path / "c.png"), camvid[:, :, ::-1])
    assert guess(tmp_path / "c.png").name == "camvid"
    colours = np.vstack([np.array(VOC.colours, np.uint8), np.full((235, 3), (224, 224, 192), np.uint8)])
    assert guess(saved(tmp_path / "v.png", png(IDS, 8, 3, colours))).name == "voc"
    assert guess(saved(tmp_path / "p.png", png(IDS, 8, 3, COLOURS))).name == "ids"
    cv2.imwrite(str(tmp_path / "black.bmp"), np.zeros((4, 4), np.uint8))  # black is void, and background
    assert guess(tmp_path / "black.bmp").name == "ids"
    cv2.imwrite(str(tmp_path / "s.png"), np.array([[(1, 2, 3)]], np.uint8))
    with pytest.raises(UsageError, match="describe them in a `mapping`"):
        guess(tmp_path / "s.png")


MAPPING = b"""{"values": {"3": "road", "7": null}, "colours": {"1, 2,3": "car"}, "other": "ignore",
 "merge": {"bus": "car"}, "only": ["road", "car"]}"""


def test_a_mapping_file_says_what_values_and_colours_mean(tmp_path: Path) -> None:
    mapping = saved(tmp_path / "m.json", MAPPING)
    labelling = labelling_for(str(mapping), tmp_path / "unused.png")
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[3, 7, 99]], np.uint8))
    assert read_truth(tmp_path / "a.png", labelling, CITYSCAPES).tolist() == [[0, 255, 255]]
    cv2.imwrite(str(tmp_path / "b.png"), np.array([[(3, 2, 1), (9, 9, 8)]], np.uint8))
    assert read_truth(tmp_path / "b.png", labelling, CITYSCAPES).tolist() == [[13, 255]]
    assert labelling.merged(CITYSCAPES)[15] == 13
    assert labelling.counted(CITYSCAPES) == [0, 13]
    assert labelling.check(CITYSCAPES) == []


def test_a_name_that_is_no_class_is_a_mistake_in_a_mapping_file() -> None:
    with pytest.raises(UsageError, match=r"m.json: raod is no class of the model, which has road, sidewalk"):
        parse(b'{"values": {"3": "raod", "1": "road"}}', "m.json").check(CITYSCAPES)


def test_labels_without_what_is_counted_are_refused() -> None:
    with pytest.raises(UsageError, match=r"m\.json: none of its labels is a class that counts: sky"):
        parse(b'{"values": {"1": "road"}, "only": ["sky"]}', "m.json").check(CITYSCAPES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "Expecting value"),
        (b"[]", "expected an object"),
        (b"{}", "expected values or colours"),
        (b'{"values": {"300": "road"}}', "expected 0 to 255, got '300'"),
        (b'{"values": {"-1": "road"}}', "expected 0 to 255"),
        (b'{"values": ["road"]}', "values: expected an object"),
        (b'{"colours": {"1,2": "road"}}', "three numbers"),
        (b'{"colours": {"1,2,999": "road"}}', "three numbers"),
        (b'{"values": {"1": 5}}', "class name or null"),
        (b'{"values": {"1": "road"}, "ohter": 1}', "'ohter'"),
        (b'{"values": {"1": "road"}, "other": "x"}', "refuse or ignore"),
        (b'{"values": {"1": "road"}, "only": 3}', "only: expected a list"),
        (b'{"values": {"1": "road"}, "only": "road"}', "only: expected a list"),
        (b'{"values": {"1": "road", "1": "car"}}', "'1' is there twice"),
        (b'{"values": {"1": "road"}, "merge": {"road": "car", "car": "road"}}', "merge: 'car' is merged itself"),
        (b"\xff\xfe\xff", "not a mapping"),
        (b"[" * 100_000, "not a mapping"),
        (b" " * (1 << 20) + b"{}", "larger than"),
    ],
)
def test_a_bad_mapping_is_one_line(text: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        parse(text, "m.json")
    assert str(caught.value).startswith("m.json: ")
    assert "\n" not in str(caught.value)


def test_an_unknown_kind_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected one of auto, ids, cityscapes.*JSON file, got 'nope'"):
        labelling_for("nope", tmp_path / "a.png")
