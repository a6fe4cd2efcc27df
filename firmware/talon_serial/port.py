"""Serial ports: what a link asks of one, and how a real one is opened."""

from __future__ import annotations

from typing import Protocol, cast

from talon.errors import BackendError

BAUD = 3_000_000
"""Bits a second that bitstreams are built for; as fast as an FT231X goes."""


class Port(Protocol):
    """A serial port as pyserial has it."""

    timeout: float | None

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        ...

    def read(self, size: int = 1, /) -> bytes:
        """Return ``size`` bytes, or those that came within ``timeout`` seconds."""
        ...

    def write(self, data: bytes, /) -> int | None:
        """Send bytes."""
        ...

    def reset_input_buffer(self) -> None:
        """Forget bytes that nobody has read."""
        ...

    def close(self) -> None:
        """Let go of the port."""
        ...


def open_port(name: str, *, baud: int = BAUD) -> Port:
    """Open a serial port of this machine.

    Parameters
    ----------
    name
        Device, such as ``/dev/ttyUSB0``, or a URL of pyserial.
    baud
        Bits a second; what the bitstream was built for.

    Raises
    ------
    BackendError
        There is no such port, it is in use, or pyserial is not installed.
    """
    try:
        import serial
    except ImportError:
        raise BackendError(
            "A serial port needs the Python package pyserial; "
            "install it with: pip install 'talon-snn[serial]'"
        ) from None
    try:
        port = serial.serial_for_url(
            name, baudrate=baud, timeout=0, write_timeout=5, exclusive=True
        )
    except (serial.SerialException, ValueError, OSError) as error:
        raise BackendError(f"Serial port {name!r} cannot be opened: {error}") from error
    return cast(Port, port)
