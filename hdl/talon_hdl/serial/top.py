"""The whole array behind a serial link."""

from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Module, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams
from talon.arch.serial import DEPTH
from talon_hdl.bridge.host_bridge import HostBridge
from talon_hdl.core.core import NeuronCore
from talon_hdl.noc.mesh import SETTLE, TILE, Mesh
from talon_hdl.noc.tile import Core, Tile
from talon_hdl.serial.link import SerialLink
from talon_hdl.verilog import component_verilog

TOP = "talon_serial_array"
"""Name of the top module of :func:`serial_verilog`."""


class SerialArray(wiring.Component):
    """Serial link, host bridge and mesh.

    The link stays awake while it holds the array in reset, so each has a domain of its own, of the
    same clock. The tiles are instances of a Verilog module, as in :class:`talon_hdl.top.ArrayTop`.

    Parameters
    ----------
    params
        The array.
    clock_hz, baud, depth
        See :class:`talon_hdl.serial.link.SerialLink`.

    Members
    -------
    clock, reset : :py:`In(1)`
        Clock; reset, synchronous.
    rx, tx : :py:`In(1), Out(1)`
        Wires from and to the host.
    irq : :py:`Out(1)`
        High while there is an error.
    """

    clock: Signal
    reset: Signal
    rx: Signal
    tx: Signal
    irq: Signal

    def __init__(
        self, params: ArrayParams, *, clock_hz: float, baud: float, depth: int = DEPTH
    ) -> None:
        self._params = params
        self._options = {"clock_hz": clock_hz, "baud": baud, "depth": depth}
        super().__init__(
            {
                "clock": In(1),
                "reset": In(1),
                "rx": In(1),
                "tx": Out(1),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.serial = ClockDomain()
        link = SerialLink(**self._options)
        m.submodules.link = DomainRenamer("serial")(link)
        m.submodules.bridge = bridge = HostBridge(self._params, settle=SETTLE)
        m.submodules.mesh = mesh = Mesh(self._params)
        m.d.comb += [
            ClockSignal("serial").eq(self.clock),
            ResetSignal("serial").eq(self.reset),
            ClockSignal().eq(self.clock),
            ResetSignal().eq(self.reset | link.array_reset),
            link.rx.eq(self.rx),
            self.tx.eq(link.tx),
            mesh.state_reset.eq(bridge.state_reset),
            mesh.reset.eq(bridge.array_reset),
            bridge.array_idle.eq(mesh.idle),
            bridge.array_error.eq(mesh.error),
            self.irq.eq(bridge.irq),
        ]
        wiring.connect(m, link.axil, bridge.s_axil)
        wiring.connect(m, link.o, bridge.s_axis)
        wiring.connect(m, bridge.m_axis, link.i)
        wiring.connect(m, bridge.o, mesh.i)
        wiring.connect(m, mesh.o, bridge.i)
        return m


def tile_verilog(params: ArrayParams, core: Core | None = None) -> str:
    """Return the Verilog of a tile, by default with the neuron core."""
    return component_verilog(Tile(params, core or NeuronCore(params)), TILE)


def serial_verilog(params: ArrayParams, *, clock_hz: float, baud: float, depth: int = DEPTH) -> str:
    """Return the Verilog of the array behind a serial link: module :data:`TOP`."""
    top = SerialArray(params, clock_hz=clock_hz, baud=baud, depth=depth)
    return tile_verilog(params) + component_verilog(top, TOP)
