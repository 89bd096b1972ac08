"""Advice on what to install: only what is missing, as pyproject.toml asks for it, in words that a shell takes."""

from __future__ import annotations

import shlex
import sys
import tomllib
from pathlib import Path

import pytest

from edge import requirements
from edge.requirements import install, install_extra, reinstall, required
from edge.versions import installed

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
KIT = """\
Metadata-Version: 2.4
Name: roadlite
Version: 0.1.0
Requires-Dist: packaging>=1
Requires-Dist: absent-base>=2
Requires-Dist: absent-one[all]!=1.5,>=1; extra == "big"
Requires-Dist: packaging; extra == "big"
Requires-Dist: pytest>=9999; extra == "big"
Requires-Dist: absent-elsewhere; sys_platform == "nowhere" and extra == "big"
Requires-Dist: packaging>=1; extra == "here"
Requires-Dist: absent-elsewhere; sys_platform == "nowhere" and extra == "elsewhere"
"""


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Roadlite as it would be installed with other requirements."""
    (tmp_path / "roadlite-0.1.0.dist-info").mkdir()
    (tmp_path / "roadlite-0.1.0.dist-info" / "METADATA").write_text(KIT)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("kit")
def test_only_what_is_missing_or_too_old_is_named() -> None:
    words = shlex.split(install_extra("big"))
    assert words == ["pip", "install", "absent-one!=1.5,>=1", "pytest>=9999"]


@pytest.mark.usefixtures("kit")
def test_what_is_here_and_broken_is_installed_anew() -> None:
    assert install_extra("here") == 'pip install --force-reinstall "packaging>=1"'
    assert install("packaging") == 'pip install --force-reinstall "packaging>=1"'
    assert reinstall("absent-base") == 'pip install --force-reinstall "absent-base>=2"'
    assert install("absent-base") == 'pip install "absent-base>=2"'
    assert install("absent-elsewhere") == "pip install absent-elsewhere"


@pytest.mark.usefixtures("kit")
@pytest.mark.parametrize("finder", ["importlib.metadata", "importlib_metadata"])
def test_a_package_half_of_which_is_gone_counts_as_missing(tmp_path: Path, finder: str) -> None:
    """The second, which Dask imports, finds packages for the first from then on."""
    pytest.importorskip(finder)
    (tmp_path / "absent_one-3.0.dist-info").mkdir()
    (tmp_path / "absent_one-3.0.dist-info" / "RECORD").write_text("")
    assert "absent-one" in install_extra("big")
    assert installed("absent-one") == ""


def test_every_package_is_spelled_as_pyproject_asks_for_it() -> None:
    """Of the installation that the tests run in, which is made from it."""
    for text in PROJECT["dependencies"]:
        asked = text.partition(";")[0]
        name = asked.partition(">")[0]
        assert shlex.split(required(name)) == [asked]


def test_without_an_installation_the_projects_folder_is_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "NAME", "roadlite-that-is-not-here")
    assert install_extra("convert") == 'pip install ".[convert]" in Roadlite\'s folder'
    assert install("openvino") == "pip install openvino"
    assert required("av") == "av"


def test_it_works_before_anything_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "packaging.requirements", None)
    assert install("ai-edge-litert") == "pip install ai-edge-litert"
