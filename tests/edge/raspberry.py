"""A Raspberry Pi 5 on which everything is well, for tests of what is said about a device."""

from __future__ import annotations

from edge.device.board import Memory, Throttle
from edge.device.cameras import Camera, Search
from edge.device.survey import Device, Package

PI = Device(
    board="Raspberry Pi 5 Model B Rev 1.0",
    is_pi=True,
    os="Debian GNU/Linux 13 (trixie)",
    kernel="Linux 6.12.25+rpt",
    machine="aarch64",
    python="3.13.5",
    python_bits=64,
    venv="/home/pi/.venv",
    sees_system_packages=True,
    cpu="Cortex-A76",
    cores=4,
    features=("dotprod", "fp16"),
    int8_note=None,
    governor="ondemand",
    clock_driver="cpufreq-dt",
    clock_mhz=1500.0,
    max_clock_mhz=2400.0,
    temperature_c=61.3,
    throttle=Throttle((), ()),
    memory=Memory(8455, 6144),
    runtimes={"litert": Package("2.3.0", ""), "tflite-runtime": None, "openvino": None, "tensorflow": None},
    libraries={
        "numpy": Package("2.4.6", ""),
        "opencv": Package("5.0.0.93", ""),
        "av": Package("18.1.0", ""),
        "picamera2": Package("0.3.38", ""),
    },
    opencv_wheels=("opencv-python-headless",),
    qt_twice=False,
    apt_picamera2=True,
    cameras=Search((Camera("picamera2:0", "imx708"), Camera("/dev/video8", "C920")), ("picamera2: imx708", "")),
    video_nodes=(),
    display=None,
)
