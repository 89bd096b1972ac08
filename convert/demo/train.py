"""Trains the demo graph: `python -m convert.demo.train`.

On generated scenes alone it needs nothing else; `--frames` and `--teacher` mix in real frames with a teacher's labels.
The run is deterministic but for the order of floating-point sums, goes on from its checkpoint when started again, and
with more `--steps` goes further.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from convert.demo.builder import Architecture, build, initial_weights
from convert.demo.data import FULL_HW, Recipe, batches, class_ious, class_weights, confusion, held_out
from convert.demo.layers import Tensor, Weights
from convert.demo.network import Network
from convert.demo.teacher import label_frames
from edge.classes import CITYSCAPES
from edge.data import IGNORE

DEMO = Path(__file__).parent / "demo.pb"
ARCHITECTURE = Architecture(width=0.48, crop_hw=FULL_HW, output_stride=8)  # 0.48 keeps the file below 3 MB
TRAINED_STRIDE = 16
WARM_UP = 0.03  # share of the steps
FROZEN = 0.12  # share of the steps at the end in which BatchNorms keep their statistics
HELD_OUT = 48
OVERLAP = 1.0  # weight of the overlap loss beside cross-entropy

Report = Callable[[str], None]


class Trainer:
    """The net, its Adam moments (Kingma and Ba 2015, decoupled decay) and the step it has reached."""

    def __init__(self, seed: int, loss_weights: NDArray[np.float32], peak_rate: float, checkpoint: Path) -> None:
        arch = replace(ARCHITECTURE, output_stride=TRAINED_STRIDE)
        self.network = Network(arch, initial_weights(arch, seed))
        self.trainable = list(self.network.trainable().values())
        self.first = [tf.Variable(tf.zeros_like(v), trainable=False) for v in self.trainable]
        self.second = [tf.Variable(tf.zeros_like(v), trainable=False) for v in self.trainable]
        self.loss_weights = tf.constant(np.append(loss_weights, np.zeros(256 - len(loss_weights), np.float32)))
        self.peak_rate, self.checkpoint, self.step = peak_rate, checkpoint, 0
        self.history: list[str] = []  # the commands that brought the weights here, each with the step it began at
        self.update = tf.function(self._update)

    def _update(self, pixels: Tensor, labels: Tensor, rate: Tensor, number: Tensor, training: bool) -> Tensor:
        with tf.GradientTape() as tape:
            logits = self.network.logits(tf.cast(pixels, tf.float32) / 127.5 - 1, training)
            logits = tf.raw_ops.ResizeBilinear(images=logits, size=tf.shape(labels)[1:], align_corners=True)
            weights = tf.gather(self.loss_weights, tf.cast(labels, tf.int32))
            known = tf.where(labels == IGNORE, tf.zeros_like(labels), labels)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.cast(known, tf.int32), logits)
            loss = tf.reduce_sum(losses * weights) / tf.reduce_sum(weights)
            loss += OVERLAP * overlap_loss(logits, labels)
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, self.trainable), 5.0)
        correction = rate * tf.sqrt(1 - tf.pow(0.999, number)) / (1 - tf.pow(0.9, number))
        for variable, first, second, gradient in zip(self.trainable, self.first, self.second, gradients, strict=True):
            first.assign(0.9 * first + 0.1 * gradient)
            second.assign(0.999 * second + 0.001 * tf.square(gradient))
            decay = 2e-4 if variable.shape.rank == 4 else 0.0
            variable.assign_sub(correction * first / (tf.sqrt(second) + 1e-7) + rate * decay * variable)
        return loss

    def _apply(self, pixels: NDArray[np.uint8], labels: NDArray[np.uint8], rate: float, training: bool) -> float:
        rates = tf.constant(rate, tf.float32), tf.constant(self.step + 1, tf.float32)
        return float(self.update(tf.constant(pixels), tf.constant(labels), *rates, training))

    def rate(self, steps: int) -> float:
        """Linear warm-up, then half a cosine to zero."""
        done = self.step / steps
        if done < WARM_UP:
            return self.peak_rate * (self.step + 1) / (steps * WARM_UP)
        return self.peak_rate * 0.5 * (1 + float(np.cos(np.pi * (done - WARM_UP) / (1 - WARM_UP))))

    def run(self, recipe: Recipe, steps: int, report: Report, save_every: int = 100) -> None:
        started, losses = time.perf_counter(), []
        for pixels, labels in batches(recipe, self.step, steps):
            training = self.step < steps * (1 - FROZEN)
            rate = self.rate(steps)
            losses.append(float(self._apply(pixels, labels, rate, training)))
            self.step += 1
            if self.step % save_every == 0 or self.step == steps:
                self.save()
                pace = (time.perf_counter() - started) / len(losses)
                recent = np.mean(losses[-save_every:])
                report(f"step {self.step}/{steps}  loss {recent:.4f}  rate {rate:.2e}  {pace:.2f} s a step")

    def save(self) -> None:
        arrays = {f"weight:{name}": value for name, value in self.network.weights().items()}
        arrays |= {f"first:{i}": variable.numpy() for i, variable in enumerate(self.first)}
        arrays |= {f"second:{i}": variable.numpy() for i, variable in enumerate(self.second)}
        arrays |= {"step": np.array(self.step), "history": np.array(self.history)}
        partial = self.checkpoint.with_suffix(".part.npz")
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, allow_pickle=False, **arrays)
        partial.replace(self.checkpoint)

    def resume(self) -> bool:
        """Goes back to the checkpoint, if there is one."""
        if not self.checkpoint.exists():
            return False
        with np.load(self.checkpoint) as stored:
            for name, variable in self.network.variables.items():
                variable.assign(stored[f"weight:{name}"])
            for i, (first, second) in enumerate(zip(self.first, self.second, strict=True)):
                first.assign(stored[f"first:{i}"])
                second.assign(stored[f"second:{i}"])
            self.step, self.history = int(stored["step"]), stored["history"].tolist()
        return True


def overlap_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus the soft intersection over union, mean over the classes that the batch holds.

    Probabilities stand in for the found pixels (Rahman and Wang 2016). Cross-entropy counts pixels, and so does little
    for classes that have few of them; this counts classes, as mIoU does.
    """
    found = tf.nn.softmax(logits) * tf.cast(labels != IGNORE, tf.float32)[..., None]
    truth = tf.one_hot(tf.cast(labels, tf.int32), tf.shape(logits)[-1])  # all zero where ignored
    hits = tf.reduce_sum(found * truth, [0, 1, 2])
    pixels = tf.reduce_sum(truth, [0, 1, 2])
    union = tf.reduce_sum(found, [0, 1, 2]) + pixels - hits
    present = tf.cast(pixels > 0, tf.float32)
    return 1 - tf.reduce_sum(present * hits / tf.maximum(union, 1.0)) / tf.maximum(tf.reduce_sum(present), 1.0)


