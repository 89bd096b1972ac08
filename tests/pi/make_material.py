"""Pictures of the demo's drive, and the labels that this machine gives them: `make_material.py FOLDER`.

The pictures are files, so that both machines label the same pixels: drawing them is floating point.
"""

from __future__ import annotations

import sys
from contextlib import closing
from itertools import islice
from pathlib import Path

import cv2

from edge.cli.run_model import main
from edge.sources import open_source

COUNT, APART = 4, 60  # pictures, frames

folder = Path(sys.argv[1])
with closing(open_source("demo", limit=COUNT * APART)) as frames:
    for frame in islice(frames, 0, None, APART):
        cv2.imwrite(str(folder / "pictures" / f"{frame.index:03}.png"), cv2.cvtColor(frame.pixels, cv2.COLOR_RGB2BGR))
sys.exit(main([
    str(folder / "model.tflite"), "--source", str(folder / "pictures"), "--output", f"labels:{folder / 'labels'}",
]))  # fmt: skip
