"""What is about memory is told from what is not."""

from __future__ import annotations

import errno
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge import memory
from edge.engine.runtimes import import_runtime
from edge.errors import ModelError, RoadliteError, RuntimeMissing


def raised(exc: BaseException, cause: BaseException | None = None) -> BaseException:
    exc.__cause__ = cause
    return exc


@pytest.mark.parametrize(
    "exc",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ImportError("libtensorflow_cc.so.2: failed to map segment from shared object"),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        cv2.error("(-4:Insufficient memory) Failed to allocate 2283520 bytes in function 'OutOfMemoryError'"),
        raised(RuntimeMissing("pip install it"), ImportError("x.so: cannot allocate memory")),
        raised(ModelError("a.tflite: cannot run"), raised(RuntimeError("no"), MemoryError())),
    ],
    ids=str,
)
def test_what_libraries_say_when_memory_runs_out_is_recognised(exc: BaseException) -> None:
    assert memory.cause(exc) is not None


@pytest.mark.parametrize(
    "exc",
    [
        ImportError("libgomp.so.1: cannot allocate memory in static TLS block"),  # the order of imports
        ImportError("libGL.so.1: cannot open shared object file: No such file or directory"),
        OSError(errno.ENOSPC, "No space left on device"),
        RoadliteError("out of memory.mp4: cannot be read"),
        raised(RuntimeMissing("pip install it"), ModuleNotFoundError("No module named 'openvino'")),
    ],
    ids=str,
)
def test_what_is_about_something_else_is_not(exc: BaseException) -> None:
    assert memory.cause(exc) is None


def test_a_library_that_fails_without_a_word_has_no_memory_where_there_is_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exc = SystemError("error return without exception set")
    monkeypatch.setattr(memory, "limit_kb", lambda: None)
    assert memory.cause(exc) is None
    monkeypatch.setattr(memory, "limit_kb", lambda: 450_000)
    assert memory.cause(exc) is exc


def test_what_is_too_large_for_any_machine_is_recognised() -> None:
    with pytest.raises(MemoryError) as numpys:
        np.empty(1 << 60, np.uint8)
    with pytest.raises(cv2.error) as opencvs:
        cv2.resize(np.zeros((9, 9, 3), np.uint8), (1 << 24, 1 << 24))
    assert memory.cause(numpys.value)
    assert memory.cause(opencvs.value)


def test_an_error_while_another_was_handled_is_not_blamed_on_what_it_hides() -> None:
    hidden = RoadliteError("a.tflite: no model")
    hidden.__context__, hidden.__suppress_context__ = MemoryError(), True
    assert memory.cause(hidden) is None


def test_an_error_that_goes_back_to_itself_is_looked_through_once() -> None:
    alone, first, second = (RoadliteError(name) for name in "abc")
    alone.__cause__ = alone  # as `raise error from error` makes it
    first.__cause__, second.__cause__ = second, first
    assert memory.cause(alone) is None
    assert memory.cause(first) is None


def test_a_runtime_that_does_not_fit_is_not_answered_with_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "grows.py").write_text("raise ImportError('big.so: failed to map segment from shared object')")
    (tmp_path / "absent.py").write_text("import nothing_of_that_name")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(MemoryError, match=r"big\.so"):
        import_runtime("litert", "grows")
    with pytest.raises(RuntimeMissing, match=r'pip install .*"ai-edge-litert>='):
        import_runtime("litert", "absent")
