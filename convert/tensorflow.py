"""Imports TensorFlow once and quietly: `from convert.tensorflow import tf`."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import os
import platform
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from edge import memory
from edge.errors import ConversionError
from edge.requirements import install_extra

P = ParamSpec("P")
T = TypeVar("T")

# Start-up notices of the C++ parts; a GPU would only make results differ from run to run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
try:
    import tensorflow
    from tensorflow.python.util import _pywrap_util_port as build
except ImportError as exc:
    if memory.cause(exc):
        raise MemoryError(str(exc)) from exc
    raise ConversionError(f"converting needs TensorFlow ({exc}): {install_extra('convert')}") from exc

if not build.IsMklEnabled() and platform.machine() == "x86_64":
    raise ConversionError(
        "TensorFlow was imported before this package and without oneDNN, which runs the network's atrous convolutions; "
        "import convert first, or set TF_ENABLE_ONEDNN_OPTS=1"
    )
tf: Any = tensorflow
tf.get_logger().setLevel("ERROR")


def release_memory() -> None:
    """Returns what TensorFlow has let go of to the system: a large graph passes through a dozen copies of itself,
    and freed memory that the C library keeps adds up to gigabytes.
    """
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # other C libraries than GNU's have none
        ctypes.CDLL(None).malloc_trim(0)


LARGE = 1 << 24  # bytes of a graph from which its copies count; collecting takes 0.2 s, which small ones need not pay


def releasing_memory(work: Callable[Concatenate[Any, P], T]) -> Callable[Concatenate[Any, P], T]:
    """Makes a function of a GraphDef give memory back when it is done with a large one."""

    @functools.wraps(work)
    def wrapped(graph: Any, /, *arguments: P.args, **options: P.kwargs) -> T:
        try:
            return work(graph, *arguments, **options)
        finally:
            if graph.ByteSize() >= LARGE:
                release_memory()

    return wrapped
