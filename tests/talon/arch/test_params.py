from __future__ import annotations

from dataclasses import replace

import pytest

from talon.arch.memories import (
    Emit,
    Memory,
    MemoryLayouts,
    depth_of,
    emits,
    loaded,
    words_per_entry,
)
from talon.arch.params import PRESETS, ZYNQ_US_PLUS, ArrayParams, bits_for, preset


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": 0}, r"^Array parameter columns must be between 1 and 16, not 0$"),
        ({"rows": 17}, r"^Array parameter rows must be between 1 and 16, not 17$"),
        ({"lanes": 12}, r"^Array parameter lanes must be 4, 8 or 16, not 12$"),
        ({"update_lanes": 3}, r"^Array parameter update_lanes must be 1, 2 or 4, not 3$"),
        ({"n_neurons": 500}, r"^Array parameter n_neurons must be a multiple of the lanes.* 500$"),
        ({"n_neurons": 4096}, r"1 to 128 rows, not 4096$"),
        ({"n_slots": 6}, r"^Array parameter n_slots must be 2, 4, 8 or 16, not 6$"),
        ({"max_delay": 7}, r"^Array parameter max_delay must be between 0 and n_slots-2=6, not 7$"),
        ({"max_delay": -1}, r"max_delay must be between 0 and n_slots-2=6, not -1$"),
        ({"weight_words": 65536}, r"weight_words must be between 1 and 65535, not 65536$"),
        ({"n_edges": 65}, r"^Array parameter n_edges must be between 1 and 64, not 65$"),
        ({"n_groups": 17}, r"^Array parameter n_groups must be between 1 and 16, not 17$"),
        ({"n_routes": 257}, r"^Array parameter n_routes must be between 1 and 256, not 257$"),
        ({"n_tokens": 0}, r"^Array parameter n_tokens must be between 1 and 256, not 0$"),
        ({"fifo_depth": 1}, r"^Array parameter fifo_depth must be at least 2, not 1$"),
        (
            {"synaptic_current": 1},
            r"synaptic_current must be True or False, not 1$",
        ),
        ({"double_threshold": 0}, r"double_threshold must be True or False, not 0$"),
        ({"multi_spike": True}, r"multi_spike must be False without feature maps, not True$"),
        ({"table_activation": True}, r"table_activation must be False without feature maps, not"),
        ({"weight_memory": "dram"}, r"weight_memory must be 'uram', 'bram' or 'generic', not 'dra"),
    ],
)
def test_parameters_are_checked_at_birth(change, message):
    with pytest.raises(ValueError, match=message):
        ArrayParams(**change)


def test_parameters_are_frozen_and_keyword_only():
    with pytest.raises(AttributeError, match=r"cannot assign to field 'rows'"):
        ZYNQ_US_PLUS.rows = 2
    with pytest.raises(TypeError, match=r"positional"):
        ArrayParams("mine")


def test_the_hash_tells_images_apart_and_nothing_else():
    base = ZYNQ_US_PLUS.hardware_hash
    same = replace(ZYNQ_US_PLUS, name="mine", fifo_depth=8, weight_memory="generic")
    assert same.hardware_hash == base
    for change in (
        {"columns": 4},
        {"n_neurons": 256},
        {"lanes": 8},
        {"update_lanes": 2},
        {"weight_words": 4096},
        {"n_slots": 16},
        {"max_delay": 3},
        {"n_edges": 8},
        {"n_groups": 4},
        {"n_routes": 32},
        {"n_tokens": 32},
        {"synaptic_current": True},
        {"double_threshold": True},
        {"int4": True},
    ):
        assert replace(ZYNQ_US_PLUS, **change).hardware_hash != base
    assert len({p.hardware_hash for p in PRESETS.values()}) == len(PRESETS)


def test_an_option_that_is_off_changes_neither_hash_nor_facts():
    # The numbers of the arrays before the option; images for them stay good.
    assert ZYNQ_US_PLUS.hardware_hash == 0x7F418EF9
    assert preset("tiny_2x2").hardware_hash == 0x20B0109B
    assert preset("tiny_2x2_map").hardware_hash == 0x404A338D
    options = {"synaptic_current", "double_threshold", "multi_spike", "int4", "table_activation"}
    assert not options & ZYNQ_US_PLUS.facts().keys()
    facts = preset("tiny_2x2_syn").facts()
    assert facts["synaptic_current"] is True
    for params in PRESETS.values():
        assert ArrayParams(**params.facts()) == params


