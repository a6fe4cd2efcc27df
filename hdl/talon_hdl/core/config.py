"""Configuration of a core: sections under CRC-32, read back, arming."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import (
    Counter,
    Memory,
    MemoryLayouts,
    depth_of,
    loaded,
    words_per_entry,
)
from talon.arch.packet import ConfigOp, Kind, PacketLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.core.crc import CRC32
from talon_hdl.core.table import ENTRY_WIDTH, ConfigPort, ConfigPortSignature
from talon_hdl.shapes import combined, packed, struct

_WORD = 32
_CRC_WORD = 16  # bits a cycle: half as many cost half the LUTs, and nobody waits for them
_READ_LATENCY = 7  # four cycles for the slowest memory, see ConfigPortSignature; three here


class ConfigUnit(wiring.Component):
    """Execute CONFIG packets.

    A WRITE clears the mark that its memory is good; only a COMMIT with the right CRC sets it. The
    CRC runs over the operands of SELECT and WRITE, so that a wrong place is found as well.
    An ARM that is refused also disarms.

    Members
    -------
    i : :py:`In(stream.Signature(config packet))`
        CONFIG packets. A WRITE takes two cycles, others one; none is taken during a read back.
    o : :py:`Out(stream.Signature(packet width))`
        HOST_CONFIG packets.
    weight, record, edge, group, route, token, init, axis
        A :class:`~talon_hdl.core.table.ConfigPortSignature` for each memory of the array.
    counter, count : :py:`Out`, :py:`In`
        Counter to read, and its value.
    core : :py:`In(range(n_cores))`
        Number of this core.
    unarmed : :py:`In(1)`
        Strobe: a packet came to a core that is not armed.
    armed, probe : :py:`Out(1)`
        The core runs; every neuron sends its potential.
    sweep_rows : :py:`Out`
        Accumulator rows that a reset of the state has to clear; zero stands for all.
    arm, clear_counters : :py:`Out(1)`
        Strobes: the core is armed just now; the counters are to be cleared.
    busy : :py:`Out(1)`
        A word is read back or written.
    error : :py:`Out(1)`
        Some error bit of the status is set.
    """

    i: stream.Interface
    o: stream.Interface
    counter: Signal
    count: Signal
    weight: ConfigPort
    record: ConfigPort
    edge: ConfigPort
    group: ConfigPort
    route: ConfigPort
    token: ConfigPort
    init: ConfigPort
    axis: ConfigPort
    table: ConfigPort
    core: Signal
    unarmed: Signal
    armed: Signal
    probe: Signal
    sweep_rows: Signal
    arm: Signal
    clear_counters: Signal
    busy: Signal
    error: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        self._packets = PacketLayouts(params)
        self._layouts = MemoryLayouts(params)
        self._loaded = loaded(params)
        self._n_words = {memory: words_per_entry(memory, params) for memory in self._loaded}
        widths = {memory: layout.width for memory, layout in self._layouts.of_memory.items()}
        widths[Memory.WEIGHT] = params.lanes * params.weight_width
        super().__init__(
            {
                "i": In(stream.Signature(self._packets.config.width)),
                "o": Out(stream.Signature(self._packets.width)),
                **{
                    memory.name.lower(): Out(ConfigPortSignature(widths[memory]))
                    for memory in self._loaded
                },
                "counter": Out(range(len(Counter))),
                "count": In(_WORD),
                "core": In(bits_for(params.n_cores)),
                "unarmed": In(1),
                "armed": Out(1),
                "probe": Out(1),
                "sweep_rows": Out(bits_for(max(params.n_rows, params.n_groups))),
                "arm": Out(1),
                "clear_counters": Out(1),
                "busy": Out(1),
                "error": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        command = data.View(struct(self._packets.config), self.i.payload)
        self._memory = Signal(4)
        self._entry = Signal(ENTRY_WIDTH)
        self._word = Signal(range(max(self._n_words.values())))
        self._last_word = Signal()
        self._status = Signal(struct(self._layouts.status))
        m.submodules.crc = self._crc = CRC32(_CRC_WORD)

        reading = self._read_back(m)
        take = Signal()
        is_checked = (command.op == ConfigOp.WRITE) | (command.op == ConfigOp.SELECT)
        part = Signal(range(_WORD // _CRC_WORD))  # of the operand that is checked
        m.d.comb += [
            self.i.ready.eq(~reading & (~is_checked | part.all())),
            take.eq(self.i.valid & self.i.ready),
            self.armed.eq(self._status.armed),
            self._crc.data.eq(command.data.word_select(part, _CRC_WORD)),
            self._crc.valid.eq(self.i.valid & ~reading & is_checked),
            self.counter.eq(self._entry),
        ]
        with m.If(self._crc.valid):
            m.d.sync += part.eq(part + 1)
        self._count_words(m)
        writing = self._write(m, command, take)
        with m.If(take):
            self._execute(m, command)
        with m.If(self.unarmed):
            m.d.sync += self._status.unarmed_event.eq(1)
        status = self._status
        m.d.comb += [
            self.busy.eq(reading | writing),
            self.error.eq(
                status.crc_error | status.hash_error | status.incomplete | status.unarmed_event
            ),
        ]
        return m

    def _execute(self, m: Module, command) -> None:
        status = self._status
        with m.Switch(command.op):
            with m.Case(ConfigOp.SELECT):
                m.d.sync += [
                    self._memory.eq(command.data[28:]),
                    self._entry.eq(command.data),
                    self._word.eq(0),
                ]
            with m.Case(ConfigOp.WRITE):
                self._mark(m, good=False)
                self._advance(m)
            with m.Case(ConfigOp.COMMIT):
                m.d.comb += self._crc.start.eq(1)
                with m.If(self._crc.crc == command.data):
                    self._mark(m, good=True)
                with m.Else():
                    m.d.sync += status.crc_error.eq(1)
            with m.Case(ConfigOp.READ):
                m.d.comb += self._crc.start.eq(1)
                m.d.sync += self._words_left.eq(~command.data)
            with m.Case(ConfigOp.ARM):
                matches = command.data == self._params.hardware_hash
                complete = status.good.all()
                m.d.comb += self.arm.eq(matches & complete)
                m.d.sync += [status.armed.eq(matches & complete), self.sweep_rows.eq(0)]
                with m.If(~matches):
                    m.d.sync += status.hash_error.eq(1)
                with m.If(~complete):
                    m.d.sync += status.incomplete.eq(1)
            with m.Case(ConfigOp.DISARM):
                m.d.comb += self._crc.start.eq(1)
                m.d.sync += status.eq(Const(0, self._layouts.status.width))
            with m.Case(ConfigOp.CONTROL):
                m.d.sync += [
                    self.probe.eq(command.data[0]),
                    self.sweep_rows.eq(command.data[16:]),
                ]
                m.d.comb += self.clear_counters.eq(command.data[1])

    def _mark(self, m: Module, *, good: bool) -> None:
        for i, memory in enumerate(self._loaded):
            with m.If(self._memory == memory):
                m.d.sync += self._status.good[i].eq(good)

    def _count_words(self, m: Module) -> None:
        """Find out whether this is the last word of an entry of the selected memory."""
        m.d.comb += self._last_word.eq(1)  # STATUS, COUNTER
        with m.Switch(self._memory):
            for memory, n_words in self._n_words.items():
                with m.Case(memory):
                    m.d.comb += self._last_word.eq(self._word == n_words - 1)

    def _advance(self, m: Module) -> None:
        with m.If(self._last_word):
            m.d.sync += [self._word.eq(0), self._entry.eq(self._entry + 1)]
        with m.Else():
            m.d.sync += self._word.eq(self._word + 1)

    def _write(self, m: Module, command, take: Signal) -> Value:
        """Collect the words of an entry; write it in the cycle after its last word."""
        is_write = take & (command.op == ConfigOp.WRITE)  # with its last part
        n_words = max(self._n_words.values())
        words = Signal(data.ArrayLayout(_WORD, n_words))
        entry = Signal(ENTRY_WIDTH)
        strobe, lend = Signal(len(self._loaded)), Signal(len(self._loaded))
        chosen = Cat(self._memory == memory for memory in self._loaded)
        m.d.sync += [
            entry.eq(self._entry),
            strobe.eq(chosen & (is_write & self._last_word).replicate(len(self._loaded))),
        ]
        m.d.comb += lend.eq(strobe | (chosen & self._reading.replicate(len(self._loaded))))
        with m.If(is_write):
            m.d.sync += words[self._word].eq(command.data)
        for i, memory in enumerate(self._loaded):
            port = getattr(self, memory.name.lower())
            m.d.comb += [
                port.en.eq(lend[i]),
                port.addr.eq(Mux(strobe.any(), entry, self._entry)),
                port.w_en.eq(strobe[i]),
                port.w_data.eq(Cat(words[k] for k in range(self._n_words[memory]))),
            ]
        return strobe.any()

    def _read_back(self, m: Module) -> Signal:
        """Read word by word: wait for the memory, send, step on."""
        longest = max(n * depth_of(memory, self._params) for memory, n in self._n_words.items())
        # Complement of the count: an increment is smaller than a decrement.
        width = bits_for(longest + 1)
        self._words_left = words_left = Signal(width, init=(1 << width) - 1)
        self._reading = reading = Signal()
        wait = Signal(range(_READ_LATENCY + 1), init=_READ_LATENCY)
        value = Signal(_WORD)
        m.d.comb += reading.eq(~words_left.all())
        fields = {"kind": Const(Kind.HOST_CONFIG, 3), "core": self.core, "data": value}
        m.d.comb += self.o.payload.eq(packed(self._packets.host_config, fields))
        m.d.sync += value.eq(self._selected_word(m))
        with m.If(reading):
            with m.If(wait != 0):
                m.d.sync += wait.eq(wait - 1)
            with m.Else():
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.d.sync += [wait.eq(_READ_LATENCY), words_left.eq(words_left + 1)]
                    self._advance(m)
        return reading

    def _selected_word(self, m: Module) -> Value:
        """Choose among the words of the entries that all memories show.

        Words that are not chosen are held at zero, by the reset of their registers; what is left
        is an OR, half as large as a multiplexer.
        """
        shown: list[tuple[Memory, int, Value]] = [
            (Memory.STATUS, 0, Value.cast(self._status)),
            (Memory.COUNTER, 0, self.count),
        ]
        for memory, n_words in self._n_words.items():
            entry = getattr(self, memory.name.lower()).r_data
            shown += [(memory, k, entry[k * _WORD : (k + 1) * _WORD]) for k in range(n_words)]
        words = []
        for memory, number, word in shown:
            held = Signal(len(word), name=f"{memory.name.lower()}_{number}")
            chosen = Signal(name=f"{memory.name.lower()}_{number}_chosen")
            m.d.sync += chosen.eq((self._memory == memory) & (self._word == number))
            m.d.sync += held.eq(word)
            with m.If(~chosen):
                m.d.sync += held.eq(0)
            words.append(held)
        return combined(words)
