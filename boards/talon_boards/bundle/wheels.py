"""Wheels for a board: Talon's own, from the source that is installed, and what it needs to run."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, PackagePath, distribution
from importlib.util import find_spec
from pathlib import Path

import talon
from talon.errors import BackendError

PROJECT = "talon-snn"
_LEFT_OUT = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
"""Files of an installation that say how it came about, and are none of the wheel's."""
_LAST_LINES = 3


@dataclass(frozen=True, kw_only=True)
class WheelTarget:
    """Where wheels are to be installed: a Python and the platforms that it takes wheels of.

    No platforms: this Python, on this machine.
    """

    python: str
    machine: str
    platforms: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()


def _pynq(python: str, glibc: int) -> WheelTarget:
    """Return the target of images with this Python and glibc 2.``glibc``; pynq wants NumPy 1."""
    platforms = [f"manylinux_2_{minor}_aarch64" for minor in range(glibc, 16, -1)]
    return WheelTarget(
        python=python,
        machine="aarch64",
        platforms=(*platforms, "manylinux2014_aarch64"),
        constraints=("numpy<2",),
    )


TARGETS = {
    "pynq3": _pynq("3.10", 35),  # Ubuntu 22.04
    "pynq4": _pynq("3.12", 39),  # Ubuntu 24.04
    "here": WheelTarget(python=".".join(map(str, sys.version_info[:2])), machine="this machine"),
}
"""For boards with images of PYNQ 3 and PYNQ 4, and for this machine."""


def wheel_version(wheel: Path) -> str:
    """Return the version in the name of a wheel of Talon's own.

    Raises
    ------
    BackendError
        It is another wheel, or has a name that pip would not take.
    """
    name, *rest = wheel.name.split("-")
    if name != PROJECT.replace("-", "_") or len(rest) not in (4, 5) or wheel.suffix != ".whl":
        raise BackendError(
            f"Wheel must be one of {PROJECT}, with the name that it was built with "
            f"({PROJECT.replace('-', '_')}-VERSION-py3-none-any.whl), not {wheel.name!r}"
        )
    return rest[0]


def talon_wheel(folder: Path) -> Path:
    """Make the wheel of the Talon that runs now, and return its path.

    In a checkout it is built from the sources there; elsewhere it is made of the files installed.

    Raises
    ------
    BackendError
        It cannot be built, or Talon is not installed.
    """
    root = Path(talon.__file__).resolve().parent.parent
    project = root / "pyproject.toml"
    if project.is_file() and f'name = "{PROJECT}"' in project.read_text(encoding="utf-8"):
        # With the build back end at hand nothing is fetched for it.
        isolated = [] if find_spec("hatchling") is None else ["--no-build-isolation"]
        _pip("wheel", "--no-deps", *isolated, "-w", str(folder), str(root), what="build its wheel")
        return next(folder.glob("talon_snn-*.whl"))
    try:
        return repack(distribution(PROJECT), folder)
    except PackageNotFoundError as error:
        raise BackendError(
            f"{PROJECT} is neither a checkout nor installed by pip, so no wheel can be made of it; "
            "give one with --wheel"
        ) from error


def repack(installed: Distribution, folder: Path) -> Path:
    """Make a wheel of the files of an installed distribution, and return its path.

    Raises
    ------
    BackendError
        The installation is editable, or keeps no record of its files.
    """
    about = installed.read_text("WHEEL")
    if about is None or not installed.files:
        raise BackendError(f"{installed.name} keeps no record of its files; give its wheel")
    if (installed.read_text("direct_url.json") or "").find('"editable": true') >= 0:
        raise BackendError(f"{installed.name} is installed as editable; give its wheel")
    stem = f"{installed.name.replace('-', '_')}-{installed.version}"
    tags = [line.split(": ")[1] for line in about.splitlines() if line.startswith("Tag: ")]
    parts = [".".join(dict.fromkeys(tag.split("-")[i] for tag in tags)) for i in range(3)]
    path = folder / f"{stem}-{'-'.join(parts)}.whl"
    record = f"{stem}.dist-info/RECORD"
    lines: list[str] = []
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(_contents(installed, stem)):
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(data)}")
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
        archive.writestr(zipfile.ZipInfo(record), "\n".join([*lines, f"{record},,"]) + "\n")
    return path


def _contents(installed: Distribution, stem: str) -> Iterator[tuple[str, bytes]]:
    """Yield name in the wheel and data of each file; scripts are made anew by the installer."""
    for file in installed.files or ():
        parts = file.parts
        if file.suffix == ".pyc" or (".dist-info" in parts[0] and file.name in _LEFT_OUT):
            continue
        if parts[0] != "..":
            head = f"{stem}.dist-info" if parts[0].endswith(".dist-info") else parts[0]
            yield "/".join([head, *parts[1:]]), _read(file)
        elif "share" in parts:  # beside site-packages: the data of the wheel
            below = parts[parts.index("share") :]
            yield "/".join([f"{stem}.data", "data", *below]), _read(file)


def _read(file: PackagePath) -> bytes:
    return Path(str(file.locate())).read_bytes()


def dependencies(
    wheel: Path, folder: Path, *, target: WheelTarget, source: Path | None = None
) -> list[Path]:
    """Bring the wheels that one needs to run into a folder, and return their paths.

    Parameters
    ----------
    wheel
        The wheel, by whose metadata pip finds out.
    folder
        Where to; it holds nothing but ``wheel``, if that.
    target
        Where they are to be installed.
    source
        A folder with wheels, in place of the package index.

    Raises
    ------
    BackendError
        pip cannot find them; the message has its last lines.
    """
    options = ["--no-index", "--find-links", str(source)] if source is not None else []
    if target.platforms:
        version = target.python.replace(".", "")
        options += ["--python-version", target.python, "--implementation", "cp"]
        options += ["--abi", f"cp{version}", "--abi", "abi3", "--abi", "none"]
        options += [word for name in target.platforms for word in ("--platform", name)]
    where = f"in {source}" if source is not None else "on the package index"
    _pip(
        "download",
        "--only-binary=:all:",
        "--dest",
        str(folder),
        *options,
        str(wheel),
        *target.constraints,
        what=f"find the wheels that it needs for Python {target.python} on {target.machine} {where}"
        " (--wheels DIR takes them from a folder, --no-wheels leaves them out)",
    )
    return sorted(path for path in folder.glob("*.whl") if path.name != wheel.name)


def _pip(*words: str, what: str) -> None:
    if find_spec("pip") is None:
        raise BackendError(f"pip is not installed in this Python, and cannot {what}")
    options = ("--disable-pip-version-check", "--no-input", "--quiet")
    command: Sequence[str] = (sys.executable, "-m", "pip", *options, *words)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        said = " ".join((lines or done.stderr.splitlines())[-_LAST_LINES:])
        raise BackendError(f"pip could not {what}: {said}")
