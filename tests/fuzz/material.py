"""What is damaged: small models, graphs, pictures and films, made once and kept."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

TESTS = Path(__file__).parents[1]
KEPT = TESTS.parent / ".fuzz_cache"


def material(*, graphs_only: bool = False) -> Path:
    """Returns the folder of all that is damaged; it is made anew when this file or the converter changes.

    Models take half a minute: `graphs_only` does without.
    """
    digest = hashlib.sha256()
    for path in (Path(__file__), *sorted(TESTS.parent.joinpath("convert").rglob("*.py"))):
        digest.update(path.read_bytes())
    folder = KEPT / digest.hexdigest()[:16]
    for make in (_pictures, _graphs) if graphs_only else (_pictures, _graphs, _films, _tiny_models, _models):
        done = folder / f"{make.__name__}.done"
        if not done.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=KEPT) as part:
                _apart(make, Path(part), folder)
                for path in Path(part).iterdir():
                    path.replace(folder / path.name)
            done.touch()
    return folder


def _apart(make: Callable[[Path, Path], None], part: Path, folder: Path) -> None:
    """In a process of its own: one in which TensorFlow has run cannot fork any more."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            make(part, folder)
        except BaseException:  # noqa: BLE001 - the process that was forked must not go on as this one
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError(f"{make.__name__}: the material could not be made")


def _pictures(part: Path, folder: Path) -> None:
    random_numbers = np.random.default_rng(0)
    coarse = random_numbers.integers(0, 256, (6, 8, 3), np.uint8)
    picture = cv2.resize(coarse, (64, 48), interpolation=cv2.INTER_CUBIC)
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".pgm"):
        cv2.imwrite(str(part / f"picture{suffix}"), picture if suffix != ".pgm" else picture[..., 0])
    labels = random_numbers.integers(0, 3, (48, 64), np.uint8)
    for suffix in (".png", ".bmp", ".pgm", ".ppm"):
        cv2.imwrite(str(part / f"labels{suffix}"), labels if suffix != ".ppm" else labels[..., None].repeat(3, 2))


def _films(part: Path, folder: Path) -> None:
    import av

    random_numbers = np.random.default_rng(1)
    for suffix in (".mp4", ".ts", ".avi", ".mkv"):
        with av.open(str(part / f"film{suffix}"), "w") as container:
            stream = container.add_stream("mpeg4" if suffix == ".avi" else "libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 5
            for _ in range(12):
                picture = random_numbers.integers(0, 256, (48, 64, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            container.mux(stream.encode())


def _tiny_models(part: Path, folder: Path) -> None:
    sys.path.insert(0, str(TESTS / "edge"))
    from small_models import strongest_colour as build

    from edge.card import Card, attach
    from edge.classes import guess
    from edge.preprocess import DEEPLAB

    for output, kind in (("scores", "logits"), ("labels", "labels"), ("free", "logits")):
        card = Card("tiny", "float32", (9, 17), 2, DEEPLAB, kind, guess(3 if kind == "logits" else 19))
        (part / f"tiny-{output}.tflite").write_bytes(attach(build("float32", output=output), card))
    (part / "tiny-bare.tflite").write_bytes(build("float32"))
    (part / "tiny-int8.tflite").write_bytes(build("int8", scale=2 / 255, zero_point=0))


def _graphs(part: Path, folder: Path) -> None:
    sys.path.insert(0, str(TESTS / "convert"))
    import nets

    (part / "net.pb").write_bytes(nets.net(classes=3).SerializeToString())
    (part / "unfused.pb").write_bytes(nets.net(classes=3, batch_norm="folded").SerializeToString())


def _models(part: Path, folder: Path) -> None:
    from convert.cli.convert_model import main

    arguments = ["--quantize", "float32,float16,dynamic,int8", "--input-size", "33x49", "--min-agreement", "0"]
    frames = ["--calibration-frames", "4", "--verification-frames", "2", "--no-rescue", "--output", str(part)]
    if main([str(folder / "net.pb"), *arguments, *frames]):
        raise RuntimeError("the models could not be converted")
