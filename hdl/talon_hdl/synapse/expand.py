"""From a row and its weight word to what every lane multiplies, and where it adds."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams, bits_for
from talon_hdl.shapes import view
from talon_hdl.synapse.job import RowKind, row_layout


def lanes_layout(params: ArrayParams) -> data.StructLayout:
    """Return one row of work for all lanes: ``acc[row of the lane] += value * weight``.

    ``clear`` shows the accumulators, and sets them to zero instead; without ``valid`` they are
    only shown.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "clear": 1,
            "slot": bits_for(params.n_slots),
            "value": signed(params.acc_width),
            "rows": data.ArrayLayout(bits_for(params.n_rows), params.lanes),
            "weights": data.ArrayLayout(signed(params.weight_width), params.lanes),
        }
    )


class LaneExpander(wiring.Component):
    """Give every lane its weight (zero: nothing to add) and its accumulator row; one cycle.

    Members
    -------
    ahead : :py:`In(row_layout)`
        What ``i`` will be in the next cycle.
    i : :py:`In(row_layout)`
        The row.
    word : :py:`In(8 * word_bytes)`
        Its weight word.
    o : :py:`Out(lanes_layout)`
        Work for the lanes.
    n_synapses : :py:`Out(range(lanes + 1))`
        Synaptic operations of ``o``.
    """

    ahead: data.View
    i: data.View
    word: Signal
    o: data.View
    n_synapses: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        super().__init__(
            {
                "ahead": In(row_layout(params)),
                "i": In(row_layout(params)),
                "word": In(params.lanes * params.weight_width),
                "o": Out(lanes_layout(params)),
                "n_synapses": Out(range(params.lanes + 1)),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        lanes, width = self._params.lanes, self._params.weight_width
        layout = MemoryLayouts(self._params).synapse
        sparse = self.i.kind == RowKind.SPARSE
        keep = self.i.keep if self._params.has_maps else Const(0)
        # Which of word, synapse, single weight and zero a lane takes: two bits, known a cycle
        # before, so that a bit of a weight is one LUT of six inputs.
        single, chosen = Signal(), Signal(lanes)
        m.d.sync += single.eq(self.ahead.kind == RowKind.SINGLE)
        for lane in range(lanes):
            one = (self.ahead.kind == RowKind.SINGLE) & (self.ahead.lane == lane)
            m.d.sync += chosen[lane].eq(one | (self.ahead.kind == RowKind.SPARSE))
        m.d.sync += [
            # A row that keeps what it fetches is none to those behind it: nothing is written.
            self.o.valid.eq(self.i.valid & ~keep),
            self.o.clear.eq(self.i.valid & (self.i.kind == RowKind.CLEAR)),
            self.o.slot.eq(self.i.slot),
            self.o.value.eq(self.i.value),
        ]
        for lane in range(lanes):
            part, k = divmod(lane, self._params.synapses_per_word)
            entry = view(layout, self.word.word_select(k, layout.width))
            weight = Signal(signed(width), name=f"weight_{lane}")
            with m.If(single):
                m.d.comb += weight.eq(Mux(chosen[lane], self.i.weight, 0))
            with m.Elif(chosen[lane]):
                m.d.comb += weight.eq(Mux(entry.part == part, entry.weight, 0))
            with m.Else():
                m.d.comb += weight.eq(self.word.word_select(lane, width).as_signed())
            m.d.sync += [
                self.o.weights[lane].eq(weight),
                self.o.rows[lane].eq(Mux(sparse, entry.row, self.i.row)),
            ]
        self._count(m, layout, sparse)
        return m

    def _count(self, m: Module, layout, sparse) -> None:
        """Count synapses; weights that are not zero where the row does not say how many it has."""
        params = self._params
        nonzero = [
            view(layout, self.word.word_select(k, layout.width)).weight != 0
            for k in range(params.synapses_per_word)
        ]
        by_weight = sparse
        if params.has_maps:  # the weights between those of the synapses count as well
            width, every = params.weight_width, params.lanes // params.synapses_per_word
            nonzero += [
                self.i.counted & (self.word.word_select(lane, width) != 0)
                for lane in range(params.lanes)
                if lane % every
            ]
            by_weight |= self.i.counted
        n_weights = sum(nonzero, Const(0, 1))
        with m.If(~self.i.valid | (self.i.kind == RowKind.CLEAR)):
            m.d.sync += self.n_synapses.eq(0)
        with m.Elif(by_weight):
            m.d.sync += self.n_synapses.eq(n_weights)
        with m.Else():
            m.d.sync += self.n_synapses.eq(self.i.n_synapses)
