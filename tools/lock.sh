#!/bin/sh
# Write constraints/*.txt anew from pyproject.toml: one lock for Python 3.10 to 3.13, with hashes.
# usage: tools/lock.sh [--upgrade]      uv is installed into a throw-away environment under build/
set -eu
cd "$(dirname "$0")/.."
tool=build/lock-venv
[ -x "$tool/bin/uv" ] || {
    python3 -m venv "$tool"
    "$tool/bin/pip" install --quiet uv
}
lock() {
    out=$1
    shift
    "$tool/bin/uv" pip compile pyproject.toml constraints/build.in \
        --extra map --extra cosim --extra viz \
        --universal --python-version 3.10 --no-python-downloads --generate-hashes \
        --custom-compile-command tools/lock.sh --quiet --output-file "$out" "$@"
}
lock constraints/dev.txt --group dev --extra fast "$@"
# Bitstreams need the gateware and tools for it, nothing of the developers' set.
rm -f constraints/ecp5.txt
"$tool/bin/uv" pip compile pyproject.toml constraints/build.in --extra hdl --group ecp5 \
    --constraint constraints/dev.txt --universal --python-version 3.10 --no-python-downloads --generate-hashes \
    --custom-compile-command tools/lock.sh --quiet --output-file constraints/ecp5.txt "$@"
# The demo's set is a part of the developers' set, at the same versions.
rm -f constraints/demo.txt
lock constraints/demo.txt --constraint constraints/dev.txt
