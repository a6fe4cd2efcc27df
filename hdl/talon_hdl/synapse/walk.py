"""The walk through the rows of a job: runs of words, and with feature maps taps of two axes."""

from amaranth.hdl import Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams, bits_for
from talon_hdl.synapse.job import job_layout

_JOB, _WORD, _TAP, _LINE = range(4)


class RowWalk(wiring.Component):
    """Give the weight word and the accumulator row of each row of a job, one a cycle.

    ``rows`` words follow each other; with feature maps that run is repeated ``n_x`` times, and all
    of it ``n_y`` times, each time a step further on from where the last one began. Where a tap and
    where a line of taps began are registers that take the same sum as the address itself, so one
    adder serves all loops.

    Members
    -------
    job : :py:`In(job_layout)`
        The next job.
    load : :py:`In(1)`
        Strobe: begin it.
    step : :py:`In(1)`
        Strobe: on to the next row.
    address, row : :py:`Out`
        Weight word and accumulator row at hand.
    last_word : :py:`Out(1)`
        It is the last of its run.
    last : :py:`Out(1)`
        It is the last row of the job.
    """

    job: data.View
    load: Signal
    step: Signal
    address: Signal
    row: Signal
    last_word: Signal
    last: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        super().__init__(
            {
                "job": In(job_layout(params)),
                "load": In(1),
                "step": In(1),
                "address": Out(bits_for(params.weight_words)),
                "row": Out(bits_for(params.acc_rows)),
                "last_word": Out(1),
                "last": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        if self._params.has_maps:
            self._map(m)
            return m
        rows = Signal(len(self.job.rows))  # complement of the rows left, which counts up
        m.d.comb += [self.last_word.eq(~rows == 1), self.last.eq(self.last_word)]
        with m.If(self.load):
            m.d.sync += [
                self.address.eq(self.job.address),
                self.row.eq(self.job.row),
                rows.eq(~self.job.rows),
            ]
        with m.Elif(self.step):
            m.d.sync += [
                self.address.eq(self.address + 1),
                self.row.eq(self.row + 1),
                rows.eq(rows + 1),
            ]
        return m

    def _map(self, m: Module) -> None:
        job = Signal(job_layout(self._params))
        last_x, last_y = Signal(), Signal()
        with m.If(self.load):
            m.d.sync += job.eq(self.job)
        word_on = self.step & self.last_word
        x_on = word_on & last_x
        _count(m, self.job.rows, job.rows, self.last_word, load=self.load, step=self.step)
        for axis, last, step in (("n_x", last_x, word_on), ("n_y", last_y, x_on)):
            ahead = Mux(self.job.map, self.job[axis], 1)
            _count(m, ahead, job[axis], last, load=self.load, step=step)
        m.d.comb += self.last.eq(self.last_word & last_x & last_y)
        # What is added to what, in two bits: then a bit of the sum and its operands are two LUTs.
        advance = Signal(2)
        m.d.comb += advance.eq(
            Mux(self.load, _JOB, Mux(self.last_word, Mux(last_x, _LINE, _TAP), _WORD))
        )
        for at, start, x_step, y_step in (
            (self.address, self.job.address, job.x_weight, job.y_weight),
            (self.row, self.job.row, job.x_row, job.y_row),
        ):
            tap, line, following = (Signal.like(at, name=f"{at.name}_{k}") for k in "xyn")
            m.d.comb += following.eq(
                _chosen(advance, 0, at, tap, line) + _chosen(advance, start, 1, x_step, y_step)
            )
            with m.If(self.load | self.step):
                m.d.sync += at.eq(following)
            with m.If(self.load | (self.step & advance[1])):
                m.d.sync += tap.eq(following)
            with m.If(self.load | (self.step & advance.all())):
                m.d.sync += line.eq(following)


def _chosen(advance: Signal, job: ValueLike, word: ValueLike, tap: ValueLike, line: ValueLike):
    return Mux(advance[1], Mux(advance[0], line, tap), Mux(advance[0], word, job))


def _count(
    m: Module, ahead: Value, count: Value, last: Signal, *, load: Value, step: Value
) -> None:
    """Count ``count`` steps round and round; ``last`` is a register, as it chooses in every adder.

    ``ahead`` is the count that is loaded.
    """
    number, only = Signal.like(count, name=f"{last.name}_number"), Signal(name=f"{last.name}_only")
    with m.If(load):
        m.d.sync += [number.eq(2), last.eq(ahead == 1), only.eq(ahead == 1)]
    with m.Elif(step):
        m.d.sync += [number.eq(number + 1), last.eq(number == count)]  # number of the next step
        with m.If(last):
            m.d.sync += [number.eq(2), last.eq(only)]
