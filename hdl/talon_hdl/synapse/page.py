"""Where a row of a slot stands in the accumulator memory of a core with feature maps."""

from amaranth.hdl import Cat, Const, Value

from talon.arch.params import ArrayParams, bits_for


def page(params: ArrayParams, row: Value, slot: Value, slots: Value) -> Value:
    """Return the page of a row: ``(row div n_rows) xor reverse(slot mod 2^slots)``.

    Parameters
    ----------
    params
        Parameters of an array with feature maps.
    row
        Accumulator row, ``bits_for(acc_rows)`` bits.
    slot
        Slot, ``bits_for(n_slots)`` bits; *reverse* mirrors all of them.
    slots
        Logarithm of the slots that the group keeps; more than ``n_slots`` are as many as that.

    Returns
    -------
    Value
        ``bits_for(n_slots)`` bits.
    """
    n_bits = bits_for(params.n_slots)
    high = row[_low_bits(params) :]
    mirrored = (slot[i] & (slots > i) for i in reversed(range(n_bits)))
    return (high ^ Cat(mirrored))[:n_bits]


def row_in_page(params: ArrayParams, row: Value) -> Value:
    """Return the row within its page, ``bits_for(n_rows)`` bits."""
    low = row[: _low_bits(params)]
    return low if len(low) else Const(0, bits_for(params.n_rows))


def _low_bits(params: ArrayParams) -> int:
    return (params.n_rows - 1).bit_length()
