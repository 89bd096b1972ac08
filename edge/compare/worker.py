"""Runs a candidate in a process of its own, and asks it questions."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import edge
from edge.child import command, death
from edge.compare.answers import Layers, LoadedModel, MemoryUse, Overlay
from edge.compare.rows import ModelOptions, Row
from edge.leftovers import TemporaryFolder
from edge.typed_json import typed

ANSWER_S = 600.0  # longer than any load or turn takes; a process silent for so long hangs
TICK_S = 0.2  # how often `tick` is called while an answer is waited for


class Worker:
    """The process of one candidate.

    Its methods never raise for what happens inside the process: that ends up in `row.error`, and they return nothing.
    """

    def __init__(self, row: Row, tick: Callable[[], None] = lambda: None, *, answer_s: float = ANSWER_S) -> None:
        """Starts the process, on another interpreter where `row.candidate.python` names one.

        A question without an answer for `answer_s` seconds is given up.
        """
        self._row, self._tick, self.answer_s, self._left = row, tick, answer_s, b""
        self._folder = TemporaryFolder()
        self._stderr = open(Path(self._folder.name, "stderr"), "w+b")  # noqa: SIM115 - closed in close()
        start = command("edge.compare.worker_process", python=row.candidate.python, paths=self._paths())
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                start,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=os.environ | {"TMPDIR": self._folder.name},  # what one that crashes leaves goes with it
            )
        except OSError as exc:
            row.error = f"{row.candidate.python}: cannot be started ({exc.strerror})"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def ready(self) -> None:
        """Waits until the process has imported what it needs."""
        self._answer()

    def load(self, pictures: Path, options: ModelOptions) -> LoadedModel | None:
        """Loads the row's model and warms it up on a folder of .npy files, uint8 (H, W, 3) each."""
        candidate = self._row.candidate
        model, folder = str(candidate.path), str(pictures)
        answer = self._ask(
            "load", model, candidate.runtime, candidate.threads, folder, asdict(options), candidate.delegate
        )
        return None if answer is None else typed(LoadedModel, answer)

    def invoke(self, seconds: float, min_runs: int) -> list[float]:
        """Returns the seconds of each of as many invokes, of the same input, as fit in `seconds`, or of `min_runs`."""
        return self._ask("invoke", seconds, min_runs) or []

    def frames(self, seconds: float, min_runs: int) -> dict[str, list[float]]:
        """Returns the seconds of whole frames, from the picture in memory to its overlay, by stage; where not every
        frame is labelled, means of as many as have one that is.
        """
        return self._ask("frames", seconds, min_runs, self._row.candidate.label_every) or {}

    def label(self, folder: Path) -> list[str]:
        """Labels every picture at its own size into `folder`, and returns the files' names."""
        return self._ask("label", str(folder), self._row.candidate.label_every) or []

    def overlay(self, picture: Path, labels: Path) -> Overlay | None:
        """Returns a picture with labels painted over it in the model's colours; both are .npy files."""
        answer = self._ask("overlay", str(picture), str(labels))
        return None if answer is None else typed(Overlay, answer)

    def memory(self) -> MemoryUse | None:
        """Returns what memory the process takes."""
        answer = self._ask("memory")
        return None if answer is None else typed(MemoryUse, answer)

    def layers(self) -> Layers | None:
        """Returns what can be timed of the model by the methods below."""
        answer = self._ask("layers")
        return None if answer is None else typed(Layers, answer)

    def prefix_s(self, length: int) -> float:
        """Returns the seconds of the first `length` operators."""
        return float(self._ask("prefix_s", length) or 0.0)

    def whole_s(self) -> float:
        """Returns the seconds of the model as it is, timed as its beginnings are."""
        return float(self._ask("whole_s") or 0.0)

    def counted_s(self) -> list[float]:
        """Returns what the runtime's counters say of each operator, over one invoke, in seconds."""
        return self._ask("counted_s") or []

    def _ask(self, question: str, *arguments: object) -> Any:
        """Returns what the method of `MeasuredModel` returns, as JSON has it; None once the row has an error."""
        if self._row.error or self._process is None or self._process.stdin is None:
            return None
        try:
            self._process.stdin.write(json.dumps([question, *arguments]).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            self._died()
            return None
        return self._answer()

    def _answer(self) -> Any:
        line = None if self._row.error else self._line()
        if line is None:
            return None
        answer = json.loads(line)
        self._row.error = answer.get("error", "")
        return answer.get("answer")

    def _line(self) -> bytes | None:
        assert self._process is not None
        assert self._process.stdout is not None
        source, end = self._process.stdout.fileno(), time.monotonic() + self.answer_s
        while b"\n" not in self._left:
            if not select.select([source], [], [], TICK_S)[0]:
                self._tick()
                if time.monotonic() > end:
                    self._row.error = f"no answer for {self.answer_s:.0f} s"
                    return None
                continue
            piece = os.read(source, 1 << 16)
            if not piece:
                self._died()
                return None
            self._left += piece
        line, _, self._left = self._left.partition(b"\n")
        return line

    def _died(self) -> None:
        assert self._process is not None
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._row.error = "its process does not talk any more"
            return
        self._stderr.seek(0)
        said = self._stderr.read().decode("utf-8", "replace").strip().splitlines()
        self._row.error = f"its process died ({death(code, said[-1] if said else '')})"

    def _paths(self) -> list[str]:
        """Where another interpreter finds modules: it gets this package and nothing else of ours."""
        if not self._row.candidate.python:
            return []
        Path(self._folder.name, "edge").symlink_to(Path(edge.__path__[0]).resolve(), target_is_directory=True)
        return [self._folder.name]

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._stderr.close()
        self._folder.cleanup()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
