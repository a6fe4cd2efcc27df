"""From jobs to rows: one row, pointer fetch or accumulator fetch in every cycle."""

from amaranth.hdl import Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from talon.arch.params import ArrayParams, bits_for
from talon_hdl.stream import Queue
from talon_hdl.synapse.job import (
    JobKind,
    RowKind,
    fetch_layout,
    job_layout,
    row_layout,
    token_layout,
)
from talon_hdl.synapse.page import high_of, row_in_page
from talon_hdl.synapse.walk import RowWalk

_POINTERS = 4  # fetched ahead: covers the latency of the weight memory


def list_layout(params: ArrayParams) -> data.StructLayout:
    """Return a pointer that has come back, the packed words of one SPARSE event.

    Or, with ``token``, a token that waits for the lists before it, which is the ``payload`` then.
    """
    payload = max(params.payload_width, token_layout(params).size)
    return data.StructLayout(
        {
            "token": 1,
            "address": bits_for(params.weight_words),
            "count": 16,
            "slot": bits_for(params.n_slots),
            "payload": signed(payload),
        }
    )


class RowStreamer(wiring.Component):
    """Issue rows, in every cycle if there is one.

    Priority: accumulator fetches of the neuron engine, pointer fetches (so that they run ahead),
    rows of SPARSE events, rows of the job at hand. A token waits until the events before it have
    issued all their rows: if there are lists among these and jobs behind it, it waits as one of the
    lists, and the jobs go on. Rows never stall once issued.

    Members
    -------
    i : :py:`In(stream.Signature(job_layout))`
        Jobs.
    fetch : :py:`In(stream.Signature(fetch_layout, always_ready=True))`
        Accumulator rows to fetch and clear.
    lists : :py:`In(stream.Signature(list_layout, always_ready=True))`
        Pointers and tokens that came back. Empty lists are reported as such: ``count`` is zero.
    token : :py:`Out(stream.Signature(token_layout))`
        Tokens, behind the rows of all events before them.
    o : :py:`Out(row_layout)`
        The row issued in the cycle before.
    addr : :py:`Out(range(weight_words))`
        Its weight word.
    busy : :py:`Out(1)`
        Some event has rows or pointers to issue.
    waiting : :py:`Out(1)`
        A job or list is here: the streamer is not empty.
    """

    i: stream.Interface
    fetch: stream.Interface
    lists: stream.Interface
    token: stream.Interface
    o: data.View
    addr: Signal
    busy: Signal
    waiting: Signal

    def __init__(self, params: ArrayParams) -> None:
        self._params = params
        super().__init__(
            {
                "i": In(stream.Signature(job_layout(params))),
                "fetch": In(stream.Signature(fetch_layout(params), always_ready=True)),
                "lists": In(stream.Signature(list_layout(params), always_ready=True)),
                "token": Out(stream.Signature(token_layout(params))),
                "o": Out(row_layout(params)),
                "addr": Out(bits_for(params.weight_words)),
                "busy": Out(1),
                "waiting": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        job = Signal(job_layout(self._params))
        job_valid = Signal()
        ahead_go, list_go, row_go = Signal(), Signal(), Signal()

        current, current_valid, all_listed = self._lists(m, ahead_go, list_go)
        is_row = job_valid & ((job.kind == JobKind.DENSE) | (job.kind == JobKind.SINGLE))
        room = Signal()
        m.d.comb += room.eq(self._credits != 0)
        is_pointer = job_valid & (job.kind == JobKind.POINTER)
        is_token = job_valid & (job.kind == JobKind.TOKEN)
        goes_ahead = Signal()
        m.d.comb += [
            goes_ahead.eq(is_pointer | (is_token & ~all_listed & self.i.valid)),
            ahead_go.eq(~self.fetch.valid & goes_ahead & room),
            list_go.eq(~self.fetch.valid & ~ahead_go & current_valid & ~current.token),
            row_go.eq(~self.fetch.valid & ~list_go & is_row),
            self.busy.eq(is_row | is_pointer | ~all_listed),
            self.waiting.eq(job_valid | ~all_listed),
        ]

        m.submodules.walk = walk = RowWalk(self._params)
        last_row = (job.kind == JobKind.SINGLE) | walk.last
        passed = self._token(m, job, is_token & all_listed, current, current_valid)
        done = ahead_go | (row_go & last_row) | passed | ~job_valid
        m.d.comb += [
            self.i.ready.eq(done),
            walk.job.eq(self.i.payload),
            walk.load.eq(done),
            walk.step.eq(row_go),
        ]
        with m.If(done):
            m.d.sync += [job.eq(self.i.payload), job_valid.eq(self.i.valid)]
        self._issue(m, job, walk, current, ahead_go=ahead_go, list_go=list_go, row_go=row_go)
        return m

    def _token(self, m: Module, job, of_job: Value, current, current_valid: Signal) -> Value:
        """Show the token at hand, that of a list or, if there is none, ``of_job``.

        Return whether that of the job is taken.
        """
        m.d.comb += [
            self.token.valid.eq(of_job | (current_valid & current.token)),
            self.token.payload.eq(Mux(current_valid, current.payload, job.value)),
        ]
        return of_job & self.token.ready

    def _lists(self, m: Module, ahead_go: Signal, list_go: Signal):
        """Queue of lists, the list at hand, and the credits that keep the queue from overflow."""
        m.submodules.lists = queue = Queue(list_layout(self._params), depth=_POINTERS)
        current = Signal(list_layout(self._params))
        current_valid = Signal()
        self._credits = Signal(range(_POINTERS + 1), init=_POINTERS)
        left = Signal(len(current.count))  # complement of the words left: that counts up
        empty = self.lists.valid & ~self.lists.payload.token & (self.lists.payload.count == 0)
        taken = Signal()
        load = Signal()
        m.d.comb += [
            queue.i.payload.eq(self.lists.payload),
            queue.i.valid.eq(self.lists.valid & ~empty),
            load.eq(~current_valid | Mux(current.token, self.token.ready, list_go & (~left == 1))),
            queue.o.ready.eq(load),
            taken.eq(queue.o.valid & load),
        ]
        with m.If(load):
            m.d.sync += [
                current.eq(queue.o.payload),
                left.eq(~queue.o.payload.count),
                current_valid.eq(queue.o.valid),
            ]
        with m.Elif(list_go):
            m.d.sync += [current.address.eq(current.address + 1), left.eq(left + 1)]
        # An empty list and one that is taken may give back a credit each in the same cycle.
        m.d.sync += self._credits.eq(self._credits + taken + empty - ahead_go)
        all_listed = (self._credits == _POINTERS) & ~current_valid
        return current, current_valid, all_listed

    def _issue(self, m: Module, job, walk: RowWalk, current, *, ahead_go, list_go, row_go) -> None:
        params = self._params
        slot, row = job.slot, walk.row
        if params.has_maps:
            slot, row = high_of(params, row) ^ job.slot, row_in_page(params, row)
            m.d.sync += [
                self.o.keep.eq(self.fetch.valid & self.fetch.payload.keep),
                self.o.counted.eq((job.kind == JobKind.DENSE) & ~list_go),
            ]
        m.d.sync += [
            self.o.valid.eq(self.fetch.valid | list_go | row_go),
            self.o.pointer.eq(ahead_go),
            self.o.token.eq(job.kind == JobKind.TOKEN),
            self.o.slot.eq(slot),
            self.o.row.eq(row),
            self.o.lane.eq(job.lane),
            self.o.weight.eq(job.weight),
            self.o.value.eq(job.value),
            self.o.n_synapses.eq(params.lanes),
            self.o.kind.eq(RowKind.DENSE),
            self.addr.eq(Mux(list_go, current.address, walk.address)),
        ]
        with m.If(self.fetch.valid):
            m.d.sync += [
                self.o.kind.eq(RowKind.CLEAR),
                self.o.slot.eq(self.fetch.payload.slot),
                self.o.row.eq(self.fetch.payload.row),
            ]
        with m.Elif(list_go):
            m.d.sync += [
                self.o.kind.eq(RowKind.SPARSE),
                self.o.slot.eq(current.slot),
                self.o.value.eq(current.payload),
            ]
        with m.Elif(job.kind == JobKind.SINGLE):
            m.d.sync += [self.o.kind.eq(RowKind.SINGLE), self.o.n_synapses.eq(1)]
        with m.Elif(walk.last_word):
            m.d.sync += self.o.n_synapses.eq(job.last_lanes)
