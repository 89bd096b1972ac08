"""Names the output strides that can be asked for. Needs no TensorFlow."""

from __future__ import annotations

STRIDES = ("auto", "8", "16", "32", "keep")
