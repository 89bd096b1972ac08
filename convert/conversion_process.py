"""Converts in a process of its own, for workers of a cluster: what TensorFlow takes is the system's when it is done."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path
from typing import Any

from edge.child import end_with_parent, offer_to_the_oom_killer
from edge.errors import RoadliteError

ASKED, ANSWER = "asked.pickle", "answer.pickle"


def main() -> None:
    """Runs in a folder, the first argument: reads what is asked there, and writes the answer."""
    folder, parent = Path(sys.argv[1]), int(sys.argv[2])
    end_with_parent(parent)
    offer_to_the_oom_killer()
    source_path, samples_path, job = pickle.loads(Path(folder, ASKED).read_bytes())
    notices: list[str] = []
    try:
        answer: Any = (_run(source_path, samples_path, job, notices), notices)
    except RoadliteError as exc:
        answer = type(exc)(str(exc))  # without the traceback and its cause, which pickle may not take
    unfinished = folder / f"{ANSWER}.part"
    unfinished.write_bytes(pickle.dumps(answer))
    os.replace(unfinished, folder / ANSWER)


def _run(source_path: Path, samples_path: Path, job: Any, notices: list[str]) -> Any:
    from convert.conversion import run  # brings TensorFlow

    source, samples = (pickle.loads(path.read_bytes()) for path in (source_path, samples_path))
    return run(source, job, notice=notices.append, samples=samples)
