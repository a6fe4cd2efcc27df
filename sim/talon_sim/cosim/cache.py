"""A cache of build results by digest: one builder at a time, complete entries or none."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from talon.errors import BackendError

_KEEP_DAYS = 30


def cache_dir() -> Path:
    """Return the folder of all caches: ``TALON_CACHE``, else ``talon`` in the user's cache folder.

    Raises
    ------
    BackendError
        The folder cannot be written.
    """
    chosen = os.environ.get("TALON_CACHE")
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path("~/.cache").expanduser()
    folder = Path(chosen).absolute() if chosen else base / "talon"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(
            f"Cache folder {folder} cannot be made ({error.strerror}); "
            "set TALON_CACHE to a folder that can be written"
        ) from error
    return folder


def digest(*parts: str | bytes) -> str:
    """Return a name for the sequence of ``parts``."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()[:24]


def write_atomically(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Write ``text`` to ``path`` such that a reader sees all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(text)
    part.chmod(mode)
    part.replace(path)


def cached(name: str, key: str, build: Callable[[Path], None]) -> Path:
    """Return the folder of entry ``name-key``, filled by ``build(folder)`` when it is missing.

    The builder works in a folder of another name, which is renamed when it has succeeded. A failed
    build leaves that folder behind for inspection, until the next attempt.
    """
    folder = cache_dir() / "builds" / f"{name}-{key}"
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock"):
            if not folder.is_dir():
                part = folder.with_name(f"{folder.name}.part")
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                build(part)
                part.rename(folder)
                _prune(folder.parent)
    os.utime(folder)
    return folder


def _prune(builds: Path) -> None:
    """Remove entries that nobody has used for a month."""
    oldest = time.time() - _KEEP_DAYS * 86400
    for entry in builds.iterdir():
        with suppress(OSError):  # another process was faster
            if entry.stat().st_mtime < oldest:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
