"""What the tests of edge share."""

from __future__ import annotations

from collections.abc import Callable

import pytest


@pytest.fixture(scope="session")
def tiny_model() -> Callable[..., bytes]:
    """`tiny_model(dtype, output=...)`: the bytes of a .tflite that calls a pixel by its strongest colour: 0, 1 or 2.

    It resizes a 9x17 picture to 5x9, and these are the scores (`output="scores"`). `"labels"` takes their argmax,
    `"both"` has both outputs, `"free"` learns the output size only while it runs, `"nothing"` lacks its tensors, and
    no operator writes `"unwritten"`, of free size.
    `free_input` leaves the size of the picture open. `scale` and `zero_point` are those of both ends.
    """
    from small_models import strongest_colour  # LiteRT's schema is not there where tflite-runtime is tested

    return strongest_colour
