"""The inference runtimes that the kit knows: the one table of them, and how they are imported.

It must be readable where numpy cannot be imported, since check-device says what helps there.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from edge import memory
from edge.errors import RuntimeMissing
from edge.requirements import from_folder, install
from edge.text import reason


@dataclass(frozen=True, slots=True)
class Runtime:
    """What the kit knows of one runtime."""

    name: str  # as a user chooses it
    module: str  # what is imported to see whether it is there
    distribution: str  # what pip installs
    engine: str  # `module:class` that implements `edge.engine.base.Engine`
    precision: Literal["f32", "bf16"] = "f32"  # what floating-point operators compute in
    tried_by_auto: bool = True  # `auto` takes the first of these that can be imported
    extra_of_its_own: str = ""  # why it needs an environment of its own, and is installed as an extra
    variables: Mapping[str, str] = field(default_factory=dict)  # of the environment, that it reads when it is imported

    @property
    def is_interpreter(self) -> bool:
        """Whether it is one of TensorFlow Lite's interpreters, which share one interface and tell delegates apart."""
        return self.engine == _INTERPRETER

    def pip_line(self) -> str:
        """Returns the command that installs the runtime, anew where it is there and broken."""
        if self.extra_of_its_own:
            return f"in an environment of its own, {self.extra_of_its_own}: {from_folder(self.name)}"
        return install(self.distribution)


_INTERPRETER, _OPENVINO = "edge.engine.litert:InterpreterEngine", "edge.engine.openvino:OpenVinoEngine"

# Without oneDNN, which it leaves out on processors that multiply no 8-bit integers, TensorFlow's depthwise convolution
# knows no rates. The process may convert graphs later, whatever imported TensorFlow first.
_FOR_TENSORFLOW = {"TF_ENABLE_ONEDNN_OPTS": "1"}

RUNTIMES = {
    runtime.name: runtime
    for runtime in (
        Runtime("litert", "ai_edge_litert.interpreter", "ai-edge-litert", _INTERPRETER),
        Runtime(
            "tflite-runtime",
            "tflite_runtime.interpreter",
            "tflite-runtime",
            _INTERPRETER,
            extra_of_its_own="with Python 3.11",  # the last of its versions was built for numpy 1
        ),
        Runtime(
            "tensorflow", "tensorflow.lite.python.interpreter", "tensorflow", _INTERPRETER, variables=_FOR_TENSORFLOW
        ),
        Runtime("openvino", "openvino", "openvino", _OPENVINO),
        Runtime("openvino-bf16", "openvino", "openvino", _OPENVINO, precision="bf16", tried_by_auto=False),
    )
}
"""By name, in the order in which `auto` tries them."""

AUTO = "auto"
NAMES = (AUTO, *RUNTIMES)
INTERPRETERS = {name: runtime for name, runtime in RUNTIMES.items() if runtime.is_interpreter}


def import_runtime(runtime: str, module: str = "", of: str = "") -> Any:
    """Imports a runtime's module, or another `module` that it needs, from another runtime `of` where that is so.

    Raises RuntimeMissing with the way out, MemoryError where it is there and does not fit.
    """
    os.environ.update(RUNTIMES[of or runtime].variables)
    try:
        return importlib.import_module(module or RUNTIMES[runtime].module)
    except (ImportError, AttributeError, OSError, RuntimeError, SystemError, TypeError) as exc:
        if memory.cause(exc):
            raise MemoryError(reason(exc)) from exc
        # All but the first: one built for another numpy, protobuf or C library.
        way_out = RUNTIMES[of or runtime].pip_line()
        raise RuntimeMissing(f"{runtime} cannot be imported ({reason(exc)}): {way_out}") from exc
