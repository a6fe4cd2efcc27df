"""Buffers that a DMA and a processor share, kept and used again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_LEAST = 4096  # words: smaller ones are not worth to be made anew


class Buffers:
    """Buffers of words (uint64) by name; a larger one takes the place of the last.

    Parameters
    ----------
    allocate
        ``pynq.allocate``, or what stands for it.
    """

    def __init__(self, allocate: Callable[..., Any]) -> None:
        self._allocate = allocate
        self._held: dict[str, Any] = {}

    def get(self, name: str, n_words: int, *, most: int) -> Any:
        """Return a buffer of at least ``n_words``; of no more than ``most`` to grow into."""
        held = self._held.get(name)
        if held is None or held.size < n_words:
            if held is not None:  # forgotten first: there may be no memory for the larger one
                self._held.pop(name).freebuffer()
            size = min(most, max(_LEAST, 1 << (n_words - 1).bit_length()))
            held = self._held[name] = self._allocate((max(size, n_words),), dtype=np.uint64)
        return held

    def free(self) -> None:
        """Give all of them back."""
        for buffer in self._held.values():
            buffer.freebuffer()
        self._held = {}
