"""Labels pictures with MediaPipe's ImageSegmenter: read_mediapipe.py PICTURES.npz OUT.npz MODEL...

OUT has `<model>:<picture>` -> the category mask, `<model>:sum` -> the sum of confidences, and `<model>:labels`; of a
model that it does not take `<model>:refused` -> why.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np


def main(pictures: str, out: str, models: list[str]) -> None:
    sys.modules["tensorflow"] = None  # type: ignore[assignment]  # which it would import where it is there

    import mediapipe
    from mediapipe.tasks.python import vision
    from mediapipe.tasks.python.core.base_options import BaseOptions

    found: dict[str, Any] = {}
    with np.load(pictures) as given:
        frames = dict(given)
    for model in models:
        options = vision.ImageSegmenterOptions(
            base_options=BaseOptions(model_asset_path=model), output_category_mask=True, output_confidence_masks=True
        )
        try:
            made = vision.ImageSegmenter.create_from_options(options)
        except (ValueError, RuntimeError) as exc:
            found[f"{model}:refused"] = np.array(str(exc))
            continue
        with made as segmenter:
            found[f"{model}:labels"] = np.array(segmenter.labels)
            for name, pixels in frames.items():
                image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
                result = segmenter.segment(image)
                found[f"{model}:{name}"] = result.category_mask.numpy_view().reshape(pixels.shape[:2]).copy()
                found[f"{model}:sum"] = np.sum([mask.numpy_view() for mask in result.confidence_masks], axis=0)
    np.savez(out, **found)


main(sys.argv[1], sys.argv[2], sys.argv[3:])
