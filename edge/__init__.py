"""Runs segmentation models on a camera or a video, without TensorFlow."""
