"""Turns frozen DeepLab graphs into verified TensorFlow Lite models."""
