"""DSP48E2 slices, for what synthesis does not infer: feedback, cascade and four-operand sums."""

from amaranth.hdl import Cat, ClockSignal, Const, Instance, Signal, Value, ValueLike

from talon.arch.params import ArrayParams
from talon_hdl.shapes import resized

A_BITS, B_BITS, C_BITS, D_BITS, P_BITS = 30, 18, 48, 27, 48

# Fields of OPMODE, from the lowest bits: X and Y take the product, Z and W another operand.
PRODUCT = 0b0101
Z_ZERO, Z_P, Z_C, Z_CASCADE_SHIFTED = 0b000 << 4, 0b010 << 4, 0b011 << 4, 0b101 << 4
W_ZERO, W_C = 0b00 << 7, 0b11 << 7

INMODE_ADD = 0b00100
"""D takes part in the pre-adder, and A is not inverted."""


def has_dsp48e2(params: ArrayParams, *, synthesis: bool) -> bool:
    """Tell whether to place slices: an array with URAM is for UltraScale+, which has both."""
    return synthesis and params.weight_memory == "uram"


def dsp48e2(
    *,
    a: ValueLike,
    b: ValueLike,
    c: ValueLike,
    opmode: ValueLike,
    p: Signal,
    d: ValueLike | None = None,
    a_registers: int = 1,
    subtract: ValueLike = 0,
    clear: ValueLike = 0,
    cascade_in: Value | None = None,
    cascade_out: Signal | None = None,
) -> Instance:
    """Return a slice that computes ``p = (a + d) * b + (what opmode says)``.

    ``a`` and ``b`` pass ``a_registers`` registers and that of the product; with ``d``, ``a`` and
    ``d`` pass one and that of their sum, ``b`` two. ``c``, ``opmode`` and ``subtract`` pass one,
    ``p`` another. With ``subtract``, the product and W count negative. ``clear`` resets ``p`` in
    the cycle in which it would be loaded. Values are sign-extended (or zero-extended, if unsigned)
    to the ports.
    """
    has_d = d is not None
    b_registers = 2 if has_d else a_registers
    connections: dict[str, object] = {
        "p_AREG": a_registers,
        "p_ACASCREG": a_registers,
        "p_BREG": b_registers,
        "p_BCASCREG": b_registers,
        "p_ADREG": int(has_d),
        "p_DREG": int(has_d),
        "p_AMULTSEL": "AD" if has_d else "A",
        "p_CARRYINSELREG": 0,
        "p_INMODEREG": 0,
        "p_USE_MULT": "MULTIPLY",
        "i_A": resized(a, A_BITS),
        "i_B": resized(b, B_BITS),
        "i_C": resized(c, C_BITS),
        "i_OPMODE": resized(opmode, 9),
        "i_ALUMODE": Cat(resized(subtract, 1), resized(subtract, 1), Const(0, 2)),
        "i_CLK": ClockSignal(),
        "i_RSTP": resized(clear, 1),
        "o_P": Cat(p, Signal(P_BITS - len(p), name="unused")),
    }
    connections |= {f"i_{name}": Const(0, width) for name, width in _ZEROS.items()}
    connections |= {f"i_CE{name}": Const(1, 1) for name in _ENABLES}
    connections |= {f"i_RST{name}": Const(0, 1) for name in _RESETS}
    if has_d:
        connections |= {"i_D": resized(d, D_BITS), "i_INMODE": Const(INMODE_ADD, 5)}
    if cascade_in is not None:
        connections["i_PCIN"] = cascade_in
    if cascade_out is not None:
        connections["o_PCOUT"] = cascade_out
    return Instance("DSP48E2", **connections)


_ZEROS = {
    "ACIN": A_BITS,
    "BCIN": B_BITS,
    "PCIN": P_BITS,
    "D": D_BITS,
    "INMODE": 5,
    "CARRYIN": 1,
    "CARRYINSEL": 3,
    "CARRYCASCIN": 1,
    "MULTSIGNIN": 1,
}
_ENABLES = (
    "A1", "A2", "AD", "ALUMODE", "B1", "B2", "C", "CARRYIN", "CTRL", "D", "INMODE", "M", "P",
)  # fmt: skip
_RESETS = ("A", "ALLCARRYIN", "ALUMODE", "B", "C", "CTRL", "D", "INMODE", "M")
