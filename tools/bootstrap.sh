#!/bin/sh
# Find a Python that can run Talon and hand over to bootstrap.py. Needs nothing but a POSIX shell.
# usage: tools/bootstrap.sh [demo|dev|torch|pynq|ecp5]        PYTHON=/path/to/python3.12 chooses the interpreter
set -eu
here=${0%/*}

usable() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

if [ -n "${PYTHON:-}" ]; then
    if ! command -v "$PYTHON" >/dev/null 2>&1; then
        echo "talon setup: PYTHON=$PYTHON does not exist" >&2
        exit 1
    fi
    # Whatever its version: bootstrap.py says what is wrong with it.
    exec "$PYTHON" "$here/bootstrap.py" "$@"
fi
for python in python3 python3.13 python3.12 python3.11 python3.10; do
    if command -v "$python" >/dev/null 2>&1 && usable "$python"; then
        exec "$python" "$here/bootstrap.py" "$@"
    fi
done
if command -v python3 >/dev/null 2>&1; then
    exec python3 "$here/bootstrap.py" "$@"
fi
echo "talon setup: missing Python 3.10 to 3.13 (runs everything here): apt-get install python3 python3-venv" >&2
exit 1
