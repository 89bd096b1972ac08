from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import random
import shutil
import subprocess
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.card import CARD, Card, attach, read
from edge.classes import CITYSCAPES, ClassSet
from edge.errors import CardError
from edge.preprocess import DEEPLAB, Normalisation

IMAGENET = Normalisation((123.15, 115.9, 103.06), 1.0)
MODEL = random.Random(0).randbytes(3000)
WRITTEN = Card(
    "mobilenetv2",
    "int8",
    (513, 1025),
    16,
    DEEPLAB,
    "logits",
    CITYSCAPES,
    {"source": {"sha256": "00"}, "verification": {"fidelity": 0.97, "frames": 8}, "calibration": None},
)


def carded(change: Callable[[dict[str, Any]], object] = lambda _: None, text: str | bytes | None = None) -> bytes:
    """MODEL with a whole zip behind it whose card was changed, or is `text`."""
    with zipfile.ZipFile(io.BytesIO(attach(MODEL, WRITTEN))) as archive:
        document = json.loads(archive.read(CARD))
    change(document)
    return zipped(CARD, json.dumps(document) if text is None else text)


def zipped(*members: Any, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO(MODEL)
    buffer.seek(0, io.SEEK_END)
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, text in zip(members[::2], members[1::2], strict=True):
            archive.writestr(name, text)
    return buffer.getvalue()


def refusal(data: bytes) -> str:
    with pytest.raises(CardError) as caught:
        read(data, "x.tflite")
    message = str(caught.value)
    assert message.startswith("x.tflite: ")
    assert "\n" not in message
    assert len(message) < 400
    return message


@pytest.mark.parametrize(
    "card",
    [
        WRITTEN,
        dataclasses.replace(WRITTEN, norm=IMAGENET),
        dataclasses.replace(WRITTEN, norm=Normalisation(0.0, (58.4, 57.1, 57.4))),
        Card("m", "float32", (1, 8192), 1, Normalisation(0.0, 1.0), "labels", ClassSet(("ä b",), ((1, 2, 255),))),
        dataclasses.replace(WRITTEN, upsampling="half_pixel_centers"),
    ],
)
def test_what_was_attached_is_read_and_the_model_is_untouched(card: Card) -> None:
    data = attach(MODEL, card)
    assert read(data, "x") == card
    assert data[: len(MODEL)] == MODEL
    assert attach(MODEL, card) == data, "the same bytes every time"


def test_the_card_is_stored_and_compressed_ones_of_before_are_read() -> None:
    data = attach(MODEL, WRITTEN)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}, "MediaPipe takes no other"
    before = carded()
    assert len(before) < len(data)
    assert read(before, "x") == WRITTEN


def test_readers_that_know_one_number_for_all_channels_are_told_that_they_are_too_old() -> None:
    """They read format 1; a card that they understand stays one."""
    for norm, wanted in ((DEEPLAB, 1), (IMAGENET, 2)):
        with zipfile.ZipFile(io.BytesIO(attach(MODEL, dataclasses.replace(WRITTEN, norm=norm)))) as archive:
            assert json.loads(archive.read("roadlite-card.json"))["format"] == wanted


