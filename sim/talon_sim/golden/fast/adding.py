"""Compiled: sums of events, one by one, in int32, which holds each of them in any order.

All take events (T, B, n_source), ranges of timesteps and samples, and ``acc`` (steps, samples, n),
flat. Rows of weights are int8 and filled up to whole blocks with zeros, so what they are added to
may end past the row, and past the array: ``acc`` has ``LANES`` values of room behind it.
"""

from __future__ import annotations

import numpy as np

from talon_sim.golden.fast.active import ROOM, list_active
from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.llvm import LANES
from talon_sim.golden.fast.registers import MOST_ROWS, gather_1, gather_2, gather_4, gather_8
from talon_sim.golden.fast.vectors import add_1, add_2, add_4, add_8, add_weighted, prefetch

_LANES = np.uint64(LANES)
_ONE, _TWO, _FOUR, _EIGHT = (np.uint64(n) for n in (1, 2, 4, 8))
_MOST_ROWS = np.uint64(MOST_ROWS)
_LINE = np.uint64(64)
"""Bytes of a line of the cache."""


@compiled
def add_rows(events, t0, t1, b0, b1, weights, length, n, is_binary, acc):
    """Add the row of ``weights`` (n_source, ``length``, flat) of each event to ``n`` targets."""
    active = np.empty(events.shape[2] + ROOM, np.uint32)
    width = np.uint64(length)
    n_blocks = width // _LANES
    to = np.uint64(0)
    for t in range(t0, t1):
        for b in range(b0, b1):
            row = events[t, b]
            count = list_active(row, active)
            if is_binary:
                for k in range(np.uint64(0), count, _MOST_ROWS):
                    _gather(acc, to, weights, active, k, min(count - k, _MOST_ROWS), width)
            else:
                for k in range(count):
                    source = np.uint64(active[k])
                    payload = np.int16(row[source])
                    add_weighted(acc, to, weights, source * width, payload, n_blocks)
            to += np.uint64(n)


@compiled
def _gather(acc, to, weights, active, k, count, width):
    """Add whole rows of ``width`` values, as many blocks at a time as there are registers for."""
    at = np.uint64(0)
    while width - at >= _EIGHT * _LANES:
        gather_8(acc, to + at, weights, active, k, count, width, at)
        at += _EIGHT * _LANES
    if width - at >= _FOUR * _LANES:
        gather_4(acc, to + at, weights, active, k, count, width, at)
        at += _FOUR * _LANES
    if width - at >= _TWO * _LANES:
        gather_2(acc, to + at, weights, active, k, count, width, at)
        at += _TWO * _LANES
    if width > at:
        gather_1(acc, to + at, weights, active, k, count, width, at)


