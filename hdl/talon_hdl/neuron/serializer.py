"""From beats of updated neurons to packets: probes, routes, read-outs, partial sums, tokens."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import Emit, MemoryLayouts
from talon.arch.packet import Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.table import ConfigPort, ConfigPortSignature, Table
from talon_hdl.neuron.pool import shown, window_bits
from talon_hdl.neuron.scheduler import run_layout
from talon_hdl.neuron.update import beat_layout
from talon_hdl.shapes import packed, view


class Item(enum.Enum, shape=3):
    """What becomes a packet; chosen a cycle before, so that the packet's bits are no logic."""

    VALUE = 0  # to the host
    SPIKE = 1
    HOST_SPIKE = 2
    PSUM = 3
    TOKEN = 4
    HOST_TOKEN = 5


class Serializer(wiring.Component):
    """Send what a group has to send, in neuron order; then its tokens. One packet a cycle.

    A route that does not hold the neuron costs a cycle and sends nothing. With feature maps routes
    hold positions instead, and windows of payloads are what neurons send.

    Members
    -------
    i : :py:`In(stream.Signature(beat_layout))`
        Updated neurons.
    run, start : :py:`In`
        The group, held while it runs; strobe.
    finished : :py:`In(1)`
        No more beats will come for ``run``.
    probe : :py:`In(1)`
        Every neuron sends its potential first.
    core : :py:`In(range(n_cores))`
        Number of this core.
    routes, tokens : :class:`~talon_hdl.core.table.ConfigPortSignature`
        The ROUTE and TOKEN memories.
    o : :py:`Out(stream.Signature(packet width))`
        Packets.
    done : :py:`Out(1)`
        Strobe: the last token of ``run`` is in the output register.
    busy : :py:`Out(1)`
        A packet is under way.
    """

    i: stream.Interface
    run: data.View
    start: Signal
    finished: Signal
    probe: Signal
    core: Signal
    routes: ConfigPort
    tokens: ConfigPort
    o: stream.Interface
    done: Signal
    busy: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        self._layouts = layouts = MemoryLayouts(params)
        self._packets = PacketLayouts(params)
        # With tables the bit above those of a payload is its sign.
        self._payload = (signed if params.table_activation else unsigned)(window_bits(params))
        self._neuron = bits_for(params.n_accumulators)
        self._slot = bits_for(params.n_slots)
        super().__init__(
            {
                "i": In(stream.Signature(beat_layout(params))),
                "run": In(run_layout(params)),
                "start": In(1),
                "finished": In(1),
                "probe": In(1),
                "core": In(bits_for(params.n_cores)),
                "routes": In(ConfigPortSignature(layouts.route.width)),
                "tokens": In(ConfigPortSignature(layouts.token.width)),
                "o": Out(stream.Signature(self._packets.width)),
                "done": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        neuron = self._item_layout()
        m.d.comb += [self.busy.eq(self.o.valid)]
        item, item_valid, item_ready = Signal(neuron), Signal(), Signal()
        source, source_valid, source_done = Signal(neuron), Signal(), Signal()
        self._pick(m, source, source_valid, source_done)
        self._expand(m, source, source_valid, source_done, item, item_valid, item_ready)
        self._send(m, item, item_valid, item_ready)
        return m

    def _item_layout(self) -> data.StructLayout:
        maps = {"position": self._params.index_width, "payload": self._payload}
        return data.StructLayout(
            {
                "item": Item,
                "routed": 1,  # by a route, which may not hold the neuron
                "probe": 1,
                "emit": 1,
                "spike": 1,
                "neuron": self._neuron,
                "value": signed(self._params.v_width),
                **(maps if self._params.has_maps else {}),
            }
        )

    def _pick(self, m: Module, source, source_valid: Signal, source_done: Signal) -> None:
        """Take the neurons of a beat that have something to send one by one."""
        lanes = self._params.update_lanes
        beat = self.i.payload
        sent, pending, first = Signal(lanes), Signal(lanes), Signal(lanes)
        m.d.comb += [pending.eq(beat.send & ~sent), first.eq(pending & -pending)]
        last = pending == first
        ready = ~source_valid | source_done
        value, spike, number = (
            Signal(signed(self._params.v_width)),
            Signal(),
            Signal(range(lanes)),
        )
        for i in reversed(range(lanes)):
            with m.If(pending[i]):
                m.d.comb += [value.eq(beat.v[i]), spike.eq(beat.spikes[i]), number.eq(i)]
        emit, n_routes = self.run.descriptor.emit, self.run.descriptor.n_routes
        has_routes = n_routes != 0
        if self._params.has_maps:
            sends = self._pick_payload(m, source, pending, number, ready)
        else:
            sends = spike
        m.d.comb += self.i.ready.eq(ready & last)
        with m.If(ready):
            m.d.sync += source_valid.eq(self.i.valid)
            with m.If(self.i.valid):
                m.d.sync += [
                    sent.eq(Mux(last, 0, sent | first)),
                    source.neuron.eq(Cat(number[: (lanes - 1).bit_length()], beat.beat)),
                    source.value.eq(value),
                    source.spike.eq(spike),
                    source.probe.eq(self.probe & (emit != Emit.PSUM)),
                    source.emit.eq(
                        (emit == Emit.READOUT) | (has_routes & (sends | (emit == Emit.PSUM)))
                    ),
                ]

    def _pick_payload(self, m: Module, source, pending, number, ready) -> Value:
        """Take the neuron's payload and position along; return whether there is a payload."""
        beat, params = self.i.payload, self._params
        window, emits = Signal(len(source.payload)), Signal()
        for i in reversed(range(params.update_lanes)):
            with m.If(pending[i]):
                m.d.comb += [window.eq(beat.windows[i]), emits.eq(beat.emit[i])]
        payload = shown(window, self.run.descriptor.pool_sum)
        lane_bits = (params.update_lanes - 1).bit_length()
        beat_bits = (params.lanes // params.update_lanes - 1).bit_length()
        lane = Cat(number[:lane_bits], beat.beat[:beat_bits])
        with m.If(ready):
            m.d.sync += [source.payload.eq(payload), source.position.eq(beat.position + lane)]
        return emits

    def _expand(
        self, m: Module, source, source_valid, source_done, item, item_valid, item_ready
    ) -> None:
        """For the neuron at hand: its probe, then its value or its routes. At the end, tokens."""
        descriptor = self.run.descriptor
        layouts, params = self._layouts, self._params
        m.submodules.routes = routes = Table(width=layouts.route.width, depth=params.n_routes)
        m.submodules.tokens = tokens = Table(width=layouts.token.width, depth=params.n_tokens)
        wiring.connect(m, wiring.flipped(self.routes), routes.config)
        wiring.connect(m, wiring.flipped(self.tokens), tokens.config)
        self._route, self._token = Signal(layouts.route.width), Signal(layouts.token.width)
        route, token = Signal.like(routes.addr), Signal.like(tokens.addr)
        # Complements of what is left: counting up is smaller than counting down.
        routes_done = Signal(range(params.n_routes + 1))
        tokens_done = Signal(range(params.n_tokens + 1))
        routes_left, tokens_left = ~routes_done, ~tokens_done
        m.d.comb += [routes.addr.eq(route), tokens.addr.eq(token)]

        readout = descriptor.emit == Emit.READOUT
        last_step = Mux(source.probe, ~source.emit, readout | ~source.emit | (routes_left == 1))
        m.d.comb += source_done.eq(source_valid & item_ready & last_step)
        restart = self.start | source_done | ~source_valid
        with m.If(restart):
            m.d.sync += [route.eq(descriptor.route_start), routes_done.eq(~descriptor.n_routes)]
        with m.Elif(item_ready & ~source.probe):
            m.d.sync += [route.eq(route + 1), routes_done.eq(routes_done + 1)]

        active = Signal()
        at_end = active & self.finished & ~self.i.valid & ~source_valid
        with m.If(self.start):
            m.d.sync += [
                active.eq(1),
                token.eq(descriptor.token_start),
                tokens_done.eq(~descriptor.n_tokens),
            ]
        with m.Elif(self.done):
            m.d.sync += active.eq(0)
        m.d.comb += self.done.eq(at_end & (tokens_left == 0) & ~item_valid)

        with m.If(item_ready):
            m.d.sync += [
                item_valid.eq(source_valid & (source.probe | source.emit)),
                item.eq(source),
                item.routed.eq(~(source.probe | readout)),
                self._route.eq(routes.data),
                self._token.eq(tokens.data),
            ]
            self._choose(m, source, item, view(layouts.route, routes.data).host)
            with m.If(at_end & (tokens_left != 0)):
                to_host = view(layouts.token, tokens.data).host
                m.d.sync += [
                    item_valid.eq(1),
                    item.item.eq(Mux(to_host, Item.HOST_TOKEN, Item.TOKEN)),
                    item.routed.eq(0),
                    token.eq(token + 1),
                    tokens_done.eq(tokens_done + 1),
                ]
            with m.If(source_valid & ~source_done):
                m.d.sync += source.probe.eq(0)

    def _choose(self, m: Module, source, item, to_host: Value) -> None:
        """Choose what the neuron at hand sends; with feature maps, give routes its payload.

        For the host, the payload of a GRADED or COUNT group is a value, although a route's.
        """
        emit = self.run.descriptor.emit
        graded = (emit == Emit.GRADED) if self._params.has_maps else Const(0, 1)
        if self._params.multi_spike:
            graded |= emit == Emit.COUNT
        with m.If(source.probe | (emit == Emit.READOUT) | (graded & to_host)):
            m.d.sync += item.item.eq(Item.VALUE)
        with m.Elif(emit == Emit.PSUM):
            m.d.sync += item.item.eq(Item.PSUM)
        with m.Else():
            m.d.sync += item.item.eq(Mux(to_host, Item.HOST_SPIKE, Item.SPIKE))
        if self._params.has_maps:
            with m.If(~source.probe & ((emit == Emit.SPIKE) | graded)):
                m.d.sync += [item.value.eq(source.payload), item.spike.eq(1)]

    def _send(self, m: Module, item, item_valid: Signal, item_ready: Signal) -> None:
        """Form the packet and hold it until it is taken."""
        route = view(self._layouts.route, self._route)
        slot = self.run.slot
        place = item.position if self._params.has_maps else item.neuron
        matches = (route.first <= place) & (place <= route.last)
        dropped = item.routed & ~matches
        sending = ~self.o.valid | self.o.ready
        m.d.comb += item_ready.eq(~item_valid | dropped | sending)
        with m.If(sending):
            m.d.sync += self.o.valid.eq(item_valid & ~dropped)
            m.d.sync += self.o.payload.eq(self._packet(m, item, route, slot))

    def _packet(self, m: Module, item, route, slot) -> Signal:
        packets = self._packets
        token = view(self._layouts.token, self._token)
        packet = Signal(packets.width)
        index = Signal(self._params.index_width)
        has_maps = self._params.has_maps
        m.d.comb += index.eq((item.position if has_maps else item.neuron) + route.offset)
        masks = {"xmask": route.xmask, "ymask": route.ymask}
        target = {**masks, "slot": slot + route.delay}
        sender = {"core": self.core, "slot": slot}
        when = slot + token.delta
        with m.Switch(item.item):
            with m.Case(Item.VALUE):
                fields = {
                    **sender,
                    "neuron": item.neuron,
                    "value": item.value,
                    "spike": item.spike,
                    "probe": item.probe,
                }
                m.d.comb += packet.eq(_of(packets, Kind.HOST_VALUE, fields))
            with m.Case(Item.PSUM):
                fields = {
                    **target,
                    "slot": self._kept(target["slot"]),
                    "neuron": self._wrapped(index),
                    "value": item.value,
                }
                m.d.comb += packet.eq(_of(packets, Kind.PSUM, fields))
            with m.Case(Item.HOST_SPIKE):
                fields = {**sender, "neuron": item.neuron}
                m.d.comb += packet.eq(_of(packets, Kind.HOST_SPIKE, fields))
            with m.Case(Item.SPIKE):
                payload = item.value[: self._payload.width] if has_maps else 1
                fields = {**target, "edge": route.edge, "index": index, "payload": payload}
                m.d.comb += packet.eq(_of(packets, Kind.SPIKE, fields))
            with m.Case(Item.HOST_TOKEN):
                fields = {
                    "core": self.core,
                    "slot": when,
                    "group": self.run.group,
                    "credit": token.credit,
                }
                m.d.comb += packet.eq(_of(packets, Kind.HOST_TOKEN, fields))
            with m.Default():
                fields = {
                    "xmask": token.xmask,
                    "ymask": token.ymask,
                    "slot": when,
                    "group": token.group,
                    "credit": token.credit,
                }
                m.d.comb += packet.eq(_of(packets, Kind.TOKEN, fields))
        return packet

    def _wrapped(self, index: Signal):
        n_neurons = self._params.n_accumulators
        return index if n_neurons == 1 << self._neuron else index % n_neurons

    def _kept(self, slot: Value) -> Value:
        """Return the slot that a partial sum is for, of those that its group keeps."""
        if not self._params.has_maps:
            return slot
        slots = self.run.descriptor.slots
        return slot[: self._slot] & Cat(slots > i for i in range(self._slot))


def _of(packets: PacketLayouts, kind: Kind, fields):
    return packed(packets.of_kind[kind], {"kind": Const(kind, 3), **fields})
