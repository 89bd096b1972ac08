"""Loads external delegates: shared libraries that run parts of a model on an accelerator.

Their interface is tensorflow/lite/delegates/external/external_delegate_interface.h.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.engine.runtimes import AUTO, INTERPRETERS
from edge.errors import DelegateError, UsageError
from edge.text import reason

_ENDS = ("tflite_plugin_create_delegate", "tflite_plugin_destroy_delegate")

_RESTORED = "Restored original execution plan after delegate application failure."


@dataclass(frozen=True, slots=True)
class Delegate:
    """An external delegate, and what it is told."""

    library: str  # a path, or a name that the dynamic linker finds
    options: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return Path(self.library).name

    def __str__(self) -> str:
        return ",".join((self.library, *(f"{key}={value}" for key, value in self.options)))


def parse_delegate(text: str) -> Delegate:
    """Returns the delegate that `libedgetpu.so.1`, `libedgetpu.so.1,device=usb` or `libarmnn.so,backends=Gpu,Cpu` says:
    what has no equals sign goes on with the value before it. Raises UsageError.
    """
    library, *parts = (part.strip() for part in text.split(","))
    options: dict[str, str] = {}
    for part in parts:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if equals and key:
            options[key] = value
        elif part and options and not equals:
            options[next(reversed(options))] += f",{part}"
        else:
            library = ""
    if not library:
        raise UsageError(f"expected LIBRARY or LIBRARY,key=value,..., got {text!r}", "delegate")
    return Delegate(library, tuple(options.items()))


def check_runtime(delegate: Delegate | None, runtime: str) -> None:
    """Refuses a runtime that takes no delegates. Raises UsageError."""
    if delegate is not None and runtime not in (AUTO, *INTERPRETERS):
        raise UsageError(f"{runtime} takes no delegates, expected one of {', '.join(INTERPRETERS)}", "runtime")


def load(delegate: Delegate, module: Any) -> Any:
    """Returns the delegate as an interpreter of `module` takes it. Raises DelegateError."""
    check_library(delegate)
    try:
        loading = getattr(module, "load_delegate", None) or module.lite.experimental.load_delegate
        return loading(delegate.library, dict(delegate.options))
    except (ValueError, RuntimeError, OSError) as exc:
        why = reason(exc).removeprefix(f"Failed to load delegate from {delegate.library}").strip()
        told = f" with {', '.join('='.join(pair) for pair in delegate.options)}" if delegate.options else ""
        raise DelegateError(
            f"the delegate {delegate.name} does not start{told} ({why or 'it does not say why'}); is its device there?"
        ) from exc


def check_library(delegate: Delegate) -> None:
    """Refuses what is no library of a delegate. Raises DelegateError."""
    # Runtimes leave behind what complains when it is freed.
    try:
        library = ctypes.PyDLL(delegate.library)
    except OSError as exc:
        why = reason(exc)
        raise DelegateError(f"the delegate {delegate.library} cannot be loaded ({why}); is it installed?") from exc
    missing = [name for name in _ENDS if not hasattr(library, name)]
    if missing:
        raise DelegateError(f"{delegate.library} is no TensorFlow Lite delegate: it has no {missing[0]}")


def blamed(delegate: Delegate, where: str, why: str) -> str:
    """Returns what is said of a delegate that does not run a model."""
    return f"{where}: the delegate {delegate.name} {why}"


def refusal(exc: BaseException) -> str:
    """Returns why a delegate refuses a model, as far as it says so, without what the interpreter adds."""
    return reason(exc).replace(_RESTORED, "").strip() or "it does not say why"
