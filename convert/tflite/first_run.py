"""Lets a fresh file meet the runtime in a process of its own: what it does to native code ends no conversion."""

from __future__ import annotations

from convert.subprocesses import in_a_subprocess
from edge.engine.open import open_engine
from edge.errors import ConversionError
from edge.preprocess import stored
from edge.progress import Track, silent


def run_once(model: bytes, name: str, track: Track = silent) -> None:
    """Opens a .tflite and runs it on a picture of its mean. Raises ModelError."""
    import numpy as np

    engine = open_engine(model, name)
    engine.invoke(stored(np.zeros(engine.input.shape, np.float32), engine.input))


def meet_runtime(model: bytes, name: str) -> bytes:
    """Returns a .tflite that the runtime survives. Raises ConversionError for one that it does not."""
    try:
        in_a_subprocess(run_once, model, name)
    except ConversionError as exc:
        raise ConversionError(
            f"{name}: the runtime crashes over the file that was made of this graph, which is not written ({exc}); "
            "try another recipe or input size"
        ) from exc
    return model
