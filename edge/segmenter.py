"""Makes a model file a function from picture to label map."""

from __future__ import annotations

import stat
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge import card as cards
from edge.card import Card, OutputKind
from edge.classes import ClassSet, guess
from edge.data import Ids, LabelMap, Pixels, TensorSpec
from edge.engine.base import Engine
from edge.engine.open import open_engine
from edge.errors import ModelError, UsageError
from edge.postprocess import Postprocess, nearest
from edge.preprocess import DEEPLAB, Fit, Normalisation, Preprocess

MAX_FILE = 1 << 30  # bytes; far above any model that could run on a Pi


class Segmenter:
    """A .tflite that labels pictures.

    >>> segment = Segmenter("mobilenetv2-513x1025-os16-int8.tflite")  # doctest: +SKIP
    >>> labels = segment(rgb)  # uint8 (H, W, 3) -> LabelMap, ids uint8 (H, W)  # doctest: +SKIP

    A file without a model card runs too: what its tensors do not say, `norm` and `classes` must. They
    override the card as well. Raises ModelError (or its kin) for a file that cannot be used.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        runtime: str = "auto",
        threads: int | None = None,
        norm: Normalisation | None = None,
        classes: ClassSet | None = None,
        fit: Fit = "stretch",
    ) -> None:
        self.path = Path(path)
        data = read_model(self.path)
        card = cards.read(data, self.path.name)  # first: it tells a damaged file before native code sees it
        self.engine: Engine = open_engine(data, self.path.name, runtime=runtime, threads=threads)
        self.card = describe(self.engine.input, self.engine.output, card, self.path.name, norm, classes)
        self.preprocess = Preprocess(self.engine.input, self.card.norm, fit)
        self.postprocess = Postprocess(self.preprocess.size_hw, pads=fit == "pad", rule=self.card.upsampling)

    def __call__(self, pixels: Pixels) -> LabelMap:
        """Labels RGB uint8 (H, W, 3) at the same height and width. Raises UsageError for any other array."""
        _check_pixels(pixels)
        return LabelMap(self.label(pixels, (pixels.shape[0], pixels.shape[1])))

    def label(self, pixels: Pixels, size_hw: tuple[int, int]) -> Ids:
        """Returns the labels, uint8 (H, W), of a picture at another size than its own. Raises ModelError."""
        own_hw = pixels.shape[0], pixels.shape[1]
        # How much of the output belongs to a padded picture depends on the picture's own size.
        at_hw = own_hw if self.preprocess.fit == "pad" else size_hw
        ids = self.postprocess(self.engine.invoke(self.preprocess(pixels)), at_hw).ids
        return ids if at_hw == size_hw else nearest(ids, size_hw)


def read_model(path: Path) -> bytes:
    """Returns the bytes of a model file: a copy, so that replacing the file later does not touch a running model."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ModelError(f"{path}: expected a .tflite file, this is no regular file")
        if status.st_size > MAX_FILE:
            size_mb = status.st_size >> 20
            raise ModelError(f"{path}: {size_mb} MiB is no model for a small device, expected at most 1024 MiB")
        return path.read_bytes()
    except FileNotFoundError as exc:
        raise ModelError(f"{path}: no such file; make one with `convert-model`") from exc
    except OSError as exc:
        raise ModelError(f"{path}: cannot be read ({exc.strerror})") from exc


def _check_pixels(pixels: Pixels) -> None:
    if not isinstance(pixels, np.ndarray):
        raise UsageError(f"expected a picture as a uint8 array (H, W, 3) in RGB order, got {type(pixels).__name__}")
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        found = f"{pixels.dtype} {pixels.shape}"
        raise UsageError(f"expected a picture as a uint8 array (H, W, 3) in RGB order, got {found}")


