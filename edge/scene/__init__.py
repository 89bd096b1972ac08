"""Generates dash-camera scenes with exact labels in the Cityscapes classes: numpy and OpenCV only."""

from edge.scene.drive import DEMO_RATE, DEMO_SEED, Scene, demo_clip, scene_frame

__all__ = ["DEMO_RATE", "DEMO_SEED", "Scene", "demo_clip", "scene_frame"]
