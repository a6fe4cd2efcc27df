"""The compiler of kernels: Numba, with results in the user's cache. Importing it loads Numba."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import config

EXACT = {"reassoc", "contract", "nsz", "nnan", "ninf"}
"""What the compiler may assume where every sum is exact in any order, and all values are finite."""


def compile_kernel(
    function: Callable[..., Any], folder: Path | None, flags: set[str] | bool = False
) -> Callable[..., Any]:
    """Compile a function at its first call; it then runs without the GIL.

    Files are named after the source, its date and the processor, and replaced as a whole, so that
    several processes, versions and machines may share the folder.

    Parameters
    ----------
    function
        What Numba can compile.
    folder
        Where results are kept; nothing is kept without one that can be written to.
    flags
        What may be assumed of floats: ``fastmath`` of Numba.
    """
    kept = _writable(folder)
    settings: Any = config  # its attributes are made at run time
    before = settings.CACHE_DIR
    settings.CACHE_DIR = kept  # Numba reads it here and now, for this function
    try:
        make = numba.njit(nogil=True, cache=bool(kept), fastmath=flags, error_model="numpy")
        return make(function)
    finally:
        settings.CACHE_DIR = before


def _writable(folder: Path | None) -> str:
    """Return the folder, made if need be, or nothing where none can be made."""
    if folder is None:
        return ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(folder) if os.access(folder, os.W_OK) else ""
