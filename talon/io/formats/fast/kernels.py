"""The kernels: one pass over the words of a block, with the state that the next block needs.

All return how many events there are, and the largest column and row of them. They state what the
decoders of NumPy state, word by word: :mod:`talon.io.formats.evt2`, :mod:`talon.io.formats.evt3`
and :mod:`talon.io.formats.dat` say what the words mean.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from talon.io.formats.evt3 import BIT, COUNT, START
from talon.io.formats.fast.cache import kernel_folder
from talon.jit.compiler import compile_kernel

_FREQUENT = 1 << 0 | 1 << 2 | 1 << 6
"""Row, event and lower time, in EVT 3.0."""


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return compile_kernel(function, kernel_folder())


@_compiled
def evt2(words: Any, state: Any, t: Any, x: Any, y: Any, p: Any) -> tuple[int, int, int]:
    """Decode words of 32 bits; ``state`` is the upper bits of the time with turns, -1 at first."""
    high = state[0]
    n = most_x = most_y = 0
    for word in words:
        kind = word >> 28
        if kind < 2:
            if high >= 0:
                t[n] = (high << 6) | ((word >> 22) & 0x3F)
                column, row = (word >> 11) & 0x7FF, word & 0x7FF
                x[n] = column
                y[n] = row
                p[n] = kind
                n += 1
                most_x, most_y = max(most_x, column), max(most_y, row)
        elif kind == 8:
            told = word & 0x0FFFFFFF
            if high < 0:
                high = told
            else:
                turn = high >> 28
                turn += (high & 0x0FFFFFFF) - told >= 1 << 27
                high = (turn << 28) | told
    state[0] = high
    return n, most_x, most_y


@_compiled
def evt3(words: Any, state: Any, t: Any, x: Any, y: Any, p: Any) -> tuple[int, int, int]:
    """Decode words of 16 bits; ``state`` is upper time with turns, lower time, row and base."""
    high, low, row, base = state
    n = start = most_x = most_y = 0
    if high < 0:
        while start < len(words) and words[start] >> 12 != 8:
            start += 1
        if start < len(words):
            high = words[start] & 0xFFF
    time = (high << 12) | low
    for k in range(start, len(words)):
        word = words[k]
        kind = word >> 12
        value = word & 0xFFF
        if (_FREQUENT >> kind) & 1:
            # Nobody can predict which of the three it is: the event is written, and counts if it
            # is one.
            t[n] = time
            x[n] = value & 0x7FF
            y[n] = row
            p[n] = value >> 11
            is_event = kind == 2
            n += is_event
            most_x = max(most_x, (value & 0x7FF) * is_event)
            most_y = max(most_y, row * is_event)
            row = value & 0x7FF if kind == 0 else row
            low = value if kind == 6 else low
            time = (high << 12) | low
        elif kind == 8:
            if (high & 0xFFF) != value:
                turn = high >> 12
                turn += (high & 0xFFF) - value >= 1 << 11
                high = (turn << 12) | value
                low = 0
                time = high << 12
        elif kind == 3:
            base = value
        elif kind == 4 or kind == 5:
            width = 12 if kind == 4 else 8
            value &= (1 << width) - 1
            polarity = base >> 11
            if COUNT[value]:
                most_y = max(most_y, row)
            for i in range(START[value], START[value] + COUNT[value]):
                column = (base + BIT[i]) & 0x7FF
                most_x = max(most_x, column)
                t[n] = time
                x[n] = column
                y[n] = row
                p[n] = polarity
                n += 1
            base = ((base + width) & 0x7FF) | (base & 0x800)
    state[0], state[1], state[2], state[3] = high, low, row, base
    return n, most_x, most_y


@_compiled
def dat(
    words: Any, state: Any, t: Any, x: Any, y: Any, p: Any, bits_x: int, bits_y: int
) -> tuple[int, int, int]:
    """Decode pairs of words of 32 bits; ``state`` is the last time, -1 at first."""
    n = len(words)
    if n == 0:
        return 0, 0, 0
    last = state[0] if state[0] >= 0 else np.int64(words[0, 0])
    turn = last & ~0xFFFFFFFF
    before = last & 0xFFFFFFFF
    mask_x, mask_y = (1 << bits_x) - 1, (1 << bits_y) - 1
    bits = bits_x + bits_y
    most_x = most_y = 0
    for k in range(n):
        told = np.int64(words[k, 0])
        word = words[k, 1]
        if before - told >= 1 << 31:
            turn += 1 << 32
        before = told
        t[k] = turn | told
        column, row = word & mask_x, (word >> bits_x) & mask_y
        x[k] = column
        y[k] = row
        most_x, most_y = max(most_x, column), max(most_y, row)
        p[k] = (word >> bits) & 1
    state[0] = turn | before
    return n, most_x, most_y
