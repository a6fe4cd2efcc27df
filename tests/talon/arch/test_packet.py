from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from talon.arch.packet import OP_OFFSET, InOp, Kind, OutOp, PacketLayouts
from talon.arch.params import PRESETS, ArrayParams, preset


@given(st.data())
def test_packets_survive_packing(data):
    layouts = PacketLayouts(data.draw(st.sampled_from(list(PRESETS.values()))))
    kind = data.draw(st.sampled_from(Kind))
    layout = layouts.of_kind[kind]
    values = {
        f.name: data.draw(st.integers(f.minimum, f.maximum))
        for f in layout.fields
        if f.name != "kind"
    }
    packet = layouts.pack(kind, **values)
    assert packet >> layouts.width == 0
    assert layouts.unpack(packet) == (kind, {"kind": kind, **values})


@pytest.mark.parametrize("params", PRESETS.values(), ids=PRESETS)
def test_the_bridge_finds_the_slot_of_every_kind_at_one_place(params):
    layouts = PacketLayouts(params)
    bound = [layouts.spike, layouts.psum, layouts.token]
    assert len({(layout.offset_of("slot"), layout.offset_of("xmask")) for layout in bound}) == 1
    assert all(layout.fields[0].name == "kind" for layout in layouts.of_kind.values())
    assert layouts.config.offset_of("ymask") == layouts.spike.offset_of("ymask")


def test_kinds_above_three_go_to_the_host():
    assert [kind for kind in Kind if kind >= 4] == [
        Kind.HOST_SPIKE,
        Kind.HOST_VALUE,
        Kind.HOST_TOKEN,
        Kind.HOST_CONFIG,
    ]


def test_operations_fit_above_the_packet():
    assert all(0 <= op < 1 << 64 - OP_OFFSET for op in [*InOp, *OutOp])


def test_an_array_too_large_for_a_packet_is_refused():
    with pytest.raises(ValueError, match=r"^A packet must fit 60 bits, not 71; use fewer columns"):
        PacketLayouts(ArrayParams(columns=16, rows=16))


def test_a_value_too_large_for_a_packet_names_its_field():
    layouts = PacketLayouts(preset("tiny_2x2"))
    with pytest.raises(ValueError, match=r"^Field spike\.payload must be between -256 and 255"):
        layouts.pack(Kind.SPIKE, payload=256)
