"""Damaged pictures, films, label files, mapping files, lists of class names and archives."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tarfile
import zlib
from pathlib import Path

from case import NUMBERS, TEXTS, Case, damaged
from model_cards import changed

PICTURES = (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".pgm")
FILMS = (".mp4", ".ts", ".avi", ".mkv")
OUTPUTS = ("--output", "labels:out/l", "--output", "out/f.mp4", "--stats", "out/s.json")


def picture(chance: random.Random, material: Path) -> Case:
    """`run-model` on a damaged picture, sometimes of another kind than its name says."""
    suffix = chance.choice(PICTURES)
    data = (material / f"picture{suffix}").read_bytes()
    data = _resized(data, chance) if suffix == ".png" and chance.random() < 0.3 else damaged(data, chance)
    name = f"p/1{suffix if chance.random() < 0.9 else chance.choice(PICTURES)}"
    return Case(
        "run-model", ["m.tflite", "--source", chance.choice(["p", name]), *OUTPUTS], _with(material, {name: data})
    )


def film(chance: random.Random, material: Path) -> Case:
    """`run-model` on a damaged film."""
    suffix = chance.choice(FILMS)
    name = f"f{suffix}"
    data = damaged((material / f"film{suffix}").read_bytes(), chance)
    return Case("run-model", ["m.tflite", "--source", name, "--limit", "20", *OUTPUTS], _with(material, {name: data}))


def label(chance: random.Random, material: Path) -> Case:
    """`evaluate-model` with a damaged label file."""
    suffix = chance.choice((".png", ".bmp", ".pgm", ".ppm"))
    data = (material / f"labels{suffix}").read_bytes()
    data = _resized(data, chance) if suffix == ".png" and chance.random() < 0.3 else damaged(data, chance)
    files = {"p/1.png": (material / "picture.png").read_bytes(), f"t/1{suffix}": data}
    return Case(
        "evaluate-model", ["m.tflite", "--source", "p", "--labels", "t", "--output", "out"], _with(material, files)
    )


def mapping(chance: random.Random, material: Path) -> Case:
    """`evaluate-model` with a damaged mapping file."""
    document = {
        "values": {"0": "class 0", "1": "class 1", "2": None},
        "colours": {"0,0,0": "class 0", "255,255,255": None},
        "other": "ignore",
        "merge": {"class 0": "class 1"},
        "only": ["class 1"],
    }
    odd: object = document
    for _ in range(chance.choice([1, 1, 2, 5])):
        odd = changed(odd, chance)
    text = json.dumps(odd).encode("utf-8", "surrogatepass")
    text = damaged(text, chance) if chance.random() < 0.3 else text
    text = chance.choice([b"[" * 100_000, b"\xff\xfe", b"", text]) if chance.random() < 0.05 else text
    files = {"p/1.png": (material / "picture.png").read_bytes(), "t/1.png": (material / "labels.png").read_bytes()}
    arguments = ["m.tflite", "--source", "p", "--labels", "t", "--mapping", "map.json", "--output", "out"]
    return Case("evaluate-model", arguments, _with(material, files | {"map.json": text}))


def class_names(chance: random.Random, material: Path) -> Case:
    """`run-model` with a damaged list of class names."""
    lines = [chance.choice([f"class {i}", *TEXTS]) for i in range(chance.choice([0, 1, 3, 3, 3, 300]))]
    text = chance.choice(["\n", "\r\n", "\r", "\0"]).join(lines).encode("utf-8", "surrogatepass")
    text = _named(chance) if chance.random() < 0.5 else text
    text = damaged(text, chance) if chance.random() < 0.3 else text
    name = chance.choice(["names.txt", "names.csv", "names.json"])
    files = {name: text, "p/1.png": (material / "picture.png").read_bytes()}
    shown = chance.choice([[], ["--show", "class 0"], ["--hide", chance.choice(TEXTS[1:6])], ["--view", "mask"]])
    arguments = ["m.tflite", "--classes", name, "--source", "p", *shown, *OUTPUTS]
    return Case("run-model", arguments, _with(material, files))


def _named(chance: random.Random) -> bytes:
    """Returns three class names as CSV or JSON, sometimes with a mark, changed in what they mean."""
    documents: list[object] = [
        ["class 0", "class 1", "class 2"],
        [{"name": f"class {n}", "color": [n, n, n], "trainId": n} for n in range(3)],
        {"0": "class 0", "1": "class 1", "2": "class 2"},
        {"names": ["class 0", "class 1", "class 2"]},
    ]
    odd = chance.choice(documents)
    for _ in range(chance.choice([0, 1, 1, 2])):
        odd = changed(odd, chance)
    names = [f"class {n}" if chance.random() < 0.9 else chance.choice(TEXTS) for n in range(3)]
    parting = chance.choice(",;\t")
    rows = [parting.join([str(n), name, "1", "2", str(n)]) for n, name in enumerate(names)]
    table = "\n".join(chance.choice([rows, [parting.join(["id", "name", "r", "g", "b"]), *rows]]))
    text = chance.choice([json.dumps(odd), table]) if chance.random() < 0.95 else "[" * 100_000
    return text.encode(chance.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"]), "surrogatepass")


def archive(chance: random.Random, material: Path) -> Case:
    """`inspect-model` on a damaged archive of a frozen graph."""
    graph = chance.choice(sorted(material.glob("*.pb"))).read_bytes()
    made = io.BytesIO()
    style = chance.choice([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
    with tarfile.open(fileobj=made, mode="w", format=style, errors="surrogateescape") as tar:
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            tar.addfile(_member(chance, len(graph)), io.BytesIO(graph))
    tarred = made.getvalue()
    tarred = damaged(tarred, chance) if chance.random() < 0.5 else tarred
    data = gzip.compress(tarred, 1, mtime=0) if chance.random() < 0.7 else tarred
    data = damaged(data, chance) if chance.random() < 0.4 else data
    name = chance.choice(["g.tar.gz", "g.tgz", "g.tar"])
    return Case("inspect-model", [name, "--json"], {name: data})


def _member(chance: random.Random, size: int) -> tarfile.TarInfo:
    names = ["a/frozen_inference_graph.pb"] * 6 + ["/frozen_inference_graph.pb", "../frozen_inference_graph.pb", "x.pb"]
    member = tarfile.TarInfo(
        chance.choice([*names, "a" * 90 + "/frozen_inference_graph.pb", "\n/frozen_inference_graph.pb"])
    )
    member.size = size
    if chance.random() < 0.2:
        member.type = chance.choice([tarfile.SYMTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.GNUTYPE_SPARSE, b"V"])
        member.linkname = chance.choice(["/etc/passwd", "x", ""])
    return member


def _resized(png: bytes, chance: random.Random) -> bytes:
    """A PNG that claims another size, depth or colour type, with the checksum of its header right (PNG, 11.2.2)."""
    head = bytearray(png[12:29])
    if chance.random() < 0.7:
        place = chance.choice([4, 8])
        head[place : place + 4] = struct.pack(">I", abs(chance.choice(NUMBERS)) & 0x7FFFFFFF)
    else:
        head[12 + chance.randrange(5)] = chance.randrange(20)
    return png[:12] + bytes(head) + struct.pack(">I", zlib.crc32(head)) + png[33:]


def _with(material: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    return {"m.tflite": (material / "net-33x49-os16-float32.tflite").read_bytes(), **files}
