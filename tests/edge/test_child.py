from __future__ import annotations

from edge.child import death


def test_last_words_and_exit_codes() -> None:
    assert death(-9, "") == "SIGKILL, most likely because memory ran out"
    assert death(-11, "Fatal") == "SIGSEGV"
    assert death(1, "ImportError: x.so: failed to map segment from shared object").startswith("out of memory (Import")
    assert death(1, "ModuleNotFoundError: No module named 'cv2'").endswith("No module named 'cv2'")
