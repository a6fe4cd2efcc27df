"""Memory that a processor and a DMA share, each with its own view, as with caches between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_PAGE = 4096
_START = 0x1000_0000


class AddressError(Exception):
    """No buffer stands at an address: the bus answers with a decode error."""


class Buffer(np.ndarray):
    """What :meth:`Memory.allocate` returns: an array with the interface of a ``PynqBuffer``.

    The device sees what was flushed, and the processor what was invalidated, and nothing else.
    """

    physical_address: int
    _memory: Memory

    def flush(self) -> None:
        """Write what the processor sees to the device."""
        self._memory.write(self.physical_address, self._bytes().copy())

    def invalidate(self) -> None:
        """Read what the device has written."""
        self._bytes()[:] = self._memory.read(self.physical_address, self.nbytes)

    def freebuffer(self) -> None:
        """Give the memory back; a device that uses it after that meets a decode error."""
        self._memory.free(self.physical_address)

    def _bytes(self) -> NDArray[np.uint8]:
        return self.view(np.ndarray).reshape(-1).view(np.uint8)


class Memory:
    """The device's view of memory, by buffers; addresses are those of bytes."""

    def __init__(self) -> None:
        self._buffers: dict[int, NDArray[np.uint8]] = {}
        self._next = _START

    @property
    def n_buffers(self) -> int:
        """Buffers that are not given back."""
        return len(self._buffers)

    def allocate(self, shape: Any, dtype: DTypeLike = "u4") -> Buffer:
        """Return a buffer whose contents are not known, as ``pynq.allocate`` does."""
        buffer = np.empty(shape, dtype).view(Buffer)
        size = buffer.nbytes
        buffer.physical_address, buffer._memory = self._next, self
        self._buffers[self._next] = np.full(size, 0xA5, np.uint8)
        buffer._bytes()[:] = 0x5A
        self._next += (size // _PAGE + 2) * _PAGE
        return buffer

    def read(self, address: int, n_bytes: int) -> NDArray[np.uint8]:
        """Return bytes as the device sees them.

        Raises
        ------
        AddressError
            They do not lie in one buffer.
        """
        data, start = self._find(address, n_bytes)
        return data[start : start + n_bytes]

    def write(self, address: int, values: NDArray[np.uint8]) -> None:
        """Write bytes as the device does; raise an :class:`AddressError` as :meth:`read` does."""
        data, start = self._find(address, values.size)
        data[start : start + values.size] = values

    def free(self, address: int) -> None:
        """Forget the buffer at an address."""
        self._buffers.pop(address, None)

    def _find(self, address: int, n_bytes: int) -> tuple[NDArray[np.uint8], int]:
        for start, data in self._buffers.items():
            if start <= address and address + n_bytes <= start + data.size:
                return data, address - start
        raise AddressError(f"No buffer holds {n_bytes} bytes at {address:#x}")
