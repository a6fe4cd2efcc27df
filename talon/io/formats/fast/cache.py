"""Where compiled decoders are kept."""

from __future__ import annotations

from pathlib import Path

from talon.jit import cache


def kernel_folder() -> Path | None:
    """Return the folder of these kernels in the user's cache, named by their sources."""
    return cache.kernel_folder(sorted(Path(__file__).parent.glob("*.py")))
