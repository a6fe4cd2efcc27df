"""ULX3S with an LFE5U-85F: the top of the design, and where its ports are."""

from dataclasses import dataclass

from amaranth.hdl import Cat, ClockDomain, ClockSignal, Module, Signal
from amaranth.lib import cdc, wiring  # pyright: ignore[reportAttributeAccessIssue]
from amaranth.lib.wiring import In, Out

from talon.arch.params import ECP5_2X2, ArrayParams
from talon_boards.ecp5.pll import choose_dividers, pll
from talon_hdl.core.core import NeuronCore
from talon_hdl.core.table import SHARED_FROM
from talon_hdl.serial.top import SerialArray, tile_verilog
from talon_hdl.verilog import component_verilog

TOP = "talon_ulx3s"
REFERENCE_MHZ = 25.0
N_LEDS = 8
RESET_CYCLES = 256

PINS = {
    "clk_25mhz": "G2",
    "ftdi_txd": "M1",
    "ftdi_rxd": "L4",
    "wifi_gpio0": "L2",
    **{
        f"led[{i}]": site for i, site in enumerate(("B2", "C2", "C1", "D2", "D1", "E2", "E1", "H3"))
    },
}
"""Sites of the ports, from the board's own constraint file (versions 2.x and 3.0.x)."""


@dataclass(frozen=True, kw_only=True)
class Ulx3sConfig:
    """What goes into a bitstream: array, clock and rate of the serial link.

    The clock in MHz comes from a PLL; FT231X chips go up to 3 Mbaud.
    """

    params: ArrayParams = ECP5_2X2
    clock_mhz: float = 40.0
    baud: int = 3_000_000

    @property
    def clock_hz(self) -> float:
        """Frequency of the clock of everything behind the PLL."""
        return self.clock_mhz * 1e6


class Ulx3sTop(wiring.Component):
    """PLL, reset at power-up, array and light-emitting diodes.

    Members
    -------
    clk_25mhz : :py:`In(1)`
        Oscillator.
    ftdi_txd, ftdi_rxd : :py:`In(1), Out(1)`
        The wires of the USB serial chip, which sends on TXD.
    wifi_gpio0 : :py:`Out(1)`
        High, or the ESP32 on the board takes the FPGA over.
    led : :py:`Out(8)`
        From the lowest: PLL locked, line from the host busy, line to the host busy, error.
    """

    clk_25mhz: Signal
    ftdi_txd: Signal
    ftdi_rxd: Signal
    wifi_gpio0: Signal
    led: Signal

    def __init__(self, config: Ulx3sConfig) -> None:
        self._config = config
        super().__init__(
            {
                "clk_25mhz": In(1),
                "ftdi_txd": In(1),
                "ftdi_rxd": Out(1),
                "wifi_gpio0": Out(1),
                "led": Out(N_LEDS),
            }
        )

    def elaborate(self, platform) -> Module:  # noqa: D102
        config = self._config
        m = Module()
        clock, locked = Signal(), Signal()
        dividers = choose_dividers(REFERENCE_MHZ, config.clock_mhz)
        m.submodules.pll = pll(dividers, reference=self.clk_25mhz, clock=clock, locked=locked)

        m.domains.power = ClockDomain(reset_less=True, local=True)
        steady, awake = Signal(), Signal()
        count = Signal(range(RESET_CYCLES))
        m.submodules.lock = cdc.FFSynchronizer(locked, steady, o_domain="power")
        m.d.comb += ClockSignal("power").eq(clock)
        with m.If(~steady):
            m.d.power += [count.eq(0), awake.eq(0)]
        with m.Elif(count != RESET_CYCLES - 1):
            m.d.power += count.eq(count + 1)
        with m.Else():
            m.d.power += awake.eq(1)

        m.submodules.array = array = SerialArray(
            config.params, clock_hz=config.clock_hz, baud=config.baud
        )
        m.d.comb += [
            array.clock.eq(clock),
            array.reset.eq(~awake),
            array.rx.eq(self.ftdi_txd),
            self.ftdi_rxd.eq(array.tx),
            self.wifi_gpio0.eq(1),
            self.led.eq(Cat(steady, ~self.ftdi_txd, ~self.ftdi_rxd, array.irq)),
        ]
        return m


def ulx3s_tile(params: ArrayParams) -> str:
    """Return the Verilog of a tile as the bitstream has it.

    Neuron records go to block RAM, of which weights leave enough: in distributed RAM they would be
    a quarter of the LUTs. A shallow table is smaller as it is.
    """
    deep = params.n_neurons // params.update_lanes >= SHARED_FROM
    return tile_verilog(params, NeuronCore(params, block_records=deep))


def ulx3s_verilog(config: Ulx3sConfig) -> str:
    """Return the Verilog of the whole design: module :data:`TOP`, deterministic text."""
    return ulx3s_tile(config.params) + component_verilog(Ulx3sTop(config), TOP)


def constraints(config: Ulx3sConfig) -> str:
    """Return the constraints for nextpnr (LPF): sites, levels, and the clocks to reach."""
    lines = ["BLOCK RESETPATHS;", "BLOCK ASYNCPATHS;"]
    for port, site in PINS.items():
        lines += [f'LOCATE COMP "{port}" SITE "{site}";', f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33;']
    lines.append(f'FREQUENCY PORT "clk_25mhz" {REFERENCE_MHZ} MHZ;')
    lines.append('IOBUF PORT "ftdi_txd" PULLMODE=UP IO_TYPE=LVCMOS33;')
    return "\n".join(lines) + "\n"
