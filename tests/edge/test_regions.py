from __future__ import annotations

import json
from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.regions import parse_region, read_regions


def test_a_file_has_regions_and_rules(tmp_path: Path) -> None:
    file = tmp_path / "regions.json"
    file.write_text('{"regions": {"path": [[0, 1], [0.5, 0.25], [1, 1]]}, "rules": ["person in path > 2 %"]}')
    held = read_regions(file)
    assert held.regions == {"path": ((0.0, 1.0), (0.5, 0.25), (1.0, 1.0))}
    assert held.rules == ("person in path > 2 %",)
    file.write_text('\ufeff{"regions": {}}')
    assert read_regions(file).rules == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected JSON such as"),
        ("{", "expected JSON such as"),
        ("[" * 100_000, "expected JSON such as"),
        ("[]", "expected an object with regions, rules or both"),
        ("{}", "expected an object with regions, rules or both"),
        ('{"region": {}}', "expected an object with regions, rules or both"),
        ('{"regions": []}', "regions: expected names with corners"),
        ('{"rules": "person > 2 %"}', "rules: expected a list of texts"),
        ('{"regions": {" ": [[0, 0], [0, 1], [1, 1]]}}', "expected regions with names, got ' '"),
        ('{"regions": {"a": [0, 1]}}', "region 'a': expected corners [x, y]"),
        ('{"regions": {"a": [[0, 0], [true, 1], [1, 1]]}}', "region 'a': expected corners [x, y]"),
        ('{"regions": {"a": [[0, 0], [0, 1]]}}', "region 'a': expected three corners"),
        ('{"regions": {"a": [[0, 0], [0, NaN], [1, 1]]}}', "region 'a': expected corners (x, y) from 0 to 1"),
        (f'{{"regions": {{"a": [[0, 0], [0, -1{"0" * 400}], [1, 1]]}}}}', "from 0 to 1, got (0.0, -inf)"),
        (f'{{"regions": {{"a": [[0, 0], [0, 1{"0" * 5000}], [1, 1]]}}}}', "expected JSON such as"),
        ('{"regions": {"a": [[0, 0], [0, 1], [1, 1]], "a": []}}', "'a' is there twice"),
    ],
)
def test_another_form_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "regions.json"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_regions(file)
    assert str(file) in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_regions(tmp_path / "none.json")


def test_a_region_that_was_drawn_has_a_name_that_rules_can_say() -> None:
    assert parse_region(b'{"name": " my   lane ", "corners": [[0, 0], [1, 0], [0.5, 1]]}') == (
        "my lane",
        ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0)),
    )
    for name in ("", "a:b", "a<b", "a>b", "x" * 41):
        with pytest.raises(UsageError, match="expected a name of 1 to 40 letters, without : < >"):
            parse_region(json.dumps({"name": name, "corners": [[0, 0], [1, 0], [0.5, 1]]}).encode())
