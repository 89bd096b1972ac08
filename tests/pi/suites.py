"""The two Debians that a Pi runs, each made once a day: unpacked, then equipped by its own pip as the guide says."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import time
import tomllib
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

HERE = Path(__file__).parent
PROJECT = HERE.parents[1]
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PASSED_ON = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "http_proxy", "https_proxy", "no_proxy")
VENV = Path("root/roadlite")  # where the guide has it

DEBS = ("python3", "python3-venv", "ca-certificates")
TESTING = ("pytest", "hypothesis", "scikit-learn", "pillow-heif", "trustme")
# What picamera2 imports, besides its two source archives, which want a compiler; Debian has no python3-picamera2.
CAMERA_DEBS = ("python3-libcamera", "libcamera-ipa", "python3-prctl")
CAMERA_WHEELS = ("piexif", "pillow", "simplejpeg", "videodev2", "libarchive-c", "tqdm", "jsonschema", "OpenEXR")
CAMERA_SOURCES = ("picamera2", "pidng")


class Stopped(Exception):
    """What is missing, or which step failed, and where its output is."""


@dataclass(frozen=True)
class Suite:
    """A release of Debian."""

    name: str
    camera: bool  # it has python3-libcamera
    cache: Path

    @cached_property
    def root(self) -> Path:
        made_by = [(HERE / name).read_text() for name in ("suites.py", "as_board.sh", "pykms.py")]
        parts = [self.name, time.strftime("%F"), *dependencies(), *made_by]
        return self.cache / f"{self.name}-{key(*parts)}"

    def make(self, wheel: Path) -> None:
        """Makes it with the newest wheels of today, unless it is there; then puts the project into it."""
        if not self.root.is_dir():
            say(f"making Debian {self.name} for arm64 in {self.root} ...")
            (self.cache / f"{self.name}.log").unlink(missing_ok=True)
            for old in self.cache.glob(f"{self.name}-*"):
                shutil.rmtree(old)
            part = self.root.with_suffix(".part")
            self._unpack(part)
            self._equip(part, wheel)
            part.rename(self.root)
        self._install(self.root, "--no-index", "--no-deps", "--force-reinstall", wheel=wheel)
        shutil.rmtree(packages(self.root) / "convert")  # the half that belongs to the workstation

    def _unpack(self, root: Path) -> None:
        """Debian, unpacked only: configuring its packages under emulation would take twenty minutes."""
        kept = self.cache / "debs" / self.name
        kept.mkdir(parents=True, exist_ok=True)
        debs = ",".join((*DEBS, *(CAMERA_DEBS if self.camera else ())))
        options = ["--arch=arm64", "--foreign", "--variant=minbase", f"--cache-dir={kept}"]
        self._logged("debootstrap", *options, f"--include={debs}", self.name, root, mirror())
        archives = root / "var/cache/apt/archives"
        for deb in archives.glob("*.deb"):
            self._logged("dpkg-deb", "-x", deb, root)
        shutil.rmtree(archives)
        shutil.rmtree(root / "debootstrap")
        (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        (root / "tmp").chmod(0o1777)
        (root / "opt/project").mkdir(parents=True)
        for path in (Path("/etc/resolv.conf"), Path("/etc/hosts"), CERTIFICATES):
            shutil.copy(path, root / path.relative_to("/"))

    def _equip(self, root: Path, wheel: Path) -> None:
        self._logged(*on("pi5", root), "python3", "-m", "venv", "--system-site-packages", f"/{VENV}")
        self._install(root, "--only-binary=:all:", *TESTING, *(CAMERA_WHEELS if self.camera else ()), wheel=wheel)
        if self.camera:
            self._camera(root)

    def _install(self, root: Path, *arguments: str, wheel: Path) -> None:
        """By the pip of the board: what it takes from there is what it would take on a Pi."""
        shutil.copy(wheel, root / "opt")
        settings = [f"{name}={os.environ[name]}" for name in PASSED_ON if name in os.environ]
        settings += [f"PIP_CERT={CERTIFICATES}", "PIP_DISABLE_PIP_VERSION_CHECK=1", "PIP_DEFAULT_TIMEOUT=180"]
        command = ["env", *settings, f"/{VENV}/bin/pip", "install", "--no-compile", *arguments, f"/opt/{wheel.name}"]
        self._logged(*on("pi5", root), *command, env=os.environ | {"PIP_CACHE": str(self.cache / "pip")})

    def _camera(self, root: Path) -> None:
        target = packages(root)
        with_pip = (sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps")
        self._logged(*with_pip, "--no-binary=:all:", "--dest", root / "opt/sources", *CAMERA_SOURCES)
        for archive in (root / "opt/sources").glob("*.tar.gz"):
            with tarfile.open(archive) as opened:
                opened.extractall(root / "opt/sources", filter="data")
        for name, inside in (("picamera2", "picamera2"), ("pidng", "src/pidng")):
            found = next((root / "opt/sources").glob(f"{name}-*/{inside}"))
            found.rename(target / name)
        shutil.copy(HERE / "pykms.py", target)

    def _logged(self, *command: object, env: dict[str, str] | None = None) -> None:
        log = self.cache / f"{self.name}.log"
        with log.open("ab") as out:
            done = subprocess.run([*map(str, command)], stdout=out, stderr=out, env=env, check=False)
        if done.returncode:
            tail = log.read_text(errors="replace").splitlines()[-5:]
            raise Stopped("\n".join([f"{command[0]} failed for Debian {self.name}; the end of {log}:", *tail]))


def key(*parts: str) -> str:
    return sha256("\n".join(parts).encode()).hexdigest()[:16]


def on(board: str, root: Path) -> list[str]:
    """The start of a command on a board; its mounts and processes end with it, however this process ends."""
    namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    return ["setpriv", "--pdeathsig", "KILL", *namespaces, str(HERE / "as_board.sh"), board, str(root)]


def packages(root: Path) -> Path:
    return next((root / VENV / "lib").glob("python3*")) / "site-packages"


def dependencies() -> list[str]:
    needs: list[str] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    return needs


def mirror() -> str:
    """$DEBIAN_MIRROR, or Debian's mirror as apt here knows it; the security one is left out."""
    if "DEBIAN_MIRROR" in os.environ:
        return os.environ["DEBIAN_MIRROR"]
    asked = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)"], capture_output=True, text=True, check=False
    ).stdout
    found = [line for line in asked.splitlines() if line.rstrip("/").endswith("/debian")]
    if not found:
        raise Stopped("apt here names no Debian mirror; set DEBIAN_MIRROR to one")
    return found[0]


def say(words: str) -> None:
    print(f"test-pi: {words}\n", end="", flush=True)  # in one piece: others print too
