"""Where compiled kernels are kept."""

from __future__ import annotations

import os
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