def labels_of(graph_def: Any, pictures: list[NDArray[np.uint8]]) -> list[NDArray[np.int64]]:
    """`SemanticPredictions` of each picture (H, W, 3)."""
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            return [session.run("SemanticPredictions:0", {"ImageTensor:0": x[None]})[0] for x in pictures]


def measure(weights: Weights, size: int = HELD_OUT) -> dict[str, Any]:
    """mIoU of the frozen float32 graph on the held-out scenes, at the exported and at the trained stride."""
    scenes = list(held_out(size))
    measured: dict[str, Any] = {"scenes": size, "size_hw": list(FULL_HW)}
    for stride in (ARCHITECTURE.output_stride, TRAINED_STRIDE):
        found = labels_of(build(replace(ARCHITECTURE, output_stride=stride), weights), [pixels for pixels, _ in scenes])
        counts = sum(confusion(ids, labels, len(CITYSCAPES)) for (_, ids), labels in zip(scenes, found, strict=True))
        ious = class_ious(np.asarray(counts))
        measured[f"stride_{stride}"] = {
            "miou": round(float(np.nanmean(ious)), 4),
            "pixel_accuracy": round(float(np.trace(counts) / np.sum(counts)), 4),
            "iou": {CITYSCAPES.names[i]: round(float(ious[i]), 3) for i in np.flatnonzero(~np.isnan(ious))},
        }
    return measured


def publish(trainer: Trainer, path: Path) -> None:
    """The frozen graph at output stride 8, and its card beside it."""
    weights = trainer.network.weights()
    path.with_suffix(".part").write_bytes(build(ARCHITECTURE, weights).SerializeToString(deterministic=True))
    path.with_suffix(".part").replace(path)
    card = {
        "architecture": asdict(ARCHITECTURE),
        "trained_output_stride": TRAINED_STRIDE,
        "data": "scenes generated by edge.scene; real frames only where a command names some",
        "commands": trainer.history,
        "steps": trainer.step,
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in ("tensorflow", "numpy", "opencv-python-headless")},
        "measured": measure(weights),
    }
    path.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n")


def command(options: argparse.Namespace) -> str:
    """What to type for the same training, without this machine's folders."""
    words = ["python", "-m", "convert.demo.train"]
    for name in ("steps", "batch", "seed", "rate"):
        words += [f"--{name}", str(getattr(options, name))]
    if options.frames:
        words += ["--every", str(options.every), "--real-share", str(options.real_share)]
        words += ["--teacher", options.teacher.name, "--frames", *(Path(path).name for path in options.frames)]
    return shlex.join(words)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m convert.demo.train", description="Train the embedded demo graph.")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=4, help="crops a step, a multiple of 4")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="highest learning rate")
    parser.add_argument("--checkpoint", type=Path, default=Path("build/demo-checkpoint.npz"))
    parser.add_argument("--output", type=Path, default=DEMO)
    parser.add_argument("--frames", nargs="+", default=[], metavar="PATH", help="real videos or folders of pictures")
    parser.add_argument("--teacher", type=Path, metavar="MODEL", help=".tflite that labels the real frames")
    parser.add_argument("--every", type=int, default=30, help="use one real frame in so many")
    parser.add_argument("--real-share", type=float, default=0.2, help="share of real pictures in a batch")
    options = parser.parse_args(argv)
    if bool(options.frames) != bool(options.teacher):
        parser.error("--frames and --teacher go together")
    if options.batch < 4 or options.batch % 4:
        parser.error(f"--batch {options.batch}: expected a multiple of 4")
    return options


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)

    def report(line: str) -> None:
        sys.stderr.write(line + "\n")
        sys.stderr.flush()

    recipe = Recipe(options.seed, options.batch)
    if options.frames:
        folder = options.checkpoint.with_suffix(".real")
        label_frames(options.frames, options.teacher, folder, options.every, report)
        recipe = replace(recipe, real=folder, real_share=options.real_share)
    trainer = Trainer(options.seed, class_weights(recipe, len(CITYSCAPES)), options.rate, options.checkpoint)
    if trainer.resume():
        report(f"going on from step {trainer.step} of {options.checkpoint}")
    trainer.history.append(f"from step {trainer.step}: {command(options)}")
    trainer.run(recipe, options.steps, report)
    publish(trainer, options.output)
    report(options.output.with_suffix(".json").read_text())
    return 0


if __name__ == "__main__":
    sys.exit(main())
