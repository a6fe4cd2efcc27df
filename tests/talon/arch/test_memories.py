from __future__ import annotations

import pytest

from talon.arch.memories import (
    LOADED,
    Counter,
    EdgeKind,
    Memory,
    MemoryLayouts,
    depth_of,
    words_per_entry,
)
from talon.arch.params import PRESETS, preset


@pytest.mark.parametrize("params", PRESETS.values(), ids=PRESETS)
def test_depth_and_words_of_every_memory(params):
    layouts = MemoryLayouts(params)
    assert depth_of(Memory.INIT, params) == params.n_groups * params.n_slots
    assert depth_of(Memory.WEIGHT, params) * words_per_entry(Memory.WEIGHT, params) * 4 == (
        params.weight_bytes
    )
    assert depth_of(Memory.COUNTER, params) == len(Counter)
    for memory, layout in layouts.of_memory.items():
        assert words_per_entry(memory, params) == layout.n_words
        assert depth_of(memory, params) >= 1


def test_what_an_image_fills_is_numbered_in_order_and_fits_the_select_command():
    assert list(LOADED) == sorted(LOADED) == list(range(len(LOADED)))
    assert all(memory < 16 for memory in Memory)
    status = MemoryLayouts(preset("tiny_1x1")).status
    assert next(f.width for f in status.fields if f.name == "good") == len(LOADED)
    assert status.width <= 32


def test_every_entry_number_of_a_select_command_fits_28_bits():
    for params in PRESETS.values():
        for memory in LOADED:
            assert depth_of(memory, params) < 1 << 28


def test_edge_kinds_fit_their_field():
    edge = MemoryLayouts(preset("tiny_1x1")).edge
    for kind in EdgeKind:
        assert edge.unpack(edge.pack({"kind": kind}))["kind"] == kind
