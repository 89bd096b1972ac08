"""What `make demo` and `make test` begin with: an environment is made, kept or mended, or one line says what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """As much of the project as making its environment needs."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(PROJECT / ".ci" / "venv", tmp_path / ".ci")
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    return tmp_path


def make(project: Path, python: str = sys.executable, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [project / ".ci" / "venv", python]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, check=False, timeout=120
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1, "one line, and no traceback"
    return done.stderr


def test_an_environment_is_made_kept_and_mended(project: Path) -> None:
    assert make(project).returncode == 0
    programs = project / ".venv" / "bin"
    (programs / "kept").touch()
    assert (make(project).stdout, (programs / "kept").exists()) == ("", True)
    (programs / "pip").unlink()  # as where Ctrl-C came while it was made
    assert "Making .venv anew: it was not whole" in make(project).stdout
    assert (programs / "pip").exists()
    assert not (programs / "kept").exists()
    (programs / "python").unlink()  # as where the Python that it was made with is gone
    assert "Making .venv anew" in make(project).stdout
    assert (
        subprocess.run([programs / "python", "-m", "pip", "--version"], check=False, capture_output=True).returncode
        == 0
    )


def test_a_python_that_is_not_supported_is_named_with_those_that_are(project: Path) -> None:
    settings = (project / "pyproject.toml").read_text()
    here = f"3.{sys.version_info.minor}"
    (project / "pyproject.toml").write_text(settings.replace(f':: {here}"', ':: 3.99"'))
    said = refusal(make(project))
    assert "3.99" in said
    assert f"found {here} as {sys.executable}" in said
    assert not (project / ".venv").exists()


def test_a_python_that_is_not_there_is_told_and_one_that_is(project: Path, tmp_path: Path) -> None:
    said = refusal(make(project, "python-nowhere", PATH="/usr/bin:/bin:" + str(tmp_path / "path")))
    assert "expected Python 3.11 3.12 3.13, found none called python-nowhere; " in said
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "python3.13").symlink_to(sys.executable)
    said = refusal(make(project, "python-nowhere", PATH="/usr/bin:/bin:" + str(tmp_path / "path")))
    assert "to take another: make demo PYTHON=python3.13" in said


def test_debian_without_venv_names_its_package(project: Path, tmp_path: Path) -> None:
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "ensurepip.py").write_text("raise ImportError")  # Debian has it in python3-venv
    said = refusal(make(project, PYTHONPATH=str(tmp_path / "blocked")))
    assert "sudo apt install python3-venv" in said
    assert not (project / ".venv").exists()
