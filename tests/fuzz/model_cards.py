"""Damaged cards: their JSON, and the zip archive around it."""

from __future__ import annotations

import hashlib
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any

from case import FLOATS, NUMBERS, TEXTS, Case, damaged
from models import bare, command

from edge.card import CARD, LABELS, MAX_BYTES

ODD: tuple[Any, ...] = (None, True, [], {}, [[]], {"a": {"b": []}}, *NUMBERS, *FLOATS[:-3], *TEXTS, 10**400, "9" * 5000)


def make(chance: random.Random, material: Path) -> Case:
    """A command on a good model with a damaged card."""
    path = chance.choice([p for p in sorted(material.glob("*.tflite")) if CARD.encode() in p.read_bytes()])
    data = path.read_bytes()
    model = bare(data)
    kind = chance.random()
    if kind < 0.25:
        return command(chance, material, model + damaged(data[len(model) :], chance), signed=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        document = json.loads(archive.read(CARD))
    for _ in range(chance.choice([1, 1, 2, 5])):
        document = changed(document, chance)
    if isinstance(document, dict) and chance.random() < 0.9:
        document["model_sha256"] = hashlib.sha256(model).hexdigest()
    return command(chance, material, model + packed(document, chance), signed=True)


def changed(value: Any, chance: random.Random) -> Any:
    """Returns a JSON value with something in it replaced, left out or put in."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        made = dict(value)
        key = chance.choice(sorted(made))
        kind = chance.randrange(6)
        if kind == 0:
            del made[key]
        elif kind == 1:
            made[chance.choice([str(key), "x", *TEXTS])] = chance.choice(ODD)
        else:
            made[key] = changed(made[key], chance)
        return made
    if isinstance(value, list) and value and chance.random() < 0.8:
        listed = list(value)
        place = chance.randrange(len(listed))
        if chance.random() < 0.2:
            return listed * chance.choice([0, 2, 200])
        listed[place] = changed(listed[place], chance)
        return listed
    return chance.choice(ODD)


def packed(document: Any, chance: random.Random) -> bytes:
    """Returns an archive with a card, sometimes an archive of another kind than the kit writes."""
    text = json.dumps(document)
    odd = chance.random()
    if odd < 0.05:
        text = "[" * 100_000
    elif odd < 0.08:
        text += " " * (MAX_BYTES + 1)
    elif odd < 0.1:
        text = text.replace('"mean": ', '"mean": NaN, "x": ', 1)
    made = io.BytesIO()
    method = chance.choice([zipfile.ZIP_DEFLATED] * 8 + [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    with zipfile.ZipFile(made, "w", method) as archive:
        names = chance.choice([[CARD, LABELS]] * 6 + [[CARD], [LABELS, CARD], [f"../{CARD}"], [CARD, "x" * 60_000]])
        for name in names:
            archive.writestr(name, text.encode("utf-8", "surrogatepass") if CARD in name else "a\nb\n")
        if chance.random() < 0.1:
            archive.comment = CARD.encode() * chance.choice([1, 1000])
    data = made.getvalue()
    return damaged(data, chance) if chance.random() < 0.15 else data
