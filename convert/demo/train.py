"""Trains the demo network: `python -m convert.demo.train`, then `python -m convert.demo.publish` makes the graph of it.

On generated scenes alone it needs nothing else; `--frames` and `--teacher` mix in real frames with a teacher's labels.
Every batch is fixed by the seed; a run goes on from its checkpoint when started again, and with more `--steps` goes
further. Keras does the arithmetic, so that a GPU needs only one of its backends there, such as KERAS_BACKEND=jax.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from convert.demo.checkpoint import ARCHITECTURE, CHECKPOINT, TRAINED_STRIDE, about, weights_of
from convert.demo.data import Recipe, batches, class_weights
from convert.demo.losses import SegmentationLoss
from convert.demo.network import Network
from convert.networks.architecture import initial_weights
from edge.classes import CITYSCAPES
from edge.versions import installed

WARM_UP = 0.03  # share of the steps
DECAY = 2e-4
CLIP = 5.0  # global norm of the gradients

Report = Callable[[str], None]


class Trainer:
    """The net, its optimizer and what brought them where they are."""

    def __init__(self, seed: int, checkpoint: Path, loss_weights: NDArray[np.float32]) -> None:
        arch = replace(ARCHITECTURE, output_stride=TRAINED_STRIDE)
        self.network = Network(arch, initial_weights(arch, seed))
        self.optimizer = keras.optimizers.AdamW(0.0, weight_decay=DECAY, global_clipnorm=CLIP)
        flat = [variable for variable in self.network.trainable_variables if len(variable.shape) < 4]
        self.optimizer.exclude_from_weight_decay(var_list=flat)
        self.optimizer.build(self.network.trainable_variables)
        self.network.compile(self.optimizer, SegmentationLoss(loss_weights))
        self.checkpoint = checkpoint
        self.history: list[str] = []  # the commands that brought the weights here, each with the step it began at

    @property
    def step(self) -> int:
        return int(self.optimizer.iterations.value)

    def run(self, recipe: Recipe, steps: int, peak_rate: float, report: Report, save_every: int = 100) -> None:
        started, losses = time.perf_counter(), []
        for step, (pixels, labels) in enumerate(batches(recipe, self.step, steps), self.step):
            self.optimizer.learning_rate = rate(step, steps, peak_rate)
            losses.append(float(self.network.train_on_batch(pixels, labels)))
            if (step + 1) % save_every == 0 or step + 1 == steps:
                self.save()
                pace = (time.perf_counter() - started) / len(losses)
                report(f"step {step + 1}/{steps}  loss {np.mean(losses[-save_every:]):.4f}  {pace:.3f} s a step")

    def save(self) -> None:
        """Writes weights, moments and step; beside them, as JSON, what led there."""
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = self.checkpoint.with_name(f"part.{self.checkpoint.name}")
        self.network.save_weights(partial)
        about(self.checkpoint).write_text(json.dumps({"commands": self.history, "versions": versions()}, indent=2))
        partial.replace(self.checkpoint)

    def resume(self) -> bool:
        """Goes back to the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return False
        self.network.load_weights(self.checkpoint)
        self.history = json.loads(about(self.checkpoint).read_text())["commands"]
        return True


def rate(step: int, steps: int, peak: float) -> float:
    """Returns the learning rate: a linear warm-up, then half a cosine to zero."""
    done = step / steps
    if done < WARM_UP:
        return peak * (step + 1) / (steps * WARM_UP)
    return peak * 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def versions() -> dict[str, str]:
    """Returns the versions of what trains."""
    names = ("keras", keras.backend.backend(), "numpy", "opencv-python-headless")
    return {name: installed(name) or "unknown" for name in names}


def begin_with(graph: Path, network: Network) -> list[str]:
    """Gives the network the weights of a frozen demo graph; returns the commands that made them."""
    network.assign(weights_of(graph))
    made: list[str] = json.loads(graph.with_suffix(".json").read_text())["commands"]
    return [f"earlier: {line}" for line in made]


def command(options: argparse.Namespace) -> str:
    """Returns what to type for the same training, without this machine's folders."""
    words = [f"KERAS_BACKEND={keras.backend.backend()}", "python", "-m", "convert.demo.train"]
    for name in ("steps", "batch", "seed", "rate", "precision"):
        words += [f"--{name}", str(getattr(options, name))]
    if options.begin_with:
        words += ["--begin-with", options.begin_with.name]
    if options.frames:
        words += ["--every", str(options.every), "--real-share", str(options.real_share)]
        words += ["--teacher", options.teacher.name, "--frames", *(Path(path).name for path in options.frames)]
    return shlex.join(words)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m convert.demo.train", description="Train the embedded demo network.")
    parser.add_argument("--steps", type=int, default=12000)
    parser.add_argument("--batch", type=int, default=8, help="crops a step, a multiple of 4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument(
        "--precision", default="float32", metavar="POLICY", help="Keras's name, such as mixed_bfloat16 on a GPU"
    )
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, metavar="FILE.weights.h5")
    parser.add_argument("--begin-with", type=Path, metavar="GRAPH.pb", help="weights of an earlier demo graph")
    parser.add_argument("--frames", nargs="+", default=[], metavar="PATH", help="real videos or folders of pictures")
    parser.add_argument("--teacher", type=Path, metavar="MODEL", help=".tflite that labels the real frames")
    parser.add_argument("--every", type=int, default=30, help="use one real frame in so many")
    parser.add_argument("--real-share", type=float, default=0.15, help="share of real pictures in a batch")
    options = parser.parse_args(argv)
    if bool(options.frames) != bool(options.teacher):
        parser.error("--frames and --teacher go together")
    if options.batch < 4 or options.batch % 4:
        parser.error(f"--batch {options.batch}: expected a multiple of 4")
    if not options.checkpoint.name.endswith(".weights.h5"):
        parser.error(f"--checkpoint {options.checkpoint}: expected a name that ends in .weights.h5")
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)

    def report(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    recipe = Recipe(options.seed, options.batch)
    if options.frames:
        from convert.demo.teacher import label_frames

        folder = options.checkpoint.parent / "real"
        label_frames(options.frames, options.teacher, folder, options.every, report)
        recipe = replace(recipe, real=folder, real_share=options.real_share)
    keras.config.set_dtype_policy(options.precision)
    trainer = Trainer(options.seed, options.checkpoint, class_weights(recipe, len(CITYSCAPES)))
    if trainer.resume():
        report(f"going on from step {trainer.step} of {options.checkpoint}")
    elif options.begin_with:
        trainer.history += begin_with(options.begin_with, trainer.network)
    trainer.history.append(f"from step {trainer.step}: {command(options)}")
    try:
        trainer.run(recipe, options.steps, options.rate, report)
    except KeyboardInterrupt:
        trainer.save()
        report(f"interrupted at step {trainer.step}; the same command goes on from there")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
