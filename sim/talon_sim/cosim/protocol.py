"""The rules of AXI at the ports of the array, for runs that sample them in Python.

They stand in ``protocol.h``, which the fast path has built in; here is the same text as a library
of its own. What is checked is told in ``docs/hardware/verification.md``.
"""

from __future__ import annotations

import ctypes
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from talon.arch import registers
from talon.errors import BackendError
from talon_sim.cosim import verilator
from talon_sim.cosim.build import call
from talon_sim.cosim.cache import cached, digest

if TYPE_CHECKING:
    from typing_extensions import Self

LIBRARY = "protocol.so"
_SOURCES = tuple(Path(__file__).with_name(name) for name in ("protocol.h", "protocol.cpp"))
_FLAGS = ("-O2", "-shared", "-fPIC", "-std=c++17", "-fvisibility=hidden")

_LITE = (
    *("awaddr", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready"),
    *("bresp", "bvalid", "bready", "araddr", "arvalid", "arready"),
    *("rdata", "rresp", "rvalid", "rready"),
)
_STREAM = ("tdata", "tvalid", "tready", "tlast")
PORTS = (
    "aresetn",
    *(f"s_axil_{name}" for name in _LITE),
    *(f"{side}_axis_{name}" for side in ("s", "m") for name in _STREAM),
)
"""The ports of the array that the rules are about, in the order of ``TalonPorts``."""

_CONTROL = registers.BY_NAME["CONTROL"]
ARRAY_RESET = (
    _CONTROL.offset,
    1 << _CONTROL.layout.offset_of("array_reset"),
    registers.ARRAY_RESET_CYCLES,
)
"""Address, mask and cycles of the reset in which the array may withdraw what it offers."""


class ProtocolError(BackendError):
    """A rule of AXI was broken at the ports of the array, by the array or by its host."""


def broken(violation: bytes) -> ProtocolError:
    """Return the error for what the rules found."""
    return ProtocolError(f"AXI was broken in {violation.decode()}")


class ProtocolRules:
    """The rules, and the state of all channels.

    A sample has all ports in one clock cycle, before the rising edge. Cycles are counted from 0.
    """

    def __init__(self) -> None:
        self._lib = _load(_library())
        self._rules = self._lib.rules_new(*ARRAY_RESET)
        self._ports = _Ports()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the state."""
        if self._rules:
            self._lib.rules_free(self._rules)
            self._rules = None

    def check(self, ports: dict[str, int]) -> None:
        """Take the sample of a cycle; a port that is left out has the value of the cycle before.

        Raises
        ------
        ProtocolError
            A rule is broken; the message names the cycle, the signal and the rule.
        """
        for name, value in ports.items():
            setattr(self._ports, name, value)
        self._lib.rules_check(self._rules, ctypes.byref(self._ports))
        self._raise()

    def finish(self) -> None:
        """Say that the run ends.

        Raises
        ------
        ProtocolError
            A request is left without a response.
        """
        self._lib.rules_finish(self._rules)
        self._raise()

    def _raise(self) -> None:
        if violation := self._lib.rules_violation(self._rules):
            raise broken(violation)


class _Ports(ctypes.Structure):
    _fields_ = tuple((name, ctypes.c_uint64) for name in PORTS)


def _library() -> Path:
    files = {path.name: path.read_text() for path in _SOURCES}

    def build(folder: Path) -> None:
        for name, text in files.items():
            (folder / name).write_text(text)
        verilator.require_compiler()
        command = ["g++", *_FLAGS, "-o", LIBRARY, "protocol.cpp"]
        call(command, folder, dict(os.environ), what="the rules of AXI")

    key = digest(repr(files), repr(_FLAGS), platform.machine())
    return cached("protocol", key, build) / LIBRARY


def _load(path: Path) -> ctypes.CDLL:
    lib = ctypes.CDLL(str(path))
    pointer, u64 = ctypes.c_void_p, ctypes.c_uint64
    signatures: dict[str, tuple[Any, tuple[Any, ...]]] = {
        "rules_new": (pointer, (u64, u64, u64)),
        "rules_free": (None, (pointer,)),
        "rules_check": (None, (pointer, ctypes.POINTER(_Ports))),
        "rules_finish": (None, (pointer,)),
        "rules_violation": (ctypes.c_char_p, (pointer,)),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib
