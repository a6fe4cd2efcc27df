"""Decoders that run compiled kernels; importing them loads Numba."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from talon.io.events import Events
from talon.io.formats import dat, evt2, evt3
from talon.io.formats.common import Bytes, Decoder
from talon.io.formats.fast import kernels


class FastEvt2Decoder(evt2.Evt2Decoder):
    """Compiled decoder of EVT 2.0."""

    def __init__(self) -> None:
        self._state = np.array([-1], np.int64)

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        n, *extent = kernels.evt2(block.view("<u4"), self._state, *(out[name] for name in "txyp"))
        self.extent: Sequence[int] | None = extent
        return n


class FastEvt3Decoder(evt3.Evt3Decoder):
    """Compiled decoder of EVT 3.0."""

    def __init__(self) -> None:
        self._state = np.array([-1, 0, 0, 0], np.int64)

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        n, *extent = kernels.evt3(block.view("<u2"), self._state, *(out[name] for name in "txyp"))
        self.extent: Sequence[int] | None = extent
        return n


class FastDatDecoder(dat.DatDecoder):
    """Compiled decoder of DAT."""

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self._state = np.array([-1], np.int64)

    def decode(self, block: Bytes, out: Events) -> int:
        """Write the events of a block to ``out``; return how many there are."""
        words = block.view("<u4").reshape(-1, 2)
        columns = (out[name] for name in "txyp")
        n, *extent = kernels.dat(words, self._state, *columns, self._bits_x, self._bits_y)
        self.extent: Sequence[int] | None = extent
        return n


DECODERS: dict[str, Callable[..., Decoder]] = {
    "evt2": FastEvt2Decoder,
    "evt3": FastEvt3Decoder,
    "dat": FastDatDecoder,
}
