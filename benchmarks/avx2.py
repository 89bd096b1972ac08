"""Runs a program of Python as on an x86 processor with AVX2 and nothing newer: no AVX-512, no VNNI, no AMX.

    python benchmarks/avx2.py benchmarks/peers.py --rounds 7

OpenVINO is told so. LiteRT and onnxruntime ask the processor, and nothing can tell them otherwise: so they run from
copies in which each CPUID instruction is a breakpoint, and what handles it leaves newer features out of the answer.
Their kernels are those of an older processor then; its clock, caches and execution units are still this one's. Needs
gcc and objdump (`apt install gcc binutils`).
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from networks import folder

PACKAGES = ("ai_edge_litert", "onnxruntime")
CPUID, BREAKPOINT = b"\x0f\xa2", b"\xcc\x90"  # the second with a NOP behind it
HANDLER = r"""
#define _GNU_SOURCE
#include <cpuid.h>
#include <signal.h>
#include <ucontext.h>

/* AVX-512 and what came with it, AMX: bits of leaf 7 in the manuals of Intel and AMD. */
enum { EBX = 0xdc230000, ECX = 0x5942, EDX = 0x3c0010c };

static void answer(int signal, siginfo_t *info, void *context) {
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    unsigned leaf = registers[REG_RAX], part = registers[REG_RCX], a, b, c, d;
    __cpuid_count(leaf, part, a, b, c, d);
    if (leaf == 7 && part == 0) b &= ~EBX, c &= ~ECX, d &= ~EDX;
    if (leaf == 7 && part == 1) a = d = 0;
    registers[REG_RAX] = a, registers[REG_RBX] = b, registers[REG_RCX] = c, registers[REG_RDX] = d;
}

__attribute__((constructor)) static void install(void) {
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    action.sa_sigaction = answer;
    sigaction(SIGTRAP, &action, 0);
}
"""


def copied(package: str, into: Path) -> int:
    """Copies a package with breakpoints for its CPUID instructions; returns how many it has."""
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        return 0
    source = Path(found.submodule_search_locations[0])
    shutil.copytree(source, into / package, dirs_exist_ok=True, symlinks=True)
    count = 0
    for library in (into / package).rglob("*.so*"):
        data, places = bytearray(library.read_bytes()), list(cpuids(library))
        for place in places:
            if data[place : place + 2] != CPUID:
                raise SystemExit(f"{library}: objdump and the file differ at {place}")
            data[place : place + 2] = BREAKPOINT
        library.write_bytes(data)
        count += len(places)
    return count


def cpuids(library: Path) -> Iterator[int]:
    """Yields where in the file the instructions are."""
    code = subprocess.run(["objdump", "-d", library], capture_output=True, text=True, check=True).stdout
    addresses = [int(found, 16) for found in re.findall(r"^\s*([0-9a-f]+):\t0f a2 \s*\tcpuid", code, re.MULTILINE)]
    headers = subprocess.run(["readelf", "-lW", library], capture_output=True, text=True, check=True).stdout
    segments = [
        [int(number, 16) for number in found]
        for found in re.findall(r"LOAD\s+0x(\w+)\s+0x(\w+)\s+0x\w+\s+0x(\w+)", headers)
    ]
    for address in addresses:
        for offset, start, size in segments:
            if start <= address < start + size:
                yield address - start + offset


def main(argv: list[str]) -> int:
    if not argv:
        raise SystemExit(__doc__)
    site = folder() / "avx2"
    shutil.rmtree(site, ignore_errors=True)
    site.mkdir(parents=True)
    for package in PACKAGES:
        print(f"{package}: {copied(package, site)} CPUID instructions answer as an AVX2 processor's")
    handler = site / "handler.so"
    build = ["gcc", "-O1", "-shared", "-fPIC", "-x", "c", "-", "-o", handler]
    subprocess.run(build, input=HANDLER, text=True, check=True)
    paths = os.pathsep.join(filter(None, (str(site.resolve()), os.environ.get("PYTHONPATH"))))
    told = {
        "LD_PRELOAD": str(handler.resolve()),
        "PYTHONPATH": paths,
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "XDG_CACHE_HOME": str(site.resolve() / "cache"),  # what is fastest here is not what was remembered
    }
    return subprocess.run([sys.executable, *argv], env=os.environ | told, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
