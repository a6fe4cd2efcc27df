"""The walk through the rows of a job: runs of words, and with feature maps taps of two axes."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams, bits_for
from talon_hdl.synapse.job import job_layout


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
        self._has_maps = params.has_maps
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
        rows = Signal(len(self.job.rows))  # complement of the rows left, which counts up
        m.d.comb += self.last_word.eq(~rows == 1)
        if self._has_maps:
            self._map(m, rows)
            return m
        m.d.comb += self.last.eq(self.last_word)
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

    def _map(self, m: Module, rows: Signal) -> None:
        job = Signal(self.job.shape())
        n_x, n_y = Signal(len(job.n_x)), Signal(len(job.n_y))  # complements of the taps left
        last_x, last_y = Signal(), Signal()
        m.d.comb += [
            last_x.eq(~job.map | (~n_x == 1)),
            last_y.eq(~job.map | (~n_y == 1)),
            self.last.eq(self.last_word & last_x & last_y),
        ]
        with m.If(self.load):
            m.d.sync += [
                job.eq(self.job),
                rows.eq(~self.job.rows),
                n_x.eq(~self.job.n_x),
                n_y.eq(~self.job.n_y),
            ]
        with m.Elif(self.step):
            m.d.sync += rows.eq(Mux(self.last_word, ~job.rows, rows + 1))
            with m.If(self.last_word):
                m.d.sync += n_x.eq(Mux(last_x, ~job.n_x, n_x + 1))
                with m.If(last_x):
                    m.d.sync += n_y.eq(n_y + 1)
        for at, start, x_step, y_step in (
            (self.address, self.job.address, job.x_weight, job.y_weight),
            (self.row, self.job.row, job.x_row, job.y_row),
        ):
            tap, line, following = (Signal.like(at, name=f"{at.name}_{k}") for k in "xyn")
            begin = Mux(self.last_word, Mux(last_x, line, tap), at)
            m.d.comb += following.eq(
                Mux(
                    self.load,
                    start,
                    begin + Mux(self.last_word, Mux(last_x, y_step, x_step), 1),
                )
            )
            with m.If(self.load | self.step):
                m.d.sync += at.eq(following)
            with m.If(self.load | (self.step & self.last_word)):
                m.d.sync += tap.eq(following)
            with m.If(self.load | (self.step & self.last_word & last_x)):
                m.d.sync += line.eq(following)
