"""Makes the model's input tensor of a picture. Calibration, verification and the runtime all come through here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.data import Deferred, Pixels, TensorSpec, channels_first, picture_hw
from edge.errors import UsageError

Channels = tuple[float, float, float]
"""A number each for red, green and blue."""


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What the network was trained on: real value = (pixel - mean) / std.

    In grey levels: one number for all channels, or one each. `by_channel` makes the first of the second where it can.
    """

    mean: float | Channels
    std: float | Channels

    def __str__(self) -> str:
        return f"(pixel - {_shown(self.mean)}) / {_shown(self.std)}"

    @property
    def alike(self) -> bool:
        """Whether one number serves all channels."""
        return not isinstance(self.mean, tuple) and not isinstance(self.std, tuple)

    @property
    def channels(self) -> tuple[Channels, Channels]:
        """Mean and deviation, a number for each channel."""
        return _each(self.mean), _each(self.std)

    @property
    def plausible(self) -> bool:
        """Whether all numbers are finite and of a size that float32 can compute with."""
        mean, std = self.channels
        return all(abs(m) <= 1e6 and 1e-6 < s <= 1e6 for m, s in zip(mean, std, strict=True))

    @property
    def limits(self) -> tuple[float, float]:
        """The lowest and the highest real value that a pixel can have in any channel."""
        pairs = list(zip(*self.channels, strict=True))
        return min((0 - mean) / std for mean, std in pairs), max((255 - mean) / std for mean, std in pairs)

    def scaled(self, factor: float) -> Normalisation:
        """Returns the normalisation of pixels that are `factor` times as large."""
        mean, std = self.channels
        return by_channel(*((r * factor, g * factor, b * factor) for r, g, b in (mean, std)))

    def real(self, pixels: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Returns the real values of grey levels (..., 3), or (...) where all channels are alike, in their dtype."""
        mean, std = (np.asarray(value, pixels.dtype) for value in (self.mean, self.std))
        values: NDArray[Any] = (pixels - mean) / std
        return values


def by_channel(mean: Channels, std: Channels) -> Normalisation:
    """Returns the normalisation of these channels: with one number where they are alike."""
    return Normalisation(*(value[0] if value[0] == value[1] == value[2] else value for value in (mean, std)))


def _each(value: float | Channels) -> Channels:
    return value if isinstance(value, tuple) else (value, value, value)


def _shown(value: float | Channels) -> str:
    return f"({', '.join(f'{v:g}' for v in value)})" if isinstance(value, tuple) else f"{value:g}"


Fit = Literal["stretch", "pad"]
"""How a picture of another shape comes to the input's: `stretch` fills the input; `pad` keeps the picture's shape,
scales it down where it is too large, never up, and fills the rest, right and below, with the mean: what a frozen graph
does with pictures smaller than its crop."""

STRIP = 128  # rows that are warped at a time
WARPS_EXACTLY = int(cv2.__version__.partition(".")[0]) >= 5
DEEPLAB = Normalisation(127.5, 127.5)  # x / 127.5 - 1, in every DeepLab export


def parse_normalisation(text: str) -> Normalisation:
    """Returns the normalisation `deeplab`, `unit` or `MEAN,STD`, in grey levels; of six numbers, three are the means of
    red, green and blue and three their deviations. Raises UsageError.
    """
    named = {"deeplab": DEEPLAB, "unit": Normalisation(0.0, 255.0)}
    if text in named:
        return named[text]
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 6):
        raise UsageError(
            f"expected deeplab, unit, MEAN,STD or three means and three deviations, got {text!r}", "normalise"
        )
    red, green, blue, *std = numbers if len(numbers) == 6 else np.repeat(numbers, 3).tolist()
    norm = by_channel((red, green, blue), (std[0], std[1], std[2]))
    if not norm.plausible:
        raise UsageError(f"expected a finite mean and a positive deviation, got {text!r}", "normalise")
    return norm


class Resize:
    """Bilinear with align_corners, as TensorFlow's ResizeBilinear, rounded to whole grey levels.

    Corner pixels map to corner pixels: source = target * (in - 1) / (out - 1). uint8 (H, W, 3) in and out.
    OpenCV 4, for environments held at numpy 1, warps in steps of 1/32 pixel, up to 7 grey levels off; there numpy
    interpolates, tens of times slower.
    """

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.size_hw = size_hw

    def __call__(self, pixels: Pixels) -> Pixels:
        """Returns a contiguous picture of the wanted size; the same one where nothing is to be done."""
        (height, width), (out_h, out_w) = pixels.shape[:2], self.size_hw
        if (height, width) == (out_h, out_w):
            return np.ascontiguousarray(pixels)
        if not WARPS_EXACTLY:
            return cv2.convertScaleAbs(_interpolated(_interpolated(pixels, out_h, 0), out_w, 1))  # type: ignore[return-value]
        out = np.empty((out_h, out_w, 3), np.uint8)
        for top in range(0, out_h, STRIP):
            self._warp(pixels, top, out[top : top + STRIP])
        return out

    def _warp(self, pixels: Pixels, top: int, out: Pixels) -> None:
        """Writes rows of the result, from `top` on: whole pictures of four channels would take more memory."""
        (height, width), (out_h, out_w) = pixels.shape[:2], self.size_hw
        scale_y = (height - 1) / (out_h - 1) if out_h > 1 else 0.0
        scale_x = (width - 1) / (out_w - 1) if out_w > 1 else 0.0
        first = int(top * scale_y)
        last = min(height, int((top + len(out) - 1) * scale_y) + 3)
        matrix = np.array([[scale_x, 0, 0], [0, scale_y, top * scale_y - first]], np.float64)
        flags, border = cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
        # OpenCV warps four channels in a third of the time of three.
        four = cv2.cvtColor(pixels[first:last], cv2.COLOR_RGB2RGBA)
        warped = cv2.warpAffine(four, matrix, (out_w, len(out)), flags=flags, borderMode=border)
        cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB, dst=out)


def _interpolated(values: NDArray[Any], size: int, axis: int) -> NDArray[np.float32]:
    """`values` at `size` places along an axis, corner to corner, between their neighbours."""
    sides = values.shape[axis]
    at = np.arange(size) * ((sides - 1) / (size - 1) if size > 1 else 0.0)
    lower = at.astype(np.intp)
    weight = np.expand_dims(at - lower, [other for other in range(values.ndim) if other != axis]).astype(np.float32)
    low, high = (values.take(places, axis).astype(np.float32) for places in (lower, np.minimum(lower + 1, sides - 1)))
    between: NDArray[np.float32] = low + (high - low) * weight
    return between


def resize(pixels: Pixels, size_hw: tuple[int, int]) -> Pixels:
    """Returns one picture, as `Resize` does it."""
    return Resize(size_hw)(pixels)


def lookup(spec: TensorSpec, norm: Normalisation) -> NDArray[Any]:
    """Returns the stored input value of each grey level, (256,) in the tensor's dtype, or (256, 3) where the channels
    differ.

    A pixel takes one of 256 values, so normalising and quantizing is a table: for float tensors
    (x - mean) / std, for quantized ones that divided by scale, rounded, plus zero_point, clipped.

    DeepLab's mean 127.5 puts every grey level half-way between two stored values. All of them are rounded
    upwards then: to the nearest even value would merge levels in pairs, and so would the float error of scale.
    """
    levels: NDArray[np.floating[Any]] = np.arange(256, dtype=np.float64)
    levels = levels.astype(np.float32) if spec.dtype == np.float32 else levels
    return stored(norm.real(levels if norm.alike else np.repeat(levels[:, None], 3, axis=1)), spec)


def stored(real: NDArray[np.floating[Any]], spec: TensorSpec) -> NDArray[Any]:
    """Returns real values as a tensor of `spec` stores them, in its dtype: halves, and what lies just below,
    upwards.
    """
    if spec.dtype == np.float32:
        return real.astype(np.float32, copy=False)
    limits = np.iinfo(spec.dtype)
    whole = np.floor(real / spec.scale + 0.5 + 1e-3) + spec.zero_point
    clipped: NDArray[Any] = np.clip(whole, limits.min, limits.max).astype(spec.dtype)
    return clipped


def fitted(size_hw: tuple[int, int], input_hw: tuple[int, int]) -> tuple[int, int]:
    """Returns the size of a picture scaled down, where it must be, to fit into the input in its own shape."""
    (height, width), (most_h, most_w) = size_hw, input_hw
    scale = min(1.0, (most_h - 1) / max(height - 1, 1), (most_w - 1) / max(width - 1, 1))
    return round((height - 1) * scale) + 1, round((width - 1) * scale) + 1


class Preprocess:
    """Resizes a picture to the model's input and maps its grey levels to stored values. One thread at a time."""

    def __init__(self, spec: TensorSpec, norm: Normalisation, fit: Fit = "stretch") -> None:
        self.size_hw, self.fit = picture_hw(spec.shape), fit
        self._channels_first = channels_first(spec.shape)
        self._nothing = stored(np.zeros(1), spec)[0]  # what the mean is stored as
        self._resize = Resize(self.size_hw)
        table = lookup(spec, norm)
        self._dtype, self._stored = table.dtype, table.view(np.uint8) if table.itemsize == 1 else table
        shifted = table.itemsize == 1 and table.ndim == 1 and bool(np.all(np.diff(self._stored) == 1))  # modulo 256
        self._shift = self._stored[0] if shifted else None
        if table.ndim == 2:
            self._stored = self._stored[None]  # a picture of one row, which OpenCV takes as a table for each channel

    def __call__(self, picture: Pixels | Deferred) -> NDArray[Any]:
        """Returns RGB uint8 (H, W, 3) as (1, h, w, 3) in the model's input dtype, an array of its own.

        Of a model that takes channels first, as (1, 3, h, w).
        """
        pixels: Pixels = np.asarray(picture)
        x = self._stretched(pixels) if self.fit == "stretch" else self._padded(pixels)
        return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if self._channels_first else x

    def _stretched(self, pixels: Pixels) -> NDArray[Any]:
        return self._store(pixels, self._resize(pixels))[None]

    def _padded(self, pixels: Pixels) -> NDArray[Any]:
        height, width = fitted((pixels.shape[0], pixels.shape[1]), self.size_hw)
        if self._resize.size_hw != (height, width):
            self._resize = Resize((height, width))
        padded = np.full((1, *self.size_hw, 3), self._nothing, self._dtype)
        padded[0, :height, :width] = self._store(pixels, self._resize(pixels))
        return padded

    def _store(self, pixels: Pixels, small: Pixels) -> NDArray[Any]:
        """The stored values of `small`, in its own memory where it is not that of the picture it was made of."""
        if self._shift is None:
            stored: NDArray[Any] = cv2.LUT(small, self._stored)
        elif np.may_share_memory(pixels, small):
            stored = small + self._shift
        else:
            stored = np.add(small, self._shift, out=small)
        return stored.view(self._dtype)
