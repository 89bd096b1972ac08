"""What a user installs: a wheel with `edge` and `convert` only, that runs without TensorFlow."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    subprocess.run(["git", "clone", "--quiet", str(PROJECT), str(source)], check=True)
    for name in subprocess.run(
        ["git", "ls-files", "--modified", "--others", "--exclude-standard"],
        cwd=PROJECT, check=True, capture_output=True, text=True,
    ).stdout.splitlines():  # fmt: skip
        if (PROJECT / name).is_file():  # what is not committed yet counts too
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((PROJECT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(source)],
        check=True,
    )  # fmt: skip
    return next(folder.glob("*.whl"))


def test_wheel_holds_edge_and_convert_only(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    packages = {name.split("/")[0] for name in names}
    assert {p for p in packages if not p.endswith(".dist-info")} == {"edge", "convert"}
    modules = {name for name in names if name.endswith(".py")}
    ours = {str(path.relative_to(PROJECT)) for top in ("edge", "convert") for path in (PROJECT / top).rglob("*.py")}
    assert modules == ours
    assert "convert/demo/demo.pb" in names


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
    for name in ("compare-models", "evaluate-model", "check-device", "inspect-model", "convert-model"):
        subprocess.run([programs / name, "--help"], check=True, capture_output=True)
    convert = [programs / "convert-model", "--model", "demo"]
    converted = subprocess.run(convert, capture_output=True, text=True, check=False)
    assert converted.returncode == 1
    assert 'pip install "roadlite[convert]"' in converted.stderr
