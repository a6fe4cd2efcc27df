"""Compiled decoders: the extra ``[fast]``, equal to those of NumPy in every bit.

Whether they run is the caller's choice (``fast=``), else that of the variable ``TALON_FAST`` (1 or
0), else they run where they save more than loading them takes.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from talon import jit

if TYPE_CHECKING:
    from talon.io.formats.common import Decoder

_NS_BYTE = {"evt2": 2.5, "evt3": 6.0, "dat": 1.2}
"""What NumPy takes for a byte."""


def wants_kernels(choice: bool | None, format: str, n_bytes: int) -> bool:
    """Tell whether to decode so many bytes with compiled kernels.

    Parameters
    ----------
    choice
        Yes, no, or None: what the variable says, else what is faster.

    Raises
    ------
    ImportError
        They are wanted and Numba is not installed.
    ValueError
        The variable is neither 0, 1 nor empty.
    """
    choice = jit.wish(choice)
    if choice is not None:
        return choice
    if "talon.io.formats.fast.kernels" in sys.modules:
        return True
    seconds = n_bytes * _NS_BYTE[format] * 1e-9
    if seconds < jit.WORTH_LOADING or not jit.has_numba():
        return False
    return seconds >= jit.WORTH_COMPILING or _is_compiled()


def fast_decoder(format: str, *options: int) -> Decoder:
    """Return the compiled decoder of a format; loads Numba."""
    from talon.io.formats.fast.decoders import DECODERS

    return DECODERS[format](*options)


def _is_compiled() -> bool:
    from talon.io.formats.fast.cache import kernel_folder

    folder = kernel_folder()
    return folder is not None and any(folder.glob("*/kernels.*.nbc"))
