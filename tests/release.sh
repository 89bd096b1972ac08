#!/usr/bin/env bash
# Builds the archives of the last commit into dist/, and puts each to the proof: its metadata is what an index takes,
# it installs into an empty environment, and run-model labels a picture there. docs/releasing.md says when.
#
#   tests/release.sh PYTHON    the project's own Python, with the convert and dev extras
set -euo pipefail
python=$(realpath -s "$1")
cd "$(dirname "$0")/.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { echo "release: $*"; }
quiet() { "$@" >"$work/log" 2>&1 || { cat "$work/log" >&2 && exit 1; }; }

say "building ..."
mkdir "$work/project" "$work/dist"
git archive HEAD | tar -x -C "$work/project" # what is not committed belongs to no release
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH # the same commit gives the same wheel
quiet "$python" -m build --outdir "$work/dist" "$work/project"
"$python" -m twine check --strict "$work"/dist/*

say "making a model to try them with ..."
quiet "$(dirname "$python")/convert-model" demo --quantize int8 --input-size 129x257 --output "$work"
for archive in "$work"/dist/*; do
    say "trying $(basename "$archive") ..."
    rm -rf "$work/venv" "$work/o.png"
    "$python" -m venv "$work/venv"
    quiet "$work/venv/bin/pip" install --disable-pip-version-check "$archive"
    (cd "$work" && quiet venv/bin/run-model demo-*.tflite --source demo --limit 1 --output o.png)
    test -s "$work/o.png"
done

rm -rf dist
mv "$work/dist" dist
cd dist
sha256sum -- * | tee SHA256SUMS
! grep -q unreleased ../CHANGELOG.md || say "CHANGELOG.md still says unreleased"
git diff --quiet HEAD || say "the working tree has changes that are not in these archives"
