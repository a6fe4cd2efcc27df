"""Write the folder of a build: all of it or nothing, and never over what is not ours."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from talon.errors import TalonError

MANIFEST = "talon_build.json"
"""The file by which a folder of a build is known."""


def check_place(folder: Path, *, force: bool = False) -> None:
    """See that a folder may be written: that it is not there, empty, or an older build.

    Raises
    ------
    TalonError
        It may not; the message tells why, and the way out.
    """
    if not folder.parent.is_dir():
        raise TalonError(f"Folder {str(folder.parent)!r} does not exist; make it first")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise TalonError(f"{str(folder)!r} is no folder; choose another place with -o")
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not (folder / MANIFEST).is_file():
        raise TalonError(
            f"Folder {str(folder)!r} holds files that talon build did not write, and --force does "
            "not replace those; choose another place with -o"
        )
    if not force:
        raise TalonError(
            f"Folder {str(folder)!r} holds a build already; --force replaces it, with all that "
            "Vivado made there, or choose another place with -o"
        )


def write_folder(folder: Path, files: Mapping[str, str], *, force: bool = False) -> None:
    """Write files into a folder that appears when all of them are there.

    Parameters
    ----------
    folder
        What is to be; see :func:`check_place`. Its parent exists.
    files
        Text by path inside the folder; :data:`MANIFEST` is one of them.
    force
        Replace an older build.

    Raises
    ------
    TalonError
        The folder may not be written.
    ValueError
        A path leads out of the folder, or there is no manifest.
    """
    check_place(folder, force=force)
    if MANIFEST not in files:
        raise ValueError(f"Files of a build must have a {MANIFEST}, not only {sorted(files)}")
    staging = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        made = staging / "new"
        for name, text in files.items():
            path = made / name
            if not path.resolve().is_relative_to(made.resolve()):
                raise ValueError(f"Path of a file must stay inside the folder, not {name!r}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        exchange(folder, made, staging / "old")
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def exchange(folder: Path, made: Path, old: Path) -> None:
    """Put ``made`` in the place of ``folder``, which goes to ``old``; all or nothing."""
    if not folder.is_dir():
        made.rename(folder)
        return
    folder.rename(old)
    try:
        made.rename(folder)
    except OSError:
        old.rename(folder)
        raise
