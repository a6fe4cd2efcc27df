"""Compiled: a stage as a whole, sums and neurons of all timesteps in one call.

A few timesteps of a few samples are summed and then update their neurons, while their sums are
near. Of the arguments that say how, all but one each are None, and Numba compiles those branches
alone that are taken: one function for each combination that occurs.
"""

from __future__ import annotations

import numpy as np

from talon_sim.golden.fast.adding import add_lists, add_picked, add_rows, add_windows
from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.firing import advance, count, fire
from talon_sim.golden.fast.grading import grade, grade_windows
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.multiplying import multiply_rows, multiply_windows
from talon_sim.golden.fast.windowed import multiply_and_grade


@compiled
def run_stage(
    n_steps, b0, b1, room, base,
    events, rows, windows, row_product, map_product, lists, picked,
    own, delay, own_rows, own_windows, own_lists, own_picked,
    states, firing, advancing, counting, grading, grading_windows,
):  # fmt: skip
    """Run all timesteps of some samples; return spikes, or payloads that are not zero, and clamps.

    Parameters
    ----------
    room
        How many sums there may be at a time.
    base
        (1 or samples, n), int32: what is constant of each sum.
    events
        What arrives, (T, B, n_source).
    rows, windows, row_product, map_product, lists, picked
        What ``add_rows`` and so on take between ranges and sums.
    own, delay, own_rows, own_windows, own_lists, own_picked
        What neurons that feed themselves send, after how many timesteps it arrives, and how.
    states
        Those of the samples, or None.
    firing, advancing, counting, grading, grading_windows
        What ``fire`` and so on take after the state, or after the base where there is none.
    """
    n = base.shape[1]
    n_spikes, n_clamped = 0, 0
    if map_product is not None and grading_windows is not None:
        n_spikes += multiply_and_grade(events, n_steps, b0, b1, map_product, grading_windows)
        return n_spikes, n_clamped
    # Events of many samples lie side by side, as far as their neurons' state stays near.
    block = max(1, min(b1 - b0, room // (2 * n)))
    chunk = 1 if own is not None else max(1, min(n_steps, room // (n * block)))
    buffer = np.zeros(chunk * block * n + LANES, np.int32)
    for first in range(b0, b1, block):
        last = min(first + block, b1)
        part = slice(first - b0, last - b0)
        given = base[part] if len(base) > 1 else base
        for start in range(0, n_steps, chunk):
            stop = min(start + chunk, n_steps)
            flat = buffer[: (stop - start) * (last - first) * n]
            flat[:] = 0
            acc = flat.reshape(stop - start, last - first, n)
            if rows is not None:
                add_rows(events, start, stop, first, last, *rows, flat)
            if windows is not None:
                add_windows(events, start, stop, first, last, *windows, flat)
            if row_product is not None:
                multiply_rows(events, start, stop, first, last, *row_product, flat)
            if map_product is not None:
                multiply_windows(events, start, stop, first, last, *map_product, flat)
            if lists is not None:
                add_lists(events, start, stop, first, last, *lists, flat)
            if picked is not None:
                add_picked(events, start, stop, first, last, *picked, flat)
            if own is not None and start >= delay:
                then = start - delay
                if own_rows is not None:
                    add_rows(own, then, then + 1, first, last, *own_rows, flat)
                if own_windows is not None:
                    add_windows(own, then, then + 1, first, last, *own_windows, flat)
                if own_lists is not None:
                    add_lists(own, then, then + 1, first, last, *own_lists, flat)
                if own_picked is not None:
                    add_picked(own, then, then + 1, first, last, *own_picked, flat)
            if firing is not None:
                spikes, clamped = fire(
                    acc, start, stop, first, last, given, states[0][part], *firing
                )
                n_spikes += spikes
                n_clamped += clamped
            if advancing is not None:
                v, current = states
                spikes, clamped = advance(
                    acc, start, stop, first, last, given, v[part],
                    current[part] if len(current) else current, *advancing,
                )  # fmt: skip
                n_spikes += spikes
                n_clamped += clamped
            if counting is not None:
                spikes, clamped = count(
                    acc, start, stop, first, last, given, states[0][part], *counting
                )
                n_spikes += spikes
                n_clamped += clamped
            if grading is not None:
                n_spikes += grade(acc, start, stop, first, last, given, *grading)
            if grading_windows is not None:
                n_spikes += grade_windows(acc, start, stop, first, last, given, *grading_windows)
    return n_spikes, n_clamped
