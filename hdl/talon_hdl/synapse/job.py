"""What the parts of the synapse engine hand to each other."""

from amaranth.hdl import Shape, signed, unsigned
from amaranth.lib import data, enum

from talon.arch.memories import MemoryLayouts
from talon.arch.params import ArrayParams, bits_for


class JobKind(enum.Enum, shape=2):
    """What the streamer does with a job."""

    DENSE = 0  # `rows` rows from weight word `address` on
    POINTER = 1  # fetch a pointer at `address`, position `lane`; then its rows
    SINGLE = 2  # one row, whose only lane is `lane`
    TOKEN = 3  # hand a token to the scheduler, behind all rows before it


class RowKind(enum.Enum, shape=2):
    """Where the weights of a row come from."""

    DENSE = 0  # the weight word: lane by lane
    SPARSE = 1  # the weight word: packed synapses
    SINGLE = 2  # the `weight` of the row, for one lane
    CLEAR = 3  # none: accumulators are fetched and set to zero


def job_layout(params: ArrayParams) -> data.StructLayout:
    """Return a decoded packet; ``value`` is the payload, the partial sum, or a ``token_layout``.

    With feature maps ``slot`` is its part of the page. If ``map``, the ``rows``
    words of a DENSE job are those of a tap: there are ``n_x`` times ``n_y`` taps, apart by the
    steps of their axis.
    """
    row = bits_for(params.acc_rows)
    lane = bits_for(params.lanes)
    return data.StructLayout(
        {
            "kind": JobKind,
            "slot": unsigned(bits_for(params.n_slots)),
            "address": unsigned(bits_for(params.weight_words)),
            "rows": unsigned(row + 1),
            "row": unsigned(row),
            "lane": unsigned(lane),
            "last_lanes": unsigned(lane + 1),
            "weight": signed(params.weight_width),
            "value": signed(params.acc_width),
            **(_taps(params) if params.has_maps else {}),
        }
    )


def _taps(params: ArrayParams) -> dict[str, Shape]:
    """Return the fields of a job with taps."""
    count = next(field for field in MemoryLayouts(params).axis.fields if field.name == "count")
    row, address = unsigned(bits_for(params.acc_rows)), unsigned(bits_for(params.weight_words))
    return {
        "map": unsigned(1),
        "n_y": unsigned(count.width),
        "n_x": unsigned(count.width),
        "y_weight": address,
        "x_weight": address,
        "y_row": row,
        "x_row": row,
    }


def row_layout(params: ArrayParams) -> data.StructLayout:
    """Return a row on its way to the accumulators.

    ``valid`` marks a row, ``pointer`` a pointer fetch (never both) or, with ``token``, a token that
    goes the same way; ``n_synapses`` is the count for DENSE and SINGLE rows. ``lane`` is the
    position of a pointer in its word, too. With feature maps ``slot`` is a page, ``keep`` spares
    the accumulators of a CLEAR row, and ``counted`` says that the synapses of a DENSE row are its
    weights that are not zero.
    """
    options = ("keep", "counted") if params.has_maps else ()
    lane = bits_for(params.lanes)
    return data.StructLayout(
        {
            "valid": 1,
            "pointer": 1,
            "token": 1,
            "kind": RowKind,
            "slot": unsigned(bits_for(params.n_slots)),
            "row": unsigned(bits_for(params.n_rows)),
            "lane": unsigned(lane),
            "n_synapses": unsigned(lane + 1),
            "weight": signed(params.weight_width),
            "value": signed(params.acc_width),
            **dict.fromkeys(options, 1),
        }
    )


def token_layout(params: ArrayParams) -> data.StructLayout:
    """Return a token that has arrived."""
    return data.StructLayout(
        {
            "group": unsigned(bits_for(params.n_groups)),
            "slot": unsigned(bits_for(params.n_slots)),
            "credit": 1,
        }
    )


def fetch_layout(params: ArrayParams) -> data.StructLayout:
    """Return the name of an accumulator row.

    With feature maps ``slot`` is its page and ``row`` the row in it, see
    :mod:`talon_hdl.synapse.page`; ``keep`` reads the accumulators without clearing them.
    """
    keep: dict[str, int] = {"keep": 1} if params.has_maps else {}
    return data.StructLayout(
        {
            "slot": unsigned(bits_for(params.n_slots)),
            "row": unsigned(bits_for(params.n_rows)),
            **keep,
        }
    )
