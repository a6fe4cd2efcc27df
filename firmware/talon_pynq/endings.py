"""How words end: each SYNC that is sent asks for a DONE, and the last DONE ends an answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from talon.arch.packet import OP_OFFSET, SYNC_MORE, InOp, OutOp

Words = NDArray[np.uint64]


def ends_transfer(words: Words) -> bool:
    """Tell whether words end with a SYNC after whose answer no more follow."""
    if not words.size:
        return False
    last = int(words[-1])
    return last >> OP_OFFSET == InOp.SYNC and not last & SYNC_MORE


def is_told(answer: Words) -> bool:
    """Tell whether an answer ends with a DONE."""
    return bool(answer.size) and int(answer[-1]) >> OP_OFFSET == OutOp.DONE


def n_asked(words: Words) -> int:
    """Return how often words to send ask for a DONE."""
    return int(np.count_nonzero(words >> np.uint64(OP_OFFSET) == InOp.SYNC))


def n_told(answer: Words) -> int:
    """Return how many DONE an answer has."""
    return int(np.count_nonzero(answer >> np.uint64(OP_OFFSET) == OutOp.DONE))
