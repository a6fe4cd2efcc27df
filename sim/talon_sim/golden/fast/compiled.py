"""The compiler of the golden model's kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from talon.jit.compiler import EXACT, compile_kernel
from talon_sim.golden.fast.cache import kernel_folder


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function at its first call."""
    return compile_kernel(function, kernel_folder(), EXACT)
