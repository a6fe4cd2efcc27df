"""The sum of a leaky state: ``state * decay / 65536 + (acc << frac) + bias``, in five stages.

It is what two DSP slices compute. The first one's inputs are ``a``: two states, doubled, of which
one is zero (their sum is a choice), the decay factor, and, two cycles later, what is added to their
product. The second one's are ``b``, a cycle later: accumulator, power of two, and, two cycles later
again, what is subtracted if the last one says so; the product counts negative then, too. With an
``offset``, which comes with the accumulator, the product is that of their sum. The total comes five
cycles after the states.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed

from talon.arch.numerics import V_MAX, V_MIN
from talon_hdl.core.dsp import P_BITS, PRODUCT, W_C, Z_C, Z_CASCADE_SHIFTED, dsp48e2

SHIFT = 17
"""What the cascade of a DSP slice shifts by: one more than the decay has bits."""


def sum_in_slices(m: Module, total: Signal, *, a, b, offset: Signal | None = None) -> None:
    """Two slices; the second adds the first, shifted, through the cascade."""
    cascade = Signal(P_BITS)
    m.submodules.leak = dsp48e2(
        a=a[0],
        b=a[1],
        c=a[2],
        d=a[3],
        opmode=PRODUCT | Z_C,
        p=Signal(P_BITS, name="leaked"),
        cascade_out=cascade,
    )
    m.submodules.drive = dsp48e2(
        a=b[0],
        b=b[1],
        c=b[2],
        d=offset,
        subtract=b[3],
        opmode=Mux(b[3], PRODUCT | Z_CASCADE_SHIFTED | W_C, PRODUCT | Z_CASCADE_SHIFTED),
        a_registers=2 if offset is None else 1,  # that of the sum comes after
        cascade_in=cascade,
        p=total,
    )


def sum_inferred(m: Module, total: Signal, *, a, b, offset: Signal | None = None) -> None:
    """Do the same with what synthesis finds; the same registers as in the slices."""
    terms, decay = [Signal.like(a[0]), Signal.like(a[3])], [Signal(len(a[1])) for _ in range(2)]
    before, product = Signal.like(a[0]), Signal(signed(P_BITS))
    addend, leaked = Signal.like(a[2]), Signal(signed(P_BITS))
    m.d.sync += [
        terms[0].eq(a[0]),
        terms[1].eq(a[3]),
        before.eq(terms[0] + terms[1]),
        decay[0].eq(a[1]),
        decay[1].eq(decay[0]),
        product.eq(before * decay[1]),
        addend.eq(a[2]),
        leaked.eq(product + addend),
    ]
    acc, shift = [Signal.like(b[0]) for _ in range(2)], [Signal.like(b[1]) for _ in range(2)]
    shifted, less, subtract = Signal.like(total), Signal.like(b[2]), Signal()
    drive = Mux(subtract, -(shifted + less), shifted)
    gain = acc[0]
    if offset is not None:
        late = Signal.like(offset)
        acc[1], gain = Signal(signed(len(b[0]) + 1)), acc[0] + late
        m.d.sync += late.eq(offset)
    m.d.sync += [
        acc[0].eq(b[0]),
        acc[1].eq(gain),
        shift[0].eq(b[1]),
        shift[1].eq(shift[0]),
        shifted.eq(acc[1] * shift[1]),
        less.eq(b[2]),
        subtract.eq(b[3]),
        total.eq((leaked >> SHIFT) + drive),
    ]


def in_range(m: Module, total: Signal, width: int) -> tuple[Signal, Signal]:
    """Return the total a cycle later, and whether it leaves the range of ``width`` bits."""
    kept, over = Signal.like(total), Signal()
    top = total[width - 1 :]
    m.d.sync += [kept.eq(total), over.eq(~(top.all() | ~top.any()))]
    return kept, over


def limit(negative: Value) -> Value:
    """Return the end of the range on one side."""
    return Mux(negative, Const(V_MIN), Const(V_MAX))


def doubled(value: Signal) -> Value:
    """Return twice the value: the shift by ``SHIFT`` is then the division by 65536."""
    return Cat(Const(0, 1), value).as_signed()
