"""Turns frozen DeepLab graphs into verified TensorFlow Lite models."""

import os

from edge.engine.runtimes import RUNTIMES

os.environ.update(RUNTIMES["tensorflow"].variables)  # before Keras, say, imports TensorFlow
