"""The tables of graded groups: from the index of a neuron to the payload that it sends."""

from dataclasses import dataclass
from typing import TypeVar

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import TABLE_ENTRIES
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature

INDEX_BITS = bits_for(TABLE_ENTRIES)
"""Bits of an index into a table."""

LATENCY = 1
"""Cycles from the inputs of :class:`TableLookup` to its payloads."""


Held = TypeVar("Held", Value, data.View)


@dataclass(frozen=True, kw_only=True)
class Advanced:
    """What a lane has made of a neuron: its potential or payload, and whether it fired."""

    v: Value
    spike: Value
    saturated: Value
    count: Value | None = None


class TableLookup(wiring.Component):
    """Look up a payload for each update lane in every cycle.

    A block RAM has two ports, so each serves two lanes; all of them hold the same tables. The first
    port of each is that of the configuration unit as well.

    Members
    -------
    config : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The TABLE memory.
    group : :py:`In(range(n_groups))`
        Whose table.
    index : :py:`In(8 bits a lane)`
        Entries of that table.
    payload : :py:`Out(signed(payload_width) a lane)`
        What they hold, ``LATENCY`` cycles later.
    """

    config: ConfigPort
    group: Signal
    index: data.View
    payload: data.View

    def __init__(self, params: ArrayParams) -> None:
        self._lanes = params.update_lanes
        self._depth = params.n_groups * TABLE_ENTRIES
        self._payload = signed(params.payload_width)
        super().__init__(
            {
                "config": In(ConfigPortSignature(params.payload_width)),
                "group": In(bits_for(params.n_groups)),
                "index": In(data.ArrayLayout(INDEX_BITS, self._lanes)),
                "payload": Out(data.ArrayLayout(self._payload, self._lanes)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        shown = []
        for first in range(0, self._lanes, 2):
            m.submodules[f"copy_{first}"] = copy = memory.Memory(
                shape=self._payload, depth=self._depth, init=[], attrs={"ram_style": "block"}
            )
            write = copy.write_port()
            reads = [copy.read_port() for _ in range(first, min(first + 2, self._lanes))]
            for lane, read in enumerate(reads, first):
                m.d.comb += [
                    read.addr.eq(Cat(self.index[lane], self.group)),
                    self.payload[lane].eq(read.data),
                ]
            address = Signal.like(write.addr, name=f"address_{first}")
            m.d.comb += [
                address.eq(
                    Mux(self.config.en, self.config.addr, Cat(self.index[first], self.group))
                ),
                reads[0].addr.eq(address),
                write.addr.eq(address),
                write.data.eq(self.config.w_data),
                write.en.eq(self.config.w_en),
            ]
            shown.append(reads[0].data)
        m.d.comb += self.config.r_data.eq(shown[0])
        return m


def looked_up(
    m: Module, tables: TableLookup, lanes: list[Advanced], tabled: Value
) -> list[Advanced]:
    """Return what lanes give ``LATENCY`` cycles later, with payloads of the table if ``tabled``."""
    found: list[Advanced] = []
    for i, part in enumerate(lanes):
        m.d.comb += tables.index[i].eq(part.v)
        found.append(
            Advanced(
                v=Mux(tabled, tables.payload[i], late(m, part.v, f"v_{i}")),
                spike=late(m, part.spike, f"spike_{i}"),
                saturated=late(m, part.saturated, f"saturated_{i}"),
                count=None if part.count is None else late(m, part.count, f"count_{i}"),
            )
        )
    return found


def late(m: Module, value: Held, name: str) -> Held:
    """Return a value ``LATENCY`` cycles later."""
    held = Signal.like(value, name=name)
    m.d.sync += held.eq(value)
    return held
