"""What is damaged: small models, graphs, pictures and films, made once and kept."""

from __future__ import annotations

import hashlib
import os
import random
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

TESTS = Path(__file__).parents[1]
KEPT = TESTS.parent / ".fuzz_cache"


def material() -> Path:
    """Returns the folder of all that is damaged; it is made anew when this file or the converter changes."""
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(TESTS.parent.joinpath("convert").rglob("*.py"))):
        digest.update(path.read_bytes())
    folder = KEPT / digest.hexdigest()[:16]
    if not folder.is_dir():
        part = folder.with_name(f"{folder.name}.{os.getpid()}")
        part.mkdir(parents=True)
        for make in (_pictures, _films, _tiny_models, _graphs, _models):
            _apart(make, part)
        part.rename(folder)
    return folder


def _apart(make: Callable[[Path], None], folder: Path) -> None:
    """In a process of its own: one in which TensorFlow has run cannot fork any more."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            make(folder)
        except BaseException:  # noqa: BLE001 - the process that was forked must not go on as this one
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{make.__name__}: the material could not be made")


def _pictures(folder: Path) -> None:
    random_numbers = np.random.default_rng(0)
    coarse = random_numbers.integers(0, 256, (6, 8, 3), np.uint8)
    picture = cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC)
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".pgm"):
        cv2.imwrite(str(folder / f"picture{suffix}"), picture if suffix != ".pgm" else picture[..., 0])
    labels = random_numbers.integers(0, 3, (48, 64), np.uint8)
    for suffix in (".png", ".bmp", ".pgm", ".ppm"):
        cv2.imwrite(str(folder / f"labels{suffix}"), labels if suffix != ".ppm" else labels[..., None].repeat(3, 2))


def _films(folder: Path) -> None:
    import av

    random_numbers = np.random.default_rng(1)
    for suffix in (".mp4", ".ts", ".avi", ".mkv"):
        with av.open(str(folder / f"film{suffix}"), "w") as container:
            stream = container.add_stream("mpeg4" if suffix == ".avi" else "libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
            for _ in range(12):
                picture = random_numbers.integers(0, 256, (48, 64, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            container.mux(stream.encode())


def _tiny_models(folder: Path) -> None:
    sys.path.insert(0, str(TESTS / "edge"))
    from conftest import build

    from edge.card import Card, attach
    from edge.classes import guess
    from edge.preprocess import DEEPLAB

    for output, kind in (("scores", "logits"), ("labels", "labels"), ("free", "logits")):
        card = Card("tiny", "float32", (9, 17), 2, DEEPLAB, kind, guess(3 if kind == "logits" else 19))
        (folder / f"tiny-{output}.tflite").write_bytes(attach(build("float32", output=output), card))
    (folder / "tiny-bare.tflite").write_bytes(build("float32"))
    (folder / "tiny-int8.tflite").write_bytes(build("int8", scale=2 / 255, zero_point=0))


def _graphs(folder: Path) -> None:
    sys.path.insert(0, str(TESTS / "convert"))
    import nets

    (folder / "net.pb").write_bytes(nets.net(classes=3).SerializeToString())
    (folder / "unfused.pb").write_bytes(nets.net(classes=3, batch_norm="folded").SerializeToString())


def _models(folder: Path) -> None:
    from convert.cli.convert_model import main

    arguments = ["--quantize", "float32,float16,dynamic,int8", "--input-size", "33x49", "--min-agreement", "0"]
    frames = ["--calibration-frames", "4", "--verification-frames", "2", "--no-rescue", "--output", str(folder)]
    if main([str(folder / "net.pb"), *arguments, *frames]):
        raise RuntimeError("the models could not be converted")


def chance_of(kind: str, number: int) -> random.Random:
    """The chances of a case: the same on every machine and in every process."""
    return random.Random(f"{kind}:{number}")
