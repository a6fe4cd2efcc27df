"""The pages of a bundle for people and for a shell: README.md and install.sh."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_INSTALL = """#!/bin/sh
# Written by talon board bundle. Installs Talon from this folder alone: no network is used.
# usage, on the board: sudo sh install.sh        PYTHON=/path/to/python chooses the interpreter
set -eu
cd "$(dirname "$0")"
if ! sha256sum --check --quiet SHA256SUMS; then
    echo "install: files are not what was packed; copy the bundle again" >&2
    exit 1
fi
python=${{PYTHON:-}}
for one in /usr/local/share/pynq-venv/bin/python3 python3; do
    if [ -z "$python" ] && command -v "$one" >/dev/null 2>&1; then python=$one; fi
done
if [ -z "$python" ]; then
    echo "install: there is no python3; name one with PYTHON=/path/to/python" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "{python}")'; then
    echo "install: the wheels are for Python {python}, not for $("$python" --version);" \
        "pack again with talon board bundle --for" >&2
    exit 1
fi
"$python" -m pip --disable-pip-version-check install --no-index --no-cache-dir \\
    --find-links wheels --force-reinstall --no-deps wheels/{wheel}
"$python" -m pip --disable-pip-version-check install --no-index --no-cache-dir \\
    --find-links wheels {project}=={version}
"$python" -c 'import talon, talon_pynq; print("install: Talon", talon.__version__, "is there")'
"""

_README = """# {title}

Written by `talon board bundle`, for {machine} with Python {python}. Nothing here needs a network.

1. Copy this folder to the board, best below the notebooks of Jupyter
   (`~/jupyter_notebooks`).
2. `sudo sh install.sh` compares all files but the notebook with what was packed, and
   installs Talon{with_what}.
3. Open `notebooks/{notebook}`, and run it: it loads the bitstream, runs the program, and compares
   every spike with the golden model.

| | |
|---|---|
| `{program}` | the program, for the array `{array}` (hardware hash {hash}) |
| `overlay/` | {overlay} |
| `wheels/` | {wheels} |
| `notebooks/` | the notebook |
| `bundle.json`, `SHA256SUMS` | what was packed, with SHA-256 |
{missing}"""


def install_script(facts: Mapping[str, Any], *, project: str) -> str:
    """Return the text of install.sh for the facts of a manifest."""
    wheel = next(name for name in facts["wheels"] if name.startswith(project.replace("-", "_")))
    made_for = facts["made_for"]
    return _INSTALL.format(
        python=made_for["python"], wheel=wheel, project=project, version=facts["talon"]
    )


def readme(facts: Mapping[str, Any]) -> str:
    """Return the text of README.md for the facts of a manifest."""
    others = len(facts["wheels"]) - 1
    missing = "".join(f"- {what}\n" for what in facts["missing"])
    return _README.format(
        title=f"{facts['program'].split('/')[-1]} for {facts['board'] or 'a board'}",
        machine=facts["made_for"]["machine"],
        python=facts["made_for"]["python"],
        with_what=" and what it needs" if others else "; what it needs must be there",
        notebook=facts["notebooks"][0].split("/")[-1],
        program=facts["program"],
        array=facts["array"],
        hash=facts["hardware_hash"],
        overlay="the bitstream and its `.hwh`" if facts["overlay"] else "is missing, see below",
        wheels=f"Talon {facts['talon']}"
        + (f", and {others} wheels that it needs" if others else ""),
        missing=f"\n## What is missing\n\n{missing}" if missing else "",
    )