def describe(
    spec_in: TensorSpec,
    spec_out: TensorSpec,
    card: Card | None,
    where: str,
    norm: Normalisation | None = None,
    classes: ClassSet | None = None,
) -> Card:
    """Returns the card of a model, checked against its tensors; derived from them where there is none.

    Raises ModelError where the tensors are not those of a segmentation model, contradict the card, or leave
    open what only the user can say.
    """
    _check_input(spec_in, where)
    kind = _output_kind(spec_out, where)
    if card is not None:
        if card.input_hw != spec_in.shape[1:3] or card.output != kind:
            raise ModelError(f"{where}: its card does not fit its tensors; convert it again")
        norm, classes = norm or card.norm, classes or card.classes
    if norm is None:
        norm = _norm(spec_in, where)
    if classes is None:
        # A label map does not tell how many classes there are; Cityscapes is what this kit is for.
        classes = guess(spec_out.shape[3] if kind == "logits" else 19)
    if kind == "logits" and len(classes) != spec_out.shape[3]:
        raise ModelError(f"{where}: expected {spec_out.shape[3]} class names for its output, got {len(classes)}")
    height, width = spec_in.shape[1:3]
    if card is not None:
        return replace(card, norm=norm, classes=classes)
    stride = round((height - 1) / max(spec_out.shape[1] - 1, 1)) if kind == "logits" else 1
    return Card(Path(where).stem[:64], _recipe(spec_in), (height, width), stride, norm, kind, classes)


def _check_input(spec: TensorSpec, where: str) -> None:
    shape = spec.shape
    if len(shape) != 4 or shape[0] != 1 or shape[3] != 3 or not all(1 <= n <= 8192 for n in shape[1:3]):
        raise ModelError(f"{where}: expected one RGB picture (1, H, W, 3) as input, its input is {shape}")
    if spec.dtype not in (np.dtype(np.float32), np.dtype(np.uint8), np.dtype(np.int8)):
        raise ModelError(f"{where}: expected float32, uint8 or int8 input, its input is {spec.dtype}")
    if spec.dtype != np.float32 and not (np.isfinite(spec.scale) and spec.scale > 0):
        raise ModelError(f"{where}: its {spec.dtype} input has no quantization scale")


def _output_kind(spec: TensorSpec, where: str) -> OutputKind:
    shape = spec.shape
    if len(shape) in (3, 4) and shape[0] == 1 and min(shape) > 0:
        if len(shape) == 3 and np.issubdtype(spec.dtype, np.integer):
            return "labels"
        if len(shape) == 4 and 2 <= shape[3] <= 255 and spec.dtype in map(np.dtype, ("float32", "int8", "uint8")):
            return "logits"
    raise ModelError(
        f"{where}: not a segmentation model: expected scores (1, h, w, classes) or integer labels (1, h, w), "
        f"its output is {spec.dtype} {shape}"
    )


def _norm(spec: TensorSpec, where: str) -> Normalisation:
    """Returns what a quantized input's scale says; a float input says nothing."""
    if spec.dtype == np.float32:
        raise ModelError(
            f"{where}: has no model card and a float input, which does not tell how pixels are normalised; "
            "pass `normalise` deeplab (x / 127.5 - 1), unit (x / 255) or MEAN,STD"
        )
    limits = np.iinfo(spec.dtype)
    low, high = ((n - spec.zero_point) * spec.scale for n in (limits.min, limits.max))
    for norm in (DEEPLAB, Normalisation(0.0, 255.0), Normalisation(0.0, 1.0)):
        wanted = norm.limits
        if np.allclose((low, high), wanted, atol=0.02 * (wanted[1] - wanted[0])):
            return norm
    raise ModelError(
        f"{where}: has no model card and its input range {low:.3g}..{high:.3g} does not tell how pixels are "
        "normalised; pass `normalise` deeplab, unit or MEAN,STD"
    )


def _recipe(spec: TensorSpec) -> str:
    return "float32" if spec.dtype == np.float32 else str(spec.dtype)
