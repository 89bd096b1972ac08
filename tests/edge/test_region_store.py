from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from edge import region_store
from edge.errors import SinkError, UsageError
from edge.region_store import RegionStore
from edge.regions import Corners, read_regions

PATH, LEFT = ((0.4, 0.6), (0.6, 0.6), (0.8, 1.0)), ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0))


def store(path: Path | None, used: list[Mapping[str, Corners]] | None = None) -> RegionStore:
    return RegionStore(path, {"path": PATH}, ([] if used is None else used).append)


def test_a_region_is_added_to_the_file_and_to_what_is_counted(tmp_path: Path) -> None:
    file, used = tmp_path / "regions.json", []  # type: ignore[var-annotated]
    file.write_text(json.dumps({"regions": {"path": PATH}, "rules": ["person in path > 2 %"]}))
    made = store(file, used)
    made.add("links außen", LEFT)
    assert used == [{"path": PATH, "links außen": LEFT}] == [made.regions]
    held = read_regions(file)
    assert held.regions == {"path": PATH, "links außen": LEFT}
    assert held.rules == ("person in path > 2 %",)
    made.add("path", LEFT)
    assert read_regions(file).regions == {"path": LEFT, "links außen": LEFT} == used[-1], "in place of the old one"
    lines = file.read_text().splitlines()
    assert lines[2] == '  "path": [[0.0, 0.0], [0.5, 0.0], [0.5, 1.0]],', "pleasant to edit"


def test_the_file_is_made_with_the_first_region_and_keeps_what_others_write(tmp_path: Path) -> None:
    file = tmp_path / "new.json"
    made = RegionStore(file, {}, lambda _: None)
    made.add("left", LEFT)
    assert read_regions(file).regions == {"left": LEFT}
    file.write_text(json.dumps({"regions": {"by hand": PATH}, "rules": ["road < 5 %"]}))
    made.add("left", LEFT)
    assert read_regions(file).regions == {"by hand": PATH, "left": LEFT}
    assert made.regions == {"left": LEFT}, "that by hand counts from the next start"


def test_a_region_is_removed_from_the_file_and_counted_to_the_end(tmp_path: Path) -> None:
    file, used = tmp_path / "regions.json", []  # type: ignore[var-annotated]
    file.write_text(json.dumps({"regions": {"path": PATH, "by hand": LEFT}, "rules": ["person > 2 %"]}))
    made = store(file, used)
    made.remove("path")
    assert made.regions == {}
    assert used == [], "tables have a column for it"
    assert read_regions(file).regions == {"by hand": LEFT}
    assert read_regions(file).rules == ("person > 2 %",)
    made.add("left", LEFT)
    assert made.regions == {"left": LEFT}
    assert used == [{"path": PATH, "left": LEFT}]
    assert read_regions(file).regions == {"by hand": LEFT, "left": LEFT}
    made.remove("by hand")
    made.remove("left")
    assert read_regions(file).regions == {}
    made.add("path", LEFT)
    assert made.regions == {"path": LEFT}
    assert used[-1] == {"path": LEFT, "left": LEFT}


def test_what_cannot_be_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no file for regions"):
        store(None).remove("path")
    file = tmp_path / "regions.json"
    made = RegionStore(file, {"path": PATH, "left": LEFT}, lambda _: None, {"path"})
    with pytest.raises(UsageError, match="got 'right': there is none of that name"):
        made.remove("right")
    with pytest.raises(UsageError, match="region 'path': expected one that no rule watches"):
        made.remove("path")
    assert not file.exists()
    monkeypatch.setattr(region_store, "MOST_REGIONS", 3)
    made.remove("left")
    made.add("a", LEFT)
    with pytest.raises(UsageError, match="at most 3 regions, with those that were removed"):
        made.add("b", LEFT)
    file.write_text("oh")
    with pytest.raises(UsageError, match="expected JSON"):
        made.remove("a")
    assert set(made.regions) == {"path", "a"}
    assert file.read_text() == "oh"


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("real.json")
    store(tmp_path / "link.json").add("left", LEFT)
    assert (tmp_path / "link.json").is_symlink()
    assert set(read_regions(tmp_path / "real.json").regions) == {"path", "left"}


def test_the_file_keeps_its_mode_and_owner(tmp_path: Path) -> None:
    file = tmp_path / "regions.json"
    for mode in (0o600, 0o664):
        file.write_text('{"regions": {}}')
        file.chmod(mode)
        store(file).add("left", LEFT)
        assert set(read_regions(file).regions) == {"left"}
        assert stat.S_IMODE(file.stat().st_mode) == mode
    if os.geteuid() != 0:
        return  # nobody else gives files away
    os.chown(file, 1234, 1235)
    store(file).add("right", LEFT)
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1235)
    assert stat.S_IMODE(file.stat().st_mode) == 0o664


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, which can become somebody else")
def test_who_may_not_give_files_away_can_save_nevertheless() -> None:
    with TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        file = Path(folder, "regions.json")
        file.write_text('{"regions": {}}')
        file.chmod(0o664)
        os.chown(file, 1234, 1235)
        os.seteuid(65534)
        try:
            store(file).add("left", LEFT)
        finally:
            os.seteuid(0)
        assert set(read_regions(file).regions) == {"left"}
        assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (65534, 0o664)


def test_what_cannot_be_kept_is_not_counted_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Mapping[str, Corners]] = []
    with pytest.raises(UsageError, match="no file for regions"):
        store(None, used).add("left", LEFT)
    with pytest.raises(SinkError, match=r"r\.json: cannot be written"):
        store(tmp_path / "none" / "r.json", used).add("left", LEFT)
    broken = tmp_path / "broken.json"
    broken.write_text('{"regions": ')
    with pytest.raises(UsageError, match="expected JSON"):
        store(broken, used).add("left", LEFT)
    assert broken.read_text() == '{"regions": '
    monkeypatch.setattr(region_store, "MOST_REGIONS", 2)
    full = store(tmp_path / "full.json", used)
    full.add("left", LEFT)
    with pytest.raises(UsageError, match="at most 2 regions"):
        full.add("right", LEFT)
    full.add("left", PATH)
    (tmp_path / "full.json").write_text('{"regions": {}}')
    with pytest.raises(UsageError, match="at most 2 regions"):
        full.add("right", LEFT)  # there is room in the file, not in the run
    (tmp_path / "full.json").write_text(json.dumps({"regions": {"by hand": PATH, "too": PATH}}))
    with pytest.raises(UsageError, match="at most 2 regions"):
        full.add("left", LEFT)  # there is room in the run, not in the file
    assert [set(regions) for regions in used] == [{"path", "left"}] * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.json", "full.json"], "nothing unfinished"
