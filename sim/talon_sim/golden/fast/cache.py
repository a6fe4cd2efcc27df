"""Where compiled kernels of the golden model are kept."""

from __future__ import annotations

from pathlib import Path

from talon.arch import numerics
from talon.jit import cache


def kernel_folder() -> Path | None:
    """Return the folder of these kernels in the user's cache, named by their sources."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return cache.kernel_folder((*sources, Path(numerics.__file__)))


def has_kernels() -> bool:
    """Tell whether stages have been compiled."""
    folder = kernel_folder()
    return folder is not None and any(folder.glob("*/fused.*.nbc"))
