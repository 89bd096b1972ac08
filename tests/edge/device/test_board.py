"""What the kernel says, read from trees laid out as boards have them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edge.device import board

Lay = Callable[[dict[str, str]], Path]

PI5_CPUINFO = """processor\t: 0
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b

processor\t: 1
Features\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp
CPU implementer\t: 0x41
CPU part\t: 0xd0b
"""
LAPTOP_CPUINFO = """processor\t: 0
model name\t: 12th Gen Intel(R) Core(TM) i5-1240P
cpu MHz\t\t: 2100.000
flags\t\t: fpu sse4_2 fma avx2 avx_vnni

processor\t: 1
model name\t: 12th Gen Intel(R) Core(TM) i5-1240P
cpu MHz\t\t: 3300.000
flags\t\t: fpu sse4_2 fma avx2 avx_vnni
"""
FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
COUNT = "sys/devices/system/cpu/cpu{}/thermal_throttle/core_throttle_count"


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """`lay({"sys/...": "text"})`: writes the files and returns the root."""

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


@pytest.fixture
def vcgencmd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """`vcgencmd(script)`: the only program on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def write(script: str) -> None:
        (folder / "vcgencmd").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "vcgencmd").chmod(0o755)

    return write


def test_raspberry_pi(lay: Lay) -> None:
    root = lay(
        {
            "sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0",
            "proc/cpuinfo": PI5_CPUINFO,
            "etc/os-release": 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 13 (trixie)"\n',
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "1500000\n",
            "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "2400000\n",
            "sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "2400000\n",
            "proc/meminfo": "MemTotal:        8256000 kB\nMemFree:  1 kB\nMemAvailable:    6000000 kB\n",
        }
    )
    assert board.board_name(root) == "Raspberry Pi 5 Model B Rev 1.0"
    assert board.is_raspberry_pi(root)
    assert board.os_name(root) == "Debian GNU/Linux 13 (trixie)"
    assert board.cpu_name(root) == "Cortex-A76"
    assert board.cpu_features(root) == ("dotprod", "fp16")
    assert board.governor(root) == "ondemand"
    assert board.clock_mhz(root) == 2400
    assert board.max_clock_mhz(root) == 2400
    assert board.memory(root) == board.Memory(pytest.approx(8454.144), pytest.approx(6144.0))


def test_laptop(lay: Lay) -> None:
    root = lay(
        {
            "sys/devices/virtual/dmi/id/sys_vendor": "LENOVO\n",
            "sys/devices/virtual/dmi/id/product_name": "21ABCTO1WW\n",
            "proc/cpuinfo": LAPTOP_CPUINFO,
        }
    )
    assert board.board_name(root) == "LENOVO 21ABCTO1WW"
    assert not board.is_raspberry_pi(root)
    assert board.cpu_name(root) == "12th Gen Intel(R) Core(TM) i5-1240P"
    assert board.cpu_features(root) == ("fma", "avx2", "avx_vnni")
    assert board.clock_mhz(root) == 3300


