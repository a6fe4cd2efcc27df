"""Kernels compiled by Numba where it is installed: who decides, and where results are kept.

NumPy computes the same everywhere; a kernel is a faster way to the same bits. This room knows no
other room.
"""

from __future__ import annotations

import importlib.util
import os

VARIABLE = "TALON_FAST"
"""Environment variable: 1 wants compiled kernels, 0 refuses them."""

WORTH_LOADING, WORTH_COMPILING = 1.0, 20.0
"""Seconds of NumPy that pay for loading compiled kernels (about half of one), and for compiling."""


def wish(choice: bool | None) -> bool | None:
    """Return whether kernels are wanted: by the caller, else by :data:`VARIABLE`, else None.

    Raises
    ------
    ImportError
        They are wanted and Numba is not installed.
    ValueError
        The variable is neither 0, 1 nor empty.
    """
    if choice is None:
        given = os.environ.get(VARIABLE, "")
        if given not in ("", "0", "1"):
            raise ValueError(f"{VARIABLE} must be 0, 1 or not set, not {given!r}")
        choice = None if not given else given == "1"
    if choice and not has_numba():
        raise ImportError(
            f"Compiled kernels need Numba: pip install 'talon-snn[fast]', or run without them "
            f"(fast=None, {VARIABLE} not set)"
        )
    return choice


def has_numba() -> bool:
    """Tell whether Numba is installed."""
    return importlib.util.find_spec("numba") is not None
