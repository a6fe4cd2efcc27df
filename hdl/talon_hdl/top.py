"""The whole array behind its AXI ports."""

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams
from talon.arch.registers import ADDRESS_WIDTH
from talon_hdl.axi.signatures import AxiLiteSignature, AxiStreamSignature
from talon_hdl.bridge.host_bridge import HostBridge
from talon_hdl.noc.mesh import SETTLE, TILE, Mesh
from talon_hdl.noc.tile import Core, Tile
from talon_hdl.verilog import component_verilog

TOP = "talon_array"
"""Name of the top module."""


class ArrayTop(wiring.Component):
    """Host bridge and mesh, with the clock and the reset of AXI.

    The tiles are instances of the Verilog module :data:`talon_hdl.noc.mesh.TILE`, so this is for
    :func:`talon_hdl.emit.array_verilog` rather than for Amaranth's own simulator.

    Members
    -------
    aclk, aresetn : :py:`In(1)`
        Clock; reset, active low, synchronous.
    s_axil : :py:`In(AxiLiteSignature)`
        Registers.
    s_axis, m_axis : :py:`In(AxiStreamSignature(64)), Out(...)`
        Words from and to the host.
    irq : :py:`Out(1)`
        High while there is an error.
    """

    aclk: Signal
    aresetn: Signal
    s_axil: Any
    s_axis: Any
    m_axis: Any
    irq: Signal

    def __init__(self, params: ArrayParams, *, build: int = 0) -> None:
        self._params, self._build = params, build
        super().__init__(
            {
                "aclk": In(1),
                "aresetn": In(1),
                "s_axil": In(AxiLiteSignature(ADDRESS_WIDTH)),
                "s_axis": In(AxiStreamSignature(64)),
                "m_axis": Out(AxiStreamSignature(64)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.d.comb += [ClockSignal().eq(self.aclk), ResetSignal().eq(~self.aresetn)]

        m.submodules.bridge = bridge = HostBridge(self._params, settle=SETTLE, build=self._build)
        m.submodules.mesh = mesh = Mesh(self._params)
        for name in ("s_axil", "s_axis"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(bridge, name))
        wiring.connect(m, bridge.m_axis, wiring.flipped(self.m_axis))
        wiring.connect(m, bridge.o, mesh.i)
        wiring.connect(m, mesh.o, bridge.i)
        m.d.comb += [
            mesh.state_reset.eq(bridge.state_reset),
            mesh.reset.eq(bridge.array_reset),
            bridge.array_idle.eq(mesh.idle),
            bridge.array_error.eq(mesh.error),
            self.irq.eq(bridge.irq),
        ]
        return m


def assemble(params: ArrayParams, core: Core, *, build: int = 0) -> str:
    """Return the Verilog of an array with ``core`` in every tile: module ``talon_array``.

    ``build`` is what its register BUILD tells.
    """
    tile = component_verilog(Tile(params, core), TILE)
    return tile + component_verilog(ArrayTop(params, build=build), TOP)