def test_what_int8_lacks_and_what_follows(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    def note(cpuinfo: str, *, narrow: bool) -> str | None:
        return board.int8_note(narrow, lay({"proc/cpuinfo": cpuinfo}))

    for name in ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    old, smaller = LAPTOP_CPUINFO.replace(" avx_vnni", ""), "OpenVINO computes int8 with smaller weights"
    assert note(LAPTOP_CPUINFO, narrow=False) is note(PI5_CPUINFO, narrow=False) is None
    assert note(old, narrow=False) == "no VNNI: int8 gains less over float32"
    assert note(old, narrow=True) == f"no VNNI: int8 gains less over float32; {smaller}"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert note(LAPTOP_CPUINFO, narrow=True) == f"ONEDNN_MAX_CPU_ISA=AVX2: {smaller}"


def test_cores_of_two_kinds_are_both_named(lay: Lay) -> None:
    root = lay({"proc/cpuinfo": "CPU part\t: 0xd05\n\nCPU part\t: 0xd0b\n\nCPU part\t: 0xd0b\n\nCPU part\t: 0xfff\n"})
    assert board.cpu_name(root) == "Arm part 0xfff + Cortex-A55 + Cortex-A76"


def test_a_board_that_tells_nothing(tmp_path: Path) -> None:
    silent = (
        board.board_name,
        board.os_name,
        board.cpu_name,
        board.governor,
        board.clock_mhz,
        board.max_clock_mhz,
        board.temperature_c,
        board.throttled,
        board.is_throttled,
        board.memory,
    )
    assert [ask(tmp_path) for ask in silent] == [None] * len(silent)
    assert board.cpu_features(tmp_path) == ()


@pytest.mark.parametrize(
    ("files", "degrees"),
    [
        ({"thermal/thermal_zone0/type": "cpu-thermal", "thermal/thermal_zone0/temp": "61250"}, 61.25),
        ({"thermal/thermal_zone0/type": "acpitz", "thermal/thermal_zone0/temp": "16800"}, None),
        (
            {
                "thermal/thermal_zone0/type": "acpitz",
                "thermal/thermal_zone0/temp": "16800",
                "thermal/thermal_zone7/type": "x86_pkg_temp",
                "thermal/thermal_zone7/temp": "72000",
            },
            72.0,
        ),
        (
            {
                "hwmon/hwmon0/name": "nvme",
                "hwmon/hwmon0/temp1_input": "90000",
                "hwmon/hwmon1/name": "k10temp",
                "hwmon/hwmon1/temp1_input": "55500",
                "hwmon/hwmon1/temp3_input": "58000",
            },
            58.0,
        ),
        ({"thermal/thermal_zone0/type": "cpu-thermal", "thermal/thermal_zone0/temp": ""}, None),
    ],
    ids=["pi", "not the processor's", "laptop", "hottest", "unreadable"],
)
def test_temperature(lay: Lay, files: dict[str, str], degrees: float | None) -> None:
    assert board.temperature_c(lay({f"sys/class/{name}": f"{text}\n" for name, text in files.items()})) == degrees


@pytest.mark.parametrize(
    ("word", "now", "ever"),
    [
        ("0", (), ()),
        ("50000", (), ("undervoltage", "throttled")),
        ("50005", ("undervoltage", "throttled"), ("undervoltage", "throttled")),
        ("e0008", ("soft temperature limit",), ("clock capped", "throttled", "soft temperature limit")),
    ],
)
def test_firmware_flags(lay: Lay, word: str, now: tuple[str, ...], ever: tuple[str, ...]) -> None:
    root = lay({FIRMWARE: f"{word}\n"})
    assert board.throttled(root) == board.Throttle(now, ever)
    assert board.is_throttled(root) is bool(now)


def test_pi_5_is_asked_through_vcgencmd(lay: Lay, vcgencmd: Callable[[str], None]) -> None:
    root = lay({"sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0"})
    assert board.throttled(root) is None  # not installed
    vcgencmd('[ "$1" = get_throttled ] && echo throttled=0x80008')
    assert board.throttled(root) == board.Throttle(("soft temperature limit",), ("soft temperature limit",))
    vcgencmd("echo VCHI initialization failed; exit 255")
    assert board.throttled(root) is None


def test_other_boards_are_not_asked_through_vcgencmd(lay: Lay, vcgencmd: Callable[[str], None]) -> None:
    vcgencmd("echo throttled=0x1")
    assert board.throttled(lay({})) is None


def test_x86_is_throttled_for_a_while_after_an_event(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    root = lay({COUNT.format(0): "0\n", COUNT.format(1): "0\n"})
    assert board.throttled(root) == board.Throttle((), ())
    lay({COUNT.format(1): "3\n"})
    assert board.throttled(root) == board.Throttle(("throttled",), ("throttled",))
    assert board.is_throttled(root) is True  # who asks second learns of it too
    now_s += board.RECENT_S
    assert board.throttled(root) == board.Throttle((), ("throttled",))


def test_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert board.display() is None
    monkeypatch.setenv("DISPLAY", ":0")
    assert board.display() == ":0"
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-1")
    assert board.display() == "wayland-1"
