"""Area is counted cell by cell through the hierarchy."""

import json

import pytest

from talon_boards.cells import RESOURCES, count, read_stat


def stat(**modules):
    return json.dumps(
        {"modules": {f"\\{name}": {"num_cells_by_type": cells} for name, cells in modules.items()}}
    )


def test_cells_of_every_instance_count():
    text = stat(
        tile={"LUT6": 5, "FDRE": 3, "RAMB18E2": 1, "\\half": 2, "CARRY4": 7},
        half={"DSP48E2": 1, "RAM32M16": 1},
        top={"tile": 4, "LUT2": 1, "URAM288": 2},
    )
    used = count(read_stat(text), "top")
    assert used == {"lut": 4 * (5 + 2 * 8) + 1, "ff": 12, "bram36": 2.0, "uram": 2, "dsp": 8}
    assert tuple(used) == RESOURCES


def test_cell_that_nobody_priced_is_refused():
    with pytest.raises(ValueError, match=r"^Cell type 'RAMX' in module 'top' has no entry in "):
        count(read_stat(stat(top={"RAMX": 1})), "top")
