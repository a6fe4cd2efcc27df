"""See to the browser that tests open pages in: find one, or install Debian's Chromium as root.

``make test`` calls it. As root on a system with apt it installs the package ``chromium`` and a
font; otherwise, or where that fails, one line says how to get it, and the tests in a browser are
skipped. It never fails: all other tests run without a browser. Standard library only.
"""

import os
import shutil
import subprocess
import sys

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES = ("chromium", "fonts-dejavu-core")
COMMAND = "apt-get install " + " ".join(PACKAGES)
SECONDS = 600


def find(which=shutil.which, environ=os.environ):
    """Return the path of a browser, or None: ``TALON_BROWSER``, or the first on the path."""
    named = environ.get("TALON_BROWSER")
    return named or next((path for name in BROWSERS if (path := which(name))), None)


def can_install(which=shutil.which, euid=None):
    """Tell whether packages can be installed without asking anyone: as root, with apt."""
    return (os.geteuid() if euid is None else euid) == 0 and which("apt-get") is not None


def install(run=subprocess.run):
    """Install the packages, with fresh lists if the first attempt fails; tell whether it worked."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "timeout": SECONDS}
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    packages = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    try:
        for command in (packages, ["apt-get", "update"], packages):
            done = run(command, env=environ, check=False, **quiet).returncode == 0
            if done and command is packages:
                return True
    except (OSError, subprocess.TimeoutExpired):
        pass
    return False


def main(which=shutil.which, environ=os.environ, euid=None, run=subprocess.run):
    """Find or install a browser, and say what is to be said."""
    if find(which, environ):
        return 0
    if can_install(which, euid):
        print(f"talon setup: no browser yet: {COMMAND} (a minute)", flush=True)
        if install(run) and find(which, environ):
            return 0
    print(
        f"talon setup: no browser on the path, so tests in a browser are skipped: {COMMAND}",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
