from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from talon.errors import BackendError
from talon_sim.cosim.build import build_array
from talon_sim.cosim.fast import BackPressure, FastArray
from talon_sim.cosim.tiles import Port, module_ports, without_tiles

TILED = Path(__file__).with_name("tiled.v").read_text()
SYNC = np.uint64(3 << 60)


def words(seed, n=400):
    rng = np.random.default_rng(seed)
    return np.append(rng.integers(0, 50, n, dtype=np.uint64), SYNC)


def run(library, seed, **options):
    """Return the words that came back and the cycles, over three transfers with rests between."""
    with FastArray(library, **options) as array:
        array.press(BackPressure(seed=seed, gap_in=0.05, gap_out=0.05, burst=200))
        parts = [array.run(words(seed + i)) for i in range(3)]
        return np.concatenate(parts), array.cycles, array.n_tiles, array.tile_cycles


@pytest.mark.cosim
@pytest.mark.parametrize("seed", range(3))
def test_cut_out_tiles_are_exact_and_idle_ones_are_passed_over(seed):
    whole, whole_cycles, n_whole, _ = run(build_array(TILED, tile=None), seed)
    cut, cut_cycles, n_tiles, evaluated = run(build_array(TILED), seed)
    all_awake, awake_cycles, _, evaluated_awake = run(build_array(TILED), seed, skip_idle=False)
    assert (n_whole, n_tiles) == (0, 3)
    assert_array_equal(cut, whole)
    assert_array_equal(all_awake, whole)
    assert cut_cycles == whole_cycles == awake_cycles
    assert np.unique(whole).size > 20
    assert evaluated < 0.9 * evaluated_awake == 0.9 * 3 * cut_cycles


def test_ports_are_read_from_the_text():
    ports = module_ports(TILED, "talon_tile")
    assert len(ports) == 10
    assert Port(name="i_payload", width=64, is_input=True) in ports
    assert Port(name="idle", width=1, is_input=False) in ports
    assert module_ports(TILED, "no_tile") == []


def test_cutting_leaves_every_other_module_alone():
    text = without_tiles(TILED, "talon_tile", module_ports(TILED, "talon_tile"))
    assert text.endswith(TILED[TILED.index("endmodule") :])
    assert text.count("module talon_tile(") == 1
    assert "output [63:0] o_payload;\n  reg [63:0] o_payload /*verilator public_flat_rw*/;" in text


def test_a_port_too_wide_for_the_harness_is_refused():
    wide = TILED.replace("input [63:0] i_payload", "input [64:0] i_payload")
    with pytest.raises(BackendError, match="Port i_payload of talon_tile must have at most 64 bit"):
        without_tiles(wide, "talon_tile", module_ports(wide, "talon_tile"))
