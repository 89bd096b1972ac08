"""Paints labels over a picture for reports, small enough that a dozen of them make no heavy page."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from edge.classes import ClassSet
from edge.compare.answers import Overlay, SeenClass
from edge.controls import Controls
from edge.data import Ids, Pixels
from edge.errors import SinkError
from edge.postprocess import nearest
from edge.renderer import Renderer
from edge.shares import class_counts

LONGEST_PX = 640  # of a picture's longer side
QUALITY = 80  # of 100: the colours of classes are even, what is lost is not seen
LEAST_SHARE = 0.001  # of a picture: nobody sees less


def overlay(pixels: Pixels, ids: Ids, classes: ClassSet) -> Overlay:
    """Returns a picture, uint8 (H, W, 3) RGB, with its labels, (H', W'), painted over it, made `small`."""
    shown = small(pixels)
    fitting = nearest(ids, (shown.shape[0], shown.shape[1]))
    painted = Renderer(classes, Controls(), legend=False)(shown, fitting)
    shares = class_counts(fitting, classes) / fitting.size
    seen = [
        SeenClass(
            classes.names[place], round(float(shares[place]), 4), "#{:02x}{:02x}{:02x}".format(*classes.colours[place])
        )
        for place in np.argsort(-shares, kind="stable")
        if shares[place] >= LEAST_SHARE
    ]
    return Overlay(jpeg(painted), tuple(seen))


def small(pixels: Pixels) -> Pixels:
    """Returns a picture whose longer side is `LONGEST_PX` at most, in its shape."""
    height, width = pixels.shape[:2]
    if max(height, width) <= LONGEST_PX:
        return pixels
    scale = LONGEST_PX / max(height, width)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(pixels, size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def jpeg(pixels: Pixels) -> str:
    """Returns a picture as JPEG in base64. Raises SinkError."""
    done, coded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise SinkError(f"a picture of {pixels.shape[1]}x{pixels.shape[0]} cannot be written as JPEG")
    return base64.b64encode(coded.tobytes()).decode("ascii")