def test_any_zip_tool_shows_the_labels(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(attach(MODEL, WRITTEN))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().splitlines() == list(CITYSCAPES.names)
    if unzip := shutil.which("unzip"):
        shown = subprocess.run([unzip, "-p", path, "labels.txt"], capture_output=True, text=True, check=False)
        assert shown.stdout.splitlines() == list(CITYSCAPES.names)


def test_files_without_our_card_have_none() -> None:
    for data in (b"", MODEL, zipped("labels.txt", "road\n"), MODEL + b"PK\x05\x06" + bytes(18)):
        assert read(data, "x") is None


def test_a_second_card_replaces_the_first() -> None:
    second = dataclasses.replace(WRITTEN, recipe="float32")
    assert read(attach(attach(MODEL, WRITTEN), second), "x") == second


def test_a_model_named_like_no_other_stays_usable() -> None:
    found = read(attach(MODEL, dataclasses.replace(WRITTEN, name="a\n\x1b" + "b" * 400)), "x")
    assert found is not None
    assert found.name == "a??" + "b" * 252


def test_ten_thousand_calibration_frames_fit_in() -> None:
    frames = {f"a/folder/of/pictures/with-a-long-name-{n:06d}.png": [0] for n in range(10000)}
    card = dataclasses.replace(WRITTEN, provenance={"frames": frames})
    assert read(attach(MODEL, card), "x") == card


def test_provenance_that_is_no_json_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        attach(MODEL, dataclasses.replace(WRITTEN, provenance={"fidelity": float("nan")}))


@pytest.mark.parametrize("at", [0, 1500, 2999])
def test_another_model_in_front_of_the_card_is_refused(at: int) -> None:
    data = bytearray(attach(MODEL, WRITTEN))
    data[at] ^= 1
    assert "not the one its card was written for" in refusal(bytes(data))


def test_something_in_front_or_behind_is_noticed() -> None:
    data = attach(MODEL, WRITTEN)
    refusal(b"#!" + data)
    refusal(data + bytes(70000))
    refusal(data + zipped("other.txt", "x")[len(MODEL) :])
    assert read(data + b"\n", "x") == WRITTEN


def test_a_truncated_card_is_damaged_not_absent() -> None:
    data = attach(MODEL, WRITTEN)
    for end in range(len(MODEL) + 60, len(data) - 1, 7):
        refusal(data[:end])


def test_a_card_that_does_not_say_how_scores_are_enlarged_is_of_the_first_kind() -> None:
    assert read(carded(lambda d: d.pop("upsampling")), "x") == WRITTEN


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(format=3),
        lambda d: d.update(format=None),
        lambda d: d.pop("model_sha256"),
        lambda d: d.update(model_sha256=hashlib.sha256(b"").hexdigest()),
        lambda d: d.update(model_sha256=7),
        lambda d: d.pop("classes"),
        lambda d: d.update(output="picture"),
        lambda d: d.update(output=["logits"]),
        lambda d: d.update(input_hw=[-513, 1025]),
        lambda d: d.update(input_hw=[0, 1025]),
        lambda d: d.update(input_hw=[513]),
        lambda d: d.update(input_hw=[513.5, 1025]),
        lambda d: d.update(input_hw=["513", "1025"]),
        lambda d: d.update(input_hw=[10**400, 1]),
        lambda d: d.update(output_stride=-16),
        lambda d: d.update(output_stride=True),
        lambda d: d.update(normalisation=[127.5, 127.5]),
        lambda d: d["normalisation"].update(mean=[127.5, 127.5]),
        lambda d: d["normalisation"].update(mean=[123.15, 115.9, "103.06"]),
        lambda d: d["normalisation"].update(std=[1, 1, 0]),
        lambda d: d.update(normalisation={"mean": "0", "std": 1}),
        lambda d: d["normalisation"].update(std=0),
        lambda d: d["normalisation"].update(std=-127.5),
        lambda d: d["normalisation"].update(mean=10**400),
        lambda d: d["normalisation"].update(mean=float("nan")),
        lambda d: d["normalisation"].update(std=float("inf")),
        lambda d: d.update(classes=[]),
        lambda d: d.update(classes=d["classes"] * 3500),
        lambda d: d.update(classes={"road": [0, 0, 0]}),
        lambda d: d.update(classes=[None]),
        lambda d: d["classes"][3].update(name="\x1b[31m"),
        lambda d: d["classes"][3].update(name="x" * 300),
        lambda d: d["classes"][3].update(colour=[0, 0]),
        lambda d: d["classes"][3].update(colour=[0, 0, 256]),
        lambda d: d["classes"][3].update(colour=[0, 0, -1]),
        lambda d: d["classes"][3].update(colour="red"),
        lambda d: d.update(upsampling="nearest"),
        lambda d: d.update(upsampling=["align_corners"]),
        lambda d: d.update(name=""),
        lambda d: d.update(provenance=[]),
        lambda d: d["provenance"].update(mean_iou=float("nan")),
    ],
)
def test_a_card_with_impossible_values_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    assert read(carded(), "x") == WRITTEN
    refusal(carded(change))


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "7", '"x"', "{", "{}", "[" * 100000, '{"a":' * 100000, b"\xff\xfe", '{"a": NaN}', "9" * 9999],
)
def test_a_card_that_is_no_json_object_is_refused(text: str | bytes) -> None:
    refusal(carded(text=text))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packing_that_may_ask_for_gigabytes_is_refused(method: int) -> None:
    with zipfile.ZipFile(io.BytesIO(attach(MODEL, WRITTEN))) as archive:
        whole = archive.read(CARD)
    assert read(zipped(CARD, whole, method=zipfile.ZIP_STORED), "x") == WRITTEN
    refusal(zipped(CARD, whole, method=method))


