"""A verilated board behind a serial port: the calls are those of pyserial, time is simulated."""

from __future__ import annotations

import ctypes
import json
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING

from talon_sim.cosim import verilator
from talon_sim.cosim.build import call
from talon_sim.cosim.cache import cached, digest

if TYPE_CHECKING:
    from typing_extensions import Self

LIBRARY = "board.so"
_WHAT = "the board"
_HARNESS = Path(__file__).with_name("serial.cpp")
_VERILATE = ("--cc", "-O3", "--no-assert", "-Wno-fatal", "-Wno-lint")
_RANDOM = ("--x-assign", "unique", "--x-initial", "unique")
_CFLAGS = ("-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-std=c++17")
_LINK = ("-shared", "-Wl,-Bsymbolic", "-Wl,--exclude-libs,libverilated.a")
_OPTIMIZE = ("OPT_FAST=-O3", "OPT_SLOW=-O1", "OPT_GLOBAL=-O2")


def build_board(
    verilog: str,
    toplevel: str,
    *,
    clock: str,
    rx: str,
    tx: str,
    no_inline: tuple[str, ...] = ("talon_tile",),
) -> Path:
    """Return the path of the shared library of ``toplevel`` with a UART at its pins, cached.

    Parameters
    ----------
    verilog
        Text of the whole design, models of primitives included.
    toplevel
        Name of its top module.
    clock, rx, tx
        Its ports: the clock, the wire to it, the wire from it.
    no_inline
        Modules that are compiled once however often they are placed.
    """
    ports = {"TALON_CLOCK": clock, "TALON_RX": rx, "TALON_TX": tx}
    options = "".join(f'no_inline -module "{module}"\n' for module in no_inline)
    files = {
        "board.v": verilog,
        "board.vlt": f"`verilator_config\n{options}",
        "serial.cpp": _HARNESS.read_text(),
    }
    cflags = " ".join([*_CFLAGS, *(f"-D{name}={port}" for name, port in ports.items())])
    args = [*_VERILATE, *_RANDOM, "--prefix", "Vtop", "--top-module", toplevel, "-Mdir", "."]
    args += ["-CFLAGS", cflags]
    key = digest(
        json.dumps([files, args, _OPTIMIZE, _LINK]),
        verilator.verilator_version(),
        platform.machine(),
    )

    def build(folder: Path) -> None:
        env = {**os.environ, **verilator.environment()}
        for name, text in files.items():
            (folder / name).write_text(text)
        call(["verilator", *args, "board.vlt", "board.v", "serial.cpp"], folder, env, what=_WHAT)
        libraries = ["libVtop.a", "libverilated.a"]
        jobs = str(min(4, os.cpu_count() or 1))
        call(["make", "-j", jobs, "-f", "Vtop.mk", *_OPTIMIZE, *libraries], folder, env, what=_WHAT)
        whole = ["-Wl,--whole-archive", libraries[0], "-Wl,--no-whole-archive", libraries[1]]
        call(["g++", *_LINK, "-o", LIBRARY, *whole, "-pthread"], folder, env, what=_WHAT)
        for waste in folder.iterdir():
            if waste.name != LIBRARY and waste.suffix not in (".v", ".vlt"):
                waste.unlink()

    return cached(f"board-{toplevel}", key, build) / LIBRARY


class SimulatedPort:
    """A serial port at whose other end a verilated board runs, from power-up on.

    Time passes only while somebody reads.

    Parameters
    ----------
    library
        What :func:`build_board` returned.
    clock_hz
        Frequency of the clock that the simulation runs on.
    baud
        Bits a second of this end of the line.
    seed
        Start value of bits that nothing drives.
    """

    timeout: float | None = None

    def __init__(self, library: Path, *, clock_hz: float, baud: float, seed: int = 1) -> None:
        self._lib = _load(library)
        self._clock_hz = clock_hz
        self._board = self._lib.serial_new(seed, clock_hz / baud)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the simulation."""
        if self._board:
            self._lib.serial_free(self._board)
            self._board = None

    @property
    def cycles(self) -> int:
        """Clock cycles simulated so far."""
        return int(self._lib.serial_cycles(self._board))

    def clock(self) -> float:
        """Return the simulated time, in seconds."""
        return self.cycles / self._clock_hz

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read at once."""
        return int(self._lib.serial_run(self._board, 0, 1))

    def read(self, size: int = 1, /) -> bytes:
        """Return ``size`` bytes, or those that came within ``timeout`` simulated seconds."""
        limit = (1 << 62) if self.timeout is None else int(self.timeout * self._clock_hz) + 1
        self._lib.serial_run(self._board, limit, size)
        buffer = ctypes.create_string_buffer(size)
        n = self._lib.serial_read(self._board, buffer, size)
        return buffer.raw[:n]

    def write(self, data: bytes, /) -> int:
        """Put bytes before the line; they travel while somebody reads."""
        self._lib.serial_write(self._board, data, len(data))
        return len(data)

    def reset_input_buffer(self) -> None:
        """Forget bytes that nobody has read."""
        n = self.in_waiting
        self._lib.serial_read(self._board, ctypes.create_string_buffer(n), n)


def _load(path: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(path))
    pointer, i64, u64 = ctypes.c_void_p, ctypes.c_int64, ctypes.c_uint64
    signatures = {
        "serial_new": (pointer, (u64, ctypes.c_double)),
        "serial_free": (None, (pointer,)),
        "serial_cycles": (u64, (pointer,)),
        "serial_write": (None, (pointer, ctypes.c_char_p, i64)),
        "serial_run": (i64, (pointer, i64, i64)),
        "serial_read": (i64, (pointer, ctypes.c_char_p, i64)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
