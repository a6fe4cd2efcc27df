"""What of a core's state a program uses, so that a reset need not go over the rest."""

from __future__ import annotations

from talon.arch.memories import Memory, MemoryLayouts
from talon.image.container import Image


def rows_in_use(image: Image) -> dict[int, int]:
    """Return for each core how many rows a reset of its state must go over.

    The reset clears row by row accumulators and potentials, and with row ``k`` sets the token
    counts of group ``k``: it must reach the last row and the last group that are in use.
    """
    return {core: _rows_of(image, core) for core in image.cores}


def _rows_of(image: Image, core: int) -> int:
    params = image.params
    layout = MemoryLayouts(params).group
    size = layout.n_words
    words = image.section(core, Memory.GROUP).words
    n_rows = 0
    for number in range(len(words) // size):
        entry = words[number * size : (number + 1) * size]
        group = layout.from_words([int(word) for word in entry])
        if group["n_neurons"]:
            last = group["row_start"] + -(-group["n_neurons"] // params.lanes)
            n_rows = max(n_rows, last, number + 1)
    return n_rows
