"""The compiler of the kernels: Numba, with its results in the user's cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numba
from numba.core import config

from talon_sim.golden.fast.cache import kernel_folder

_FLAGS = {"reassoc", "contract", "nsz", "nnan", "ninf"}
"""What the compiler may assume: every sum is exact in any order, and all values are finite."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call; it then runs without the GIL.

    Files are named after the source, its date and the processor, and replaced as a whole, so that
    several processes, versions and machines may share the folder.
    """
    folder = _writable_folder()
    settings: Any = config  # its attributes are made at run time
    before = settings.CACHE_DIR
    settings.CACHE_DIR = folder  # Numba reads it here and now, for this function
    try:
        make = numba.njit(nogil=True, cache=bool(folder), fastmath=_FLAGS, error_model="numpy")
        return make(function)
    finally:
        settings.CACHE_DIR = before


def _writable_folder() -> str:
    """Return the folder of the cache, made if need be, or nothing where none can be made."""
    folder = kernel_folder()
    if folder is None:
        return ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ""
    return str(folder) if os.access(folder, os.W_OK) else ""
