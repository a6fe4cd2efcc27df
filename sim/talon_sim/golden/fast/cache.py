"""Where compiled kernels are kept."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path

from talon.arch import numerics


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


def kernel_folder() -> Path | None:
    """Return the folder of these kernels there, named by their sources.

    Numba looks at the date of the file of a function alone, but kernels call those of other files.
    """
    folder = cache_folder()
    if folder is None:
        return None
    digest = sha256()
    for path in (*sorted(Path(__file__).parent.glob("*.py")), Path(numerics.__file__)):
        digest.update(path.read_bytes())
    return folder / digest.hexdigest()[:16]


def has_kernels() -> bool:
    """Tell whether stages have been compiled."""
    folder = kernel_folder()
    return folder is not None and any(folder.glob("*/fused.*.nbc"))
