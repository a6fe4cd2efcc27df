"""What a component under proof says of its streams and queues: assertions to put into a module.

They are for components that :func:`talon_hdl.testing.prove` takes, and hold of any state, so
everything that is counted here is counted from the ports alone.
"""

from amaranth.hdl import Assert, Module, Mux, Signal, Value, ValueCastable


def held(m: Module, *, valid: Value, ready: Value, payload: Value | ValueCastable) -> None:
    """Assert that what is offered stays, unchanged, until it is taken."""
    value = Value.cast(payload)
    waits, before = Signal(), Signal(len(value))
    m.d.sync += [waits.eq(valid & ~ready), before.eq(value)]
    m.d.comb += Assert(~waits | (valid & (value == before)), "an offer stays")


class Ledger:
    """Account of a queue: all that enters leaves it, unchanged, in order and once.

    One entry is watched, which the proof chooses freely by ``choose``; so what is true of it is
    true of each.

    Parameters
    ----------
    m
        Module to which the account is added.
    depth
        Most entries inside.
    enters, entry
        An entry goes in, and its value.
    leaves, first
        An entry comes out, and its value.
    choose
        Free input: watch the entry that goes in.

    Attributes
    ----------
    level
        Entries inside, as counted here.
    """

    def __init__(
        self,
        m: Module,
        *,
        depth: int,
        enters: Value,
        entry: Value,
        leaves: Value,
        first: Value,
        choose: Value,
    ) -> None:
        self.level = level = Signal(range(depth + 2))
        watching = Signal()
        ahead = Signal(range(depth + 2))
        chosen, watched = Signal(), Signal(len(entry))
        m.d.sync += level.eq(level + enters - leaves)
        m.d.comb += [
            Assert(~leaves | level.any(), "what leaves has entered"),
            Assert(level <= depth, "no more inside than there is room for"),
            Assert(~watching | (ahead < level), "nothing is lost"),
        ]
        with m.If(watching & leaves):
            m.d.comb += Assert(ahead.any() | (first == watched), "in order, unchanged")
            m.d.sync += [ahead.eq(ahead - 1), watching.eq(ahead.any())]
        with m.If(enters & choose & ~chosen):
            m.d.sync += [
                watching.eq(1),
                chosen.eq(1),
                ahead.eq(level - Mux(leaves, 1, 0)),
                watched.eq(entry),
            ]
