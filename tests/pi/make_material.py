"""What the tests on the board need of a machine with TensorFlow: `make_material.py FOLDER`.

model.tflite, a small int8 model; pictures/ of the demo's drive and truth/, their exact labels; of this machine's own,
labels/ and overlay.png as run-model writes them and scores.json of evaluate-model; models/, those of the tests. The
pictures are files, so that both machines label the same pixels: drawing them is floating point.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import cv2

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import make_models  # type: ignore[attr-defined]  # of tests, not of tests/edge

from convert.cli.convert_model import main as convert_model
from edge.cli.evaluate_model import main as evaluate_model
from edge.cli.run_model import main as run_model
from edge.evaluation.samples import demo

COUNT, APART = 4, 60  # pictures, frames


def main(folder: Path) -> None:
    models, pictures, truth = (folder / name for name in ("models", "pictures", "truth"))
    for new in (models, pictures, truth):
        new.mkdir(parents=True)
    for name, path in make_models(resources.read_binary("convert.demo", "demo.pb"), "demo", folder).items():
        path.rename(models / f"{name}.tflite")
    model = convert(folder)
    for index, example in enumerate(demo(range(0, COUNT * APART, APART)).each()):
        pixels, labels = example.read()
        assert labels is not None
        cv2.imwrite(str(pictures / f"{index}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        cv2.imwrite(str(truth / f"{index}_labelTrainIds.png"), labels.ids)
    command(run_model, model, "--source", pictures, "--output", f"labels:{folder / 'labels'}")
    command(run_model, model, "--source", pictures / "0.png", "--output", folder / "overlay.png")
    command(evaluate_model, model, "--source", pictures, "--labels", truth, "--frames", 0, "--output", folder)


def convert(folder: Path) -> Path:
    wanted = ("demo", "--quantize", "int8", "--input-size", "129x257")
    command(convert_model, *wanted, "--output", folder / "converted")
    (made,) = (folder / "converted").glob("*.tflite")
    return made.rename(folder / "model.tflite")


def command(entry: Callable[[list[str]], int], *arguments: object) -> None:
    code = entry([*map(str, arguments)])
    if code:
        sys.exit(f"{arguments} ended with {code}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
