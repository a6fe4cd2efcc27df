"""See to the Tcl interpreter that runs the scripts of ``talon build`` in tests: find or install it.

``make test`` calls it. As root on a system with apt it installs the package ``tcl``; otherwise, or
where that fails, one line says how to get it, and those tests are skipped. It never fails: all
other tests run without Tcl. Standard library only.
"""

import os
import shutil
import subprocess
import sys

COMMAND = "apt-get install tcl"
SECONDS = 600


def install(run=subprocess.run):
    """Install the package, with fresh lists if the first attempt fails."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    package = ["apt-get", "install", "-y", "--no-install-recommends", "tcl"]
    for command in (package, ["apt-get", "update"], package):
        try:
            done = run(command, env=environ, check=False, capture_output=True, timeout=SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return
        if done.returncode == 0 and command is package:
            return


def main(which=shutil.which, euid=None, run=subprocess.run):
    """Find or install the interpreter, and say what is to be said."""
    if which("tclsh"):
        return 0
    is_root = (os.geteuid() if euid is None else euid) == 0
    if is_root and which("apt-get"):
        print(f"talon setup: no tclsh yet: {COMMAND}", flush=True)
        install(run)
    if not which("tclsh"):
        text = "no tclsh on the path, so tests of the scripts for Vivado are skipped"
        print(f"talon setup: {text}: {COMMAND}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
