from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch.layout import Field, Layout
from talon.arch.memories import MemoryLayouts
from talon.arch.packet import PacketLayouts
from talon.arch.params import PRESETS


@st.composite
def layouts(draw):
    widths = draw(st.lists(st.integers(1, 40), min_size=1, max_size=8))
    fields = [Field(f"f{i}", w, signed=draw(st.booleans())) for i, w in enumerate(widths)]
    return Layout("word", tuple(fields))


@st.composite
def words(draw):
    layout = draw(layouts())
    values = {f.name: draw(st.integers(f.minimum, f.maximum)) for f in layout.fields}
    return layout, values


@given(words())
def test_pack_and_unpack_are_inverse(word):
    layout, values = word
    packed = layout.pack(values)
    assert 0 <= packed < 1 << layout.width
    assert layout.unpack(packed) == values


@given(layouts(), st.data())
def test_every_word_has_one_meaning(layout, data):
    packed = data.draw(st.integers(0, (1 << layout.width) - 1))
    assert layout.pack(layout.unpack(packed)) == packed


@given(words())
def test_configuration_words_are_inverse_and_least_significant_first(word):
    layout, values = word
    split = layout.to_words(values)
    assert len(split) == layout.n_words == (layout.width + 31) // 32
    assert sum(part << 32 * i for i, part in enumerate(split)) == layout.pack(values)
    assert layout.from_words(split) == values


@given(words())
def test_fields_stand_least_significant_first_without_gaps(word):
    layout, values = word
    position = 0
    for field in layout.fields:
        assert layout.offset_of(field.name) == position
        bits = layout.pack(values) >> position & (1 << field.width) - 1
        assert bits == values[field.name] & (1 << field.width) - 1
        position += field.width
    assert layout.width == position


def test_missing_fields_are_zero():
    layout = Layout("word", (Field("a", 4), Field("b", 4, signed=True)))
    assert layout.pack({"b": -1}) == 0xF0
    assert layout.unpack(0x1F0) == {"a": 0, "b": -1}  # bits above are ignored


@pytest.mark.parametrize(
    ("field", "value", "limits"),
    [("u", 16, "0 and 15"), ("u", -1, "0 and 15"), ("s", 8, "-8 and 7"), ("s", -9, "-8 and 7")],
)
def test_a_value_outside_its_field_is_refused(field, value, limits):
    layout = Layout("word", (Field("u", 4), Field("s", 4, signed=True)))
    with pytest.raises(
        ValueError, match=rf"^Field word\.{field} must be between {limits}, not {value}$"
    ):
        layout.pack({field: value})


def test_slips_are_named():
    layout = Layout("word", (Field("a", 40),))
    with pytest.raises(ValueError, match=r"^Layout word has no field 'b'$"):
        layout.pack({"b": 0})
    with pytest.raises(KeyError, match=r"Layout word has no field 'b'"):
        layout.offset_of("b")
    with pytest.raises(ValueError, match=r"^Layout word takes 2 words of 32 bits, not 3$"):
        layout.from_words([0, 0, 0])
    with pytest.raises(ValueError, match=r"^Layout word must have distinct field names"):
        Layout("word", (Field("a", 1), Field("a", 2)))
    with pytest.raises(ValueError, match=r"^Field a must have a positive width, not 0$"):
        Field("a", 0)


@pytest.mark.parametrize("params", PRESETS.values(), ids=PRESETS)
def test_the_layouts_of_every_preset_hold_its_sizes(params):
    memories, packets = MemoryLayouts(params), PacketLayouts(params)
    edge = memories.edge.pack
    last_row = params.acc_rows - 1
    edge({"base": params.weight_words - 1, "rows": params.acc_rows, "row_start": last_row})
    edge({"last_lanes": params.lanes, "offset": 65535, "weight": -params.weight_max - 1})
    if params.has_maps:
        whole = {"n_y": params.acc_rows, "n_x": params.acc_rows, "n_c": params.acc_rows}
        extent = {**whole, "y_step": last_row, "record_start": params.n_rows - 1}
        edge({"y_axis": params.n_axis - 1, "y_shift": 16, "y_row": last_row})
        memories.axis.pack({"weight": params.weight_words - 1, "row": last_row, "count": 63})
    else:
        extent = {"n_neurons": params.n_neurons}
    memories.group.pack(
        {
            "row_start": last_row,
            **extent,
            "frac": 7,
            "n_routes": params.n_routes,
            "n_tokens": params.n_tokens,
            "route_start": params.n_routes - 1,
            "token_start": params.n_tokens - 1,
        }
    )
    memories.record.pack({"threshold": -(1 << 23), "bias": (1 << 23) - 1, "decay": 65535})
    memories.pointer.pack({"address": params.weight_words - 1, "count": 65535})
    synapse = memories.synapse
    assert synapse.width == 16
    assert synapse.pack({"row": params.n_rows - 1, "weight": -params.weight_max - 1}) >= 0
    assert memories.pointer.width == 32
    everywhere = {"xmask": (1 << params.columns) - 1, "ymask": (1 << params.rows) - 1}
    packets.spike.pack({**everywhere, "edge": params.n_edges - 1, "payload": -255})
    packets.token.pack({**everywhere, "group": params.n_groups - 1, "slot": params.n_slots - 1})
    assert packets.width <= 60
