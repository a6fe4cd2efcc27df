"""CRC-32 (ISO-HDLC, that of ``zlib.crc32``), some bits a cycle."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

WIDTH = 32
_POLYNOMIAL = 0xEDB8_8320  # reflected: the first bit of a word is its lowest
_ONES = (1 << WIDTH) - 1


def advanced(state: int, n_bits: int) -> int:
    """Return the register after ``n_bits`` steps, data already added to its low bits."""
    for _ in range(n_bits):
        state = state >> 1 ^ (_POLYNOMIAL if state & 1 else 0)
    return state


class CRC32(wiring.Component):
    """Running CRC-32 of a section, words in little-endian byte order.

    The generator of ``amaranth.lib.crc`` lets every bit of the new register depend on ``start``;
    here that is the reset of the register, which makes it half as large.

    Parameters
    ----------
    data_width
        Bits taken in a cycle, at most 32.

    Members
    -------
    start : :py:`In(1)`
        Begin anew; goes before ``valid``.
    valid, data : :py:`In`
        Take the next bits, lowest first.
    crc : :py:`Out(32)`
        CRC of the data before this cycle.
    """

    start: Signal
    valid: Signal
    data: Signal
    crc: Signal

    def __init__(self, data_width: int) -> None:
        self._data_width = data_width
        super().__init__(
            {"start": In(1), "valid": In(1), "data": In(data_width), "crc": Out(WIDTH)}
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        register = Signal(WIDTH, init=_ONES)
        mixed = Cat(register[: self._data_width] ^ self.data, register[self._data_width :])
        # The steps are linear: each bit of the outcome is the parity of some of the bits before.
        effects = [advanced(1 << i, self._data_width) for i in range(WIDTH)]
        following = Cat(
            Cat(mixed[i] for i in range(WIDTH) if effects[i] >> bit & 1).xor()
            for bit in range(WIDTH)
        )
        with m.If(self.start):
            m.d.sync += register.eq(_ONES)
        with m.Elif(self.valid):
            m.d.sync += register.eq(following)
        m.d.comb += self.crc.eq(~register)
        return m
