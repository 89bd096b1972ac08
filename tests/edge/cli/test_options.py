from __future__ import annotations

import pytest

from edge.errors import UsageError
from edge.preprocess import DEEPLAB, Normalisation, parse_normalisation


@pytest.mark.parametrize(
    ("text", "norm"),
    [
        ("deeplab", DEEPLAB),
        ("unit", Normalisation(0.0, 255.0)),
        ("110.5,60", Normalisation(110.5, 60.0)),
        (" -1 , 2", Normalisation(-1.0, 2.0)),
        ("123.15,115.9,103.06,1,1,1", Normalisation((123.15, 115.9, 103.06), 1.0)),
        ("5,5,5,1,2,1", Normalisation(5.0, (1.0, 2.0, 1.0))),
    ],
)
def test_normalisation_is_a_name_or_means_and_deviations(text: str, norm: Normalisation) -> None:
    assert parse_normalisation(text) == norm


@pytest.mark.parametrize(
    "text",
    [
        *("", "imagenet", "1", "1,2,3", "1,2,3,4,5", "1,2,3,1,0,1", "1,2,3,1,1,1,1", "1,2,nan,1,1,1"),
        *("a,b", "1,0", "1,-2", "nan,1", "0,nan", "inf,1", "0,inf"),
    ],
)
def test_other_normalisations_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="`normalise`: expected"):
        parse_normalisation(text)
