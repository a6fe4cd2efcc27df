"""A serial port on which things go wrong, for tests of what stands above it."""

from __future__ import annotations

import random
from collections import Counter

from talon_serial.port import Port


class FaultyPort:
    """Passes bytes on, but for accidents that befall a part of them in both directions.

    Parameters
    ----------
    port
        The port that works.
    rates
        Chance of an accident at each byte: ``flip`` a bit, ``lose`` it, ``add`` one before it;
        at each piece that is written: ``cut`` off its second half, ``mute`` all of it; and ``gap``
        at each byte that is read: up to 100 are lost from it on.
    seed
        The same seed, the same accidents.
    """

    def __init__(self, port: Port, rates: dict[str, float], *, seed: int = 1) -> None:
        unknown = set(rates) - {"flip", "lose", "add", "cut", "mute", "gap"}
        if unknown:
            raise ValueError(f"Faulty port knows no accident called {min(unknown)!r}")
        self._port, self._rates, self._random = port, rates, random.Random(seed)
        self._lost = 0  # bytes that are still to be lost
        self.accidents: Counter[str] = Counter()

    @property
    def timeout(self) -> float | None:
        """Seconds that a read takes at most."""
        return self._port.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._port.timeout = seconds

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        return self._port.in_waiting

    def read(self, size: int = 1, /) -> bytes:
        """Return what the port reads, after accidents."""
        data = bytearray()
        for byte in self._port.read(size):
            if not self._lost and self._happens("gap"):
                self._lost = self._random.randrange(1, 100)
            if self._lost:
                self._lost -= 1
            else:
                data.append(byte)
        return self._harmed(bytes(data))

    def write(self, data: bytes, /) -> int:
        """Write, after accidents."""
        n = len(data)
        if self._happens("mute"):
            return n
        self._port.write(self._harmed(data[: n // 2] if self._happens("cut") else data))
        return n

    def reset_input_buffer(self) -> None:
        """Forget bytes that nobody has read."""
        self._port.reset_input_buffer()

    def close(self) -> None:
        """Close the port."""
        self._port.close()

    def _happens(self, accident: str) -> bool:
        happens = self._random.random() < self._rates.get(accident, 0)
        self.accidents[accident] += happens
        return happens

    def _harmed(self, data: bytes) -> bytes:
        found = bytearray()
        for byte in data:
            if self._happens("add"):
                found.append(self._random.randrange(256))
            if self._happens("lose"):
                continue
            found.append(byte ^ 1 << self._random.randrange(8) if self._happens("flip") else byte)
        return bytes(found)
