"""What the tests of edge share."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from chromium import Browser


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser without a page."""
    from chromium import Browser, connect, start, stop  # which imports what not all tests need

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, asyncio.Runner() as runner:
        process, address = runner.run(start(profile))
        session, line = runner.run(connect(address))
        try:
            made = Browser(runner, line)
            for domain in ("Page", "Runtime", "Log"):
                made.call(f"{domain}.enable")
            yield made
        finally:
            runner.run(stop(session, process))
