"""A core that answers every packet by one packet: what tests put into the tiles of a mesh."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import bits_for
from talon_hdl.shapes import packed, view

RESET_CYCLES = 20
"""Cycles for which a core looks busy after a state reset."""


class RelayCore(wiring.Component):
    """Pass packets on, in order, after a few cycles each.

    A SPIKE becomes a PSUM whose masks stand in the low bits of its index and payload; a PSUM, TOKEN
    or CONFIG becomes the packet to the host that has the same contents and the core's number.
    ``CONFIG.op`` 7 sets the error line, 5 clears it, 3 asks for the number of state resets.
    """

    def __init__(self, params, *, depth=1024):
        self._params = params
        self._layouts = PacketLayouts(params)
        self._depth = depth
        packets = stream.Signature(unsigned(self._layouts.width))
        super().__init__(
            {
                "i": In(packets),
                "o": Out(packets),
                "x": In(bits_for(params.columns)),
                "y": In(bits_for(params.rows)),
                "state_reset": In(1),
                "idle": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        width = self._layouts.width
        # Deep enough for all a test sends: like a real core, this one always takes packets.
        m.submodules.queue = queue = fifo.SyncFIFO(width=width, depth=self._depth)
        resets, resetting = Signal(8), Signal(range(RESET_CYCLES + 1))
        noise, wait = Signal(8, init=1), Signal(3)
        room = ~self.o.valid | self.o.ready
        m.d.comb += [
            queue.w_data.eq(self.i.payload),
            queue.w_en.eq(self.i.valid),
            self.i.ready.eq(queue.w_rdy),
            queue.r_en.eq(room & (wait == 0)),
            self.idle.eq((queue.level == 0) & ~self.o.valid & (resetting == 0)),
        ]
        # x^8 + x^6 + x^5 + x^4 + 1, moved on by the position so that no two cores agree.
        tap = noise[7] ^ noise[5] ^ noise[4] ^ noise[3] ^ (self.x[0] & queue.r_rdy)
        m.d.sync += noise.eq(Cat(tap, noise[:7]))
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Elif(queue.r_en & queue.r_rdy):
            m.d.sync += wait.eq(Mux(noise[0], noise[1:4], 0))
        with m.If(room):
            m.d.sync += [
                self.o.valid.eq(queue.r_en & queue.r_rdy),
                self.o.payload.eq(self._answer(m, queue.r_data, resets)),
            ]

        config = view(self._layouts.config, queue.r_data)
        with m.If(queue.r_en & queue.r_rdy & (config.kind == Kind.CONFIG)):
            with m.If(config.op == 7):
                m.d.sync += self.error.eq(1)
            with m.If(config.op == 5):
                m.d.sync += self.error.eq(0)
        with m.If(self.state_reset):
            m.d.sync += [resets.eq(resets + 1), resetting.eq(RESET_CYCLES)]
        with m.Elif(resetting != 0):
            m.d.sync += resetting.eq(resetting - 1)
        return m

    def _answer(self, m, word, resets):
        layouts, params = self._layouts, self._params
        core = self.y * params.columns + self.x
        spike, psum = view(layouts.spike, word), view(layouts.psum, word)
        token, config = view(layouts.token, word), view(layouts.config, word)
        instruction = Cat(spike.index, spike.payload)
        columns, rows = params.columns, params.rows
        core_bits = bits_for(params.n_cores)
        tag = instruction[columns + rows :]
        answers = {
            Kind.SPIKE: packed(
                layouts.psum,
                {
                    "kind": Kind.PSUM,
                    "xmask": instruction[:columns],
                    "ymask": instruction[columns : columns + rows],
                    "slot": spike.slot,
                    "value": Cat(tag, Const(0, 24 - core_bits - len(tag)), core[:core_bits]),
                },
            ),
            Kind.PSUM: packed(
                layouts.host_value,
                {"kind": Kind.HOST_VALUE, "core": core, "slot": psum.slot, "value": psum.value},
            ),
            Kind.TOKEN: packed(
                layouts.host_token,
                {
                    "kind": Kind.HOST_TOKEN,
                    "core": core,
                    "slot": token.slot,
                    "group": token.group,
                    "credit": token.credit,
                },
            ),
            Kind.CONFIG: packed(
                layouts.host_config,
                {
                    "kind": Kind.HOST_CONFIG,
                    "core": core,
                    "data": Mux(config.op == 3, resets, config.data),
                },
            ),
        }
        answer = Signal(layouts.width)
        with m.Switch(word[:3]):
            for kind, packet in answers.items():
                with m.Case(kind):
                    m.d.comb += answer.eq(packet)
        return answer
