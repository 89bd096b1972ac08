"""TensorFlow, imported once and quietly: `from convert.tensorflow import tf`."""

from __future__ import annotations

import os
from typing import Any

from edge.errors import ConversionError

# Start-up notices of the C++ parts; a GPU would only make results differ from run to run.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

try:
    import tensorflow
except ImportError as exc:
    raise ConversionError(f'converting needs TensorFlow ({exc}): pip install "roadlite[convert]"') from exc

tf: Any = tensorflow
tf.get_logger().setLevel("ERROR")
