#!/usr/bin/env bash
# Runs edge as on a Raspberry Pi: Debian trixie for arm64 under qemu, with the real libcamera and picamera2 and without
# TensorFlow. What it downloads stays in the cache; the next run only needs what has changed.
#
#   tests/pi/run.sh PYTHON    the project's own Python, with the convert extra
#
# $DEBIAN_MIRROR is used instead of the mirror of this machine's apt where it is set.
set -euo pipefail
python=$(realpath -s "$1")
cd "$(dirname "$0")/../.."

SUITE=trixie
PYTHON_VERSION=3.13
DEBS=python3,python3-libcamera,python3-prctl,libcamera-ipa,ca-certificates
# What picamera2 imports, besides its two source archives; then what runs the tests.
WHEELS=(piexif pillow simplejpeg videodev2 libarchive-c tqdm jsonschema OpenEXR pytest hypothesis)
SOURCES=(picamera2 pidng)
# Tests that need neither speed nor a display nor a network.
TESTS=(
    tests/pi/test_on_the_board.py tests/pi/test_picamera2_fake.py tests/edge/test_sources_pi.py
    tests/edge/test_{board,cameras,card,classes,conflicts,device,engine,labels,postprocess,preprocess}.py
    tests/edge/test_{progress,render,segmenter,sinks,smooth,timing}.py tests/edge/cli/test_check_device.py
)
SLOW='damaged_byte or random_damage or zip_bomb or was_killed'  # minutes, or a race against a slow process

die() {
    echo "test-pi: $*" >&2
    exit 1
}

[ "$(id -u)" = 0 ] || die "needs root for chroot, mounts and qemu's registration; run it as root, or: sudo make test-pi"
for program in debootstrap qemu-aarch64-static dpkg-deb unshare chroot flock; do
    command -v $program >/dev/null || die "$program is missing: apt-get install -y debootstrap qemu-user-static"
done
cache=${ROADLITE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/roadlite}/test-pi
mkdir -p "$cache"
exec 9>"$cache/lock"
flock -n 9 || die "another run uses $cache; wait for it"

# Debian's mirror as apt knows it, the security one left out.
mirror() {
    [ -z "${DEBIAN_MIRROR:-}" ] || { echo "$DEBIAN_MIRROR" && return; }
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m1 -E '/debian/?$' ||
        die 'apt here names no Debian mirror; set DEBIAN_MIRROR to one'
}

# Debian, unpacked only: configuring its packages under emulation would take twenty minutes.
make_debian() {
    debootstrap --arch=arm64 --foreign --variant=minbase --include=$DEBS $SUITE "$1" "$(mirror)" >"$cache/debootstrap.log" ||
        die "debootstrap failed, see $cache/debootstrap.log"
    for deb in "$1"/var/cache/apt/archives/*.deb; do dpkg-deb -x "$deb" "$1"; done
    rm -rf "$1"/var/cache/apt/archives "$1"/debootstrap
    echo 'root:x:0:0:root:/root:/bin/sh' >"$1/etc/passwd"
    echo 'root:x:0:' >"$1/etc/group"
    chmod 1777 "$1/tmp"
}

pip() {
    "$python" -m pip --disable-pip-version-check --quiet "$@" 2> >(grep -v ^WARNING >&2)
}

# What a Pi installs with pip and apt, beside Debian's own Python.
make_packages() {
    local needs platforms=()
    mapfile -t needs < <(dependencies)
    for glibc in 17 26 27 28; do platforms+=(--platform manylinux_2_${glibc}_aarch64); done
    pip install --target "$1" "${platforms[@]}" --platform manylinux2014_aarch64 --python-version $PYTHON_VERSION \
        --only-binary=:all: "${needs[@]}" "${WHEELS[@]}"
    pip download --no-deps --no-binary=:all: --dest "$1/sources" "${SOURCES[@]}"
    for archive in "$1"/sources/*.tar.gz; do
        tar -xzf "$archive" -C "$1" --wildcards --strip-components=1 '*/picamera2/*' '*/src/pidng/*'
    done 2>/dev/null || true # neither archive has both
    mv "$1/src/pidng" "$1/pidng"
    cp tests/pi/pykms.py "$1"
}

dependencies() {
    "$python" -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")'
}

key() { sha256sum | cut -c1-16; }

root=$cache/root-$({ echo $SUITE $PYTHON_VERSION $DEBS "${WHEELS[@]}" "${SOURCES[@]}" && dependencies && cat tests/pi/pykms.py; } | key)
if [ ! -d "$root" ]; then
    echo "test-pi: making Debian $SUITE for arm64 in $root ..."
    rm -rf "$cache"/root-*
    make_debian "$root.part"
    make_packages "$root.part/opt/packages"
    mv "$root.part" "$root"
fi

# A small int8 model, pictures, and what x86 sees in them: remade when the converter has changed.
model=$cache/model-$(find convert -name '*.py' -o -name '*.pb' | sort | xargs cat | key)
if [ ! -d "$model" ]; then
    rm -rf "$cache"/model-*
    "$python" -c 'import sys; from convert.cli import main; sys.exit(main(sys.argv[1:]))' \
        --model demo --quantize int8 --input-size 129x257 --output-dir "$model.part" >"$cache/convert.log" 2>&1 ||
        die "the demo cannot be converted, see $cache/convert.log"
    mv "$model.part" "$model"
fi
material=$root/opt/material
rm -rf "$material" "$root/opt/project"
mkdir -p "$material/pictures" "$root/opt/project"
cp "$model"/*.tflite "$material/model.tflite"
PYTHONPATH=$PWD "$python" tests/pi/make_material.py "$material" >"$cache/material.log" 2>&1 ||
    die "x86 cannot label the pictures, see $cache/material.log"

# The wheel as a user installs it, without the half that belongs to the workstation.
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null | tar -c -T - | tar -x -C "$copy"
pip wheel --no-deps --wheel-dir "$copy/wheel" "$copy"
"$python" -m zipfile -e "$copy"/wheel/*.whl "$root/opt/project"
rm -rf "$root/opt/project/convert"
rm -rf "$copy/tests/convert"
cp -r "$copy/tests" "$copy/pyproject.toml" "$root/opt/project"

on() { # BOARD PYTEST-ARGUMENTS...
    local board=$1
    shift
    echo "test-pi: as a $board ..."
    # Mounts and processes belong to the namespaces and end with them, however this script ends.
    setpriv --pdeathsig KILL unshare --mount --propagation private --pid --fork --kill-child \
        tests/pi/as_board.sh "$board" "$root" python3 -m pytest -q -p no:cacheprovider -m 'not tensorflow' "$@"
}

on pi4 tests/pi/test_on_the_board.py
on pi5 "${TESTS[@]}" -k "not ($SLOW)"
