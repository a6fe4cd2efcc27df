from __future__ import annotations

import pytest

from talon.arch.params import PRESETS
from talon.arch.registers import ADDRESS_WIDTH, BY_NAME, ID, REGISTERS, address


def test_registers_do_not_overlap():
    taken = {}
    for register in REGISTERS:
        for i in range(register.count):
            at = register.offset + 4 * i
            assert at not in taken, f"{register.name} and {taken[at]} both stand at {at:#x}"
            taken[at] = register.name


def test_registers_are_aligned_words_of_the_address_space():
    for register in REGISTERS:
        assert register.offset % 4 == 0
        assert register.offset + 4 * register.count <= 1 << ADDRESS_WIDTH
        assert register.layout.width <= 32
        assert register.access in ("ro", "rw", "wo")
        assert register.doc.endswith(".")


def test_names_are_unique():
    assert len(BY_NAME) == len(REGISTERS)


def test_the_identity_spells_talon():
    assert ID.to_bytes(4, "little") == b"TALN"


def test_the_shape_of_every_preset_fits_its_registers():
    for params in PRESETS.values():
        mesh = {k: getattr(params, k) for k in ("columns", "rows", "n_slots", "lanes")}
        assert BY_NAME["MESH"].layout.unpack(BY_NAME["MESH"].layout.pack(mesh)) == mesh
        core = {"n_neurons": params.n_neurons, "weight_words": params.weight_words}
        BY_NAME["CORE"].layout.pack(core)
        assert params.n_slots <= BY_NAME["PERMIT_INIT"].count


def test_addresses():
    assert address("STATUS") == 0x14
    assert address("PERMIT_INIT", 3) == 0x4C
    with pytest.raises(
        ValueError, match=r"^Register PERMIT_INIT index must be between 0 and 15, not 16$"
    ):
        address("PERMIT_INIT", 16)
    with pytest.raises(KeyError, match="NOTHING"):
        address("NOTHING")