@compiled
def add_windows(
    events, t0, t1, b0, b1, shape, place_of, y_of, x_of, row_start, rows, run_start, runs, taps,
    is_binary, acc,
):  # fmt: skip
    """Add the taps of each event of a map (C, H, W), run by run of neighbouring targets.

    ``shape`` is C, H x W, the number of targets, and the length of a row of ``taps``, which is
    (rows of taps, C + 1, values), flat, with zeros for the last channel. ``rows`` has, for the
    target rows of each source row, where they begin and where their taps do; ``runs``, for the
    runs of each source column, the first target column times the channels, how many blocks follow,
    and where they stand in a row of taps. Events that share a place are added together.
    """
    n_channels, area, n, length = shape
    active = np.empty(n_channels * area + ROOM, np.uint32)
    turned = np.empty(n_channels * area, events.dtype)
    channels = np.empty(n_channels + 8, np.uint32)
    none, width = np.uint32(n_channels), np.uint64(length)
    frame = np.uint64(0)
    for t in range(t0, t1):
        for b in range(b0, b1):
            given = events[t, b]
            if n_channels > 1 and area > 1:
                _turn(given, n_channels, area, turned)
                given = turned
            count = list_active(given, active)
            active[count] = 0xFFFFFFFF
            k = np.uint64(0)
            while k < count:
                place = np.uint64(place_of[active[k]])
                first = np.uint32(place) * none
                m = np.uint64(0)
                while active[k] - first < none:  # those before have been taken
                    channels[m] = active[k] - first
                    m += _ONE
                    k += _ONE
                for i in range(m, m + _EIGHT - _ONE):
                    channels[i] = none
                y, x = np.uint64(y_of[place]), np.uint64(x_of[place])
                for i in range(np.uint64(row_start[y]), np.uint64(row_start[y + _ONE])):
                    line = frame + np.uint64(rows[_TWO * i])
                    row = np.uint64(rows[_TWO * i + _ONE])
                    for j in range(np.uint64(run_start[x]), np.uint64(run_start[x + _ONE])):
                        run = np.uint64(3) * j
                        to = line + np.uint64(runs[run])
                        n_blocks = np.uint64(runs[run + _ONE])
                        shift = row + np.uint64(runs[run + _TWO])
                        if is_binary:
                            _add_together(acc, to, taps, channels, m, width, shift, n_blocks)
                        else:
                            for c in range(m):
                                channel = np.uint64(channels[c])
                                payload = np.int16(given[np.uint64(first) + channel])
                                at = channel * width + shift
                                add_weighted(acc, to, taps, at, payload, n_blocks)
            frame += np.uint64(n)


@compiled
def _add_together(acc, to, taps, channels, m, width, shift, n_blocks):
    """Add the taps of ``m`` channels, eight at a time."""
    c = np.uint64(0)
    while m > c + _FOUR:
        add_8(acc, to, taps, channels, c, width, shift, n_blocks)
        c += _EIGHT
    if m > c + _TWO:
        add_4(acc, to, taps, channels, c, width, shift, n_blocks)
    elif m > c + _ONE:
        add_2(acc, to, taps, channels, c, width, shift, n_blocks)
    elif m > c:
        add_1(acc, to, taps, channels, c, width, shift, n_blocks)


@compiled
def _turn(given, n_channels, area, turned):
    """Write a map (C, H x W) channel last."""
    n, size = np.uint64(n_channels), np.uint64(area)
    for c in range(n):
        for place in range(size):
            turned[place * n + c] = given[c * size + place]


@compiled
def add_lists(events, t0, t1, b0, b1, start, target, value, n, acc):
    """Add the listed synapses of each event.

    Lists of sources that happen to be active are anywhere in memory: those that are to come are
    asked for in advance.
    """
    active = np.empty(events.shape[2] + ROOM, np.uint32)
    to = np.uint64(0)
    for t in range(t0, t1):
        for b in range(b0, b1):
            row = events[t, b]
            count = list_active(row, active)
            for k in range(count):
                if k + _TWO < count:
                    coming = np.uint64(active[k + _TWO])
                    end = np.uint64(start[coming + _ONE])
                    for i in range(np.uint64(start[coming]), end, _LINE):
                        prefetch(value, i)
                        prefetch(target, i)
                        prefetch(target, i + _LINE // _TWO)
                source = np.uint64(active[k])
                payload = np.int32(row[source])
                for i in range(np.uint64(start[source]), np.uint64(start[source + _ONE])):
                    acc[to + np.uint64(target[i])] += payload * np.int32(value[i])
            to += np.uint64(n)


@compiled
def add_picked(events, t0, t1, b0, b1, source, weight, acc):
    """Add the event of one source to each target (n,), times its weight, int16."""
    n = np.uint64(len(weight))
    is_diagonal = len(source) == 0
    to = np.uint64(0)
    for t in range(t0, t1):
        for b in range(b0, b1):
            row, sums = events[t, b], acc[to : to + n]
            if is_diagonal:
                for i in range(n):
                    sums[i] += np.int32(row[i]) * np.int32(weight[i])
            else:
                for i in range(n):
                    sums[i] += np.int32(row[source[i]]) * np.int32(weight[i])
            to += n
