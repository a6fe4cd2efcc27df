"""The registers of an AXI DMA in simple mode, and an array behind its streams.

Offsets and bits are those of AMD's product guide PG021. Time passes when a status is read: the
array is simulated for some cycles, as a processor would wait for them.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from talon_sim.board.faults import Fault
from talon_sim.board.memory import AddressError, Memory

Words = NDArray[np.uint64]

MM2S, S2MM = 0x00, 0x30
CONTROL, STATUS, ADDRESS, ADDRESS_HIGH, LENGTH = 0x00, 0x04, 0x18, 0x1C, 0x28
RUN, RESET = 0x1, 0x4
HALTED, IDLE = 0x1, 0x2
INTERNAL_ERROR, SLAVE_ERROR, DECODE_ERROR = 0x10, 0x20, 0x40
DONE_INTERRUPT, ERROR_INTERRUPT = 0x1000, 0x4000

_WORD = 8
_NOTHING = np.empty(0, np.uint64)


class SteppedArray(Protocol):
    """An array whose streams can be served for a while and then again."""

    def step(self, words: Words, *, room: int, cycles: int) -> tuple[int, Words, bool]:
        """As :meth:`talon_sim.cosim.fast.FastArray.step`."""
        ...

    def drop(self) -> None:
        """Withdraw the word that is offered."""
        ...

    def reset(self) -> None:
        """Reset everything."""
        ...


class _Channel:
    """The state of one direction."""

    def __init__(self) -> None:
        self.control = 0
        self.flags = HALTED
        self.address = 0
        self.length = 0
        self.active = False

    def end(self, *, error: int = 0) -> None:
        """Become idle, or halt with an error."""
        self.active = False
        if error:
            self.flags = HALTED | error | ERROR_INTERRUPT
        else:
            self.flags |= IDLE | DONE_INTERRUPT


class AxiDma:
    """The registers of the DMA, to read and write by their byte offset.

    Parameters
    ----------
    array
        What its streams lead to.
    memory
        Where its addresses point to.
    cycles
        Cycles that pass when a status is read.
    """

    def __init__(self, array: SteppedArray, memory: Memory, *, cycles: int = 256) -> None:
        self._array, self._memory, self._cycles = array, memory, cycles
        self._channels = {MM2S: _Channel(), S2MM: _Channel()}
        self._words = _NOTHING  # to be sent
        self._sent = self._received = 0  # words of the transfers under way
        self._fault: Fault | None = None
        self._transfers = 0

    def inject(self, fault: Fault | None) -> None:
        """Let something go wrong; transfers are counted from here on."""
        self._fault, self._transfers = fault, 0

    def raised(self, base: int) -> bool:
        """Tell whether the interrupt of a direction is high: permitted, and not cleared."""
        channel = self._channels[base]
        return bool(channel.control & channel.flags & (DONE_INTERRUPT | ERROR_INTERRUPT))

    def advance(self) -> None:
        """Let some cycles pass, with nobody looking."""
        self._advance()

    def read(self, offset: int) -> int:
        """Return a register; time passes when it is a status."""
        base, register = (S2MM, offset - S2MM) if offset >= S2MM else (MM2S, offset)
        if register == STATUS:
            self._advance()
        channel = self._channels[base]
        values = {CONTROL: channel.control, STATUS: channel.flags, LENGTH: channel.length}
        return values.get(register, 0)

    def write(self, offset: int, value: int) -> None:
        """Write a register."""
        base, register = (S2MM, offset - S2MM) if offset >= S2MM else (MM2S, offset)
        channel = self._channels[base]
        if register == CONTROL:
            self._control(channel, value)
        elif register == STATUS:
            channel.flags &= ~(value & (DONE_INTERRUPT | ERROR_INTERRUPT))
        elif register == ADDRESS:
            channel.address = channel.address >> 32 << 32 | value
        elif register == ADDRESS_HIGH:
            channel.address = value << 32 | channel.address & 0xFFFF_FFFF
        elif register == LENGTH:
            self._start(base, channel, value)

    def _control(self, channel: _Channel, value: int) -> None:
        if value & RESET:  # of both channels, whichever is asked
            self._array.drop()
            self._channels = {MM2S: _Channel(), S2MM: _Channel()}
            self._words = _NOTHING
            return
        channel.control = value
        if not value & RUN:
            if not channel.active:
                channel.flags |= HALTED
        elif not channel.flags & (INTERNAL_ERROR | SLAVE_ERROR | DECODE_ERROR):
            channel.flags &= ~HALTED

    def _start(self, base: int, channel: _Channel, n_bytes: int) -> None:
        if channel.flags & HALTED:
            return
        channel.flags &= ~IDLE
        if n_bytes == 0 or n_bytes % _WORD:
            channel.end(error=INTERNAL_ERROR)
            return
        channel.active, channel.length = True, n_bytes
        if base == S2MM:
            self._received = 0
            return
        try:
            data = self._memory.read(channel.address, n_bytes)
        except AddressError:
            channel.end(error=DECODE_ERROR)
            return
        self._words, self._sent = data.copy().view(np.uint64), 0
        fault = self._due
        if fault is not None and fault.kind == "flip" and fault.at < self._words.size:
            self._words[fault.at] ^= np.uint64(fault.bits)
            self._fault = None
        self._transfers += 1

    @property
    def _due(self) -> Fault | None:
        """The fault of the transfer that is about to begin."""
        fault = self._fault
        return fault if fault is not None and fault.transfer == self._transfers else None

    def _fault_now(self, kinds: tuple[str, ...]) -> Fault | None:
        """Return the fault of the transfer under way, if it is of one of these kinds."""
        fault = self._fault
        if fault is None or fault.transfer != self._transfers - 1:
            return None
        return fault if fault.kind in kinds else None

    def _advance(self) -> None:
        """Let some cycles pass."""
        send, receive = self._channels[MM2S], self._channels[S2MM]
        words = self._words[self._sent :] if send.active else _NOTHING
        room = receive.length // _WORD - self._received if receive.active else 0
        cut_in = self._fault_now(("send_error", "send_stalls", "send_ends", "reset"))
        cut_out = self._fault_now(("receive_error", "receive_stalls", "receive_ends"))
        if cut_in is not None:
            words = words[: max(0, cut_in.at - self._sent)]
        if cut_out is not None and receive.active:
            room = min(room, max(0, cut_out.at - self._received))
        taken, came, last = self._array.step(words, room=room, cycles=self._cycles)
        if receive.active and came.size:
            self._store(receive, came)
        self._sent += taken
        if receive.active:
            if last:
                receive.length = self._received * _WORD
                receive.end()
            elif self._received == receive.length // _WORD:  # the packet is longer
                receive.end(error=INTERNAL_ERROR)
        if send.active and self._sent == self._words.size:
            send.end()
        if cut_in is not None and send.active and self._sent >= cut_in.at:
            self._fail(cut_in, send)
        if cut_out is not None and receive.active and self._received >= cut_out.at:
            self._fail(cut_out, receive)

    def _store(self, receive: _Channel, words: Words) -> None:
        try:
            self._memory.write(receive.address + self._received * _WORD, words.view(np.uint8))
        except AddressError:
            receive.end(error=DECODE_ERROR)
        self._received += words.size

    def _fail(self, fault: Fault, channel: _Channel) -> None:
        if fault.kind.endswith("_stalls"):
            return  # for as long as this transfer lasts
        self._fault = None
        if fault.kind.endswith("_error"):
            self._array.drop()
            channel.end(error=SLAVE_ERROR if fault.kind == "send_error" else DECODE_ERROR)
        elif fault.kind == "reset":
            self._array.reset()
        else:
            self._array.drop()
            if fault.kind == "receive_ends":
                channel.length = self._received * _WORD
            channel.end()
