"""Compiled: a product with a kernel and the payloads of its windows, a row of windows at a time.

The sums of a row stay near until their payloads are found, and none is kept.
"""

from __future__ import annotations

import numpy as np

from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.grading import grade_row
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.multiplying import multiply_places, pad_map, room_for_map
from talon_sim.golden.fast.sending import turn


@compiled
def multiply_and_grade(events, t1, b0, b1, product, grading):
    """Do what ``multiply_windows`` and ``grade_windows`` do, given what they take.

    Returns how many neurons have a payload that is not zero.
    """
    inside, padded, steps, target, offsets, panels, n_panels = product
    offset, multiplier, highest, lowest, _, pool, sent = grading
    n_rows, n_columns, n_out = target
    _, height, width = pool
    n_p, n_q = n_rows // height, n_columns // width
    x = room_for_map(padded, steps)
    length = n_columns * n_out
    acc = np.zeros(height * length + LANES, np.int32)
    best = np.empty(length, np.int32)
    payloads = np.empty(sent.shape[2], np.uint8)
    total = 0
    for t in range(t1):
        for b in range(b0, b1):
            pad_map(events[t, b], inside, padded, x)
            for p in range(n_p):
                acc[:] = 0
                for row in range(height):
                    at = (p * height + row) * steps[0] * padded[2]
                    multiply_places(
                        acc, row * length, n_out, x, at, steps[1], n_columns, offsets, panels,
                        n_panels,
                    )  # fmt: skip
                total += grade_row(
                    acc, np.uint64(0), np.uint64(p), offset, multiplier, highest, lowest,
                    n_columns, n_out, height, width, best, payloads,
                )  # fmt: skip
            turn(payloads, np.uint64(n_p * n_q), np.uint64(n_out), sent[t, b])
    return total
