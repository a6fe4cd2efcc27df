"""A router of the mesh: five ports, dimension-order product multicast."""

from amaranth.hdl import Cat, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.noc.ports import InputPort, OutputPort
from talon_hdl.noc.route import SOURCES, Port, Route


class Router(wiring.Component):
    """Pass packets between the four neighbours and the core; see `docs/hardware/router.md`.

    Members
    -------
    i : :py:`In(stream).array(5)`
        Packets that enter, by :class:`talon_hdl.noc.route.Port`.
    o : :py:`Out(stream).array(5)`
        Packets that leave.
    x, y : :py:`In(bits)`
        Position of the router.
    idle : :py:`Out(1)`
        No packet is held here: a function of registers alone.
    """

    i: list[stream.Interface]
    o: list[stream.Interface]
    x: Signal
    y: Signal
    idle: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        packets = stream.Signature(unsigned(PacketLayouts(params).width))
        super().__init__(
            {
                "i": In(packets).array(len(Port)),
                "o": Out(packets).array(len(Port)),
                "x": In(bits_for(params.columns)),
                "y": In(bits_for(params.rows)),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        inputs = {port: InputPort(self._params, Route(self._params, port)) for port in Port}
        outputs = {port: OutputPort(self._params, len(SOURCES[port])) for port in Port}
        for port in Port:
            m.submodules[f"input_{port.name.lower()}"] = inputs[port]
            m.submodules[f"output_{port.name.lower()}"] = outputs[port]
            wiring.connect(m, wiring.flipped(self.i[port]), inputs[port].i)
            wiring.connect(m, outputs[port].o, wiring.flipped(self.o[port]))
            m.d.comb += [inputs[port].x.eq(self.x), inputs[port].y.eq(self.y)]

        for port, sources in SOURCES.items():
            m.d.comb += outputs[port].request.eq(Cat(inputs[s].pending[port] for s in sources))
            for k, source in enumerate(sources):
                m.d.comb += [
                    outputs[port].packet[k].eq(inputs[source].packet),
                    inputs[source].taken[port].eq(outputs[port].taken[k]),
                ]
        m.d.comb += self.idle.eq(~Cat(part.busy for part in inputs.values()).any())
        return m
