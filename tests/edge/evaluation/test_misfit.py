from __future__ import annotations

import numpy as np
import pytest

from edge.evaluation.metrics import Confusion
from edge.evaluation.misfit import misfit

NAMES = ("road", "sidewalk", "sky", "car")


def confusion(*rows: list[int]) -> Confusion:
    made = Confusion(len(NAMES))
    made.counts[:] = np.array(rows)
    return made


def test_labels_of_another_set_are_noticed() -> None:
    swapped = confusion([2, 0, 90, 1, 0], [80, 3, 0, 0, 0], [0, 0, 0, 60, 9], [0] * 5)
    assert misfit(swapped, NAMES) == (
        "what the truth calls road (0) is its sky, what the truth calls sidewalk (1) is its road, "
        "what the truth calls sky (2) is its car: the labels and the model seem to have different sets of classes"
    )


@pytest.mark.parametrize(
    "rows",
    [
        ([90, 1, 0, 0, 0], [1, 80, 0, 0, 0], [0, 0, 70, 0, 0], [0, 0, 0, 60, 0]),  # right
        ([90, 1, 0, 0, 0], [1, 80, 0, 0, 0], [0, 0, 0, 70, 0], [0, 0, 0, 0, 0]),  # one class is called another
        ([9, 1, 5, 5, 0], [9, 8, 7, 6, 0], [5, 5, 7, 7, 0], [5, 5, 5, 6, 0]),  # it knows nothing
        ([0, 0, 0, 90, 0], [0, 0, 0, 80, 0], [0, 0, 0, 70, 0], [0, 0, 0, 0, 0]),  # all is a car
        ([0] * 5,) * 4,
    ],
)
def test_a_bad_model_has_the_right_classes(rows: tuple[list[int], ...]) -> None:
    assert misfit(confusion(*rows), NAMES) == ""
