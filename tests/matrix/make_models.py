"""Makes what the matrix's environments without TensorFlow test with: make_models.py FOLDER.

The demo graph as float32.tflite and int8.tflite at 65x129, and two pictures of its drive in pictures/ with their truth
in labels/.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from importlib import resources
from pathlib import Path

import cv2

from convert.job import Job, run
from convert.models import FrozenGraph
from convert.recipes import parse_recipes
from edge.scene import DEMO_SEED, Scene


def main(folder: Path) -> None:
    folder.mkdir(parents=True)
    data = resources.files("convert").joinpath("demo", "demo.pb").read_bytes()
    job = Job(
        parse_recipes("float32,int8"),
        (65, 129),
        "auto",
        folder,
        calibrate=["demo"],
        calibration_frames=8,
        verification_frames=4,
        min_agreement=0.0,
        classes=None,
    )
    for outcome in run(FrozenGraph("test", data, sha256(data).hexdigest(), "test"), job):
        outcome.path.rename(folder / f"{outcome.recipe.name}.tflite")
    for name in ("pictures", "labels"):
        (folder / name).mkdir()
    for index in range(2):
        rgb, ids = Scene(DEMO_SEED).draw(float(index), (180, 320))
        cv2.imwrite(str(folder / "pictures" / f"{index}.png"), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(folder / "labels" / f"{index}.png"), ids)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
