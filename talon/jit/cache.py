"""Where compiled kernels are kept."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path


def cache_folder() -> Path | None:
    """Return ``NUMBA_CACHE_DIR``, else ``talon/kernels`` in the user's cache; None without one."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given)
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user without a home
        return None
    return base / "talon" / "kernels"


def kernel_folder(sources: Iterable[Path]) -> Path | None:
    """Return the folder of the kernels of some sources there, named by what is in them.

    Numba looks at the date of the file of a function alone, but kernels call those of other files.
    """
    folder = cache_folder()
    if folder is None:
        return None
    digest = sha256()
    for path in sources:
        digest.update(path.read_bytes())
    return folder / digest.hexdigest()[:16]
