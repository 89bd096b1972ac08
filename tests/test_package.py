"""What a user gets: a wheel with `edge` and `convert` only, that runs without TensorFlow, and the source archive."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
NOT_KEPT = (".git", ".venv*", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist", "out", "*.part")


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of both archives, as a release makes them: the wheel is built from the source archive."""
    folder = tmp_path_factory.mktemp("archives")
    shutil.copytree(PROJECT, folder / "project", ignore=shutil.ignore_patterns(*NOT_KEPT))
    built = [sys.executable, "-m", "build", "--outdir", str(folder), str(folder / "project")]
    done = subprocess.run(built, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(archives: Path) -> Path:
    return next(archives.glob("*.whl"))


@pytest.fixture(scope="module")
def unpacked(archives: Path) -> Path:
    """The folder in the source archive."""
    with tarfile.open(next(archives.glob("*.tar.gz"))) as archive:
        archive.extractall(archives, filter="data")
    return next(archives.glob("roadlite-*/"))


@pytest.fixture(scope="module")
def description(wheel: Path) -> str:
    """What an index shows of the project."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        found = message_from_bytes(archive.read(name))
    assert found["Description-Content-Type"] == "text/markdown"
    return bytes(found.get_payload(decode=True)).decode()


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_wheel_holds_all_of_edge_and_convert_and_nothing_else(archives: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    kept = {name for name in files(archives / "project") if name.startswith(("edge/", "convert/"))}
    assert names == kept
    assert {"edge/py.typed", "convert/py.typed", "edge/device/roadlite.service", "convert/demo/demo.pb"} <= names


def test_the_description_leads_nowhere_that_is_not_there(description: str, unpacked: Path) -> None:
    links = re.findall(r"\]\(([^)]*)\)|(?:src|href)=.([^'\" >]*)", description)
    assert not [link for link in links if not "".join(link).startswith(("https://", "#"))]
    readme = (PROJECT / "README.md").read_text()
    assert re.findall("^#.*", description, re.MULTILINE) == re.findall("^#.*", readme, re.MULTILINE)
    linked = {name for name in re.findall(r"\]\(([^)#:]+)\)", readme) if name.endswith(".md")}
    assert linked
    for name in linked:
        assert f"`{name}`" in description
        assert (unpacked / name).is_file()


def test_source_archive_holds_the_whole_project(unpacked: Path) -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("this is no clone: nothing tells which files belong to the project")
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    kept = subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert {name for name in kept if (PROJECT / name).exists()} <= files(unpacked)


def test_every_test_is_found_in_the_source_archive(unpacked: Path) -> None:
    collect = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    done = subprocess.run(collect, cwd=unpacked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert {name for name in files(PROJECT / "tests") if name.endswith(".py")} <= files(unpacked / "tests")


def test_wheel_runs_without_tensorflow(wheel: Path, int8_model: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    programs = tmp_path / "venv" / "bin"
    subprocess.run([programs / "pip", "install", "--quiet", str(wheel)], check=True)
    packages = subprocess.run([programs / "pip", "list"], check=True, capture_output=True, text=True).stdout
    assert "tensorflow" not in packages.lower()
    out = tmp_path / "o.png"
    run = [programs / "run-model", str(int8_model), "--source", "demo", "--limit", "1", "--output", str(out)]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert out.stat().st_size > 10_000
    for name in ("compare-models", "evaluate-model", "label-archive", "check-device", "inspect-model", "convert-model"):
        subprocess.run([programs / name, "--help"], check=True, capture_output=True)
    convert = [programs / "convert-model", "demo"]
    converted = subprocess.run(convert, capture_output=True, text=True, check=False)
    assert converted.returncode == 1
    assert re.search('pip install .*"tensorflow>=', converted.stderr)
    service = subprocess.run([programs / "check-device", "--print-service"], capture_output=True, text=True, check=True)
    assert f"ExecStart={programs / 'run-model'} " in service.stdout
