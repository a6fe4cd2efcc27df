"""A cocotb testbench that breaks the rules of AXI fails, whatever it looks at itself."""

from __future__ import annotations

from typing import Any

import cocotb
from cocotb.triggers import FallingEdge

from talon_sim.cosim.protocol import PORTS, ProtocolRules


class PortMonitor:
    """Sample the AXI ports in the middle of every clock cycle, from now on, and check the rules.

    Parameters
    ----------
    dut
        The design under test: its AXI ports have the names of those of the array.
    clock
        Its clock; all that is driven after a rising edge is there by the falling one.
    reset
        Its reset, active high unless ``active_low``.
    """

    def __init__(self, dut: Any, clock: Any, reset: Any, *, active_low: bool = False) -> None:
        self._reset, self._active_low = reset, active_low
        self._clock = clock
        self._handles = {name: getattr(dut, name) for name in PORTS if name != "aresetn"}
        self._flags = [name for name in self._handles if name.endswith(_FLAGS)]
        self._payloads = {
            name: _valid_of(name) for name in self._handles if not name.endswith(_FLAGS)
        }
        self._rules = ProtocolRules()
        cocotb.start_soon(self._watch())

    def finish(self) -> None:
        """Check at the end that each request has had its response."""
        self._rules.finish()

    async def _watch(self) -> None:
        while True:
            await FallingEdge(self._clock)
            self._rules.check(self._sample())

    def _sample(self) -> dict[str, int]:
        """Return the ports; payloads only where they are valid, since each look costs time."""
        active = self._reset.value == 1
        ports = {"aresetn": int(active == self._active_low)}
        for name in self._flags:
            ports[name] = int(self._handles[name].value)
        for name, valid in self._payloads.items():
            if ports[valid]:
                ports[name] = int(self._handles[name].value)
        return ports


_FLAGS = ("valid", "ready")
_CHANNELS = {"awaddr": "aw", "araddr": "ar", "wdata": "w", "wstrb": "w", "bresp": "b"}


def _valid_of(port: str) -> str:
    """Return the port that says that the payload of ``port`` is valid."""
    bus, _, signal = port.rpartition("_")
    return f"{bus}_{_CHANNELS.get(signal, signal[0])}valid"
