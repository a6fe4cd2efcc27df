"""What of a core's state a program uses, so that a reset need not go over the rest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from talon.arch.memories import Memory, MemoryLayouts
from talon.arch.params import ArrayParams
from talon.image.container import Image

_LOOPS = ("n_y", "n_x", "n_c", "pool_y", "pool_x")
_STEPS = ("y_step", "x_step", "c_step", "pool_y_step", "pool_x_step")


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
        end = _end_in_map(group, params) if params.has_maps else _end_of_run(group, params)
        if end:
            n_rows = max(n_rows, end, number + 1)
    return n_rows


def _end_of_run(group: Mapping[str, int], params: ArrayParams) -> int:
    """Return the row behind the last of a group, 0 if it is unused."""
    if not group["n_neurons"]:
        return 0
    return group["row_start"] + -(-group["n_neurons"] // params.lanes)


def _end_in_map(group: Mapping[str, int], params: ArrayParams) -> int:
    """Return the row of a page behind the last that a group uses, 0 if it is unused.

    With fewer slots than there are, or with rows past the first page, any may be in use.
    """
    if not group["n_y"]:
        return 0
    sizes = [group[name] for name in _LOOPS]
    total = int(np.prod(sizes, dtype=object))
    if 1 << group["slots"] < params.n_slots or not 0 < total <= params.n_rows:
        return params.n_rows
    steps = np.zeros(total, np.int64)
    inside = 1
    for size, name in reversed(list(zip(sizes, _STEPS, strict=True))):
        # A loop advances where those inside of it begin anew; one outside of it comes later.
        steps[inside::inside] = group[name]
        inside *= size
    rows = (group["row_start"] + np.cumsum(steps)) % params.acc_rows
    return min(int(rows.max()) + 1, params.n_rows)
