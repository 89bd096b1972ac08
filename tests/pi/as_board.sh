#!/usr/bin/env bash
# as_board.sh pi4|pi5 ROOT COMMAND...: runs a command in ROOT on an emulated Raspberry Pi. The mount namespace is the
# caller's, who throws it away.
#
# The processor is described in /proc/cpuinfo and /sys: LiteRT reads there which kernels it may use. It crashes over an
# x86 description, and without one it leaves XNNPACK out.
set -euo pipefail
board=$1 root=$2
shift 2

case $board in
pi4) cpu=cortex-a72 part=0xd08 more='' mhz=1800 model='Raspberry Pi 4 Model B (emulated)' ;;
pi5) cpu=cortex-a76 part=0xd0b more=' atomics fphp asimdhp asimdrdm lrcpc dcpop asimddp' mhz=2400 model='Raspberry Pi 5 Model B (emulated)' ;;
esac

binfmt=/proc/sys/fs/binfmt_misc
[ -e $binfmt/register ] || mount -t binfmt_misc binfmt_misc $binfmt
[ -e $binfmt/qemu-aarch64 ] || update-binfmts --enable qemu-aarch64 2>/dev/null ||
    tr -d '\n' </usr/lib/binfmt.d/qemu-aarch64.conf 2>/dev/null >$binfmt/register ||
    [ -e $binfmt/qemu-aarch64 ] # another board has just done it

mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/sys"
mount -t tmpfs tmpfs "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
mkdir -p "$root/dev/shm" "$root/sys/firmware/devicetree/base" "$root/sys/devices/system/cpu"
for node in null zero full random urandom; do
    touch "$root/dev/$node"
    mount --bind /dev/$node "$root/dev/$node"
done
mkdir "$root/dev/pts" # for programs that are tested on a terminal
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
printf '%s\0' "$model" >"$root/sys/firmware/devicetree/base/model"
last=$(($(nproc) - 1)) # more cores than there are would look like a process that is pinned to some of them
for list in possible present online; do echo 0-$last >"$root/sys/devices/system/cpu/$list"; done
for core in $(seq 0 $last); do
    clock=$root/sys/devices/system/cpu/cpu$core/cpufreq
    mkdir -p "$clock"
    echo ondemand >"$clock/scaling_governor"
    echo $((mhz * 1000)) | tee "$clock"/{cpuinfo_min_freq,cpuinfo_max_freq,scaling_cur_freq} >/dev/null
    printf 'processor\t: %s\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid%s\n' $core "$more"
    printf 'CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: %s\nCPU revision\t: 3\n\n' $part
done >"$root/tmp/cpuinfo"
mount --bind "$root/tmp/cpuinfo" "$root/proc/cpuinfo"

# A folder of the machine's own for what pip downloads.
if [ -n "${PIP_CACHE:-}" ]; then
    mkdir -p "$PIP_CACHE" "$root/root/.cache/pip"
    mount --bind "$PIP_CACHE" "$root/root/.cache/pip"
fi

# Not with exec: this shell is the first process of its namespace, and that one ignores most signals.
cd /
env -i QEMU_CPU=$cpu PATH=/root/roadlite/bin:/usr/bin:/bin HOME=/root LC_ALL=C.UTF-8 ROADLITE_BOARD="$model" \
    ROADLITE_MATERIAL=/opt/material ROADLITE_TEST_MODELS=/opt/material/models \
    "$(command -v chroot)" "$root" /bin/sh -c 'cd /opt/project && exec "$@"' sh "$@"
