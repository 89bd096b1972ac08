from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edge import pipeline
from edge.data import Frame, Result
from edge.errors import SinkError
from edge.live import Controls
from edge.render import Renderer
from edge.segmenter import Segmenter
from edge.timing import STAGES, Timing

pytestmark = pytest.mark.tensorflow


class Kept:
    def __init__(self, full_after: int = 99) -> None:
        self.results: list[Result] = []
        self._full_after = full_after

    def write(self, result: Result) -> None:
        if len(self.results) == self._full_after:
            raise SinkError("full")
        self.results.append(result)

    def close(self) -> None:
        pass


def frames(count: int) -> list[Frame]:
    random = np.random.default_rng(0)
    return [Frame(random.integers(0, 256, (48, 80, 3), dtype=np.uint8), i, 0.0) for i in range(count)]


def test_every_sink_gets_every_frame_in_order(float_model: Path) -> None:
    segmenter, timing, sinks = Segmenter(float_model), Timing(), [Kept(), Kept()]
    given = frames(5)
    pipeline.run(given, segmenter, Renderer(segmenter.card.classes, Controls()), sinks, timing)
    for sink in sinks:
        assert [r.frame.index for r in sink.results] == list(range(5))
        for frame, result in zip(given, sink.results, strict=True):
            assert (result.labels.ids == segmenter(frame.pixels).ids).all()
            assert result.picture.shape == frame.pixels.shape
    assert timing.frames == 5
    assert {name: len(times) for name, times in timing.stages.items()} == dict.fromkeys(STAGES, 5)


def test_a_sink_that_fails_ends_the_run(float_model: Path) -> None:
    segmenter, sink = Segmenter(float_model), Kept(full_after=2)
    with pytest.raises(SinkError, match="full"):
        pipeline.run(frames(5), segmenter, Renderer(segmenter.card.classes, Controls()), [sink], Timing())
    assert len(sink.results) == 2
