"""Pack a program for a board: collect what it needs, and put it at its place as a whole."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from talon.arch.params import ArrayParams
from talon.errors import TalonError
from talon.image.files import whole_file
from talon_boards.bundle.overlay import check_overlay
from talon_boards.bundle.pages import install_script, readme
from talon_boards.bundle.wheels import (
    PROJECT,
    TARGETS,
    dependencies,
    talon_wheel,
    wheel_version,
)
from talon_boards.folder import exchange
from talon_boards.profiles import board_profile

MANIFEST, FORMAT = "bundle.json", 1
"""The file by which a bundle is known, and its version; ``talon_pynq.bundle`` reads it."""
SUMS, INSTALL, README = "SHA256SUMS", "install.sh", "README.md"
_NOTEBOOKS = "talon_pynq.notebooks"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same files give the same archive


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be packed.

    Parameters
    ----------
    program
        File of the program.
    params
        The array that it is for.
    board
        Name of the board, if it is known.
    overlay
        Path of a .bit with its .hwh beside it.
    wheel
        Talon's own wheel; None makes it of the Talon that runs now.
    wheels
        A folder with the wheels that Talon needs, in place of the package index.
    with_wheels
        Whether these are packed at all.
    target
        A name of :data:`talon_boards.bundle.wheels.TARGETS`.
    """

    program: Path
    params: ArrayParams
    board: str | None = None
    overlay: Path | None = None
    wheel: Path | None = None
    wheels: Path | None = None
    with_wheels: bool = True
    target: str = "pynq3"


def check_request(request: Request) -> None:
    """See that what is to be packed is there and fits; raise a TalonError if not."""
    profile = None if request.board is None else board_profile(request.board)
    if request.overlay is not None:
        check_overlay(request.overlay, request.params, profile)
    if request.wheel is not None:
        wheel_version(request.wheel)


def check_place(path: Path, *, force: bool) -> None:
    """See that a bundle may be put at ``path``: nothing is there, or an older one and ``force``.

    Raises
    ------
    TalonError
        It may not; the message tells the way out.
    """
    if not path.parent.is_dir():
        raise TalonError(f"Folder {str(path.parent)!r} does not exist; make it first")
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    if not _is_bundle(path):
        raise TalonError(f"{str(path)!r} is there and no bundle; choose another place with -o")
    if not force:
        raise TalonError(
            f"{str(path)!r} holds a bundle already; --force replaces it, or choose another place "
            "with -o"
        )


def write_bundle(request: Request, path: Path, *, force: bool = False) -> dict[str, Any]:
    """Pack a bundle, and return its manifest; it appears as a whole or not at all.

    Parameters
    ----------
    request
        What is to be packed.
    path
        A folder, or an archive if the name ends with ``.zip``.
    force
        Replace an older bundle.

    Raises
    ------
    TalonError
        Something is missing or does not fit, or the place is taken.
    """
    check_place(path, force=force)
    check_request(request)
    with TemporaryDirectory(prefix=".talon-bundle-", dir=path.parent) as staging:
        made = Path(staging) / "new"
        facts = _fill(made, request)
        if path.suffix.lower() == ".zip":
            _zip(made, path)
        else:
            exchange(path, made, Path(staging) / "old")
    return facts


def _fill(made: Path, request: Request) -> dict[str, Any]:
    """Put all files into a folder, and return the manifest."""
    program = _copy(request.program, made / "program")
    overlay, missing = None, []
    if request.overlay is not None:
        overlay = _copy(request.overlay, made / "overlay")
        _copy(request.overlay.with_suffix(".hwh"), made / "overlay")
    else:
        board = request.board or "BOARD"
        missing.append(
            f"the bitstream: `talon build --board {board} --hw {request.params.name}` makes it; "
            "pack again with --overlay, or name the .bit in the notebook"
        )
    wheels = _wheels(made / "wheels", request)
    if not request.with_wheels:
        missing.append("the wheels that Talon needs: they must be on the board")
    notebooks = [
        _write(made / "notebooks" / entry.name, entry.read_bytes())
        for entry in files(_NOTEBOOKS).iterdir()
        if entry.name.endswith(".ipynb")
    ]
    target = TARGETS[request.target]
    facts: dict[str, Any] = {
        "format": FORMAT,
        "talon": wheel_version(wheels[0]),
        "made_for": {"python": target.python, "machine": target.machine},
        "board": request.board,
        "array": request.params.name,
        "hardware_hash": f"{request.params.hardware_hash:08x}",
        "program": str(program.relative_to(made)),
        "overlay": None if overlay is None else str(overlay.relative_to(made)),
        "notebooks": sorted(str(path.relative_to(made)) for path in notebooks),
        "wheels": [path.name for path in wheels],
        "missing": missing,
    }
    _write(made / INSTALL, install_script(facts, project=PROJECT).encode()).chmod(0o755)
    _write(made / README, readme(facts).encode())
    facts["files"] = _digests(made)
    _write(made / MANIFEST, (json.dumps(facts, indent=2) + "\n").encode())
    lines = [  # without notebooks, which change when they are run
        f"{digest}  {name}\n"
        for name, digest in _digests(made).items()
        if name not in facts["notebooks"]
    ]
    _write(made / SUMS, "".join(lines).encode())
    return facts


def _wheels(folder: Path, request: Request) -> list[Path]:
    folder.mkdir(parents=True)
    own = talon_wheel(folder) if request.wheel is None else _copy(request.wheel, folder)
    if not request.with_wheels:
        return [own]
    target = TARGETS[request.target]
    return [own, *dependencies(own, folder, target=target, source=request.wheels)]


def _copy(source: Path, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copyfile(source, folder / source.name))


def _write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _digests(made: Path) -> dict[str, str]:
    return {
        path.relative_to(made).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(made.rglob("*"))
        if path.is_file()
    }


def _zip(made: Path, path: Path) -> None:
    """Write a folder as an archive, below a folder of the archive's name."""
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for one in sorted(made.rglob("*")):
            if one.is_file():
                info = zipfile.ZipInfo(f"{path.stem}/{one.relative_to(made).as_posix()}", _EPOCH)
                info.external_attr = (0o755 if one.name == INSTALL else 0o644) << 16
                # Wheels and bitstreams hardly shrink any more, and a board unpacks slowly.
                info.compress_type = zipfile.ZIP_DEFLATED if one.suffix != ".whl" else 0
                archive.writestr(info, one.read_bytes())


def _is_bundle(path: Path) -> bool:
    if path.is_dir():
        return (path / MANIFEST).is_file()
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.split("/")[1:] == [MANIFEST] for name in archive.namelist())