def test_a_record_has_the_current_above_what_it_has_without():
    plain, with_current = (MemoryLayouts(preset(n)) for n in ("tiny_2x2", "tiny_2x2_syn"))
    assert plain.record.fields == plain.neuron.fields
    assert with_current.record.fields == (*plain.neuron.fields, *with_current.current.fields)
    assert (plain.record.n_words, with_current.record.n_words) == (3, 5)


def test_a_record_has_room_for_the_resets_that_there_are():
    plain, double = (MemoryLayouts(preset(n)) for n in ("tiny_2x2", "tiny_2x2_double"))
    widths = [
        next(field.width for field in layouts.neuron.fields if field.name == "reset")
        for layouts in (plain, double)
    ]
    assert widths == [2, 3]
    assert double.neuron.n_words == plain.neuron.n_words


def test_groups_that_count_are_of_arrays_that_do():
    plain, counting = preset("tiny_2x2_map"), preset("tiny_2x2_multi")
    assert set(emits(counting)) - set(emits(plain)) == {Emit.COUNT}
    widths = [
        next(f.width for f in MemoryLayouts(p).group.fields if f.name == "emit")
        for p in (plain, counting)
    ]
    assert widths == [2, 3]
    assert replace(plain, multi_spike=True).hardware_hash != plain.hardware_hash


def test_weights_of_four_bits_halve_a_word_or_double_its_lanes():
    wide, narrow = preset("zynq_us_plus_map"), preset("zynq_us_plus_int4")
    assert (wide.weight_width, wide.weight_max, wide.lanes) == (8, 127, 16)
    assert (narrow.weight_width, narrow.weight_max, narrow.lanes) == (4, 7, 32)
    assert narrow.word_bytes == wide.word_bytes == 16
    assert (narrow.synapses_per_word, narrow.pointers_per_word) == (8, 4)
    assert narrow.n_cores * narrow.lanes == wide.n_cores * wide.lanes
    for params, row in ((wide, 7), (narrow, 10)):
        synapse = MemoryLayouts(params).synapse
        assert synapse.width == 16
        assert {field.name: field.width for field in synapse.fields}["row"] == row
    with pytest.raises(ValueError, match=r"lanes must be 8, 16 or 32 with weights of four bits"):
        replace(wide, int4=True, lanes=4)
    with pytest.raises(ValueError, match=r"lanes must be 4, 8 or 16, not 32"):
        replace(wide, lanes=32)


def test_tables_are_of_arrays_that_have_the_option():
    plain, with_tables = preset("tiny_2x2_map"), preset("tiny_2x2_table")
    assert set(loaded(with_tables)) - set(loaded(plain)) == {Memory.TABLE}
    assert depth_of(Memory.TABLE, with_tables) == 4 * 256
    assert words_per_entry(Memory.TABLE, with_tables) == 1
    names = [{f.name for f in MemoryLayouts(p).group.fields} for p in (plain, with_tables)]
    assert names[1] - names[0] == {"table"}
    assert with_tables.hardware_hash != plain.hardware_hash


def test_the_full_array_is_the_documented_one():
    assert (ZYNQ_US_PLUS.n_cores, ZYNQ_US_PLUS.n_neurons) == (32, 512)
    assert ZYNQ_US_PLUS.weight_bytes == 98_304
    assert ZYNQ_US_PLUS.max_delay == 4


def test_core_numbers_and_positions_are_inverse():
    for params in PRESETS.values():
        for core in range(params.n_cores):
            assert params.core_id(*params.position(core)) == core
    assert ZYNQ_US_PLUS.position(9) == (1, 1)


@pytest.mark.parametrize(("count", "bits"), [(1, 1), (2, 1), (3, 2), (16, 4), (17, 5)])
def test_bits_for_a_number_of_things(count, bits):
    assert bits_for(count) == bits


def test_presets_are_found_by_name():
    assert preset("tiny_2x2") is PRESETS["tiny_2x2"]
    with pytest.raises(ValueError, match=r"^Array preset must be one of ecp5_2x2, .*, not 'big'$"):
        preset("big")


def test_a_small_change_of_sizes_changes_layouts():
    small = MemoryLayouts(preset("tiny_1x1")).edge.width
    assert small < MemoryLayouts(ZYNQ_US_PLUS).edge.width