def test_an_encrypted_card_is_refused() -> None:
    data = bytearray(attach(MODEL, WRITTEN))
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature, len(MODEL)) + flags] |= 1
    assert "encrypted" in refusal(bytes(data))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_cards_in_one_zip_the_last_counts() -> None:
    with zipfile.ZipFile(io.BytesIO(attach(MODEL, WRITTEN))) as archive:
        whole = archive.read(CARD)
    assert read(zipped(CARD, "{", CARD, whole), "x") == WRITTEN
    refusal(zipped(CARD, whole, CARD, "{"))


def test_a_zip_comment_does_no_harm() -> None:
    buffer = io.BytesIO(attach(MODEL, WRITTEN))
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.comment = b"hello"
    assert read(buffer.getvalue(), "x") == WRITTEN


def test_a_zip_bomb_takes_neither_time_nor_memory() -> None:
    bomb = zipped(CARD, " " * (1 << 26))
    tracemalloc.start()
    try:
        assert "larger" in refusal(bomb)
        assert tracemalloc.get_traced_memory()[1] < 32e6
    finally:
        tracemalloc.stop()


def test_random_damage_is_refused_or_harmless() -> None:
    whole = attach(MODEL, WRITTEN)
    outcomes = {"read": 0, "refused": 0, "none": 0}
    start = time.process_time()
    for seed in range(4000):
        data = damaged(whole, random.Random(seed))
        try:
            found = read(data, "x")
        except CardError:
            outcomes["refused"] += 1
            continue
        assert found in (WRITTEN, None), f"seed {seed}"
        outcomes["none" if found is None else "read"] += 1
    assert min(outcomes.values()) > 100
    assert time.process_time() - start < 30


def damaged(whole: bytes, chance: random.Random) -> bytes:
    data, first = bytearray(whole), chance.choice([0, len(MODEL), len(whole) - 250])
    match chance.randrange(4):
        case 0 | 1:
            for _ in range(chance.choice([1, 1, 2, 8])):
                data[chance.randrange(first, len(data))] = chance.choice([0, 1, 127, 128, 255, chance.randrange(256)])
        case 2:
            del data[chance.randrange(first, len(data)) :]
        case 3:
            at = chance.randrange(first, len(data))
            data[at : at + chance.randrange(200)] = chance.randbytes(chance.randrange(50))
    return bytes(data)


def test_other_tools_find_these_fields_in_the_card() -> None:
    with zipfile.ZipFile(io.BytesIO(attach(MODEL, WRITTEN))) as archive:
        document = json.loads(archive.read(CARD))
    assert document["model_sha256"] == hashlib.sha256(MODEL).hexdigest()
    assert document["classes"][0] == {"name": "road", "colour": [128, 64, 128]}
    assert document["normalisation"] == {"mean": 127.5, "std": 127.5}
    assert (document["format"], document["input_hw"], document["resize"]) == (1, [513, 1025], "bilinear, align_corners")
