"""Runs a frozen graph as it is in TensorFlow, for others to be measured against."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from convert.graph import anatomy as anatomies
from convert.graph import graphdef as graphs
from convert.graph.anatomy import answer
from convert.models.load import load_frozen_graph
from edge.classes import ClassSet, guess
from edge.data import Ids, Pixels
from edge.preprocess import Fit, Normalisation, fitted, resize
from edge.progress import Track, silent


class FrozenReference:
    """Labels pictures with the graph that `model` names, at its own size and stride.

    `fit` says how pictures of another shape come to its size, as for models: it pads smaller ones itself. `norm` is the
    normalisation where it takes normalised pictures, DeepLab's where it is None.

    Raises GraphError (or its kin), here and when it is called, for a graph that cannot be used.
    """

    def __init__(
        self,
        model: str,
        *,
        fit: Fit = "stretch",
        norm: Normalisation | None = None,
        track: Track = silent,
        notice: Callable[[str], None],
    ) -> None:
        frozen = load_frozen_graph(model, track=track, notice=notice)
        graph = graphs.parse(frozen.graph_bytes, frozen.name)
        found = anatomies.discover(graph, frozen.name)
        self._anatomy = replace(found, norm=norm) if norm and found.feeding.normalised else found
        self._stack = ExitStack()
        self._run = self._stack.enter_context(graphs.running(graph, [self._anatomy.labels]))
        self.name, self._fit = frozen.name, fit
        self.classes: ClassSet = guess(self._anatomy.classes)

    def __call__(self, pixels: Pixels) -> Ids:
        """Labels RGB uint8 (H, W, 3): returns a uint8 label map at the size that is baked into the graph, or that fits
        into it.
        """
        crop_hw = self._anatomy.crop_hw
        height, width = crop_hw if self._fit == "stretch" else fitted((pixels.shape[0], pixels.shape[1]), crop_hw)
        return answer(self._run, self._anatomy, resize(pixels, (height, width)))

    def close(self) -> None:
        self._stack.close()
