"""Compiled: who sends something, as a list."""

from __future__ import annotations

import numpy as np

from talon_sim.golden.fast.compiled import compiled
from talon_sim.golden.fast.vectors import bits_of, list_bits

ROOM = 16
"""How much longer than the number of sources a list has to be."""

_WORD = np.uint64(64)
_BITS = (np.arange(256)[:, None] >> np.arange(8)) & 1
_PLACES = np.argsort(1 - _BITS, axis=1, kind="stable").astype(np.uint8)
"""For each byte where its bits are, those that are set first."""

_COUNTS = _BITS.sum(axis=1).astype(np.uint8)


@compiled
def list_active(row, active):
    """Write the sources of payloads that are not zero to ``active`` and return how many they are.

    Bytes are looked at 64 at a time; what is written is one list for each eight of them, over whose
    rest the next one is written: there is nothing to be guessed wrong by the processor.
    """
    n = np.uint64(len(row))
    count = np.uint64(0)
    whole = n - n % _WORD if row.itemsize == 1 else np.uint64(0)
    for first in range(np.uint64(0), whole, _WORD):
        bits = bits_of(row, first)
        if bits == np.uint64(0):
            continue
        place = np.uint32(first)
        for _ in range(np.uint64(8)):
            byte = bits & np.uint64(255)
            list_bits(_PLACES, byte, place, active, count)
            count += np.uint64(_COUNTS[byte])
            bits >>= np.uint64(8)
            place += np.uint32(8)
    for source in range(whole, n):
        active[count] = source
        count += np.uint64(row[source] != 0)
    return count
